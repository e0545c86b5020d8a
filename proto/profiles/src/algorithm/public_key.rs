//! Public keys that verify.
//!
//! Comes in: SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). Goes out: a key type, a pin, verdicts over raw signatures, and the
//! two spellings of an ECDSA signature. Never holds a private key.

use std::fmt;
use std::sync::Arc;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Sequence};
use ring::signature::UnparsedPublicKey;

use super::{HashAlgorithm, KeyType, RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN, SignatureScheme};

/// Why a SubjectPublicKeyInfo is not a key we work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not DER of the form RFC 5280 §4.1.2.7, RFC 8017 §A.1.1, RFC 5480 §2 or RFC 8410 §4 gives.
    #[error("malformed public key: {what}")]
    Malformed {
        /// The part that is wrong.
        what: &'static str,
    },
    /// The algorithm is none of rsaEncryption, id-ecPublicKey and id-Ed25519.
    #[error("unsupported key algorithm {oid}")]
    AlgorithmUnsupported {
        /// The algorithm, dotted.
        oid: String,
    },
    /// The curve is none of P-256, P-384 and P-521 (brainpool is not supported).
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
    /// What verifies: RSAPublicKey DER, the uncompressed point, or the 32 bytes of an Ed25519 key.
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
            ED25519 => ed25519_type(&spki.algorithm, bits)?,
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

    /// Whether the point of an EC key is one of its curve; [`Self::verify`] and certificates find out by themselves, who
    /// agrees on a key with a stranger has to ask first (NIST SP 800-56A §5.6.2.3).
    pub(crate) fn is_on_curve(&self) -> bool {
        let bits = &self.0.bits;
        match self.0.key_type {
            KeyType::EcP256 => p256::PublicKey::from_sec1_bytes(bits).is_ok(),
            KeyType::EcP384 => p384::PublicKey::from_sec1_bytes(bits).is_ok(),
            KeyType::EcP521 => p521::PublicKey::from_sec1_bytes(bits).is_ok(),
            KeyType::Rsa { .. } | KeyType::Ed25519 => false,
        }
    }

    /// The numbers of the key.
    pub(crate) fn parts(&self) -> Parts<'_> {
        let bits = &self.0.bits;
        let point = |curve| {
            let (x, y) = bits[1..].split_at(bits.len() / 2);
            Parts::Ec { curve, x, y }
        };
        match self.0.key_type {
            KeyType::EcP256 => point("P-256"),
            KeyType::EcP384 => point("P-384"),
            KeyType::EcP521 => point("P-521"),
            KeyType::Ed25519 => Parts::Ed25519 { x: bits },
            KeyType::Rsa { .. } => {
                // Cannot fail: an RSA key was read from these bytes when it was made.
                let (modulus, exponent) = RsaPublicKey::from_der(bits)
                    .map(|key| (key.modulus.as_bytes(), key.public_exponent.as_bytes()))
                    .unwrap_or_default();
                Parts::Rsa { modulus, exponent }
            }
        }
    }

    /// An RSA key from its numbers, big endian.
    pub(super) fn from_rsa_parts(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::Malformed {
            what: "RSAPublicKey",
        };
        let key = RsaPublicKey {
            modulus: UintRef::new(modulus).map_err(malformed)?,
            public_exponent: UintRef::new(exponent).map_err(malformed)?,
        };
        let bits = key.to_der().map_err(malformed)?;
        Self::from_spki_parts(RSA_ENCRYPTION, Some(AnyRef::NULL), &bits)
    }

    /// An Ed25519 key (RFC 8037 §2).
    pub(super) fn from_ed25519(x: &[u8]) -> Result<Self, KeyError> {
        Self::from_spki_parts(ED25519, None, x)
    }

    /// An EC key from the coordinates of its point, each as wide as the field (RFC 7518 §6.2.1.2).
    pub(super) fn from_ec_parts(curve: &str, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let (curve, half_len) = match curve {
            "P-256" => (SECP256R1, 32),
            "P-384" => (SECP384R1, 48),
            "P-521" => (SECP521R1, 66),
            other => {
                return Err(KeyError::CurveUnsupported {
                    oid: other.chars().take(16).collect(),
                });
            }
        };
        if x.len() != half_len || y.len() != half_len {
            return Err(KeyError::Malformed {
                what: "a coordinate is not as wide as the field",
            });
        }
        Self::from_spki_parts(
            EC_PUBLIC_KEY,
            Some((&curve).into()),
            &[&[0x04], x, y].concat(),
        )
    }

    fn from_spki_parts(
        algorithm: ObjectIdentifier,
        parameters: Option<AnyRef<'_>>,
        bits: &[u8],
    ) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::Malformed {
            what: "SubjectPublicKeyInfo",
        };
        let spki = Spki {
            algorithm: AlgorithmIdentifier {
                algorithm,
                parameters,
            },
            subject_public_key: BitStringRef::from_bytes(bits).map_err(malformed)?,
        };
        Self::from_spki_der(&spki.to_der().map_err(malformed)?)
    }

    /// Checks a raw signature (RSA and Ed25519 as is, ECDSA `r || s`) over `message`.
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
        match scheme.ring() {
            Some(algorithm) => UnparsedPublicKey::new(algorithm, &self.0.bits)
                .verify(message, raw_signature)
                .map_err(|_| BadSignature),
            None => verify_p521(&self.0.bits, message, raw_signature),
        }
    }
}

/// The numbers of a public key, big endian; coordinates as wide as the field.
pub(crate) enum Parts<'a> {
    Rsa {
        modulus: &'a [u8],
        exponent: &'a [u8],
    },
    Ec {
        curve: &'static str,
        x: &'a [u8],
        y: &'a [u8],
    },
    Ed25519 {
        x: &'a [u8],
    },
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
/// [`BadSignature`]: the length is not that of a P-256, P-384 or P-521 signature.
pub fn ecdsa_raw_to_der(raw: &[u8]) -> Result<Vec<u8>, BadSignature> {
    if !matches!(raw.len(), 64 | 96 | 132) {
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
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// The length of an Ed25519 public key, in bytes (RFC 8032 §5.1.5).
const ED25519_KEY_BYTES: usize = 32;

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
    if algorithm.parameters.is_none_or(|p| p != AnyRef::NULL) {
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
        SECP521R1 => (KeyType::EcP521, 66),
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

/// RFC 8410 §3 and §4: parameters are absent; the key is 32 bytes.
fn ed25519_type(algorithm: &AlgorithmIdentifier<'_>, bits: &[u8]) -> Result<KeyType, KeyError> {
    if algorithm.parameters.is_some() {
        return Err(KeyError::Malformed {
            what: "id-Ed25519 parameters are not absent",
        });
    }
    match bits.len() {
        ED25519_KEY_BYTES => Ok(KeyType::Ed25519),
        _ => Err(KeyError::Malformed {
            what: "Ed25519 key is not 32 bytes long",
        }),
    }
}

/// ECDSA on P-521 over SHA-512. Refuses points that are not on the curve, and `r` or `s` outside of 1..n.
fn verify_p521(point: &[u8], message: &[u8], raw_signature: &[u8]) -> Result<(), BadSignature> {
    use p521::ecdsa::signature::Verifier;
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| BadSignature)?;
    let signature = p521::ecdsa::Signature::from_slice(raw_signature).map_err(|_| BadSignature)?;
    key.verify(message, &signature).map_err(|_| BadSignature)
}
