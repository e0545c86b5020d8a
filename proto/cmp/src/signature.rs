//! Signatures as X.509 and CMP carry them: an AlgorithmIdentifier, and ECDSA as DER.
//!
//! In: what a token gives (`r || s`), or what a message carries. Out: the other of the two. Serves RFC 4055 section 5, RFC
//! 5758 section 3.2 and RFC 8410 section 3.

use sealkeep_profiles::algorithm::{
    KeyType, PublicKey, SignatureScheme, ecdsa_der_to_raw, ecdsa_raw_to_der,
};

use crate::CmpError;

/// The schemes with their AlgorithmIdentifiers, DER.
const IDENTIFIERS: [(SignatureScheme, &[u8]); 7] = [
    (
        SignatureScheme::RsaPkcs1Sha256,
        b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
    ),
    (
        SignatureScheme::RsaPkcs1Sha384,
        b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
    ),
    (
        SignatureScheme::RsaPkcs1Sha512,
        b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
    ),
    (
        SignatureScheme::EcdsaP256Sha256,
        b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
    ),
    (
        SignatureScheme::EcdsaP384Sha384,
        b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
    ),
    (
        SignatureScheme::EcdsaP521Sha512,
        b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
    ),
    (SignatureScheme::Ed25519, b"\x30\x05\x06\x03\x2b\x65\x70"),
];

/// The scheme by which a key proves that somebody has it. PKCS#1 v1.5 for RSA: many QTSPs refuse RSA-PSS requests.
pub fn plain_scheme(key_type: KeyType) -> Option<SignatureScheme> {
    Some(match key_type {
        KeyType::Rsa { .. } => SignatureScheme::RsaPkcs1Sha256,
        KeyType::EcP256 => SignatureScheme::EcdsaP256Sha256,
        KeyType::EcP384 => SignatureScheme::EcdsaP384Sha384,
        KeyType::EcP521 => SignatureScheme::EcdsaP521Sha512,
        KeyType::Ed25519 => SignatureScheme::Ed25519,
        _ => return None,
    })
}

/// The AlgorithmIdentifier of a scheme, DER; none for schemes that need parameters.
pub fn identifier(scheme: SignatureScheme) -> Option<&'static [u8]> {
    let found = IDENTIFIERS.iter().find(|(known, _)| *known == scheme);
    found.map(|(_, identifier)| *identifier)
}

/// What X.509 carries: ECDSA as DER, everything else as the token gives it.
///
/// # Errors
/// The raw signature is none.
pub fn to_wire(scheme: SignatureScheme, raw: &[u8]) -> Result<Vec<u8>, CmpError> {
    match scheme.is_ecdsa() {
        true => ecdsa_raw_to_der(raw).map_err(|_| CmpError::Malformed("signature")),
        false => Ok(raw.to_vec()),
    }
}

/// Whether `signature` is one by this key, with the algorithm whose identifier has this content.
pub(crate) fn verify(
    key: &PublicKey,
    algorithm: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CmpError> {
    let scheme = IDENTIFIERS
        .iter()
        .find(|(_, identifier)| identifier[2..] == *algorithm)
        .map(|(scheme, _)| *scheme)
        .filter(|scheme| scheme.fits(&key.key_type()))
        .ok_or(CmpError::Unprotected)?;
    let raw = match scheme.ecdsa_half_len() {
        Some(half) => ecdsa_der_to_raw(signature, half).map_err(|_| CmpError::Unprotected)?,
        None => signature.to_vec(),
    };
    let verified = key.verify(scheme, message, &raw);
    verified.map_err(|_| CmpError::Unprotected)
}
