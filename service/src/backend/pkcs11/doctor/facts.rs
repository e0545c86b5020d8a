//! What was seen of a token by using it: plain values, for people and programs.

use serde::Serialize;

use crate::backend::KeyEvidence;

/// Everything that was tried, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Examination {
    /// The library.
    pub module: ModuleFacts,
    /// The token.
    pub token: TokenFacts,
    /// The sessions that the service would open.
    pub sessions: SessionFacts,
    /// How long it takes to find something.
    pub search: SearchFacts,
    /// The kinds of keys, each made, used and destroyed.
    pub keys: Vec<KeyFacts>,
    /// Whether a key from outside comes in wrapped, tried with `ec-p256`.
    pub import: Trial,
}

/// What the library says of itself (PKCS#11 v2.40 section 3.1, `CK_INFO`).
#[derive(Debug, Clone, Serialize)]
pub struct ModuleFacts {
    /// Its path.
    pub path: String,
    /// The name of its file.
    pub file: String,
    /// Who made it.
    pub manufacturer: String,
    /// What it is.
    pub library: String,
    /// Its version.
    pub library_version: String,
    /// The version of PKCS#11 that it says it speaks.
    pub cryptoki_version: String,
}

/// What the token says of itself (PKCS#11 v2.40 section 3.2, `CK_TOKEN_INFO`).
#[derive(Debug, Clone, Serialize)]
pub struct TokenFacts {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Version of its firmware.
    pub firmware: String,
    /// No keys can be made or destroyed.
    pub write_protected: bool,
    /// A wrong PIN was tried since the last login.
    pub pin_count_low: bool,
}

/// How many sessions there are.
#[derive(Debug, Clone, Serialize)]
pub struct SessionFacts {
    /// What the configuration asks for.
    pub wanted: u16,
    /// What the token gave.
    pub opened: u16,
    /// What it says that it would give at most, if it says so.
    pub told_max: Option<u64>,
}

/// How a search goes.
#[derive(Debug, Clone, Serialize)]
pub struct SearchFacts {
    /// Private keys in the token.
    pub private_keys: usize,
    /// How long a search for one `CKA_ID` takes, microseconds.
    pub by_id_us: u64,
}

/// One kind of key.
#[derive(Debug, Clone, Serialize)]
pub struct KeyFacts {
    /// The kind, for example `ec-p256`.
    pub key: String,
    /// What it is made for: `sign` or `decrypt`.
    pub usage: &'static str,
    /// Whether the token makes it, and a key of it passes its test.
    pub made: Trial,
    /// What the token says about such a key.
    pub evidence: Option<KeyEvidence>,
    /// What can be done with it.
    pub algorithms: Vec<AlgorithmFacts>,
    /// How `CKA_EC_POINT` comes; for elliptic-curve keys.
    pub ec_point: Option<PointForm>,
    /// Whether the token refuses a mechanism that `CKA_ALLOWED_MECHANISMS` leaves out; where it could be tried.
    pub allowed_mechanisms_enforced: Option<bool>,
}

/// One algorithm with one kind of key.
#[derive(Debug, Clone, Serialize)]
pub struct AlgorithmFacts {
    /// Its name, for example `rsa-pss-sha256` or `RSA-OAEP`.
    pub name: &'static str,
    /// What came of it.
    pub tried: Trial,
}

/// The forms of `CKA_EC_POINT` (PKCS#11 v2.40 mechanisms section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointForm {
    /// A DER OCTET STRING, as the standard says.
    OctetString,
    /// The bare point.
    Bare,
}

/// What came of trying something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Trial {
    /// It works, and its result is right.
    Works {
        /// How long it took, microseconds.
        us: u64,
    },
    /// The token does not offer it.
    Lacks {
        /// What it answered.
        said: String,
    },
    /// The token offers it, and it does not work.
    Fails {
        /// What was seen.
        said: String,
    },
}

impl Trial {
    /// It works.
    pub fn works(&self) -> bool {
        matches!(self, Self::Works { .. })
    }
}
