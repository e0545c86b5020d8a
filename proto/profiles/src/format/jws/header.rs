//! The protected header of a JWS.
//!
//! Comes in: the members a profile lists, and the facts of one signature. Goes out: JSON text, members in the profile's order,
//! without white space. It always begins `{"`, so its base64url always begins `eyJ`. Never a member the profile does not
//! list. Serves RFC 7515 §4.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::Value;

use super::spec::{JwsSpec, Member, Source};
use crate::algorithm::SignatureScheme;
use crate::certificate::Certificate;
use crate::profile::Settings;
use crate::refusal::Refusal;

/// What the members are made of.
pub(super) struct Facts<'a> {
    pub(super) scheme: SignatureScheme,
    pub(super) content_type: Option<&'a str>,
    pub(super) certificate: &'a Certificate,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

/// The header as JSON text.
pub(super) fn protected(spec: &JwsSpec, facts: &Facts<'_>) -> Result<String, Refusal> {
    let mut text = String::from("{");
    for member in &spec.member {
        let Some(value) = value(spec, member, facts)? else {
            continue;
        };
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&Value::from(member.name.as_str()).to_string());
        text.push(':');
        text.push_str(&value.to_string());
    }
    text.push('}');
    Ok(text)
}

/// The text of `kid` (RFC 7515 §4.1.4), when the profile has it.
pub(super) fn key_id(spec: &JwsSpec, facts: &Facts<'_>) -> Result<Option<String>, Refusal> {
    let Some(member) = spec.member.iter().find(|member| member.name == "kid") else {
        return Ok(None);
    };
    let value = value(spec, member, facts)?;
    Ok(value.and_then(|value| value.as_str().map(str::to_owned)))
}

/// The value of one member; `None` when it is optional and its setting is not set.
fn value(spec: &JwsSpec, member: &Member, facts: &Facts<'_>) -> Result<Option<Value>, Refusal> {
    if let Some(source) = member.from {
        return derived(spec, member, source, facts).map(Some);
    }
    if let Some(key_id) = &member.key_id {
        return key_id
            .encode(facts.certificate, facts.settings)
            .map(|id| Some(id.into()));
    }
    if let Some(name) = &member.setting {
        return match facts.settings.get(name) {
            None if member.optional => Ok(None),
            _ => facts.settings.require(name).map(|value| Some(value.into())),
        };
    }
    Ok(literal(member))
}

/// The literal of a member as JSON; a profile is checked to have no others.
pub(super) fn literal(member: &Member) -> Option<Value> {
    match member.literal.as_ref()? {
        toml::Value::String(text) => Some(text.as_str().into()),
        toml::Value::Integer(number) => Some((*number).into()),
        toml::Value::Boolean(truth) => Some((*truth).into()),
        _ => None,
    }
}

fn derived(
    spec: &JwsSpec,
    member: &Member,
    source: Source,
    facts: &Facts<'_>,
) -> Result<Value, Refusal> {
    Ok(match source {
        Source::Algorithm => facts.scheme.jws_name().into(),
        Source::UnencodedPayload => false.into(),
        Source::IssuedAt => (facts.now.as_second() + spec.iat_offset_seconds).into(),
        Source::Crit => spec.crit.clone().into(),
        Source::X5cLeaf => vec![x5c(facts.certificate)].into(),
        Source::X5tS256 => x5t_s256(facts.certificate).into(),
        Source::ContentType => match facts.content_type {
            Some(value) => media_type(value)?.into(),
            None => literal(member).unwrap_or_default(),
        },
    })
}

/// `x5c` has padded base64, not base64url (RFC 7515 §4.1.6).
pub(super) fn x5c(certificate: &Certificate) -> String {
    STANDARD.encode(certificate.der())
}

pub(super) fn x5t_s256(certificate: &Certificate) -> String {
    URL_SAFE_NO_PAD.encode(certificate.sha256())
}

/// `type/subtype` in lower case, parameters cut off.
fn media_type(value: &str) -> Result<String, Refusal> {
    let bare = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim_matches(' ')
        .to_ascii_lowercase();
    let token = crate::request::is_token;
    match bare.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => Ok(bare),
        _ => Err(Refusal::HeaderMalformed {
            name: "content-type".into(),
            expected: "a media type like `application/json`",
        }),
    }
}
