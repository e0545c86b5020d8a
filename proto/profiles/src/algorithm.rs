//! Hash algorithms, key types, signature schemes, and public keys that verify.
//!
//! Comes in: names from profiles and SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) from certificates. Goes out: digests and
//! verdicts. Never holds a private key. What no PSD2 profile may use (SHA-1, MD5, `none`, RSA below 2048 bits) has no
//! value here. Raw signatures are as PKCS#11 gives them: RSA as is, ECDSA as `r || s` of fixed width.

mod jwk;
mod public_key;

use std::fmt;

use ring::signature::{self, VerificationAlgorithm};
use serde::{Deserialize, Serialize};

pub use public_key::{BadSignature, KeyError, PublicKey, ecdsa_der_to_raw, ecdsa_raw_to_der};

/// The shortest RSA modulus accepted, in bits (ETSI TS 119 312 and every QTSP policy).
pub const RSA_MODULUS_BITS_MIN: u32 = 2048;
/// The longest RSA modulus accepted, in bits: what the verifier can check.
pub const RSA_MODULUS_BITS_MAX: u32 = 8192;

/// A hash algorithm (FIPS 180-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    /// The digest of `bytes`.
    #[must_use]
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha384 => &ring::digest::SHA384,
            Self::Sha512 => &ring::digest::SHA512,
        };
        ring::digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    /// The length of a digest, in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // A hash algorithm is never empty; `len` is the digest's length.
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The name as in profiles: `sha256`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The type of a key, as far as schemes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyType {
    /// RSA (RFC 8017) with a modulus of `bits` bits.
    Rsa {
        /// The length of the modulus, in bits.
        bits: u32,
    },
    /// ECDSA on NIST P-256 (secp256r1).
    EcP256,
    /// ECDSA on NIST P-384 (secp384r1).
    EcP384,
    /// ECDSA on NIST P-521 (secp521r1).
    EcP521,
    /// EdDSA on edwards25519 (RFC 8032 §5.1).
    Ed25519,
}

impl KeyType {
    /// One of each family: for rules like "one scheme a key type".
    pub const FAMILIES: [Self; 5] = [
        Self::Rsa {
            bits: RSA_MODULUS_BITS_MIN,
        },
        Self::EcP256,
        Self::EcP384,
        Self::EcP521,
        Self::Ed25519,
    ];
}

impl fmt::Display for KeyType {
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

/// How a key signs: primitive and hash. PSS always salts with as many bytes as its hash has (RFC 7518 §3.5, RFC 8446 §4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureScheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2).
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, salt 32 bytes (RFC 8017 §8.1).
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384, salt 48 bytes.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512, salt 64 bytes.
    RsaPssSha512,
    /// ECDSA on P-256 with SHA-256 (FIPS 186-5).
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// ECDSA on P-521 with SHA-512.
    EcdsaP521Sha512,
    /// Pure Ed25519 (RFC 8032 §5.1): the message is signed whole, never its digest.
    Ed25519,
}

impl SignatureScheme {
    /// Every scheme.
    pub const ALL: [Self; 10] = [
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::EcdsaP521Sha512,
        Self::Ed25519,
    ];

    /// The hash of the scheme. The token signs the digest, except for Ed25519, which hashes inside: see
    /// [`Self::token_input`].
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPssSha256 | Self::EcdsaP256Sha256 => {
                HashAlgorithm::Sha256
            }
            Self::RsaPkcs1Sha384 | Self::RsaPssSha384 | Self::EcdsaP384Sha384 => {
                HashAlgorithm::Sha384
            }
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 | Self::EcdsaP521Sha512 | Self::Ed25519 => {
                HashAlgorithm::Sha512
            }
        }
    }

    /// Whether the token signs the message whole instead of a digest (RFC 8032 §5.1.6).
    #[must_use]
    pub const fn signs_whole_message(self) -> bool {
        matches!(self, Self::Ed25519)
    }

    /// What goes to the token: the digest of `message`, or `message` where it is signed whole.
    #[must_use]
    pub fn token_input(self, message: &[u8]) -> Vec<u8> {
        match self.signs_whole_message() {
            true => message.to_vec(),
            false => self.hash().digest(message),
        }
    }

    /// The stable name, as in profiles, records and answers: `rsa-pkcs1-sha256`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
            Self::RsaPkcs1Sha384 => "rsa-pkcs1-sha384",
            Self::RsaPkcs1Sha512 => "rsa-pkcs1-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::RsaPssSha384 => "rsa-pss-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::EcdsaP521Sha512 => "ecdsa-p521-sha512",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The JWS `alg` (RFC 7518 §3.1, RFC 8037 §3.1): `RS256`, `EdDSA`.
    #[must_use]
    pub const fn jws_name(self) -> &'static str {
        match self {
            Self::RsaPkcs1Sha256 => "RS256",
            Self::RsaPkcs1Sha384 => "RS384",
            Self::RsaPkcs1Sha512 => "RS512",
            Self::RsaPssSha256 => "PS256",
            Self::RsaPssSha384 => "PS384",
            Self::RsaPssSha512 => "PS512",
            Self::EcdsaP256Sha256 => "ES256",
            Self::EcdsaP384Sha384 => "ES384",
            Self::EcdsaP521Sha512 => "ES512",
            Self::Ed25519 => "EdDSA",
        }
    }

    /// The name in the HTTP Signature Algorithms registry (RFC 9421 §3.3, §6.2), for schemes that have one.
    #[must_use]
    pub const fn http_message_name(self) -> Option<&'static str> {
        match self {
            Self::RsaPkcs1Sha256 => Some("rsa-v1_5-sha256"),
            Self::RsaPssSha512 => Some("rsa-pss-sha512"),
            Self::EcdsaP256Sha256 => Some("ecdsa-p256-sha256"),
            Self::EcdsaP384Sha384 => Some("ecdsa-p384-sha384"),
            Self::Ed25519 => Some("ed25519"),
            Self::RsaPkcs1Sha384
            | Self::RsaPkcs1Sha512
            | Self::RsaPssSha256
            | Self::RsaPssSha384
            | Self::EcdsaP521Sha512 => None,
        }
    }

    /// Whether a key of this type can sign so.
    #[must_use]
    pub const fn fits(self, key: &KeyType) -> bool {
        match self {
            Self::EcdsaP256Sha256 => matches!(key, KeyType::EcP256),
            Self::EcdsaP384Sha384 => matches!(key, KeyType::EcP384),
            Self::EcdsaP521Sha512 => matches!(key, KeyType::EcP521),
            Self::Ed25519 => matches!(key, KeyType::Ed25519),
            _ => matches!(key, KeyType::Rsa { .. }),
        }
    }

    /// Whether the raw signature is `r || s`.
    #[must_use]
    pub const fn is_ecdsa(self) -> bool {
        self.ecdsa_half_len().is_some()
    }

    /// How wide `r` and `s` of a raw signature are, in bytes: as the order of the curve (RFC 7518 §3.4).
    #[must_use]
    pub const fn ecdsa_half_len(self) -> Option<usize> {
        match self {
            Self::EcdsaP256Sha256 => Some(32),
            Self::EcdsaP384Sha384 => Some(48),
            Self::EcdsaP521Sha512 => Some(66),
            _ => None,
        }
    }

    /// What `ring` verifies with; it has no P-521.
    fn ring(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            Self::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Ed25519 => &signature::ED25519,
            Self::EcdsaP521Sha512 => return None,
        })
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
