//! The layout a profile chose: the one place that knows every format of messages.
//!
//! Comes in: a message, and the table of the profile. Goes out: what the format's own room makes of them. Never looks into a
//! table itself.

use jiff::Timestamp;

use crate::certificate::{Certificate, Chain};
use crate::format::cavage::{self, CavageSpec};
use crate::format::http_message::{self, HttpMessageSpec};
use crate::format::jades::{self, JadesSpec};
use crate::format::jws::{self, JwsSpec};
use crate::prepared::Prepared;
use crate::profile::Settings;
use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::{Context, Verified, VerifyError};

/// Which layout a profile uses, with its parameters.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// draft-cavage HTTP signatures.
    Cavage(Box<CavageSpec>),
    /// RFC 9421 HTTP message signatures.
    HttpMessage(Box<HttpMessageSpec>),
    /// A JWS over the body.
    Jws(Box<JwsSpec>),
    /// JAdES over HTTP headers.
    Jades(Box<JadesSpec>),
}

impl Format {
    /// Prepares the signature over a message.
    pub(super) fn prepare(
        &self,
        message: Message<'_>,
        chain: Chain<'_>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        match self {
            Self::Cavage(spec) => cavage::prepare(spec, message, chain.leaf(), settings, now),
            Self::HttpMessage(spec) => {
                http_message::prepare(spec, message, chain.leaf(), settings, now)
            }
            Self::Jws(spec) => jws::prepare_message(spec, message, chain, settings, now),
            Self::Jades(spec) => jades::prepare(spec, message, chain, settings, now),
        }
    }

    /// Verifies a message.
    pub(crate) fn verify(
        &self,
        message: Message<'_>,
        context: Context<'_>,
    ) -> Result<Verified, VerifyError> {
        match self {
            Self::Cavage(spec) => cavage::verify(spec, message, context),
            Self::HttpMessage(spec) => http_message::verify(spec, message, context),
            Self::Jws(spec) => jws::verify_message(spec, message, context),
            Self::Jades(spec) => jades::verify(spec, message, context),
        }
    }

    /// The certificate a message carries, when it has to carry one.
    pub(crate) fn certificate_of(
        &self,
        message: Message<'_>,
    ) -> Result<Option<Certificate>, VerifyError> {
        match self {
            Self::Cavage(spec) => cavage::certificate_of(spec, message),
            // RFC 9421 names a key; no profile carries a certificate beside it.
            Self::HttpMessage(_) => Ok(None),
            Self::Jws(spec) => jws::certificate_of(spec, message),
            Self::Jades(spec) => jades::certificate_of(spec, message),
        }
    }

    /// The settings it reads, and whether signing can do without.
    pub(super) fn settings(&self) -> Vec<(&str, bool)> {
        match self {
            Self::Cavage(spec) => spec
                .key_id
                .setting()
                .map(|name| (name, false))
                .into_iter()
                .collect(),
            Self::HttpMessage(spec) => spec.settings().map(|name| (name, false)).collect(),
            Self::Jws(spec) => spec.header().settings(),
            Self::Jades(spec) => spec.header().settings(),
        }
    }

    /// Where in its table settings are named.
    pub(super) fn settings_place(&self) -> &'static str {
        match self {
            Self::Cavage(_) => "cavage.key_id",
            Self::HttpMessage(_) => "http_message",
            Self::Jws(_) => "jws.member",
            Self::Jades(_) => "jades.member",
        }
    }

    pub(super) fn complaint(&self, response: bool) -> Option<String> {
        match self {
            Self::Cavage(spec) => spec
                .complaint(response)
                .map(|what| format!("cavage.{what}")),
            Self::HttpMessage(spec) => spec
                .complaint(response)
                .map(|what| format!("http_message.{what}")),
            Self::Jws(spec) => spec.complaint(response).map(|what| format!("jws.{what}")),
            Self::Jades(spec) => spec.complaint(response).map(|what| format!("jades.{what}")),
        }
    }
}
