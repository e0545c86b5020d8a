//! The field with the digest of the body.
//!
//! Comes in: a message, the profile's digest field. Goes out: the field to set, or a verdict over the one that came. Never
//! trusts a digest it did not compare with the body. Serves RFC 9530 §2 and §5.

use sfv::{Dictionary, FieldType, KeyRef, ListEntry, Parser};

use super::spec::DigestField;
use super::value::SetField;
use crate::algorithm::HashAlgorithm;
use crate::format::body_digest::body_digest;
use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::VerifyError;

/// The name in the Hash Algorithms for HTTP Digest Fields registry (RFC 9530 §7.2).
pub(super) const fn registered_name(hash: HashAlgorithm) -> Option<&'static str> {
    match hash {
        HashAlgorithm::Sha256 => Some("sha-256"),
        HashAlgorithm::Sha512 => Some("sha-512"),
        HashAlgorithm::Sha384 => None,
    }
}

/// The field to set; one that was sent has to be the same, byte for byte.
pub(super) fn to_set(
    field: &DigestField,
    message: Message<'_>,
) -> Result<Option<SetField>, Refusal> {
    let sent = message.once(&field.header)?;
    let digest = body_digest(message.body, field.hash, field.on_empty)?;
    let value = digest.and_then(|digest| value(field.hash, digest));
    match (sent, value) {
        (None, None) => Ok(None),
        (Some(sent), Some(value)) if sent != value => Err(mismatch(field)),
        (Some(_), None) => Err(mismatch(field)),
        (_, Some(value)) => Ok(Some(SetField {
            name: field.header.clone(),
            value,
        })),
    }
}

/// Whether the field that came is true of the body. Digests by other algorithms beside the profile's have to be true too.
pub(super) fn check(field: &DigestField, message: Message<'_>) -> Result<(), VerifyError> {
    let expected = body_digest(message.body, field.hash, field.on_empty)?;
    let lines: Vec<&str> = message
        .all(&field.header)
        .map(|line| line.value())
        .collect();
    if lines.is_empty() {
        return match expected {
            Some(_) => Err(Refusal::HeaderMissing {
                name: field.lower(),
            }
            .into()),
            None => Ok(()),
        };
    }
    let malformed = || Refusal::HeaderMalformed {
        name: field.lower(),
        expected: "a dictionary of digests (RFC 9530 §2)",
    };
    let text = lines.join(", ");
    let digests: Dictionary = Parser::new(&text).parse().map_err(|_| malformed())?;
    let label = registered_name(field.hash).unwrap_or_default();
    if !digests.contains_key(label) {
        let expected = label.to_owned();
        return Err(VerifyError::DigestLabel { expected });
    }
    for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let Some(entry) = registered_name(hash).and_then(|name| digests.get(name)) else {
            continue;
        };
        let ListEntry::Item(item) = entry else {
            return Err(malformed().into());
        };
        let found = item.bare_item.as_byte_sequence().ok_or_else(malformed)?;
        let expected = match &expected {
            Some(digest) if hash == field.hash => Some(digest.clone()),
            _ => message.body.digest(hash),
        };
        // `None`: the body came as digests by other algorithms, so there is nothing to compare with.
        if expected.is_some_and(|expected| expected != found) {
            return Err(VerifyError::DigestMismatch);
        }
    }
    Ok(())
}

/// `sha-256=:..:`
fn value(hash: HashAlgorithm, digest: Vec<u8>) -> Option<String> {
    let name = KeyRef::from_str(registered_name(hash)?).ok()?;
    let mut dictionary = Dictionary::new();
    dictionary.insert(name.to_owned(), ListEntry::Item(digest.into()));
    dictionary.serialize()
}

fn mismatch(field: &DigestField) -> Refusal {
    Refusal::DigestMismatch {
        name: field.lower(),
    }
}
