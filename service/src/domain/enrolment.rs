//! Requests for certificates on their way to a QTSP and back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::access::CallerName;
use super::names::{Name, VersionId};
use super::revocation::RevocationReason;

/// What a QTSP is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A certificate for the request of the version.
    Certificate,
    /// That the certificate of the version is revoked.
    Revocation(RevocationReason),
}

/// The reasons that a TPP may give; the others of RFC 5280 section 5.3.1 are an issuer's to know.
const GIVEN: [RevocationReason; 5] = [
    RevocationReason::Unspecified,
    RevocationReason::KeyCompromise,
    RevocationReason::AffiliationChanged,
    RevocationReason::Superseded,
    RevocationReason::CessationOfOperation,
];
const CERTIFICATE: &str = "certificate";
const REVOCATION: &str = "revocation:";

impl Wish {
    /// The word of the store and the log.
    pub fn word(self) -> String {
        match self {
            Self::Certificate => CERTIFICATE.to_owned(),
            Self::Revocation(reason) => format!("{REVOCATION}{}", reason.as_str()),
        }
    }

    /// The wish of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        let Some(reason) = word.strip_prefix(REVOCATION) else {
            return (word == CERTIFICATE).then_some(Self::Certificate);
        };
        let reason = GIVEN.into_iter().find(|given| given.as_str() == reason);
        reason.map(Self::Revocation)
    }
}

/// Where an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentState {
    /// The QTSP has it, or is asked again soon.
    Pending,
    /// The certificate was installed.
    Installed,
    /// The QTSP revoked the certificate.
    Revoked,
    /// It ended without a certificate; the detail says why.
    Failed,
    /// An officer gave it up.
    Withdrawn,
}

impl EnrolmentState {
    /// The word of the store and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Installed => "installed",
            Self::Revoked => "revoked",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One request for a certificate, as far as it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// For which version.
    pub version: VersionId,
    /// What is asked for.
    pub wish: Wish,
    /// By which way, as the operator named it.
    pub enroller: Name,
    /// Who asked for it.
    pub author: CallerName,
    /// Where it stands.
    pub state: EnrolmentState,
    /// What the enroller wants back at the next step; none before the first.
    pub ticket: Option<String>,
    /// Steps that failed in a row and are tried again.
    pub attempts: u32,
    /// When the next step is due.
    pub next: Timestamp,
    /// What happened last, in words.
    pub detail: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// When the certificate should be there; later somebody should ask.
    pub due: Timestamp,
}
