//! Credentials and their versions.

use std::sync::Arc;

use jiff::Timestamp;
use sealkeep_profiles::certificate::{Certificate, Chain};
use serde::{Deserialize, Serialize};

use super::names::{Name, VersionId};
use crate::backend::{KeyEvidence, KeyRef};

/// What a credential is for. A key of one purpose never does the work of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// TLS client authentication with a QWAC.
    Transport,
    /// Signatures with a QSealC.
    Seal,
    /// Decryption of what banks encrypt to us. Banks know the public key, not a certificate.
    Decryption,
}

impl Purpose {
    /// The word of the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Seal => "seal",
            Self::Decryption => "decryption",
        }
    }
}

/// The two worlds that never mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Test certificates, test banks.
    Sandbox,
    /// Qualified certificates, real money.
    Production,
}

impl Environment {
    /// The word of the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }
}

/// Where a private key comes from. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyOrigin {
    /// Made in the token.
    Generated,
    /// Brought into the token; copies of it may exist elsewhere.
    Imported,
}

impl KeyOrigin {
    /// The word of the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
        }
    }
}

/// Where a version stands. Changes only by [`crate::credential::state::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionState {
    /// Key and CSR exist; no certificate yet.
    Requested,
    /// The certificate is installed and checked; not yet used.
    Staged,
    /// May sign for the banks it is bound to.
    Active,
    /// Still signs where it is bound, while banks move to a newer version.
    Retiring,
    /// Signs no more.
    Retired,
    /// The key is gone from the token.
    Destroyed,
    /// Stopped by an officer.
    Frozen,
    /// The certificate was revoked.
    Revoked,
}

impl VersionState {
    /// Whether anybody would miss a version in this state: it has a certificate, and signs, will, or may again.
    pub fn is_live(self) -> bool {
        matches!(
            self,
            Self::Staged | Self::Active | Self::Retiring | Self::Frozen
        )
    }

    /// Whether a version in this state may sign for a bank it is bound to.
    pub fn signs(self) -> bool {
        matches!(self, Self::Active | Self::Retiring)
    }

    /// The word of the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
            Self::Frozen => "frozen",
            Self::Revoked => "revoked",
        }
    }
}

/// One key pair and, once issued, its certificate chain.
#[derive(Debug, Clone)]
pub struct Version {
    /// Which one.
    pub id: VersionId,
    /// Where it stands.
    pub state: VersionState,
    /// The state it was in when it was frozen; only while it is.
    pub frozen_from: Option<VersionState>,
    /// The set of tokens that holds its key; the name of the token where it is alone.
    pub token_set: String,
    /// The key in the token, pinned.
    pub key: KeyRef,
    /// Where the key comes from.
    pub origin: KeyOrigin,
    /// The kind of key, for example `rsa-2048`.
    pub key_algorithm: String,
    /// SubjectPublicKeyInfo, DER.
    pub spki_der: Vec<u8>,
    /// What the token said about the private key.
    pub evidence: KeyEvidence,
    /// The PKCS#10 request, DER; none for decryption, which has no certificate.
    pub csr_der: Option<Vec<u8>>,
    /// What was issued; none while `Requested`.
    pub issued: Option<Issued>,
    /// When it was made.
    pub created: Timestamp,
}

/// A certificate chain with the world it belongs to.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Leaf first; never empty.
    pub chain: Arc<[Certificate]>,
    /// The world of the trust anchor the chain ends in.
    pub environment: Environment,
}

impl Issued {
    /// The certificate that the bank sees as ours.
    pub fn leaf(&self) -> &Certificate {
        // Cannot fail: a chain is made from at least one certificate (`credential::checks`, `store`).
        &self.chain[0]
    }

    /// The same certificate with its issuers, for banks that want to see them.
    pub fn chain(&self) -> Chain<'_> {
        Chain::new(self.leaf(), self.chain.get(1..).unwrap_or_default())
    }
}

/// A named credential with its versions, oldest first.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The name callers use.
    pub name: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// Its versions, oldest first.
    pub versions: Vec<Arc<Version>>,
}

impl Credential {
    /// The version with this number.
    pub fn version(&self, number: u32) -> Option<&Arc<Version>> {
        self.versions.iter().find(|v| v.id.number == number)
    }

    /// The version made last.
    pub fn newest(&self) -> Option<&Arc<Version>> {
        self.versions.last()
    }

    /// The newest version that may sign.
    pub fn newest_active(&self) -> Option<&Arc<Version>> {
        self.versions
            .iter()
            .rev()
            .find(|v| v.state == VersionState::Active)
    }
}
