//! The members of a protected header, as a profile lists them.
//!
//! Comes in: the `member` rows and `crit` of a `jws` or `jades` table. Goes out: [`HeaderSpec`], what every format with such
//! a header says about it, checked. Never a member whose value a profile could forge: what the formats make has a source of
//! its own. Serves RFC 7515 §4, RFC 7797 §3 and §6, RFC 8725 §3.11.

use jiff::Timestamp;
use serde::Deserialize;

use crate::algorithm::{KeyType, SignatureScheme};
use crate::format::key_id::KeyId;
use crate::refusal::Refusal;

/// Clocks of banks and of this house agree within this, in seconds, unless a profile says otherwise.
const IAT_SKEW_SECONDS_MAX: u32 = 10;
/// The farthest `iat` may be moved, in seconds.
const IAT_OFFSET_SECONDS_MAX: i64 = 60;
/// 2025-07-15T00:00:00Z: JAdES signatures made before it say when in `sigT`, later ones in `iat`
/// (ETSI TS 119 182-1 §5.1.11, §5.2.1).
const SIG_T_ENDS_SECOND: i64 = 1_752_537_600;

/// The default of `iat_skew_seconds_max`.
pub(crate) fn iat_skew() -> u32 {
    IAT_SKEW_SECONDS_MAX
}

/// What a profile says about a protected header: the same in every format that has one.
#[derive(Clone, Copy)]
pub(crate) struct HeaderSpec<'a> {
    /// The schemes, at most one a key type.
    pub(crate) schemes: &'a [SignatureScheme],
    /// The members, in order.
    pub(crate) member: &'a [Member],
    /// The names in `crit`, in order.
    pub(crate) crit: &'a [String],
    /// Seconds added to the time of signing; banks refuse one that lies in their future.
    pub(crate) iat_offset_seconds: i64,
    /// How far in the future the sender's time of signing may lie, in seconds.
    pub(crate) iat_skew_seconds_max: u32,
    /// How far in the past it may lie, in seconds; any time when not given.
    pub(crate) iat_age_seconds_max: Option<u32>,
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
    /// The same as text: `"1714393709"`.
    IssuedAtText,
    /// `sigT`: the same as `2024-04-29T12:28:29Z` (ETSI TS 119 182-1 §5.2.1).
    SigT,
    /// `sigD`: what is signed outside of the JWS (ETSI TS 119 182-1 §5.2.8).
    SigD,
    /// The headers in the head of the payload, with commas between.
    HeadNames,
    /// The media type of the body, without parameters.
    ContentType,
    /// `crit`: the list of the profile (RFC 7515 §4.1.11).
    Crit,
    /// `x5c`: the certificate alone (RFC 7515 §4.1.6).
    X5cLeaf,
    /// `x5c`: the certificate and its issuers, without the one that issued itself.
    X5cWithoutRoot,
    /// `x5c`: the certificate and every issuer that is known.
    X5cChain,
    /// `x5t#S256`: base64url of the certificate's SHA-256 (RFC 7515 §4.1.8).
    #[serde(rename = "x5t-s256")]
    X5tS256,
}

impl Source {
    /// The one member name it belongs to, where a standard reserves one.
    fn reserved_name(self) -> Option<&'static str> {
        match self {
            Self::Algorithm => Some("alg"),
            Self::UnencodedPayload => Some("b64"),
            Self::Crit => Some("crit"),
            Self::SigT => Some("sigT"),
            Self::SigD => Some("sigD"),
            Self::X5cLeaf | Self::X5cWithoutRoot | Self::X5cChain => Some("x5c"),
            Self::X5tS256 => Some("x5t#S256"),
            Self::IssuedAt | Self::IssuedAtText | Self::HeadNames | Self::ContentType => None,
        }
    }

    /// Whether it says when was signed.
    pub(crate) fn is_time(self) -> bool {
        matches!(self, Self::IssuedAt | Self::IssuedAtText | Self::SigT)
    }

    /// Whether it carries the certificate itself.
    pub(crate) fn is_x5c(self) -> bool {
        matches!(self, Self::X5cLeaf | Self::X5cWithoutRoot | Self::X5cChain)
    }
}

/// Names that RFC 7515 §4.1 defines: `crit` must not list them.
const REGISTERED: [&str; 11] = [
    "alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit",
];
/// Names whose value only the formats may make.
const RESERVED: [&str; 10] = [
    "alg", "b64", "crit", "jku", "jwk", "sigD", "sigT", "x5c", "x5t", "x5t#S256",
];

impl<'a> HeaderSpec<'a> {
    /// The scheme for keys of this type.
    pub(crate) fn scheme(&self, key: KeyType) -> Result<SignatureScheme, Refusal> {
        let mut schemes = self.schemes.iter().copied();
        schemes
            .find(|scheme| scheme.fits(&key))
            .ok_or(Refusal::AlgorithmNotAllowed { key })
    }

    /// Whether a member comes from this source.
    pub(crate) fn has(&self, source: Source) -> bool {
        self.member.iter().any(|member| member.from == Some(source))
    }

    /// Whether a header signed at this time has the member. A profile that lists both `sigT` and a time in seconds
    /// follows the day the standard changed over.
    pub(crate) fn applies(&self, member: &Member, signed_at: Timestamp) -> bool {
        let both = self.has(Source::SigT) && self.has(Source::IssuedAt);
        match member.from {
            Some(Source::SigT) if both => signed_at.as_second() < SIG_T_ENDS_SECOND,
            Some(Source::IssuedAt) if both => signed_at.as_second() >= SIG_T_ENDS_SECOND,
            _ => true,
        }
    }

    /// `crit` of a header signed at this time.
    pub(crate) fn crit(&self, signed_at: Timestamp) -> Vec<&'a str> {
        let absent = |name: &str| {
            let mut members = self.member.iter();
            members.any(|member| member.name == name && !self.applies(member, signed_at))
        };
        let names = self.crit.iter().map(String::as_str);
        names.filter(|name| !absent(name)).collect()
    }

    /// How the key is named, in short: its id, or the members that carry or hash the certificate.
    pub(crate) fn key_named(&self) -> String {
        let named = self.member.iter().filter_map(|member| {
            match (member.name.as_str(), &member.key_id, &member.setting) {
                ("kid", Some(key_id), _) => Some(key_id.spelled()),
                ("kid", None, Some(setting)) => Some(format!("setting {setting}")),
                ("x5c" | "x5t#S256" | "x5u", ..) => Some(member.name.clone()),
                _ => None,
            }
        });
        let named: Vec<String> = named.collect();
        match named.is_empty() {
            true => "none".into(),
            false => named.join(", "),
        }
    }

    /// The schemes by name.
    pub(crate) fn algorithms(&self) -> Vec<String> {
        self.schemes
            .iter()
            .map(SignatureScheme::to_string)
            .collect()
    }

    /// The settings it reads, and whether signing can do without.
    pub(crate) fn settings(&self) -> Vec<(&'a str, bool)> {
        let named = self.member.iter().filter_map(|member| {
            let key_id = member.key_id.as_ref().and_then(KeyId::setting);
            Some((member.setting.as_deref().or(key_id)?, member.optional))
        });
        named.collect()
    }

    /// What makes no sense, in words.
    pub(crate) fn complaint(&self) -> Option<String> {
        let rivals = |key: &KeyType| self.schemes.iter().filter(|s| s.fits(key)).count();
        if self.schemes.is_empty() || KeyType::FAMILIES.iter().any(|key| rivals(key) > 1) {
            return Some("schemes: list at least one, and one a key type".into());
        }
        if !(-IAT_OFFSET_SECONDS_MAX..=IAT_OFFSET_SECONDS_MAX).contains(&self.iat_offset_seconds) {
            return Some("iat_offset_seconds: at most 60 seconds either way".into());
        }
        let times = self.member.iter().filter_map(|member| member.from);
        if self.iat_age_seconds_max.is_some() && !times.into_iter().any(Source::is_time) {
            return Some("iat_age_seconds_max: no member says when was signed".into());
        }
        self.member_complaint().or_else(|| self.crit_complaint())
    }

    fn member_complaint(&self) -> Option<String> {
        for (index, member) in self.member.iter().enumerate() {
            if let Some(what) = member.complaint() {
                return Some(format!("member `{}`: {what}", member.name));
            }
            let mut earlier = self.member.iter().take(index);
            if earlier.any(|earlier| earlier.name == member.name) {
                return Some(format!("member `{}` is listed twice", member.name));
            }
        }
        match self.has(Source::Algorithm) {
            true => None,
            false => Some("member: `alg` from \"algorithm\" is missing".into()),
        }
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
            let mut members = self.member.iter();
            if !members.any(|member| member.name == *name && !member.optional) {
                return Some(format!("crit: `{name}` is no member that is always there"));
            }
            if self.crit.iter().take(index).any(|earlier| earlier == name) {
                return Some(format!("crit: `{name}` is listed twice"));
            }
        }
        let critical = self.crit.iter().any(|name| name == "b64");
        match self.has(Source::UnencodedPayload) && !critical {
            true => Some("crit: it has to list `b64` (RFC 7797 §6)".into()),
            false => None,
        }
    }
}

impl Member {
    fn complaint(&self) -> Option<String> {
        let content_type = self.from == Some(Source::ContentType);
        let text = self.literal.as_ref().and_then(toml::Value::as_str);
        let sources = [
            self.from.is_some(),
            self.literal.is_some() && !content_type,
            self.setting.is_some(),
            self.key_id.is_some(),
        ];
        if sources.into_iter().filter(|given| *given).count() != 1 {
            return Some("give one of `from`, `literal`, `setting`, `key_id`".into());
        }
        if content_type && text.is_none() {
            return Some("give the media type without Content-Type as `literal`".into());
        }
        let reserved = self.from.and_then(Source::reserved_name);
        if let Some(name) = reserved.filter(|name| *name != self.name) {
            return Some(format!("its value belongs to `{name}`"));
        }
        if reserved.is_none() && RESERVED.contains(&self.name.as_str()) {
            return Some("its value is made by the format, use `from`".into());
        }
        if self.optional && reserved.is_some() {
            return Some("it cannot be optional".into());
        }
        if ["typ", "cty"].contains(&self.name.as_str()) && !text.is_some_and(says_no_jwt) {
            return Some(
                "give a literal that does not say JWT: what is signed here is a body".into(),
            );
        }
        match &self.literal {
            Some(toml::Value::String(_) | toml::Value::Integer(_) | toml::Value::Boolean(_))
            | None => None,
            Some(_) => Some("a literal is a text, a whole number or a boolean".into()),
        }
    }
}

/// Neither `JWT` nor a type of JWT (RFC 7519 §5.1, RFC 8725 §3.11), in any case: they are what other doors sign.
fn says_no_jwt(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_prefix("application/").unwrap_or(&lower);
    bare != "jwt" && !bare.ends_with("+jwt")
}
