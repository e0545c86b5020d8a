//! The life of credentials: enrol → install → activate.
//!
//! In: wishes of an officer. Out: versions in the store, findings. Never: a private key outside the token, a
//! certificate installed that a check blocks, half of a change.

mod checks;
mod csr;
mod enrol;
mod install;
pub mod state;

pub use checks::{Finding, TrustAnchors, TrustError};
pub(crate) use csr::armour;
pub use csr::{CsrError, Subject};
pub use enrol::{EnrolRequest, Enrolled};
pub use install::Installed;

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
    /// The CSR could not be made.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The certificates cannot be read.
    #[error("certificate_chain_pem: {0}")]
    Unreadable(String),
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
    /// Store, log or token.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

fn codes(findings: &[Finding]) -> String {
    let blocking = findings.iter().filter(|finding| finding.blocking);
    let each: Vec<_> = blocking
        .map(|f| format!("{}: {}", f.code, f.detail))
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
