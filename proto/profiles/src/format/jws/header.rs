//! The protected header of a JWS.
//!
//! Comes in: the members a profile lists, and the facts of one signature. Goes out: base64url of JSON text, members in the
//! profile's order, without white space. The text always begins `{"`, so what goes out always begins `eyJ`. Never a member
//! the profile does not list. Serves RFC 7515 §4, ETSI TS 119 182-1 §5.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::PROTECTED_CHARS_MAX;
use super::member::{HeaderSpec, Member, Source};
use crate::algorithm::SignatureScheme;
use crate::certificate::{Certificate, Chain};
use crate::profile::Settings;
use crate::refusal::Refusal;

/// `sigD.mId` of signatures over HTTP headers (ETSI TS 119 182-1 §5.2.8.2).
pub(crate) const HTTP_HEADERS: &str = "http://uri.etsi.org/19182/HttpHeaders";

/// What the members are made of.
pub(crate) struct Facts<'a> {
    pub(crate) scheme: SignatureScheme,
    pub(crate) content_type: Option<&'a str>,
    /// The names of what is signed outside of the body: in `sigD`, or in the head of the payload.
    pub(crate) names: &'a [String],
    pub(crate) chain: Chain<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Timestamp,
}

/// The header as it stands in the JWS.
pub(crate) fn protected(spec: HeaderSpec<'_>, facts: &Facts<'_>) -> Result<String, Refusal> {
    let offset = SignedDuration::from_secs(spec.iat_offset_seconds);
    let signed_at = facts.now.saturating_add(offset).unwrap_or(facts.now);
    let mut text = String::from("{");
    for member in spec.member {
        if !spec.applies(member, signed_at) {
            continue;
        }
        let Some(value) = value(spec, member, facts, signed_at)? else {
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
    let protected = URL_SAFE_NO_PAD.encode(text);
    match protected.len() > PROTECTED_CHARS_MAX {
        true => Err(Refusal::ProtectedHeaderTooLong {
            len: protected.len(),
            max: PROTECTED_CHARS_MAX,
        }),
        false => Ok(protected),
    }
}

/// The text of `kid` (RFC 7515 §4.1.4), when the profile has it.
pub(crate) fn key_id(spec: HeaderSpec<'_>, facts: &Facts<'_>) -> Result<Option<String>, Refusal> {
    let Some(member) = spec.member.iter().find(|member| member.name == "kid") else {
        return Ok(None);
    };
    let value = value(spec, member, facts, facts.now)?;
    Ok(value.and_then(|value| value.as_str().map(str::to_owned)))
}

/// The value of one member; `None` when it is optional and its setting is not set.
fn value(
    spec: HeaderSpec<'_>,
    member: &Member,
    facts: &Facts<'_>,
    signed_at: Timestamp,
) -> Result<Option<Value>, Refusal> {
    if let Some(source) = member.from {
        return derived(spec, member, source, facts, signed_at).map(Some);
    }
    if let Some(key_id) = &member.key_id {
        return match key_id.encode(facts.chain.leaf(), facts.settings) {
            Err(Refusal::SettingMissing { .. }) if member.optional => Ok(None),
            encoded => encoded.map(|id| Some(id.into())),
        };
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
pub(crate) fn literal(member: &Member) -> Option<Value> {
    match member.literal.as_ref()? {
        toml::Value::String(text) => Some(text.as_str().into()),
        toml::Value::Integer(number) => Some((*number).into()),
        toml::Value::Boolean(truth) => Some((*truth).into()),
        _ => None,
    }
}

fn derived(
    spec: HeaderSpec<'_>,
    member: &Member,
    source: Source,
    facts: &Facts<'_>,
    signed_at: Timestamp,
) -> Result<Value, Refusal> {
    Ok(match source {
        Source::Algorithm => facts.scheme.jws_name().into(),
        Source::UnencodedPayload => false.into(),
        Source::IssuedAt => signed_at.as_second().into(),
        Source::IssuedAtText => signed_at.as_second().to_string().into(),
        Source::SigT => sig_t(signed_at).into(),
        Source::SigD => json!({ "pars": facts.names, "mId": HTTP_HEADERS }),
        Source::HeadNames => facts.names.join(",").into(),
        Source::Crit => spec.crit(signed_at).into(),
        Source::X5cLeaf => vec![x5c_entry(facts.chain.leaf())].into(),
        Source::X5cWithoutRoot => x5c_chain(facts.chain, |issuer| !issuer.is_self_issued())?,
        Source::X5cChain => x5c_chain(facts.chain, |_| true)?,
        Source::X5tS256 => x5t_s256(facts.chain.leaf()).into(),
        Source::ContentType => match facts.content_type {
            Some(value) => media_type(value)?.into(),
            None => literal(member).unwrap_or_default(),
        },
    })
}

/// Seconds, no fraction, `Z` (ETSI TS 119 182-1 §5.2.1).
pub(crate) fn sig_t(signed_at: Timestamp) -> String {
    signed_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `x5c` has padded base64, not base64url (RFC 7515 §4.1.6).
pub(crate) fn x5c_entry(certificate: &Certificate) -> String {
    STANDARD.encode(certificate.der())
}

/// The leaf, then the issuers that are wanted. A bank that wants them cannot do without the first.
fn x5c_chain(chain: Chain<'_>, wanted: impl Fn(&Certificate) -> bool) -> Result<Value, Refusal> {
    if !chain.has_issuer() {
        return Err(Refusal::CertificateChainMissing);
    }
    let (leaf, issuers) = (chain.leaf(), chain.all().skip(1));
    let sent = std::iter::once(leaf).chain(issuers.filter(|issuer| wanted(issuer)));
    Ok(sent.map(x5c_entry).collect::<Vec<_>>().into())
}

pub(crate) fn x5t_s256(certificate: &Certificate) -> String {
    certificate.x5t_s256()
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
