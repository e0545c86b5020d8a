//! A saved request or response: one way to verify either.
//!
//! In: messages out of files. Out: verdicts, and what signing would have made of them. Never: a difference between the
//! two that a caller has to know of.

use jiff::Timestamp;
use sealkeep_client::{SavedRequest, SavedResponse};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::verify::{self, Verified, VerifyError};

#[derive(Clone, Debug)]
pub(super) enum Message {
    Request(SavedRequest),
    Response(SavedResponse),
}

impl Message {
    pub(super) fn headers(&self) -> &[(String, Vec<u8>)] {
        match self {
            Self::Request(request) => &request.head.headers,
            Self::Response(response) => &response.headers,
        }
    }

    pub(super) fn headers_mut(&mut self) -> &mut Vec<(String, Vec<u8>)> {
        match self {
            Self::Request(request) => &mut request.head.headers,
            Self::Response(response) => &mut response.headers,
        }
    }

    /// The certificate it carries, if the profile makes it carry one.
    pub(super) fn certificate(
        &self,
        profile: &Profile,
    ) -> Result<Option<Certificate>, VerifyError> {
        match self {
            Self::Request(request) => verify::certificate_of_request(profile, &request.parse()?),
            Self::Response(response) => {
                verify::certificate_of_response(profile, &response.parse()?)
            }
        }
    }

    pub(super) fn verify(
        &self,
        profile: &Profile,
        certificate: &Certificate,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        match self {
            Self::Request(request) => {
                let request = request.parse()?;
                verify::http_request(profile, &request, certificate, settings, now)
            }
            Self::Response(response) => {
                let response = response.parse()?;
                verify::http_response(profile, &response, certificate, settings, now)
            }
        }
    }

    /// What its sender would have signed.
    pub(super) fn prepare(
        &self,
        profile: &Profile,
        certificate: &Certificate,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        match self {
            Self::Request(request) => {
                profile.prepare(&request.parse()?, certificate, settings, now)
            }
            Self::Response(response) => {
                profile.prepare_response(&response.parse()?, certificate, settings, now)
            }
        }
    }
}
