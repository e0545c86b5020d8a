//! Requests for certificates on their way to a QTSP and back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::access::CallerName;
use super::names::{Name, VersionId};

/// Where an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentState {
    /// The QTSP has it, or is asked again soon.
    Pending,
    /// The certificate was installed.
    Installed,
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
