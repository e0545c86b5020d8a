//! Why nothing was signed.

use std::time::Duration;

use jiff::Timestamp;
use sealkeep_profiles::format::jwe::{JweError, Undecryptable};
use sealkeep_profiles::refusal::Refusal;

use crate::audit::AuditError;
use crate::authz::{Denied, NotBound};
use crate::backend::BackendError;
use crate::domain::VersionId;
use crate::policy::Unfit;
use crate::world::OutOfTouch;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The bank accepts no version now.
    #[error(transparent)]
    NotBound(#[from] NotBound),
    /// The version that the caller names is not the one the bank accepts now.
    #[error("{bank} accepts {bound} now, not {asked}; get the identity again")]
    Rebound {
        /// The bank.
        bank: String,
        /// What was asked for.
        asked: VersionId,
        /// What is bound.
        bound: VersionId,
    },
    /// The verification is unknown, of another caller or bank, or over.
    #[error("this verification has ended; begin another one")]
    VerificationEnded,
    /// The bank changes over to a new version.
    #[error("{bank} changes over to a new certificate until {until}; try again then")]
    Held {
        /// The bank.
        bank: String,
        /// Until then.
        until: Timestamp,
        /// So long, from when it was refused.
        retry_after: Duration,
    },
    /// The request is not fit to be signed.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The request cannot be laid out as the bank wants it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The token did not sign.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The record could not be made durable; the signature was dropped.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The signature does not verify under the certificate; it was dropped.
    #[error("the signature of {0} does not verify under its certificate")]
    SelfVerification(VersionId),
    /// What should be decrypted is no JWE for the key.
    #[error(transparent)]
    Jwe(#[from] JweError),
    /// It cannot be decrypted; nobody is told why.
    #[error(transparent)]
    Undecryptable(#[from] Undecryptable),
    /// This replica may not know what another one did.
    #[error(transparent)]
    OutOfTouch(#[from] OutOfTouch),
    /// The deadline passed.
    #[error("the deadline passed")]
    Late,
    /// The task that signed died.
    #[error("the signing task ended abnormally")]
    Broken,
}

impl SigningError {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.reason(),
            Self::NotBound(_) => NotBound::REASON,
            Self::Rebound { .. } => "VERSION_NOT_BOUND",
            Self::VerificationEnded => "VERIFICATION_ENDED",
            Self::Held { .. } => "CUTOVER_IN_PROGRESS",
            Self::Unfit(unfit) => unfit.reason(),
            Self::Refused(refusal) => refusal.reason(),
            Self::Backend(error) => error.reason(),
            Self::Audit(_) => "AUDIT_UNAVAILABLE",
            Self::SelfVerification(_) => "SELF_VERIFICATION_FAILED",
            Self::Jwe(error) => error.reason(),
            Self::Undecryptable(_) => Undecryptable::REASON,
            Self::OutOfTouch(_) => "STATE_STALE",
            Self::Late => "DEADLINE_EXCEEDED",
            Self::Broken => "SIGNING_FAILED",
        }
    }
}
