//! The body of a message, or what is known of it.
//!
//! Comes in: bytes, digests, both or neither. Goes out: a [`Body`] that knows its digests. Never re-serialises: the
//! digest is over the bytes that leave the socket (RFC 3230 §4.3.2 for a message without transfer coding).

use std::fmt;

use super::BodyParts;
use crate::algorithm::HashAlgorithm;
use crate::refusal::Refusal;

/// The longest body taken, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// A body: its bytes, or only digests of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Known);

#[derive(Clone, PartialEq, Eq)]
enum Known {
    Bytes(Vec<u8>),
    Digests(Vec<(HashAlgorithm, Vec<u8>)>),
}

impl Body {
    pub(super) fn parse(parts: BodyParts<'_>) -> Result<Self, Refusal> {
        check_digests(parts.digests)?;
        let Some(bytes) = parts.bytes else {
            return Ok(Self(match parts.digests {
                [] => Known::Bytes(Vec::new()),
                digests => Known::Digests(digests.to_vec()),
            }));
        };
        if bytes.len() > BODY_BYTES_MAX {
            return Err(Refusal::BodyTooLong {
                len: bytes.len(),
                max: BODY_BYTES_MAX,
            });
        }
        for (hash, digest) in parts.digests {
            if hash.digest(bytes) != *digest {
                return Err(Refusal::BodyDigestMismatch { hash: *hash });
            }
        }
        Ok(Self(Known::Bytes(bytes.to_vec())))
    }

    /// The bytes, when they came.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Known::Bytes(bytes) => Some(bytes),
            Known::Digests(_) => None,
        }
    }

    /// The digest with this hash: computed, or as it came.
    #[must_use]
    pub fn digest(&self, hash: HashAlgorithm) -> Option<Vec<u8>> {
        match &self.0 {
            Known::Bytes(bytes) => Some(hash.digest(bytes)),
            Known::Digests(digests) => digests
                .iter()
                .find(|(algorithm, _)| *algorithm == hash)
                .map(|(_, d)| d.clone()),
        }
    }

    /// Whether it is known to be empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Known::Bytes(bytes) => bytes.is_empty(),
            Known::Digests(digests) => digests
                .iter()
                .any(|(hash, digest)| *digest == hash.digest(b"")),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Known::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Known::Digests(digests) => write!(f, "Body({} digests)", digests.len()),
        }
    }
}

fn check_digests(digests: &[(HashAlgorithm, Vec<u8>)]) -> Result<(), Refusal> {
    for (index, (hash, digest)) in digests.iter().enumerate() {
        if digest.len() != hash.len() {
            return Err(Refusal::DigestLength {
                hash: *hash,
                len: digest.len(),
            });
        }
        if digests
            .iter()
            .take(index)
            .any(|(earlier, _)| earlier == hash)
        {
            return Err(Refusal::DigestRepeated { hash: *hash });
        }
    }
    Ok(())
}
