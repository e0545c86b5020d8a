//! The digest of a body, as signed headers carry it.
//!
//! Comes in: a body, a hash, and what a profile digests when there is no body. Goes out: digest bytes, or none where the
//! profile sends none. Never a digest of something else than the body, except the `{}` that some banks want for nothing.

use serde::Deserialize;

use crate::algorithm::HashAlgorithm;
use crate::refusal::Refusal;
use crate::request::Body;

/// What is digested when there is no body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnEmpty {
    /// Zero bytes.
    #[default]
    ZeroBytes,
    /// The two bytes `{}`.
    EmptyObject,
    /// Nothing: no digest header.
    Omit,
}

/// The digest to send; `None` when the profile sends none for an empty body.
///
/// # Errors
/// [`Refusal::DigestRequired`] when the body came as digests with other hashes.
pub(crate) fn body_digest(
    body: &Body,
    hash: HashAlgorithm,
    on_empty: OnEmpty,
) -> Result<Option<Vec<u8>>, Refusal> {
    match on_empty {
        OnEmpty::Omit if body.is_empty() => Ok(None),
        OnEmpty::EmptyObject if body.is_empty() => Ok(Some(hash.digest(b"{}"))),
        _ => match body.digest(hash) {
            Some(digest) => Ok(Some(digest)),
            None => Err(Refusal::DigestRequired { hash }),
        },
    }
}
