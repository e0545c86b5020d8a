//! The life of credentials: enrol → install → activate → retire → destroy, with freeze and revoke as side doors.
//!
//! In: wishes of an officer. Out: versions in the store, findings. Never: a private key outside the token, a
//! certificate installed that a check blocks, half of a change.

mod attest;
mod checks;
mod csr;
mod enrol;
pub mod enrolment;
mod import;
mod install;
mod life;
mod listed;
pub mod pkcs12;
mod prove;
mod reading;
pub mod revocation;
pub mod state;

pub use attest::Attestation;
pub use checks::{Finding, TrustAnchors, TrustError};
pub(crate) use csr::armour;
pub use csr::{CsrError, Psd2Wish, Subject};
pub use enrol::{EnrolRequest, Enrolled};
pub use import::ImportRequest;
pub use install::{Activated, Installed};
pub use life::Stopped;
pub use listed::Listed;
pub use reading::Unreadable;

use crate::approval::ApprovalError;
use crate::domain::{Name, Purpose, VersionId};
use crate::registry::ChangeError;
use state::Forbidden;

/// Why a credential did not change.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// There is no such credential or version.
    #[error("{0} does not exist")]
    Unknown(String),
    /// The credential exists for other work.
    #[error("{credential} is a {is} credential; choose another name for a {asked} one")]
    PurposeDiffers {
        /// The credential.
        credential: Name,
        /// What it is for.
        is: &'static str,
        /// What was asked for.
        asked: &'static str,
    },
    /// Decryption credentials have neither request nor certificate.
    #[error("{0} decrypts: it has no certificate; give banks its public key and activate it")]
    WithoutCertificate(VersionId),
    /// The certificate was issued elsewhere.
    #[error("{0} was imported: there is no signing request; enrol a new version")]
    WithoutRequest(VersionId),
    /// The key is in use already.
    #[error("the key is known already, as {0}")]
    KeyKnown(VersionId),
    /// The CSR could not be made.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The certificates cannot be read.
    #[error("certificates: {0}")]
    Unreadable(#[from] Unreadable),
    /// A check blocks the installation; nothing was installed.
    #[error("blocked by {}", codes(.0))]
    Blocked(Vec<Finding>),
    /// The state of the version does not allow it.
    #[error("{version}: {source}")]
    State {
        /// Which version.
        version: VersionId,
        /// What the state machine says.
        source: Forbidden,
    },
    /// The certificate has ended or not begun.
    #[error("the certificate of {0} is not valid now")]
    NotValidNow(VersionId),
    /// Banks move one by one meanwhile.
    #[error("a rotation of {0} is open; it moves the banks")]
    RotationOpen(Name),
    /// There is nothing left to ask about.
    #[error("the key of {0} was destroyed")]
    KeyDestroyed(VersionId),
    /// The newest version is not always the one that is meant.
    #[error("{0}: say which version, for example {0}@1")]
    NumberMissing(Name),
    /// Losing one token would lose the key.
    #[error(
        "the key of {version} is not proven at every token of its set ({}); copy it with the vendor's tools, then activate \
         again", .lacking.join(", ")
    )]
    NotReplicated {
        /// Which version.
        version: VersionId,
        /// The tokens, with what each has.
        lacking: Vec<String>,
    },
    /// Banks would be left without a version.
    #[error("{version} is still bound to {}", list(.banks))]
    StillBound {
        /// Which version.
        version: VersionId,
        /// The banks.
        banks: Vec<Name>,
    },
    /// No such way to a QTSP.
    #[error("enroller: {asked:?} is not configured; there are {known}")]
    EnrollerUnknown {
        /// What was asked for.
        asked: String,
        /// What exists.
        known: String,
    },
    /// The request is on its way already.
    #[error("the request of {version} is with {enroller} already")]
    EnrolmentOpen {
        /// Which version.
        version: VersionId,
        /// Which way it went.
        enroller: Name,
    },
    /// Two persons decide about a revocation, here first.
    #[error(
        "{0} is not revoked here; `sealkeep credential revoke` takes two officers, then ask the QTSP"
    )]
    NotRevoked(VersionId),
    /// There is nothing to withdraw.
    #[error("no request of {0} is with a QTSP or has failed")]
    EnrolmentClosed(VersionId),
    /// The approval it takes was not made.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// Store, log or token.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

fn list(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

fn codes(findings: &[Finding]) -> String {
    let blocking = findings.iter().filter(|finding| finding.blocking);
    let each: Vec<_> = blocking
        .map(|f| match f.way_out() {
            "" => format!("{}: {}", f.code, f.detail),
            way => format!("{}: {} ({way})", f.code, f.detail),
        })
        .collect();
    each.join("; ")
}

impl CredentialError {
    fn purpose(credential: &Name, is: Purpose, asked: Purpose) -> Self {
        let (is, asked) = (is.as_str(), asked.as_str());
        Self::PurposeDiffers {
            credential: credential.clone(),
            is,
            asked,
        }
    }
}
