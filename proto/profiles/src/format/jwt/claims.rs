//! Claims: how they are collected, and the rules that hold for JWTs of every kind.
//!
//! Comes in: names and values, in order. Goes out: JSON text, and refusals that name the claim. What is made here and what
//! comes from outside is judged by the same rules. Never a claim twice, never a value in a message. Serves RFC 7519 §4.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::profile::Settings;
use crate::refusal::Refusal;

/// The longest `jti`, in bytes.
pub const JTI_BYTES_MAX: usize = 128;
/// The longest a JWT may be valid, in seconds (FAPI 1.0 part 2 §5.2.2, FAPI 2.0 message signing §5.3.1).
pub const LIFETIME_SECONDS_MAX: u32 = 3600;
/// The longest claim that is one text, in bytes, unless a rule says otherwise.
const TEXT_BYTES_MAX: usize = 2048;

/// When claims are judged.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    /// How far the clocks of the two sides may be apart, in seconds.
    pub(super) skew_seconds_max: u32,
}

impl Moment {
    /// What the slowest clock allowed says, in seconds since 1970.
    fn earliest(self) -> i64 {
        let skew = i64::from(self.skew_seconds_max);
        self.now.as_second().saturating_sub(skew)
    }

    /// What the fastest clock allowed says, in seconds since 1970.
    fn latest(self) -> i64 {
        let skew = i64::from(self.skew_seconds_max);
        self.now.as_second().saturating_add(skew)
    }
}

/// A set of claims, in order.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    members: Map<String, Value>,
    /// The text of a JSON object whose members follow as they are written: another spelling of a number is another number
    /// to some banks.
    verbatim: Option<String>,
}

impl Claims {
    pub(super) fn new(members: Map<String, Value>) -> Self {
        Self {
            members,
            verbatim: None,
        }
    }

    /// The claims, then the members of the JSON object `text`, unchanged.
    pub(super) fn followed_by(self, text: String) -> Self {
        Self {
            verbatim: Some(text),
            ..self
        }
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Sets a claim that was asked for.
    pub(super) fn set_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// What is covered, by name: `jwt.iss`, and `body` for what is written as it came.
    pub(super) fn fields(&self) -> impl Iterator<Item = String> {
        let body = self.verbatim.iter().map(|_| "body".to_owned());
        self.names().map(|name| format!("jwt.{name}")).chain(body)
    }

    pub(super) fn to_json(&self) -> String {
        let own = Value::from(self.members.clone()).to_string();
        let rest = self.verbatim.as_deref().map(str::trim).unwrap_or_default();
        let rest = rest.strip_prefix('{').unwrap_or_default().trim_start();
        match rest {
            "" | "}" => own,
            rest => format!("{},{rest}", own.trim_end_matches('}')),
        }
    }

    pub(super) fn into_members(self) -> Map<String, Value> {
        self.members
    }

    /// Refuses every claim but these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.names().find(|name| !known.contains(name)) {
            Some(name) => Err(Refusal::ClaimUnknown { name: name.into() }),
            None => Ok(()),
        }
    }

    /// A text that is there.
    pub(super) fn text(&self, name: &'static str) -> Result<&str, Refusal> {
        let value = self.get(name).ok_or_else(|| missing(name))?;
        let text = value.as_str().filter(|text| !text.is_empty());
        text.filter(|text| text.len() <= TEXT_BYTES_MAX)
            .ok_or_else(|| invalid(name, "a text of 1 to 2048 bytes"))
    }

    /// This text, and no list of texts (FAPI 2.0 §5.3.2.1 for `aud`).
    pub(super) fn exactly(&self, name: &'static str, expected: &str) -> Result<(), Refusal> {
        match self.text(name)? == expected {
            true => Ok(()),
            false => Err(invalid(name, "what the bank's settings say")),
        }
    }

    /// A time in whole seconds since 1970 (RFC 7519 §2, NumericDate).
    pub(super) fn seconds(&self, name: &'static str) -> Result<i64, Refusal> {
        let value = self.get(name).ok_or_else(|| missing(name))?;
        value
            .as_i64()
            .filter(|seconds| *seconds > 0)
            .ok_or_else(|| invalid(name, "a time in whole seconds since 1970"))
    }

    /// A `jti` that can be compared byte for byte.
    pub(super) fn check_jti(&self) -> Result<(), Refusal> {
        let jti = self.text("jti")?;
        match jti.len() <= JTI_BYTES_MAX && jti.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err(invalid("jti", "1 to 128 printable characters")),
        }
    }

    /// `aud` is one of the values of these settings.
    pub(super) fn check_audience(
        &self,
        allowed: &[String],
        settings: &Settings,
    ) -> Result<(), Refusal> {
        let audience = self.text("aud")?;
        match allowed
            .iter()
            .any(|name| settings.get(name) == Some(audience))
        {
            true => Ok(()),
            false => Err(invalid("aud", "an audience of the bank's settings")),
        }
    }

    /// `iat` is not in the future; answers with it.
    pub(super) fn check_issued(&self, moment: Moment) -> Result<Timestamp, Refusal> {
        let issued = self.seconds("iat")?;
        if issued > moment.latest() {
            return Err(invalid("iat", "in the past"));
        }
        Timestamp::from_second(issued).map_err(|_| invalid("iat", "a time in this age"))
    }

    /// `exp`, `iat` and, when it is there, `nbf`: it begins before it ends, is short, and holds now.
    pub(super) fn check_times(&self, moment: Moment) -> Result<Timestamp, Refusal> {
        let issued = self.check_issued(moment)?;
        let begins = match self.get("nbf") {
            Some(_) => self.seconds("nbf")?,
            None => issued.as_second(),
        };
        let ends = self.seconds("exp")?;
        if begins > moment.latest() {
            return Err(invalid("nbf", "in the past"));
        }
        if ends <= moment.earliest() {
            return Err(invalid("exp", "in the future"));
        }
        let lifetime = ends.saturating_sub(begins);
        match (1..=i64::from(LIFETIME_SECONDS_MAX)).contains(&lifetime) {
            true => Ok(issued),
            false => Err(invalid("exp", "1 to 3600 seconds after it begins")),
        }
    }
}

pub(super) fn missing(name: &str) -> Refusal {
    Refusal::ClaimMissing { name: name.into() }
}

pub(super) fn invalid(name: &str, expected: &'static str) -> Refusal {
    Refusal::ClaimInvalid {
        name: name.into(),
        expected,
    }
}

/// An https URL without fragment, in bytes that RFC 3986 §2 allows.
pub(super) fn is_https_url(text: &str) -> bool {
    let host = text.strip_prefix("https://").unwrap_or_default();
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte);
    !host.is_empty() && !host.starts_with(['/', '?', ':']) && text.bytes().all(allowed)
}

/// Scope tokens with single spaces between (RFC 6749 §3.3).
pub(super) fn is_scope(text: &str) -> bool {
    let token_byte = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    text.split(' ')
        .all(|token| !token.is_empty() && token.bytes().all(token_byte))
}

/// Printable ASCII with spaces (RFC 6749 appendix A, VSCHAR).
pub(super) fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}
