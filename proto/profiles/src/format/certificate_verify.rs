//! What a TLS client signs to prove that it holds the key of its certificate.
//!
//! In: for TLS 1.3 the hash of the handshake so far; for TLS 1.2 the handshake messages themselves. Out: a
//! [`Prepared`] over exactly the bytes RFC 8446 section 4.4.3 or RFC 5246 section 7.4.8 wants signed, and for TLS 1.2
//! the facts the transcript proves. Never signs bytes it did not build (1.3) or parse to the last one (1.2): a transport
//! key signs client CertificateVerify and nothing else, in particular nothing under the server's context string. Never
//! decides whether the destination is a bank's: the caller of this room compares [`Tls12Facts::server_name`].

mod tls12;
mod wire;

pub use self::tls12::Tls12Facts;

use crate::algorithm::{KeyType, SignatureScheme};
use crate::certificate::Certificate;
use crate::prepared::Prepared;
use crate::refusal::Refusal;

/// The longest TLS 1.2 transcript that is parsed, in bytes.
pub const TLS12_TRANSCRIPT_BYTES_MAX: usize = 64 * 1024;

/// The name of what is signed in TLS 1.3, for records.
pub const TLS13_FIELD: &str = "tls13.certificate_verify";
/// The name of what is signed in TLS 1.2, for records.
pub const TLS12_FIELD: &str = "tls12.certificate_verify";

/// RFC 8446 section 4.4.3: 64 spaces, then the context, then one zero octet.
const TLS13_PADDING: [u8; 64] = [0x20; 64];
const TLS13_CLIENT_CONTEXT: &[u8] = b"TLS 1.3, client CertificateVerify\0";
/// The hash follows the cipher suite, not the signature scheme: SHA-256 or SHA-384 (RFC 8446 appendix B.4).
const TLS13_HASH_BYTES: [usize; 2] = [32, 48];

/// The handshake type every TLS 1.2 transcript begins with.
const CLIENT_HELLO: u8 = 1;

/// Code points (IANA TLS SignatureScheme) by how they sign. PKCS#1 v1.5 is for TLS 1.2 only (RFC 8446 section 4.2.3).
const RSA_PSS_RSAE: [(u16, SignatureScheme); 3] = [
    (0x0804, SignatureScheme::RsaPssSha256),
    (0x0805, SignatureScheme::RsaPssSha384),
    (0x0806, SignatureScheme::RsaPssSha512),
];
const ECDSA: [(u16, SignatureScheme); 2] = [
    (0x0403, SignatureScheme::EcdsaP256Sha256),
    (0x0503, SignatureScheme::EcdsaP384Sha384),
];
const RSA_PKCS1: [(u16, SignatureScheme); 3] = [
    (0x0401, SignatureScheme::RsaPkcs1Sha256),
    (0x0501, SignatureScheme::RsaPkcs1Sha384),
    (0x0601, SignatureScheme::RsaPkcs1Sha512),
];

/// Prepares the TLS 1.3 client CertificateVerify over the hash of the handshake up to and including the client's
/// Certificate message. The bytes to sign are built here.
///
/// # Errors
/// [`Refusal::TlsTranscript`] when the hash is not 32 or 48 bytes long; [`Refusal::TlsSchemeUnknown`] when the scheme
/// is not one of TLS 1.3 for the certificate's key.
pub fn prepare_tls13(
    scheme_code: u16,
    transcript_hash: &[u8],
    certificate: &Certificate,
) -> Result<Prepared, Refusal> {
    let rows = RSA_PSS_RSAE.iter().chain(&ECDSA);
    let scheme = scheme(rows, scheme_code, certificate.public_key().key_type())?;
    if !TLS13_HASH_BYTES.contains(&transcript_hash.len()) {
        return Err(Refusal::TlsTranscript {
            what: "transcript hash is not 32 or 48 bytes",
        });
    }
    let content = [&TLS13_PADDING, TLS13_CLIENT_CONTEXT, transcript_hash].concat();
    let key = certificate.public_key().clone();
    Ok(Prepared::tls(
        scheme,
        content,
        vec![TLS13_FIELD.to_owned()],
        key,
    ))
}

/// Prepares the TLS 1.2 CertificateVerify over the handshake messages from ClientHello to ClientKeyExchange, after
/// parsing them to the last byte.
///
/// # Errors
/// [`Refusal::TlsTranscript`] naming the first thing that is not as a TLS 1.2 handshake with ECDHE, AEAD and client
/// authentication has it; [`Refusal::TlsSniMissing`], [`Refusal::TlsExtendedMasterSecretMissing`],
/// [`Refusal::TlsWrongLeaf`]; [`Refusal::TlsSchemeUnknown`] when the scheme does not fit the key or was not offered.
pub fn prepare_tls12(
    scheme_code: u16,
    handshake_messages: &[u8],
    certificate: &Certificate,
) -> Result<(Prepared, Tls12Facts), Refusal> {
    let key_type = certificate.public_key().key_type();
    let rows = RSA_PSS_RSAE.iter().chain(&ECDSA).chain(&RSA_PKCS1);
    let scheme = scheme(rows, scheme_code, key_type)?;
    if handshake_messages.len() > TLS12_TRANSCRIPT_BYTES_MAX {
        return Err(Refusal::TlsTranscript {
            what: "transcript is longer than 64 KiB",
        });
    }
    let transcript = tls12::Transcript::parse(handshake_messages)?;
    let facts = transcript.admit(scheme_code, key_type, certificate.der())?;
    let fields = vec![TLS12_FIELD.to_owned()];
    let key = certificate.public_key().clone();
    Ok((
        Prepared::tls(scheme, handshake_messages.to_vec(), fields, key),
        facts,
    ))
}

/// The code points a key can sign with, best first: what a client offers and chooses from. Those of PKCS#1 v1.5 serve
/// TLS 1.2 only.
#[must_use]
pub fn schemes_for(key: &KeyType) -> &'static [u16] {
    match key {
        KeyType::Rsa { .. } => &[0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601],
        KeyType::EcP256 => &[0x0403],
        KeyType::EcP384 => &[0x0503],
        // No QTSP issues QWACs for such keys.
        KeyType::EcP521 | KeyType::Ed25519 => &[],
    }
}

/// Whether a TLS peer could take these bytes for the content of a CertificateVerify: 64 spaces (TLS 1.3, either side),
/// or a first octet that is the type of ClientHello (TLS 1.2). Wider than what [`prepare_tls12`] accepts, on purpose:
/// keys for seals refuse all of it.
#[must_use]
pub fn looks_like_certificate_verify(bytes: &[u8]) -> bool {
    bytes.starts_with(&TLS13_PADDING) || bytes.first() == Some(&CLIENT_HELLO)
}

fn scheme<'a>(
    mut rows: impl Iterator<Item = &'a (u16, SignatureScheme)>,
    code: u16,
    key: KeyType,
) -> Result<SignatureScheme, Refusal> {
    rows.find(|(row, scheme)| *row == code && scheme.fits(&key))
        .map(|(_, scheme)| *scheme)
        .ok_or(Refusal::TlsSchemeUnknown { code })
}

#[cfg(test)]
mod tests;
