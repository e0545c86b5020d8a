//! The other side of a JWS: was this payload signed as the profile says, by this certificate?
//!
//! Comes in: a JWS from outside and the payload. Goes out: what was proven, or the first difference. The algorithm is the
//! profile's for the certificate's key, never the header's word for it (RFC 8725 §3.1); no member the profile does not list
//! is understood (RFC 7515 §4.1.11).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::header::{literal, x5c, x5t_s256};
use super::spec::{JwsSpec, Member, Serialization, Source};
use super::{SIGNED_FIELDS, signing_input};
use crate::algorithm::SignatureScheme;
use crate::certificate::Certificate;
use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::{Context, Verified, VerifyError};

/// The longest protected header read, in characters of base64url.
const PROTECTED_CHARS_MAX: usize = 8 * 1024;
/// The most members read.
const MEMBER_COUNT_MAX: usize = 32;

/// Verifies the JWS in the profile's carrier over the body of a message.
pub(crate) fn verify_message(
    spec: &JwsSpec,
    message: Message<'_>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    let jws = carried(spec, message)?;
    let body = message.body.bytes().ok_or(Refusal::BodyRequired)?;
    verify(spec, jws, Some(body), context)
}

/// Verifies a JWS; `payload` is the detached payload, or one that an attached payload has to equal.
pub(crate) fn verify(
    spec: &JwsSpec,
    jws: &str,
    payload: Option<&[u8]>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    let (protected, attached, signature) = parts(jws)?;
    let members = members(protected)?;
    let scheme = spec.scheme(context.certificate.public_key().key_type())?;
    let issued_at = check_members(spec, &members, scheme, context)?;
    let payload = match (spec.serialization, payload) {
        (Serialization::Detached, Some(payload)) if attached.is_empty() => payload.to_vec(),
        (Serialization::Detached, _) => return Err(VerifyError::Payload),
        (Serialization::Compact, given) => {
            let inside = decode(attached)?;
            if given.is_some_and(|given| given != inside) {
                return Err(VerifyError::Payload);
            }
            inside
        }
    };
    let input = signing_input(spec, protected, &payload);
    context
        .certificate
        .public_key()
        .verify(scheme, &input, &decode(signature)?)?;
    let signed_fields = SIGNED_FIELDS.map(str::to_owned).to_vec();
    Ok(Verified {
        scheme,
        signed_fields,
        issued_at,
    })
}

/// The certificate in `x5c`, when the profile sends it.
pub(crate) fn certificate_of(
    spec: &JwsSpec,
    message: Message<'_>,
) -> Result<Option<Certificate>, VerifyError> {
    if !spec.has(Source::X5cLeaf) {
        return Ok(None);
    }
    let (protected, _, _) = parts(carried(spec, message)?)?;
    let members = members(protected)?;
    let x5c = members
        .iter()
        .find(|(name, _)| name == "x5c")
        .and_then(|(_, value)| value.get(0));
    let Some(leaf) = x5c.and_then(Value::as_str) else {
        return Err(VerifyError::MemberMissing { name: "x5c".into() });
    };
    let der = STANDARD
        .decode(leaf)
        .map_err(|_| VerifyError::CertificateMalformed)?;
    Certificate::from_der(&der)
        .map(Some)
        .map_err(|_| VerifyError::CertificateMalformed)
}

fn carried<'a>(spec: &JwsSpec, message: Message<'a>) -> Result<&'a str, VerifyError> {
    let Some(carrier) = &spec.carrier else {
        return Err(Refusal::FormatNotAllowed {
            what: "messages, only payloads",
        }
        .into());
    };
    message
        .once(carrier)?
        .ok_or_else(|| VerifyError::SignatureMissing {
            header: carrier.clone(),
        })
}

fn parts(jws: &str) -> Result<(&str, &str, &str), VerifyError> {
    let mut parts = jws.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(protected), Some(payload), Some(signature), None)
            if protected.len() <= PROTECTED_CHARS_MAX =>
        {
            Ok((protected, payload, signature))
        }
        _ => Err(VerifyError::ParameterMalformed),
    }
}

/// Base64url without padding, canonical (RFC 7515 §2).
fn decode(text: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| VerifyError::ParameterMalformed)
}

fn members(protected: &str) -> Result<Vec<(String, Value)>, VerifyError> {
    let json = decode(protected)?;
    let Members(members) =
        serde_json::from_slice(&json).map_err(|_| VerifyError::ParameterMalformed)?;
    for (index, (name, _)) in members.iter().enumerate() {
        if members
            .iter()
            .take(index)
            .any(|(earlier, _)| earlier == name)
        {
            return Err(VerifyError::ParameterRepeated { name: name.clone() });
        }
    }
    Ok(members)
}

/// Every member is the profile's and as it says; answers with `iat`.
fn check_members(
    spec: &JwsSpec,
    members: &[(String, Value)],
    scheme: SignatureScheme,
    context: Context<'_>,
) -> Result<Option<Timestamp>, VerifyError> {
    for member in &spec.member {
        if !member.optional && !members.iter().any(|(name, _)| *name == member.name) {
            return Err(VerifyError::MemberMissing {
                name: member.name.clone(),
            });
        }
    }
    let mut issued_at = None;
    for (name, value) in members {
        let Some(member) = spec.member.iter().find(|member| member.name == *name) else {
            return Err(VerifyError::MemberUnexpected { name: name.clone() });
        };
        match member.from {
            Some(Source::Algorithm) if value.as_str() != Some(scheme.jws_name()) => {
                return Err(VerifyError::AlgorithmLabel {
                    expected: scheme.jws_name().into(),
                });
            }
            Some(Source::IssuedAt) => issued_at = Some(check_iat(spec, member, value, context)?),
            _ if fits(spec, member, value, context)? => {}
            _ => return Err(VerifyError::MemberMismatch { name: name.clone() }),
        }
    }
    Ok(issued_at)
}

/// Whether a member other than `iat` has the value the profile or the settings give it.
fn fits(
    spec: &JwsSpec,
    member: &Member,
    value: &Value,
    context: Context<'_>,
) -> Result<bool, VerifyError> {
    let text = value.as_str();
    if let Some(key_id) = &member.key_id {
        return match key_id.encode(context.certificate, context.settings) {
            Ok(expected) => Ok(text == Some(&expected)),
            Err(Refusal::SettingMissing { .. }) => Ok(text.is_some()),
            Err(refusal) => Err(refusal.into()),
        };
    }
    if let Some(name) = &member.setting {
        let expected = context.settings.get(name);
        return Ok(text.is_some() && (expected.is_none() || expected == text));
    }
    Ok(match member.from {
        None => literal(member).as_ref() == Some(value),
        Some(Source::UnencodedPayload) => *value == Value::Bool(false),
        Some(Source::X5cLeaf) => {
            value.get(0).and_then(Value::as_str) == Some(&x5c(context.certificate))
        }
        Some(Source::X5tS256) => text == Some(&x5t_s256(context.certificate)),
        Some(Source::Crit) => is_crit(&spec.crit, value),
        // `alg` and `iat` were compared before; any media type may be signed.
        Some(Source::ContentType | Source::Algorithm | Source::IssuedAt) => {
            text.is_some() || value.is_number()
        }
    })
}

/// The same names, in any order: RFC 7515 §4.1.11 gives the order no meaning.
fn is_crit(expected: &[String], value: &Value) -> bool {
    let Some(found) = value.as_array() else {
        return false;
    };
    found.len() == expected.len()
        && expected
            .iter()
            .all(|name| found.iter().any(|entry| entry.as_str() == Some(name)))
}

/// Whole or broken seconds (banks send both), not in the future.
fn check_iat(
    spec: &JwsSpec,
    member: &Member,
    value: &Value,
    context: Context<'_>,
) -> Result<Timestamp, VerifyError> {
    let mismatch = || VerifyError::MemberMismatch {
        name: member.name.clone(),
    };
    let seconds = match (value.as_i64(), value.as_f64()) {
        (Some(seconds), _) => seconds,
        #[allow(clippy::cast_possible_truncation)] // The fraction does not matter; `as` saturates.
        (None, Some(seconds)) => seconds.floor() as i64,
        _ => return Err(mismatch()),
    };
    let issued_at = Timestamp::from_second(seconds).map_err(|_| mismatch())?;
    let skew_seconds_max = spec.iat_skew_seconds_max;
    if issued_at.duration_since(context.now).as_secs() > i64::from(skew_seconds_max) {
        return Err(VerifyError::Stale {
            name: member.name.clone(),
            skew_seconds_max,
        });
    }
    Ok(issued_at)
}

/// The members of a JSON object in order, doubles kept so that they can be refused.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            if members.len() == MEMBER_COUNT_MAX {
                return Err(serde::de::Error::custom("too many members"));
            }
            members.push(member);
        }
        Ok(Members(members))
    }
}
