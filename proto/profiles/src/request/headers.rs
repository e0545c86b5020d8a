//! Header lines: structure checked, text printable ASCII.
//!
//! Comes in: names and values as bytes. Goes out: [`Header`]s whose values cannot forge a line of a string to sign.
//! Never drops, joins or re-orders lines. Serves RFC 9110 §5.1, §5.5 and §5.6.2; RFC 9112 §5.2.

use std::fmt;

use super::Body;
use crate::refusal::Refusal;

/// The most header lines a message may have.
pub const HEADER_COUNT_MAX: usize = 64;
/// The longest header name, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 128;
/// The longest header value, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 8 * 1024;

/// One header line.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    lower: String,
    value: String,
}

impl Header {
    /// The name as sent.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name in lower case.
    #[must_use]
    pub fn lower_name(&self) -> &str {
        &self.lower
    }

    /// The value: printable ASCII, without the spaces around it that are not part of it (RFC 9110 §5.5).
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// The name, and how long the value is: values may be secrets or PSU data.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.name, self.value.len())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Headers(Vec<Header>);

impl Headers {
    pub(super) fn parse(lines: &[(String, Vec<u8>)]) -> Result<Self, Refusal> {
        if lines.len() > HEADER_COUNT_MAX {
            return Err(Refusal::TooManyHeaders {
                count: lines.len(),
                max: HEADER_COUNT_MAX,
            });
        }
        let parsed = lines.iter().enumerate().map(|(index, (name, value))| {
            check_name(index, name)?;
            let lower = name.to_ascii_lowercase();
            let value = printable(&lower, value)?.trim_matches(' ').to_owned();
            Ok(Header {
                name: name.clone(),
                lower,
                value,
            })
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn lines(&self) -> &[Header] {
        &self.0
    }

    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Header> + use<'a> {
        let lower = name.to_ascii_lowercase();
        self.0.iter().filter(move |header| header.lower == lower)
    }

    /// A `Content-Length` is true, and once (RFC 9110 §8.6). Unknown when only digests of the body came.
    pub(super) fn check_content_length(&self, body: &Body) -> Result<(), Refusal> {
        let mut lengths = self.all("content-length");
        let Some(length) = lengths.next() else {
            return Ok(());
        };
        if lengths.next().is_some() {
            return Err(Refusal::HeaderRepeated {
                name: "content-length".into(),
            });
        }
        if length.value.is_empty() || !length.value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::HeaderMalformed {
                name: "content-length".into(),
                expected: "a number of bytes",
            });
        }
        match body.bytes() {
            Some(bytes) if length.value.parse() != Ok(bytes.len()) => {
                Err(Refusal::ContentLengthMismatch)
            }
            _ => Ok(()),
        }
    }
}

/// A token (RFC 9110 §5.6.2): so neither `@method` nor `(created)` nor `:path` can come from outside.
fn check_name(index: usize, name: &str) -> Result<(), Refusal> {
    if name.len() > HEADER_NAME_BYTES_MAX {
        return Err(Refusal::HeaderNameTooLong {
            index,
            len: name.len(),
            max: HEADER_NAME_BYTES_MAX,
        });
    }
    match is_token(name) {
        true => Ok(()),
        false => Err(Refusal::HeaderNameInvalid { index }),
    }
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// 0x20..=0x7e and nothing else: no draft defines how another byte is signed, and CR or LF would forge lines.
fn printable<'a>(name: &str, value: &'a [u8]) -> Result<&'a str, Refusal> {
    if value.len() > HEADER_VALUE_BYTES_MAX {
        return Err(Refusal::HeaderTooLong {
            name: name.to_owned(),
            len: value.len(),
            max: HEADER_VALUE_BYTES_MAX,
        });
    }
    let Some(position) = value.iter().position(|byte| !(0x20..=0x7e).contains(byte)) else {
        // All bytes are ASCII here, so this is never the error branch.
        return std::str::from_utf8(value).map_err(|_| Refusal::HeaderNotAscii {
            name: name.to_owned(),
            position: 0,
        });
    };
    Err(guilty_byte(name.to_owned(), value, position))
}

fn guilty_byte(name: String, value: &[u8], position: usize) -> Refusal {
    let rest = value.get(position..).unwrap_or_default();
    match rest {
        [b'\r', b'\n', b' ' | b'\t', ..] | [b'\n', b' ' | b'\t', ..] => {
            Refusal::HeaderObsFold { name, position }
        }
        [b'\r' | b'\n', ..] => Refusal::HeaderLineBreak { name, position },
        [0, ..] => Refusal::HeaderNul { name, position },
        [0x80..=0xff, ..] => Refusal::HeaderNotAscii { name, position },
        _ => Refusal::HeaderControl { name, position },
    }
}
