//! What the pretend QTSP has revoked.
//!
//! In: a certificate, a reason, the time. Out: a list, kept as `revoked.json` beside the keys. It has no list of what it
//! issued: what is not in this one is good.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use x509_cert::ext::pkix::CrlReason;

use super::ca::Ca;
use crate::files::{self, FileError};

const FILE: &str = "revoked.json";

/// Why a certificate was revoked (RFC 5280 §5.3.1), as far as QTSPs tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not said.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// The name is no longer right.
    AffiliationChanged,
    /// There is another certificate.
    Superseded,
    /// The provider stops.
    CessationOfOperation,
    /// Suspended; [`super::Qtsp::restore`] takes it back.
    CertificateHold,
    /// The authority withdrew the authorisation.
    PrivilegeWithdrawn,
}

impl Reason {
    /// As RFC 5280 writes it; unspecified is not written (§5.3.1).
    pub(super) fn code(self) -> Option<CrlReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(CrlReason::KeyCompromise),
            Self::AffiliationChanged => Some(CrlReason::AffiliationChanged),
            Self::Superseded => Some(CrlReason::Superseded),
            Self::CessationOfOperation => Some(CrlReason::CessationOfOperation),
            Self::CertificateHold => Some(CrlReason::CertificateHold),
            Self::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
        }
    }
}

/// One revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Its serial number, hexadecimal without leading zeros.
    pub serial: String,
    /// Its issuer, RFC 2253: two CAs may give one number.
    pub issuer: String,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

impl Revoked {
    /// Whether this is the certificate with that number of that CA.
    pub(super) fn is(&self, serial_hex: &str, issuer: &Ca<'_>) -> bool {
        self.serial == serial_hex && self.is_from(issuer)
    }

    pub(super) fn is_from(&self, issuer: &Ca<'_>) -> bool {
        self.issuer == issuer.certificate.subject().rfc2253()
    }
}

pub(super) fn load(folder: &Path) -> Result<Vec<Revoked>, FileError> {
    let path = folder.join(FILE);
    match path.exists() {
        false => Ok(Vec::new()),
        true => serde_json::from_str(&files::read(&path)?).map_err(|error| FileError::Content {
            path,
            what: error.to_string(),
        }),
    }
}

pub(super) fn save(folder: &Path, revoked: &[Revoked]) -> Result<(), FileError> {
    // Cannot fail: strings, times and words.
    let text = serde_json::to_string_pretty(revoked).unwrap_or_default();
    files::write_public(&folder.join(FILE), &text)
}
