//! What issuers say about the certificates they issued.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a statement comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationSource {
    /// A responder that was asked about one certificate (RFC 6960).
    Ocsp,
    /// A list of all that are revoked (RFC 5280 section 5).
    Crl,
}

impl RevocationSource {
    /// The word of the API, the metrics and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ocsp => "ocsp",
            Self::Crl => "crl",
        }
    }
}

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// The issuer does not say.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Somebody else may have the issuer's key.
    CaCompromise,
    /// The name in it is no longer right.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// Stopped for a while; the only reason that may be taken back.
    CertificateHold,
    /// A right that it states is gone: for a PSD2 provider, its authorisation.
    PrivilegeWithdrawn,
    /// Somebody else may have the key of the attribute authority.
    AaCompromise,
}

impl RevocationReason {
    /// The word of the API, the audit log and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::CaCompromise => "ca-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::CertificateHold => "certificate-hold",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
            Self::AaCompromise => "aa-compromise",
        }
    }
}

/// What an issuer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "kebab-case")]
pub enum RevocationStatus {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// The responder does not know it.
    Unknown,
}

impl RevocationStatus {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked { .. } => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// What an issuer says about one certificate; its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Where it comes from.
    pub source: RevocationSource,
    /// What it says.
    pub status: RevocationStatus,
    /// Since when that is known to be so.
    pub this_update: Timestamp,
    /// When there will be news at the latest; none when there always are.
    pub next_update: Option<Timestamp>,
}

/// Why the last look brought no statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable reason word.
    pub reason: String,
    /// What happened, in words.
    pub detail: String,
}

/// What is known about whether one certificate is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// SHA-256 of the certificate.
    pub certificate: [u8; 32],
    /// The newest statement, and when it was fetched.
    pub statement: Option<(Statement, Timestamp)>,
    /// When it was first asked for.
    pub asked_first: Timestamp,
    /// When it was last asked for.
    pub attempted: Timestamp,
    /// Why that brought none; none when it did.
    pub failure: Option<Failure>,
}

impl Revocation {
    /// Since when and why it is revoked, when it is.
    pub fn revoked(&self) -> Option<(Timestamp, RevocationReason)> {
        match self.statement.as_ref()?.0.status {
            RevocationStatus::Revoked { at, reason } => Some((at, reason)),
            RevocationStatus::Good | RevocationStatus::Unknown => None,
        }
    }
}
