//! The digest header of a signed message.
//!
//! Comes in: a message and the digest's parameters. Goes out: the header to set, or the header as it came and has to be.
//! Never a digest that is not over the body. Serves RFC 3230 §4.3.2, RFC 5843.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lines::Set;
use super::spec::DigestSpec;
use crate::format::body_digest::body_digest;
use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::VerifyError;

/// The digest header over the body; a digest header that was sent has to be the same, byte for byte.
pub(crate) fn to_set(digest: &DigestSpec, message: Message<'_>) -> Result<Option<Set>, Refusal> {
    let sent = message.once(&digest.header)?;
    let computed = value(digest, message)?;
    match (sent, computed) {
        (Some(sent), Some(value)) if sent != value => Err(Refusal::DigestMismatch {
            name: digest.lower(),
        }),
        (Some(_), None) => Err(Refusal::DigestMismatch {
            name: digest.lower(),
        }),
        (_, Some(value)) => Ok(Some(Set {
            name: digest.header.clone(),
            value,
        })),
        (None, None) => Ok(None),
    }
}

/// The digest header, as it has to be and as it came.
pub(crate) fn check(digest: &DigestSpec, message: Message<'_>) -> Result<Option<Set>, VerifyError> {
    let found = message.once(&digest.header)?;
    let Some(expected) = value(digest, message)? else {
        return match found {
            Some(_) => Err(VerifyError::DigestMismatch),
            None => Ok(None),
        };
    };
    let found = found.ok_or_else(|| Refusal::HeaderMissing {
        name: digest.lower(),
    })?;
    if let Some(label) = &digest.label
        && found.split_once('=').is_none_or(|(sent, _)| sent != label)
    {
        return Err(VerifyError::DigestLabel {
            expected: label.clone(),
        });
    }
    match found == expected {
        true => Ok(Some(Set {
            name: digest.header.clone(),
            value: expected,
        })),
        false => Err(VerifyError::DigestMismatch),
    }
}

/// What the digest header has to say; `None` when the profile sends none for an empty body.
fn value(spec: &DigestSpec, message: Message<'_>) -> Result<Option<String>, Refusal> {
    let Some(digest) = body_digest(message.body, spec.hash, spec.on_empty)? else {
        return Ok(None);
    };
    let value = STANDARD.encode(digest);
    Ok(Some(match &spec.label {
        Some(label) => format!("{label}={value}"),
        None => value,
    }))
}
