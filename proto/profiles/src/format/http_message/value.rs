//! What a covered component says in a message.
//!
//! Comes in: a component, the message, the fields that the signature itself sets. Goes out: the value of its line, shared
//! by signing and verifying so that the two cannot differ. Never a value that is not in the message or in those fields.
//! Serves RFC 9421 §2.1 and §2.2.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sfv::{Dictionary, FieldType, Item, List, Parser};

use super::component::{Component, FieldForm, Part};
use super::spec::{HttpMessageSpec, StructuredType};
use crate::refusal::Refusal;
use crate::request::{HttpRequest, Message};

/// Every bank is reached over TLS, so this is the scheme of every target URI.
const SCHEME: &str = "https";
/// Left out of an authority: the default port of the scheme (RFC 9110 §4.2.2).
const DEFAULT_PORT: &str = ":443";

/// The `application/x-www-form-urlencoded` percent-encode set of the URL standard (§1.3).
const FORM_URLENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

/// A field that the signature sets.
pub(super) struct SetField {
    /// As it is spelled when set.
    pub(super) name: String,
    pub(super) value: String,
}

/// Where values come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) spec: &'a HttpMessageSpec,
    pub(super) message: Message<'a>,
    pub(super) set: &'a [SetField],
}

impl<'a> Source<'a> {
    /// The value of a component; `None` when the message does not have it.
    pub(super) fn value(&self, component: &Component) -> Result<Option<String>, Refusal> {
        if let Part::Field { name, form } = &component.part {
            let lines = match component.of_request {
                true => self.answered(component)?.header(name),
                false => self.lines(name),
            };
            return match lines.is_empty() {
                true => Ok(None),
                false => self.field(name, form, &lines),
            };
        }
        if component.part == Part::Status {
            return match self.message.status {
                Some(status) => Ok(Some(status.to_string())),
                None => Err(unavailable(component)),
            };
        }
        let request = match component.of_request {
            true => self.answered(component)?,
            false => self.message.request.ok_or_else(|| unavailable(component))?,
        };
        of_request_line(&component.part, request)
    }

    /// The request a response answers.
    fn answered(&self, component: &Component) -> Result<&'a HttpRequest, Refusal> {
        if self.message.request.is_some() {
            return Err(unavailable(component));
        }
        self.message.answered.ok_or(Refusal::RequestRequired)
    }

    /// The lines of a field: what the signature sets goes before what was sent, which is the same where it was sent.
    fn lines(&self, name: &str) -> Vec<&'a str> {
        let set = self
            .set
            .iter()
            .find(|set| set.name.eq_ignore_ascii_case(name));
        match set {
            Some(set) => vec![&set.value],
            None => self.message.all(name).map(|line| line.value()).collect(),
        }
    }

    fn field(
        &self,
        name: &str,
        form: &FieldForm,
        lines: &[&str],
    ) -> Result<Option<String>, Refusal> {
        let joined = || lines.join(", ");
        Ok(match form {
            FieldForm::Lines => Some(joined()),
            FieldForm::Bytes => {
                let encoded = lines
                    .iter()
                    .map(|line| format!(":{}:", STANDARD.encode(line)));
                Some(encoded.collect::<Vec<_>>().join(", "))
            }
            FieldForm::Structured => Some(self.structured(name, &joined())?),
            FieldForm::Member(key) => {
                let dictionary: Dictionary =
                    parse(name, &joined(), "a dictionary (RFC 9651 §3.2)")?;
                match dictionary.get(key.as_str()) {
                    // A list of one writes its member as a dictionary does (RFC 9651 §4.1.2).
                    Some(member) => vec![member.clone()].serialize(),
                    None => None,
                }
            }
        })
    }

    /// `sf`: the value parsed by its type and serialized anew.
    fn structured(&self, name: &str, value: &str) -> Result<String, Refusal> {
        let expected = "structured as the profile says";
        let text = match self.spec.structured_type(name) {
            Some(StructuredType::Dictionary) => {
                parse::<Dictionary>(name, value, expected)?.serialize()
            }
            Some(StructuredType::List) => parse::<List>(name, value, expected)?.serialize(),
            Some(StructuredType::Item) => Some(parse::<Item>(name, value, expected)?.serialize()),
            None => None,
        };
        // An empty list or dictionary has no serialization (RFC 9651 §4.1).
        text.ok_or_else(|| malformed(name, expected))
    }
}

fn of_request_line(part: &Part, request: &HttpRequest) -> Result<Option<String>, Refusal> {
    Ok(Some(match part {
        Part::Method => request.method().as_str().to_owned(),
        // As sent: nothing but `@authority` is normalized.
        Part::TargetUri => format!("{SCHEME}://{}{}", request.authority(), request.target()),
        Part::Authority => {
            let authority = request.authority().to_ascii_lowercase();
            let host = authority.strip_suffix(DEFAULT_PORT);
            host.unwrap_or(&authority).to_owned()
        }
        Part::Scheme => SCHEME.to_owned(),
        Part::RequestTarget => request.target().to_owned(),
        Part::Path => request.path().to_owned(),
        Part::Query => format!("?{}", request.query().unwrap_or_default()),
        Part::QueryParam(name) => return query_param(name, request.query().unwrap_or_default()),
        Part::Status | Part::Field { .. } => return Ok(None),
    }))
}

/// Parameters are compared in the encoding they get here, so `%20` and `+` are the same space. One that occurs twice must
/// not be covered alone (RFC 9421 §2.2.8).
fn query_param(wanted: &str, query: &str) -> Result<Option<String>, Refusal> {
    let encode = |text: &str| utf8_percent_encode(text, FORM_URLENCODED).to_string();
    let mut found = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| encode(name) == wanted)
        .map(|(_, value)| value);
    let Some(value) = found.next() else {
        return Ok(None);
    };
    // The decoder replaces what is no UTF-8: two different queries would have one value.
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Refusal::QueryParamInvalid {
            name: wanted.to_owned(),
            what: "is not UTF-8",
        });
    }
    match found.next() {
        Some(_) => Err(Refusal::QueryParamInvalid {
            name: wanted.to_owned(),
            what: "occurs more than once; cover @query instead",
        }),
        None => Ok(Some(encode(&value))),
    }
}

fn parse<T: FieldType>(name: &str, value: &str, expected: &'static str) -> Result<T, Refusal> {
    Parser::new(value)
        .parse()
        .map_err(|_| malformed(name, expected))
}

fn malformed(name: &str, expected: &'static str) -> Refusal {
    Refusal::HeaderMalformed {
        name: name.to_owned(),
        expected,
    }
}

fn unavailable(component: &Component) -> Refusal {
    Refusal::ComponentUnavailable {
        name: component.to_string(),
    }
}
