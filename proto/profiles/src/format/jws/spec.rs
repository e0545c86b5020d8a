//! The parameters of JSON Web Signatures that banks disagree on.
//!
//! Comes in: the `jws` table of a profile. Goes out: [`JwsSpec`], checked. Unknown keys and combinations that make no sense
//! are refused when the profile is loaded, never ignored.

use serde::Deserialize;

use crate::algorithm::{KeyType, SignatureScheme};
use crate::format::key_id::KeyId;
use crate::profile::Summary;
use crate::refusal::Refusal;
use crate::request::is_token;

/// `[request.jws]` or `[response.jws]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwsSpec {
    /// The header that carries it; without one the JWS is only answered.
    pub(crate) carrier: Option<String>,
    /// Compact (RFC 7515 §7.1), or detached (RFC 7515 Appendix F).
    pub(crate) serialization: Serialization,
    /// How the payload stands in the signing input (RFC 7797 §3).
    pub(crate) payload: Payload,
    /// What to do without a body.
    #[serde(default)]
    pub(crate) empty_body: EmptyBody,
    /// The schemes, at most one a key type.
    pub(crate) schemes: Vec<SignatureScheme>,
    /// Seconds added to the time of signing in `iat`; banks refuse one that lies in their future.
    #[serde(default)]
    pub(crate) iat_offset_seconds: i64,
    /// How far in the future a bank's `iat` may lie, in seconds.
    #[serde(default = "iat_skew")]
    pub(crate) iat_skew_seconds_max: u32,
    /// The members of the protected header, in order.
    pub(crate) member: Vec<Member>,
    /// The names in `crit`, in order.
    #[serde(default)]
    pub(crate) crit: Vec<String>,
}

/// Clocks of banks and of this house agree within this, in seconds, unless a profile says otherwise.
const IAT_SKEW_SECONDS_MAX: u32 = 10;
/// The farthest `iat` may be moved, in seconds.
const IAT_OFFSET_SECONDS_MAX: i64 = 60;

fn iat_skew() -> u32 {
    IAT_SKEW_SECONDS_MAX
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Serialization {
    Compact,
    Detached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Payload {
    /// `b64` true: base64url of the bytes.
    Base64url,
    /// `b64` false: the bytes.
    Raw,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EmptyBody {
    /// Refuse: the bank wants no signature where there is no body.
    #[default]
    Refuse,
    /// Sign zero bytes.
    Sign,
}

/// A member of the protected header. Exactly one of `from`, `literal`, `setting`, `key_id` says what its value is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) from: Option<Source>,
    /// A value that is always the same; beside `from = "content-type"`, the value without that header.
    pub(crate) literal: Option<toml::Value>,
    /// The setting that has the value.
    pub(crate) setting: Option<String>,
    /// The value as a key id made from the certificate.
    pub(crate) key_id: Option<KeyId>,
    /// Signing leaves it out when its setting is not set; verifying does not miss it.
    #[serde(default)]
    pub(crate) optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// `alg`: the scheme (RFC 7518 §3.1).
    Algorithm,
    /// `b64`: false (RFC 7797 §3).
    UnencodedPayload,
    /// The time of signing plus `iat_offset_seconds`, a whole number of seconds.
    IssuedAt,
    /// The media type of the body, without parameters.
    ContentType,
    /// `crit`: the list of the profile (RFC 7515 §4.1.11).
    Crit,
    /// `x5c`: the certificate alone (RFC 7515 §4.1.6).
    X5cLeaf,
    /// `x5t#S256`: base64url of the certificate's SHA-256 (RFC 7515 §4.1.8).
    X5tS256,
}

impl Source {
    /// The one member name it belongs to, where the RFC reserves one.
    fn reserved_name(self) -> Option<&'static str> {
        match self {
            Self::Algorithm => Some("alg"),
            Self::UnencodedPayload => Some("b64"),
            Self::Crit => Some("crit"),
            Self::X5cLeaf => Some("x5c"),
            Self::X5tS256 => Some("x5t#S256"),
            Self::IssuedAt | Self::ContentType => None,
        }
    }
}

/// Names that RFC 7515 §4.1 defines: `crit` must not list them.
const REGISTERED: [&str; 11] = [
    "alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit",
];
/// Names whose value only the formats may make.
const RESERVED: [&str; 8] = ["alg", "b64", "crit", "jku", "jwk", "x5c", "x5t", "x5t#S256"];

impl JwsSpec {
    /// What it wants, in short.
    pub(crate) fn summary(&self) -> Summary {
        let named = self
            .member
            .iter()
            .find_map(|member| match member.name.as_str() {
                "kid" => match (&member.key_id, &member.setting) {
                    (Some(key_id), _) => Some(key_id.spelled()),
                    (None, Some(setting)) => Some(format!("setting {setting}")),
                    (None, None) => None,
                },
                "x5c" | "x5t#S256" => Some(member.name.clone()),
                _ => None,
            });
        Summary {
            carrier: self.carrier.clone().unwrap_or_else(|| "none".into()),
            signed: vec!["protected header".into(), "body".into()],
            key_id: named.unwrap_or_else(|| "none".into()),
            algorithms: self
                .schemes
                .iter()
                .map(SignatureScheme::to_string)
                .collect(),
        }
    }

    /// The scheme for keys of this type.
    pub(crate) fn scheme(&self, key: KeyType) -> Result<SignatureScheme, Refusal> {
        self.schemes
            .iter()
            .copied()
            .find(|scheme| scheme.fits(&key))
            .ok_or(Refusal::AlgorithmNotAllowed { key })
    }

    /// Whether a member comes from this source.
    pub(crate) fn has(&self, source: Source) -> bool {
        self.member.iter().any(|member| member.from == Some(source))
    }

    /// What makes no sense, in words.
    pub(crate) fn complaint(&self) -> Option<String> {
        let rivals = |key: &KeyType| {
            self.schemes
                .iter()
                .filter(|scheme| scheme.fits(key))
                .count()
        };
        if self.schemes.is_empty() || KeyType::FAMILIES.iter().any(|key| rivals(key) > 1) {
            return Some("schemes: list at least one, and one a key type".into());
        }
        if self.carrier.as_ref().is_some_and(|name| !is_token(name)) {
            return Some("carrier: it is no header name".into());
        }
        if !(-IAT_OFFSET_SECONDS_MAX..=IAT_OFFSET_SECONDS_MAX).contains(&self.iat_offset_seconds) {
            return Some("iat_offset_seconds: at most 60 seconds either way".into());
        }
        if self.payload == Payload::Raw && self.serialization == Serialization::Compact {
            return Some("payload: a raw payload travels detached (RFC 7797 §5.2)".into());
        }
        self.member_complaint().or_else(|| self.crit_complaint())
    }

    fn member_complaint(&self) -> Option<String> {
        for (index, member) in self.member.iter().enumerate() {
            if let Some(what) = member.complaint() {
                return Some(format!("member `{}`: {what}", member.name));
            }
            if self
                .member
                .iter()
                .take(index)
                .any(|earlier| earlier.name == member.name)
            {
                return Some(format!("member `{}` is listed twice", member.name));
            }
        }
        if !self.has(Source::Algorithm) {
            return Some("member: `alg` from \"algorithm\" is missing".into());
        }
        if self.has(Source::UnencodedPayload) != (self.payload == Payload::Raw) {
            return Some("member: `b64` belongs to payload = \"raw\", and only to it".into());
        }
        None
    }

    fn crit_complaint(&self) -> Option<String> {
        if self.has(Source::Crit) == self.crit.is_empty() {
            return Some("crit: the list and the member `crit` belong together".into());
        }
        for (index, name) in self.crit.iter().enumerate() {
            if REGISTERED.contains(&name.as_str()) {
                return Some(format!(
                    "crit: `{name}` must not be listed (RFC 7515 §4.1.11)"
                ));
            }
            if !self
                .member
                .iter()
                .any(|member| member.name == *name && !member.optional)
            {
                return Some(format!("crit: `{name}` is no member that is always there"));
            }
            if self.crit.iter().take(index).any(|earlier| earlier == name) {
                return Some(format!("crit: `{name}` is listed twice"));
            }
        }
        match self.payload {
            Payload::Raw if !self.crit.iter().any(|name| name == "b64") => {
                Some("crit: it has to list `b64` (RFC 7797 §6)".into())
            }
            _ => None,
        }
    }
}

impl Member {
    fn complaint(&self) -> Option<String> {
        let content_type = self.from == Some(Source::ContentType);
        let literal = self.literal.is_some() && !content_type;
        let sources = [
            self.from.is_some(),
            literal,
            self.setting.is_some(),
            self.key_id.is_some(),
        ];
        if sources.into_iter().filter(|given| *given).count() != 1 {
            return Some("give one of `from`, `literal`, `setting`, `key_id`".into());
        }
        if content_type
            && self
                .literal
                .as_ref()
                .and_then(toml::Value::as_str)
                .is_none()
        {
            return Some("give the media type without Content-Type as `literal`".into());
        }
        let reserved = self.from.and_then(Source::reserved_name);
        if reserved.is_some_and(|name| name != self.name) {
            return Some(format!(
                "its value belongs to `{}`",
                reserved.unwrap_or_default()
            ));
        }
        if reserved.is_none() && RESERVED.contains(&self.name.as_str()) {
            return Some("its value is made by the format, use `from`".into());
        }
        if self.optional && reserved.is_some() {
            return Some("it cannot be optional".into());
        }
        match &self.literal {
            Some(toml::Value::String(_) | toml::Value::Integer(_) | toml::Value::Boolean(_))
            | None => None,
            Some(_) => Some("a literal is a text, a whole number or a boolean".into()),
        }
    }
}
