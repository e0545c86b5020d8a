//! A profile as it is written, and what is wrong with one.
//!
//! Comes in: a profile's table, what it extends merged in. Goes out: [`File`], every key known, every part checked. Never a
//! default for something banks disagree on.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Format;
use super::error::ProfileError;
use super::layer::{Layers, position_of};
use super::operation::Operation;
use crate::format::jwt::JwtSpec;
use crate::request::is_token;

/// How sure we are of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A published specification says so.
    Specified,
    /// Code that talked to the bank in production does so.
    Seen,
    /// Neither was seen; ask the bank.
    Unconfirmed,
}

impl Confidence {
    /// The word as in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Specified => "specified",
            Self::Seen => "seen",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) source: String,
    pub(super) confidence: Confidence,
    /// What each setting means, for people.
    #[serde(default)]
    pub(super) settings: BTreeMap<String, String>,
    pub(super) freshness: Option<FreshnessFile>,
    pub(super) request_id: Option<RequestIdFile>,
    /// How requests are signed; none in a profile of JWTs alone.
    pub(super) request: Option<Format>,
    pub(super) response: Option<Format>,
    /// JWTs for the authorisation server, and bodies that are one.
    pub(super) jwt: Option<JwtSpec>,
    #[serde(default)]
    pub(super) operation: Vec<Operation>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FreshnessFile {
    pub(super) header: String,
    pub(super) skew_seconds_max: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestIdFile {
    pub(super) header: String,
    pub(super) form: RequestIdForm,
    pub(super) required: bool,
}

/// The form of a request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestIdForm {
    /// A UUID (RFC 9562 §4), hexadecimal in either case, with dashes.
    Uuid,
    /// A UUID without dashes.
    UuidWithoutDashes,
    #[serde(rename = "up-to-40")]
    /// Between 1 and 40 characters (OBIE read-write profile, idempotency key).
    UpTo40,
    /// Any text that is not empty.
    Any,
}

impl RequestIdForm {
    pub(super) fn fits(self, value: &str) -> bool {
        let groups = |lens: &[usize], separator: char| {
            value
                .split(separator)
                .map(str::len)
                .eq(lens.iter().copied())
                && value
                    .chars()
                    .all(|c| c == separator || c.is_ascii_hexdigit())
        };
        match self {
            Self::Uuid => groups(&[8, 4, 4, 4, 12], '-'),
            Self::UuidWithoutDashes => groups(&[32], '-'),
            Self::UpTo40 => (1..=40).contains(&value.len()),
            Self::Any => !value.is_empty(),
        }
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Uuid => "a UUID",
            Self::UuidWithoutDashes => "a UUID without dashes",
            Self::UpTo40 => "between 1 and 40 characters long",
            Self::Any => "there with a value",
        }
    }
}

impl File {
    /// Reads the profile `name` of `layers`, with what it extends.
    pub(super) fn read(layers: &Layers<'_>, name: &str) -> Result<Self, ProfileError> {
        let table = layers.merged(name)?;
        let deserializer = toml::de::Deserializer::from(table.clone());
        let file = Self::deserialize(deserializer).map_err(|error| {
            let at = error.span().unwrap_or_else(|| table.span()).start;
            layers.unreadable(at, error.message())
        })?;
        match file.complaint() {
            Some(what) => Err(layers.senseless(position_of(&table, &what), name, what)),
            None => Ok(file),
        }
    }

    fn complaint(&self) -> Option<String> {
        let name_byte =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(name_byte) {
            return Some("name: use lower-case letters, digits, dots and dashes".into());
        }
        if self.title.is_empty() || self.source.is_empty() {
            return Some("title: write it, and the source".into());
        }
        if self.request.is_none() && self.jwt.is_none() {
            return Some("say what is signed: a [request.<format>] table, or [jwt]".into());
        }
        if self.request.is_none() && self.response.is_some() {
            return Some("response: it belongs to a [request.<format>] table".into());
        }
        let request = self.request.as_ref().and_then(|f| f.complaint(false));
        let response = self.response.as_ref().and_then(|f| f.complaint(true));
        let jwt = self.jwt.as_ref().and_then(JwtSpec::complaint);
        request
            .map(|what| format!("request.{what}"))
            .or_else(|| response.map(|what| format!("response.{what}")))
            .or_else(|| jwt.map(|what| format!("jwt.{what}")))
            .or_else(|| self.header_complaint())
            .or_else(|| self.settings_complaint())
            .or_else(|| self.operation.iter().find_map(Operation::complaint))
    }

    fn header_complaint(&self) -> Option<String> {
        let lower = |name: &str| is_token(name) && name == name.to_ascii_lowercase();
        if self
            .freshness
            .as_ref()
            .is_some_and(|freshness| !lower(&freshness.header))
        {
            return Some("freshness.header: write a lower-case header name".into());
        }
        if self
            .request_id
            .as_ref()
            .is_some_and(|id| !lower(&id.header))
        {
            return Some("request_id.header: write a lower-case header name".into());
        }
        None
    }

    /// The settings that nothing we sign goes without; those of answers are for comparing only.
    pub(super) fn settings_required(&self) -> Vec<String> {
        let mut required: Vec<String> = Vec::new();
        let request = self.request.iter().flat_map(Format::settings);
        let jwt = self.jwt.iter().flat_map(JwtSpec::settings);
        for (name, optional) in request.chain(jwt) {
            if !optional && !required.iter().any(|known| known == name) {
                required.push(name.to_owned());
            }
        }
        required
    }

    /// Settings are described for people, and no description lies about a setting that nothing reads.
    fn settings_complaint(&self) -> Option<String> {
        let mut read = Vec::new();
        let response = self.response.as_ref().map(|format| ("response", format));
        let request = self.request.as_ref().map(|format| ("request", format));
        for (direction, format) in request.into_iter().chain(response) {
            for (name, _) in format.settings() {
                if !self.settings.contains_key(name) {
                    let place = format.settings_place();
                    return Some(format!(
                        "{direction}.{place}: say what `{name}` is: [settings] {name} = \"..\""
                    ));
                }
                read.push(name);
            }
        }
        for (name, _) in self.jwt.iter().flat_map(JwtSpec::settings) {
            if !self.settings.contains_key(name) {
                return Some(format!(
                    "jwt: say what `{name}` is: [settings] {name} = \"..\""
                ));
            }
            read.push(name);
        }
        let unread = |name: &&String| !read.contains(&name.as_str());
        let name = self.settings.keys().find(unread)?;
        Some(format!(
            "settings.{name}: nothing reads `{name}`, take it out"
        ))
    }
}
