//! The dictionaries `Signature-Input` and `Signature`, which may carry the signatures of several parties.
//!
//! Comes in: the lines of a message. Goes out: the members by label, each once; or the text with a member more. Never drops
//! or rewrites the signature of somebody else. Serves RFC 9421 §4.

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored};
use sfv::{Dictionary, KeyRef, Parser};

use crate::refusal::Refusal;
use crate::request::Message;

/// The field with covered components and parameters.
pub(super) const SIGNATURE_INPUT: &str = "Signature-Input";
/// The field with the signatures.
pub(super) const SIGNATURE: &str = "Signature";

/// Why a field is no dictionary of signatures.
pub(super) enum Unusable {
    /// It does not parse.
    Malformed,
    /// A label occurs twice: parsers take the last, people read the first.
    Repeated(String),
}

/// The members of one of the two fields; `None` when it was not sent.
pub(super) fn read(name: &str, message: Message<'_>) -> Result<Option<Dictionary>, Unusable> {
    let Some(text) = joined(name, message) else {
        return Ok(None);
    };
    let labels = Parser::new(&text).parse_dictionary_with_visitor(Labels::default());
    if let Some(label) = labels.map_err(|_| Unusable::Malformed)?.repeated {
        return Err(Unusable::Repeated(label));
    }
    let dictionary = Parser::new(&text).parse::<Dictionary>();
    dictionary.map(Some).map_err(|_| Unusable::Malformed)
}

/// The field's text with room for one more member behind those that were sent.
pub(super) fn before_ours(
    name: &str,
    message: Message<'_>,
    label: &str,
) -> Result<String, Refusal> {
    let taken = |label: &str| Refusal::SignatureLabelTaken {
        label: label.to_owned(),
    };
    let sent = read(name, message).map_err(|unusable| match unusable {
        Unusable::Repeated(label) => taken(&label),
        Unusable::Malformed => Refusal::HeaderMalformed {
            name: name.to_ascii_lowercase(),
            expected: "a dictionary of signatures (RFC 9421 §4)",
        },
    })?;
    match sent {
        Some(sent) if sent.contains_key(label) => Err(taken(label)),
        Some(sent) if sent.is_empty() => Ok(String::new()),
        Some(_) => Ok(joined(name, message).unwrap_or_default() + ", "),
        None => Ok(String::new()),
    }
}

fn joined(name: &str, message: Message<'_>) -> Option<String> {
    let lines: Vec<&str> = message.all(name).map(|line| line.value()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// Looks at the labels only.
#[derive(Default)]
struct Labels {
    seen: Vec<String>,
    repeated: Option<String>,
}

impl<'de> DictionaryVisitor<'de> for Labels {
    type Out = Self;
    type Error = std::convert::Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        let label = key.as_str().to_owned();
        match self.seen.contains(&label) {
            true => self.repeated = Some(label),
            false => self.seen.push(label),
        }
        Ok(Ignored)
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(self)
    }
}
