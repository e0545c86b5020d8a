//! The words about keys: how one is named, pinned, asked for and proven protected.
//!
//! Plain values. Nothing here can reach a token, and nothing here is secret.

use std::fmt;

use sealkeep_profiles::algorithm::KeyType;
use sealkeep_profiles::format::jwe::KeyManagement;
use uuid::Uuid;

use super::{BackendError, Protection};

/// Shortest RSA modulus that is generated (bits). ETSI TS 119 312 and RFC 8017 practice.
pub const RSA_BITS_MIN: u32 = 2048;
/// Longest RSA modulus that is generated (bits). Longer ones take a token longer than any deadline.
pub const RSA_BITS_MAX: u32 = 4096;

/// The `CKA_ID` of a key pair: 16 random bytes that are never used twice.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// A new one (UUID version 4).
    pub fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// One that was stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as they stand in `CKA_ID`.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A key and its pin: where it is, and how to know that it is still the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyRef {
    /// Its `CKA_ID`.
    pub id: KeyId,
    /// SHA-256 of its SubjectPublicKeyInfo (RFC 7469 section 2.4 pins the same bytes).
    pub spki_sha256: [u8; 32],
}

/// The kind of key to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeySpec {
    /// RSA with public exponent 65537.
    Rsa {
        /// Length of the modulus: 2048, 3072 or 4096.
        bits: u32,
    },
    /// ECDSA over NIST P-256.
    EcP256,
    /// ECDSA over NIST P-384.
    EcP384,
    /// ECDSA over NIST P-521.
    EcP521,
    /// Ed25519.
    Ed25519,
}

impl KeySpec {
    /// Refuses lengths that no PSD2 certificate profile accepts.
    ///
    /// # Errors
    /// [`BackendError::SpecUnsupported`].
    pub fn check(self) -> Result<(), BackendError> {
        match self {
            Self::Rsa { bits }
                if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) || bits % 1024 != 0 =>
            {
                Err(BackendError::SpecUnsupported(self.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses key types that nothing is encrypted to (RFC 7518 sections 4.3 and 4.6, without P-521).
    ///
    /// # Errors
    /// [`BackendError::SpecUnsupported`].
    pub fn check_usage(self, usage: KeyUsage) -> Result<(), BackendError> {
        match (usage, self) {
            (KeyUsage::Decrypt, Self::EcP521 | Self::Ed25519) => Err(
                BackendError::SpecUnsupported(format!("{self} for decryption")),
            ),
            _ => Ok(()),
        }
    }

    /// The type of the key that comes out.
    pub fn key_type(self) -> KeyType {
        match self {
            Self::Rsa { bits } => KeyType::Rsa { bits },
            Self::EcP256 => KeyType::EcP256,
            Self::EcP384 => KeyType::EcP384,
            Self::EcP521 => KeyType::EcP521,
            Self::Ed25519 => KeyType::Ed25519,
        }
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "rsa-{bits}"),
            Self::EcP256 => f.write_str("ec-p256"),
            Self::EcP384 => f.write_str("ec-p384"),
            Self::EcP521 => f.write_str("ec-p521"),
            Self::Ed25519 => f.write_str("ed25519"),
        }
    }
}

/// What a key pair does. One does either, never both: a key that decrypts what strangers send and signs too is an oracle
/// for its own signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyUsage {
    /// It signs.
    Sign,
    /// It decrypts (RSA) or agrees on secrets (elliptic curves).
    Decrypt,
}

/// What the token itself says about the protection of a private key (PKCS#11 v2.40 section 4.9).
///
/// An attribute that the token does not answer counts as the worse answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyEvidence {
    /// `CKA_SENSITIVE`: the value cannot be read in the clear.
    pub sensitive: bool,
    /// `CKA_EXTRACTABLE`: the value can leave the token wrapped. Must be false.
    pub extractable: bool,
    /// `CKA_ALWAYS_SENSITIVE`: it was sensitive from birth on.
    pub always_sensitive: bool,
    /// `CKA_NEVER_EXTRACTABLE`: it was never extractable.
    pub never_extractable: bool,
    /// `CKA_LOCAL`: it was generated inside this token, not imported.
    pub local: bool,
    /// What it may be used for. Evidence from before these were read has none of them.
    #[serde(default)]
    pub limits: KeyLimits,
}

/// What a token lets be done with a private key; `None` where it does not say (PKCS#11 v2.40 sections 4.4, 4.7, 4.9).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyLimits {
    /// `CKA_SIGN`.
    pub sign: Option<bool>,
    /// `CKA_DECRYPT`.
    pub decrypt: Option<bool>,
    /// `CKA_UNWRAP`.
    pub unwrap: Option<bool>,
    /// `CKA_DERIVE`.
    pub derive: Option<bool>,
    /// `CKA_MODIFIABLE`.
    pub modifiable: Option<bool>,
    /// `CKA_COPYABLE`.
    pub copyable: Option<bool>,
    /// `CKA_ALLOWED_MECHANISMS` names the mechanisms it may be used with.
    pub mechanisms: Option<bool>,
}

impl KeyEvidence {
    /// Nobody can take the key out now. Imported keys may pass; they show in the other attributes.
    pub fn is_protected(&self) -> bool {
        self.sensitive && !self.extractable
    }

    /// The key was made in the token and never was anywhere else.
    pub fn is_born_here(&self) -> bool {
        self.is_protected() && self.always_sensitive && self.never_extractable && self.local
    }
}

/// A key pair that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedKey {
    /// Where it is, and its pin.
    pub key: KeyRef,
    /// SubjectPublicKeyInfo, DER (RFC 5280 section 4.1.2.7).
    pub spki_der: Vec<u8>,
    /// What the token says about it, read back after the generation.
    pub evidence: KeyEvidence,
    /// What the token was seen to decrypt with it; empty for keys that sign.
    pub decrypts: Vec<KeyManagement>,
}

/// What became of one key at [`adopt`](super::KeyBackend::adopt).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The key asked for.
    pub key: KeyRef,
    /// Ready to sign, with its evidence; or why not.
    pub outcome: Result<KeyEvidence, BackendError>,
}

/// What is known about a token without asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its name in our configuration.
    pub name: String,
    /// `CKA_LABEL` of the token.
    pub label: String,
    /// Serial number of the token.
    pub serial: String,
    /// Who made the token.
    pub manufacturer: String,
    /// The module that reaches it: path, description and library version.
    pub module: String,
    /// The last call worked.
    pub ready: bool,
    /// What is wrong when it is not ready: function and return code, no secrets.
    pub problem: Option<String>,
    /// Sessions that can sign now.
    pub session_count: u32,
    /// Keys that can sign now.
    pub key_count: u32,
    /// What the process that holds it cannot do any more; nothing when that is the service itself.
    pub protections: Vec<Protection>,
}

impl TokenInfo {
    /// A token that is not open, as the configuration knows it.
    pub fn closed(name: &str, label: &str, serial: Option<&str>, module: &str) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            serial: serial.unwrap_or_default().to_owned(),
            manufacturer: String::new(),
            module: module.to_owned(),
            ready: false,
            problem: None,
            session_count: 0,
            key_count: 0,
            protections: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn random_ids_differ_and_print_as_32_hex_digits() {
        let (one, other) = (KeyId::random(), KeyId::random());
        assert_ne!(one, other);
        assert_eq!(one.to_string().len(), 32);
        assert_eq!(KeyId::from_bytes(*one.as_bytes()), one);
        assert_eq!(KeyId::from_bytes([0xab; 16]).to_string(), "ab".repeat(16));
    }

    #[test]
    fn refuses_rsa_lengths_that_no_certificate_has() {
        for bits in [0, 512, 1024, 2047, 2049, 2056, 5120, 8192, u32::MAX] {
            let error = KeySpec::Rsa { bits }.check().unwrap_err();
            assert_eq!(error.reason(), "KEY_SPEC_UNSUPPORTED", "{bits}");
        }
        for bits in [2048, 3072, 4096] {
            KeySpec::Rsa { bits }.check().unwrap();
        }
    }

    #[test]
    fn an_imported_key_is_protected_but_not_born_here() {
        let born = KeyEvidence {
            sensitive: true,
            extractable: false,
            always_sensitive: true,
            never_extractable: true,
            local: true,
            limits: KeyLimits::default(),
        };
        assert!(born.is_born_here());
        let imported = KeyEvidence {
            always_sensitive: false,
            local: false,
            ..born
        };
        assert!(imported.is_protected() && !imported.is_born_here());
        assert!(
            !KeyEvidence {
                extractable: true,
                ..born
            }
            .is_protected()
        );
        assert!(
            !KeyEvidence {
                sensitive: false,
                ..born
            }
            .is_born_here()
        );
    }
}
