//! Hash algorithms, key types, signature schemes, and public keys that verify.
//!
//! Comes in: names from profiles and SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) from certificates. Goes out: digests and
//! verdicts. Never holds a private key. What no PSD2 profile may use (SHA-1, MD5, `none`, RSA below 2048 bits) has no
//! value here. Raw signatures are as PKCS#11 gives them: RSA as is, ECDSA as `r || s` of fixed width.

use std::fmt;
use std::sync::Arc;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Sequence};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Serialize};

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
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "rsa-{bits}"),
            Self::EcP256 => f.write_str("ec-p256"),
            Self::EcP384 => f.write_str("ec-p384"),
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
}

impl SignatureScheme {
    /// Every scheme.
    pub const ALL: [Self; 8] = [
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
    ];

    /// The hash whose digest the token signs.
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPssSha256 | Self::EcdsaP256Sha256 => {
                HashAlgorithm::Sha256
            }
            Self::RsaPkcs1Sha384 | Self::RsaPssSha384 | Self::EcdsaP384Sha384 => {
                HashAlgorithm::Sha384
            }
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 => HashAlgorithm::Sha512,
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
        }
    }

    /// The JWS `alg` (RFC 7518 §3.1): `RS256`.
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
        }
    }

    /// Whether a key of this type can sign so.
    #[must_use]
    pub const fn fits(self, key: &KeyType) -> bool {
        match self {
            Self::EcdsaP256Sha256 => matches!(key, KeyType::EcP256),
            Self::EcdsaP384Sha384 => matches!(key, KeyType::EcP384),
            _ => matches!(key, KeyType::Rsa { .. }),
        }
    }

    /// Whether the raw signature is `r || s`.
    #[must_use]
    pub const fn is_ecdsa(self) -> bool {
        matches!(self, Self::EcdsaP256Sha256 | Self::EcdsaP384Sha384)
    }

    fn verifier(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_FIXED,
        }
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a SubjectPublicKeyInfo is not a key we work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not DER of the form RFC 5280 §4.1.2.7, RFC 8017 §A.1.1 or RFC 5480 §2 gives.
    #[error("malformed public key: {what}")]
    Malformed {
        /// The part that is wrong.
        what: &'static str,
    },
    /// The algorithm is neither rsaEncryption nor id-ecPublicKey.
    #[error("unsupported key algorithm {oid}")]
    AlgorithmUnsupported {
        /// The algorithm, dotted.
        oid: String,
    },
    /// The curve is neither P-256 nor P-384 (brainpool and P-521 are not supported).
    #[error("unsupported curve {oid}")]
    CurveUnsupported {
        /// The curve, dotted.
        oid: String,
    },
    /// An RSA modulus outside of [`RSA_MODULUS_BITS_MIN`]..=[`RSA_MODULUS_BITS_MAX`].
    #[error("RSA modulus of {bits} bits, accepted are 2048 to 8192")]
    RsaLength {
        /// The length found, in bits.
        bits: u32,
    },
}

/// A signature that does not verify, or has not the form of one. Says no more on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A public key that verifies. Clones share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    key_type: KeyType,
    spki_der: Vec<u8>,
    spki_sha256: [u8; 32],
    /// What `ring` verifies with: RSAPublicKey DER, or the uncompressed point.
    bits: Vec<u8>,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo, exactly to its end.
    ///
    /// # Errors
    /// [`KeyError`]: malformed, or a key we do not work with.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let spki = Spki::from_der(der).map_err(|_| KeyError::Malformed {
            what: "SubjectPublicKeyInfo",
        })?;
        let bits = spki
            .subject_public_key
            .as_bytes()
            .ok_or(KeyError::Malformed {
                what: "subjectPublicKey has unused bits",
            })?;
        let key_type = match spki.algorithm.algorithm {
            RSA_ENCRYPTION => rsa_type(&spki.algorithm, bits)?,
            EC_PUBLIC_KEY => ec_type(&spki.algorithm, bits)?,
            other => {
                return Err(KeyError::AlgorithmUnsupported {
                    oid: other.to_string(),
                });
            }
        };
        let mut spki_sha256 = [0; 32];
        spki_sha256.copy_from_slice(&HashAlgorithm::Sha256.digest(der));
        let inner = Inner {
            key_type,
            spki_der: der.to_vec(),
            spki_sha256,
            bits: bits.to_vec(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The SubjectPublicKeyInfo it was read from, DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki_der
    }

    /// SHA-256 of the SubjectPublicKeyInfo: how a key is pinned.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.0.spki_sha256
    }

    /// The type of the key.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.0.key_type
    }

    /// Checks a raw signature (RSA as is, ECDSA `r || s`) over `message`.
    ///
    /// # Errors
    /// [`BadSignature`]: it does not verify, the scheme does not fit the key, or an EC point is not on its curve.
    pub fn verify(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        raw_signature: &[u8],
    ) -> Result<(), BadSignature> {
        if !scheme.fits(&self.0.key_type) {
            return Err(BadSignature);
        }
        UnparsedPublicKey::new(scheme.verifier(), &self.0.bits)
            .verify(message, raw_signature)
            .map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({}, spki sha256 {})",
            self.0.key_type,
            hex::encode(self.0.spki_sha256)
        )
    }
}

/// Turns `r || s` into DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3), as TLS and X.509 want it.
///
/// # Errors
/// [`BadSignature`]: the length is not that of a P-256 or P-384 signature.
pub fn ecdsa_raw_to_der(raw: &[u8]) -> Result<Vec<u8>, BadSignature> {
    if !matches!(raw.len(), 64 | 96) {
        return Err(BadSignature);
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    let value = EcdsaSigValue {
        r: UintRef::new(r).map_err(|_| BadSignature)?,
        s: UintRef::new(s).map_err(|_| BadSignature)?,
    };
    value.to_der().map_err(|_| BadSignature)
}

/// Turns DER `Ecdsa-Sig-Value` into `r || s`, each `half_len` bytes wide. Strict: BER, negative or too wide integers and
/// trailing bytes are refused.
///
/// # Errors
/// [`BadSignature`]: not such a value.
pub fn ecdsa_der_to_raw(der: &[u8], half_len: usize) -> Result<Vec<u8>, BadSignature> {
    let value = EcdsaSigValue::from_der(der).map_err(|_| BadSignature)?;
    let mut raw = Vec::with_capacity(2 * half_len);
    for half in [value.r.as_bytes(), value.s.as_bytes()] {
        let pad = half_len.checked_sub(half.len()).ok_or(BadSignature)?;
        raw.resize(raw.len() + pad, 0);
        raw.extend_from_slice(half);
    }
    Ok(raw)
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

#[derive(Sequence)]
struct Spki<'a> {
    algorithm: AlgorithmIdentifier<'a>,
    subject_public_key: BitStringRef<'a>,
}

#[derive(Sequence)]
struct AlgorithmIdentifier<'a> {
    algorithm: ObjectIdentifier,
    parameters: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// RFC 3279 §2.3.1: parameters are NULL; the exponent is odd and at least 3.
fn rsa_type(algorithm: &AlgorithmIdentifier<'_>, bits: &[u8]) -> Result<KeyType, KeyError> {
    if !algorithm.parameters.is_some_and(|p| p == AnyRef::NULL) {
        return Err(KeyError::Malformed {
            what: "rsaEncryption parameters are not NULL",
        });
    }
    let key = RsaPublicKey::from_der(bits).map_err(|_| KeyError::Malformed {
        what: "RSAPublicKey",
    })?;
    let exponent = key.public_exponent.as_bytes();
    if exponent.last().is_none_or(|low| low % 2 == 0) || exponent == [1] {
        return Err(KeyError::Malformed {
            what: "RSA exponent",
        });
    }
    let modulus = key.modulus.as_bytes();
    let top = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = u32::try_from(modulus.len() * 8)
        .unwrap_or(u32::MAX)
        .saturating_sub(top);
    if !(RSA_MODULUS_BITS_MIN..=RSA_MODULUS_BITS_MAX).contains(&bits) {
        return Err(KeyError::RsaLength { bits });
    }
    Ok(KeyType::Rsa { bits })
}

/// RFC 5480 §2.1.1: a named curve; the point uncompressed.
fn ec_type(algorithm: &AlgorithmIdentifier<'_>, bits: &[u8]) -> Result<KeyType, KeyError> {
    let curve = algorithm
        .parameters
        .and_then(|p| p.decode_as::<ObjectIdentifier>().ok())
        .ok_or(KeyError::Malformed {
            what: "EC parameters are not a named curve",
        })?;
    let (key_type, half_len) = match curve {
        SECP256R1 => (KeyType::EcP256, 32),
        SECP384R1 => (KeyType::EcP384, 48),
        other => {
            return Err(KeyError::CurveUnsupported {
                oid: other.to_string(),
            });
        }
    };
    if bits.len() != 1 + 2 * half_len || bits.first() != Some(&0x04) {
        return Err(KeyError::Malformed {
            what: "EC point is not uncompressed",
        });
    }
    Ok(key_type)
}
