//! The remote key as rustls sees it.
//!
//! In: the bytes rustls wants signed. Out: a signature from the service. Never: a message that is not a client
//! CertificateVerify; of a TLS 1.3 one only the transcript hash is sent.

use crate::error::Error;
use crate::tls::thread::{SignTls, SignerThread};
use rustls::sign::{Signer, SigningKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use sealkeep_proto::v1::{SignTls12Request, SignTls13Request};
use std::sync::Arc;

/// RFC 8446 section 4.4.3: 64 spaces, the context string, a zero byte; the transcript hash follows.
const TLS13_SPACES: usize = 64;
const TLS13_CONTEXT: &[u8] = b"TLS 1.3, client CertificateVerify\0";
/// SHA-256 and SHA-384, after the cipher suite.
const TRANSCRIPT_HASH_BYTES: [usize; 2] = [32, 48];
/// The handshake type of a ClientHello, with which a TLS 1.2 transcript begins (RFC 5246 section 7.4).
const CLIENT_HELLO: u8 = 1;
/// The most the service takes of a TLS 1.2 handshake.
const TRANSCRIPT_BYTES_MAX: usize = 64 * 1024;

/// A transport key in the token.
#[derive(Debug)]
pub(crate) struct RemoteKey {
    remote: Remote,
    schemes: Vec<SignatureScheme>,
    algorithm: SignatureAlgorithm,
    public_key: SubjectPublicKeyInfoDer<'static>,
}

/// What [`RemoteKey::new`] needs.
pub(crate) struct RemoteKeyParts<'a> {
    pub(crate) bank: Arc<str>,
    pub(crate) verification: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) schemes: Vec<SignatureScheme>,
    pub(crate) leaf: &'a CertificateDer<'static>,
    pub(crate) tls12_allowed: bool,
    pub(crate) signer: SignerThread,
}

impl RemoteKey {
    pub(crate) fn new(parts: RemoteKeyParts<'_>) -> Result<Self, Error> {
        let malformed = |what: &str| Error::broken("IDENTITY_MALFORMED", what.to_owned());
        let leaf = webpki::EndEntityCert::try_from(parts.leaf)
            .map_err(|_| malformed("the certificate cannot be read"))?;
        let algorithm = parts
            .schemes
            .iter()
            .find_map(algorithm)
            .ok_or_else(|| malformed("no signature scheme fits the key"))?;
        Ok(Self {
            public_key: leaf.subject_public_key_info(),
            remote: Remote {
                bank: parts.bank,
                verification: parts.verification,
                version: parts.version,
                tls12_allowed: parts.tls12_allowed,
                signer: parts.signer,
            },
            schemes: parts.schemes,
            algorithm,
        })
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self
            .schemes
            .iter()
            .find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner {
            remote: self.remote.clone(),
            scheme,
        }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public_key.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

#[derive(Clone, Debug)]
struct Remote {
    bank: Arc<str>,
    /// The verification it signs for; empty for everything else.
    verification: Arc<str>,
    version: Arc<str>,
    tls12_allowed: bool,
    signer: SignerThread,
}

/// One signature to be made with one scheme.
#[derive(Debug)]
struct RemoteSigner {
    remote: Remote,
    scheme: SignatureScheme,
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signed = question(&self.remote, self.scheme, message)
            .and_then(|question| self.remote.signer.sign(question));
        signed.map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

fn question(remote: &Remote, scheme: SignatureScheme, message: &[u8]) -> Result<SignTls, Error> {
    let version = remote.version.to_string();
    let bank = remote.bank.to_string();
    let verification = remote.verification.to_string();
    let signature_scheme = u32::from(u16::from(scheme));
    if let Some(hash) = transcript_hash(message) {
        let transcript_hash = hash.to_vec();
        return Ok(SignTls::V13(SignTls13Request {
            version,
            bank,
            signature_scheme,
            transcript_hash,
            verification,
        }));
    }
    if message.first() != Some(&CLIENT_HELLO) || message.len() > TRANSCRIPT_BYTES_MAX {
        let what = "this is not a client CertificateVerify";
        return Err(Error::invalid("NOT_CERTIFICATE_VERIFY", "message", what));
    }
    if !remote.tls12_allowed {
        let what = "the bank does not allow TLS 1.2";
        return Err(Error::invalid("TLS12_NOT_ALLOWED", "bank", what));
    }
    let handshake_messages = message.to_vec();
    Ok(SignTls::V12(SignTls12Request {
        version,
        bank,
        signature_scheme,
        handshake_messages,
        verification,
    }))
}

/// The hash in a TLS 1.3 client CertificateVerify content; `None` for anything else.
fn transcript_hash(message: &[u8]) -> Option<&[u8]> {
    let (spaces, rest) = message.split_at_checked(TLS13_SPACES)?;
    let hash = rest.strip_prefix(TLS13_CONTEXT)?;
    let right =
        spaces.iter().all(|byte| *byte == b' ') && TRANSCRIPT_HASH_BYTES.contains(&hash.len());
    right.then_some(hash)
}

/// The kind of key that makes signatures of a scheme; `None` for schemes we do not know.
fn algorithm(scheme: &SignatureScheme) -> Option<SignatureAlgorithm> {
    match scheme {
        SignatureScheme::RSA_PSS_SHA256
        | SignatureScheme::RSA_PSS_SHA384
        | SignatureScheme::RSA_PSS_SHA512
        | SignatureScheme::RSA_PKCS1_SHA256
        | SignatureScheme::RSA_PKCS1_SHA384
        | SignatureScheme::RSA_PKCS1_SHA512 => Some(SignatureAlgorithm::RSA),
        SignatureScheme::ECDSA_NISTP256_SHA256 | SignatureScheme::ECDSA_NISTP384_SHA384 => {
            Some(SignatureAlgorithm::ECDSA)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(hash_bytes: usize) -> Vec<u8> {
        [
            &[b' '; 64],
            &b"TLS 1.3, client CertificateVerify\0"[..],
            &vec![7; hash_bytes],
        ]
        .concat()
    }

    #[test]
    fn sends_only_the_hash_of_a_tls13_content() {
        assert_eq!(transcript_hash(&content(32)), Some(&[7; 32][..]));
        assert_eq!(transcript_hash(&content(48)), Some(&[7; 48][..]));
        assert_eq!(content(32).len(), 98 + 32);
    }

    #[test]
    fn nothing_else_is_a_tls13_content() {
        for bytes in [0, 31, 33, 47, 49, 64] {
            assert_eq!(transcript_hash(&content(bytes)), None, "{bytes}");
        }
        for changed in 0..98 {
            let mut bad = content(32);
            bad[changed] ^= 1;
            assert_eq!(transcript_hash(&bad), None, "byte {changed}");
        }
        let server = [
            &[b' '; 64],
            &b"TLS 1.3, server CertificateVerify\0"[..],
            &[7; 32],
        ]
        .concat();
        assert_eq!(transcript_hash(&server), None);
    }
}
