//! Whether one certificate was issued by another, and what else its key has signed in the same way.
//!
//! In: two parsed certificates; or one, and a signature with its algorithm. Out: a verdict by name. Never judges validity, constraints or trust: that is path
//! validation. SHA-1 has no value here. Serves RFC 5280 section 4.1.1.3 and RFC 4055 (RSASSA-PSS parameters), because
//! PSD2 issuing CAs sign with PSS.

use der::{Tag, TagNumber};
use ring::signature::{self as ring_signature, UnparsedPublicKey, VerificationAlgorithm};

use super::Certificate;
use super::tlv::{Malformed, Tlv};
use crate::algorithm::KeyType;

/// Why a certificate is not taken as issued by another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuanceError {
    /// The issuer's subject is not this certificate's issuer, octet by octet.
    #[error("certificate names another issuer")]
    OtherIssuer,
    /// The issuer's certificate is not that of a CA.
    #[error("issuer certificate is not a CA")]
    NotCa,
    /// Signature algorithm unknown, too weak, or unfit for the issuer's key.
    #[error("signature algorithm {0} is not supported for this issuer")]
    Algorithm(String),
    /// The two algorithm fields of the certificate differ (RFC 5280 section 4.1.1.2).
    #[error("certificate states two different signature algorithms")]
    AlgorithmsDiffer,
    /// The signature does not verify.
    #[error("the signature does not verify under the issuer's key")]
    BadSignature,
}

const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
const RSA_SHA384: &str = "1.2.840.113549.1.1.12";
const RSA_SHA512: &str = "1.2.840.113549.1.1.13";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const MGF1: &str = "1.2.840.113549.1.1.8";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const ECDSA_SHA384: &str = "1.2.840.10045.4.3.3";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const SHA384: &str = "2.16.840.1.101.3.4.2.2";
const SHA512: &str = "2.16.840.1.101.3.4.2.3";

pub(super) fn verify(certificate: &Certificate, issuer: &Certificate) -> Result<(), IssuanceError> {
    if certificate.issuer().der() != issuer.subject().der() {
        return Err(IssuanceError::OtherIssuer);
    }
    if !issuer.is_ca() {
        return Err(IssuanceError::NotCa);
    }
    let frame = Frame::read(certificate.der()).map_err(|_| IssuanceError::BadSignature)?;
    if frame.inner_algorithm.raw != frame.algorithm.raw {
        return Err(IssuanceError::AlgorithmsDiffer);
    }
    verify_signed(issuer, &frame.algorithm, frame.tbs.raw, frame.signature)
}

/// The same for anything else that a CA or its delegate signs, its `AlgorithmIdentifier` in DER.
pub(super) fn verify_signature(
    signer: &Certificate,
    algorithm_der: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), IssuanceError> {
    let algorithm = Tlv::read(algorithm_der);
    let algorithm = algorithm.map_err(|_| IssuanceError::Algorithm(String::new()))?;
    verify_signed(signer, &algorithm, message, signature)
}

fn verify_signed(
    signer: &Certificate,
    algorithm: &Tlv<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), IssuanceError> {
    let unsupported = || IssuanceError::Algorithm(oid_of(algorithm).unwrap_or_default());
    let verifier = verifier(algorithm, signer.public_key().key_type());
    let verifier = verifier.ok_or_else(unsupported)?;
    let key = subject_public_key(signer).map_err(|_| IssuanceError::BadSignature)?;
    UnparsedPublicKey::new(verifier, key)
        .verify(message, signature)
        .map_err(|_| IssuanceError::BadSignature)
}

/// The signature algorithm of a certificate, dotted.
pub(super) fn algorithm(der: &[u8]) -> Option<String> {
    oid_of(&Frame::read(der).ok()?.algorithm)
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue BIT STRING }`.
struct Frame<'a> {
    tbs: Tlv<'a>,
    inner_algorithm: Tlv<'a>,
    algorithm: Tlv<'a>,
    signature: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let fields = Tlv::read(der)?.sequence()?;
        let [tbs, algorithm, signature] = fields.as_slice() else {
            return Err(Malformed);
        };
        // TBSCertificate: optional version [0], serial number, signature algorithm.
        let inner = tbs.sequence()?;
        let versioned = inner.first().is_some_and(|first| explicit(first, 0));
        let inner_algorithm = inner.get(1 + usize::from(versioned)).ok_or(Malformed)?;
        Ok(Self {
            tbs: *tbs,
            inner_algorithm: *inner_algorithm,
            algorithm: *algorithm,
            signature: bit_string(signature)?,
        })
    }
}

fn verifier(algorithm: &Tlv<'_>, key: KeyType) -> Option<&'static dyn VerificationAlgorithm> {
    let oid = oid_of(algorithm)?;
    match (key, oid.as_str()) {
        (KeyType::Rsa { .. }, RSA_SHA256) => Some(&ring_signature::RSA_PKCS1_2048_8192_SHA256),
        (KeyType::Rsa { .. }, RSA_SHA384) => Some(&ring_signature::RSA_PKCS1_2048_8192_SHA384),
        (KeyType::Rsa { .. }, RSA_SHA512) => Some(&ring_signature::RSA_PKCS1_2048_8192_SHA512),
        (KeyType::Rsa { .. }, RSA_PSS) => match pss_hash(algorithm)?.as_str() {
            SHA256 => Some(&ring_signature::RSA_PSS_2048_8192_SHA256),
            SHA384 => Some(&ring_signature::RSA_PSS_2048_8192_SHA384),
            SHA512 => Some(&ring_signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        },
        (KeyType::EcP256, ECDSA_SHA256) => Some(&ring_signature::ECDSA_P256_SHA256_ASN1),
        (KeyType::EcP256, ECDSA_SHA384) => Some(&ring_signature::ECDSA_P256_SHA384_ASN1),
        (KeyType::EcP384, ECDSA_SHA256) => Some(&ring_signature::ECDSA_P384_SHA256_ASN1),
        (KeyType::EcP384, ECDSA_SHA384) => Some(&ring_signature::ECDSA_P384_SHA384_ASN1),
        _ => None,
    }
}

/// The hash of `RSASSA-PSS-params`, when message hash and MGF1 hash are the same. The defaults are SHA-1, so both
/// have to be written. The salt length is enforced by the verifier: as long as the hash.
fn pss_hash(algorithm: &Tlv<'_>) -> Option<String> {
    let fields = algorithm.sequence().ok()?;
    let parameters = fields.get(1)?.sequence().ok()?;
    let field = |number| parameters.iter().find(|field| explicit(field, number));
    let hash = oid_of(&Tlv::read(field(0)?.value).ok()?)?;
    let mask = Tlv::read(field(1)?.value).ok()?;
    let mask_fields = mask.sequence().ok()?;
    let same = oid_of(&mask)? == MGF1 && oid_of(mask_fields.get(1)?)? == hash;
    same.then_some(hash)
}

fn explicit(tlv: &Tlv<'_>, number: u32) -> bool {
    tlv.tag
        == Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(number),
        }
}

/// The identifier at the head of an `AlgorithmIdentifier`.
fn oid_of(algorithm: &Tlv<'_>) -> Option<String> {
    let fields = algorithm.sequence().ok()?;
    fields.first()?.oid().map(|oid| oid.to_string())
}

fn subject_public_key(certificate: &Certificate) -> Result<&[u8], Malformed> {
    let fields = Tlv::read(certificate.public_key().spki_der())?.sequence()?;
    bit_string(fields.get(1).ok_or(Malformed)?)
}

/// The octets of a BIT STRING without unused bits.
fn bit_string<'a>(tlv: &Tlv<'a>) -> Result<&'a [u8], Malformed> {
    match (tlv.tag, tlv.value) {
        (Tag::BitString, [0, bytes @ ..]) => Ok(bytes),
        _ => Err(Malformed),
    }
}
