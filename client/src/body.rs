//! What the service is told about a body: its digests, unless it asks for the body itself.
//!
//! In: body bytes, at once or piece by piece. Out: SHA-256 and SHA-512 of exactly those bytes (RFC 9530 and RFC 3230
//! digests are over the bytes on the wire). Never: a copy of the body.

use sealkeep_proto::v1::{BodyDigest, HashAlgorithm};
use sha2::{Digest, Sha256, Sha512};

/// The body of a request to be signed.
#[derive(Clone)]
pub enum BodySource<'a> {
    /// No body.
    Empty,
    /// The bytes. They are digested here, and sent to the service only when the bank's profile signs them themselves.
    Bytes(&'a [u8]),
    /// Digests of a body that passed by in pieces. Refused with `BODY_REQUIRED` when the profile needs the bytes.
    Digests(BodyDigests),
}

impl BodySource<'_> {
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Empty | Self::Digests(_) => None,
        }
    }

    /// On the wire an empty body is one of which nothing is said.
    pub(crate) fn digests(&self) -> Vec<BodyDigest> {
        match self {
            Self::Empty | Self::Bytes([]) => Vec::new(),
            Self::Bytes(bytes) => BodyDigests::of(bytes).to_wire(),
            Self::Digests(digests) => digests.clone().to_wire(),
        }
    }
}

impl std::fmt::Debug for BodySource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Digests(_) => f.write_str("Digests"),
        }
    }
}

/// The digests of a body that is not at hand in one piece.
///
/// ```
/// let mut digester = sealkeep_client::BodyDigester::new();
/// for piece in ["{\"amount\":", "\"12.00\"}"] {
///     digester.update(piece.as_bytes());
/// }
/// let body = sealkeep_client::BodySource::Digests(digester.finish());
/// ```
#[derive(Clone, Default)]
pub struct BodyDigester {
    sha256: Sha256,
    sha512: Sha512,
}

impl BodyDigester {
    /// Nothing digested yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Digests the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        self.sha512.update(piece);
    }

    /// The digests of all pieces.
    #[must_use]
    pub fn finish(self) -> BodyDigests {
        BodyDigests {
            sha256: self.sha256.finalize().into(),
            sha512: self.sha512.finalize().into(),
        }
    }
}

/// SHA-256 and SHA-512 of one body.
#[derive(Clone)]
pub struct BodyDigests {
    sha256: [u8; 32],
    sha512: [u8; 64],
}

impl BodyDigests {
    /// The digests of `body`.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self {
            sha256: Sha256::digest(body).into(),
            sha512: Sha512::digest(body).into(),
        }
    }

    fn to_wire(&self) -> Vec<BodyDigest> {
        let digest = |algorithm: HashAlgorithm, value: &[u8]| BodyDigest {
            algorithm: algorithm.into(),
            value: value.to_vec(),
        };
        vec![
            digest(HashAlgorithm::Sha256, &self.sha256),
            digest(HashAlgorithm::Sha512, &self.sha512),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_digest_like_the_whole() {
        let mut digester = BodyDigester::new();
        digester.update(b"hello ");
        digester.update(b"world");
        assert_eq!(
            digester.finish().to_wire(),
            BodyDigests::of(b"hello world").to_wire()
        );
        // SHA-256 of "hello world", from `printf 'hello world' | sha256sum`.
        assert_eq!(
            hex::encode(BodyDigests::of(b"hello world").sha256),
            "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
        );
    }

    #[test]
    fn nothing_is_said_of_an_empty_body() {
        assert!(BodySource::Empty.digests().is_empty());
        assert!(BodySource::Bytes(b"").digests().is_empty());
        assert_eq!(BodySource::Bytes(b"x").digests().len(), 2);
    }

    #[test]
    fn debug_shows_no_body() {
        assert_eq!(
            format!("{:?}", BodySource::Bytes(b"secret")),
            "Bytes(6 bytes)"
        );
    }
}
