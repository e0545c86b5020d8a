//! Whether the protected header of a JWS is the profile's.
//!
//! Comes in: the members as they came. Goes out: when it says it was signed, or the first member that differs. No member the
//! profile does not list is understood (RFC 7515 §4.1.11); settings that are not set are not compared.

use jiff::Timestamp;
use serde_json::Value;

use super::header::{literal, sig_t, x5c_entry, x5t_s256};
use super::member::{HeaderSpec, Member, Source};
use super::received::{Received, certificate};
use crate::algorithm::SignatureScheme;
use crate::certificate::Certificate;
use crate::refusal::Refusal;
use crate::verify::{Context, VerifyError};

/// The most certificates read from `x5c`.
const X5C_COUNT_MAX: usize = 8;

/// Every member is the profile's and as it says, but those that list what is signed; answers with the time of signing.
pub(crate) fn check_members(
    spec: HeaderSpec<'_>,
    received: &Received<'_>,
    scheme: SignatureScheme,
    context: Context<'_>,
) -> Result<Option<Timestamp>, VerifyError> {
    let signed_at = signed_at(spec, received)?;
    let applies = |member: &Member| spec.applies(member, signed_at.unwrap_or(context.now));
    for member in spec.member.iter().filter(|member| applies(member)) {
        if !member.optional && received.member(&member.name).is_none() {
            return Err(VerifyError::MemberMissing {
                name: member.name.clone(),
            });
        }
    }
    for (name, value) in &received.members {
        let mut members = spec.member.iter();
        let Some(member) = members.find(|member| member.name == *name && applies(member)) else {
            return Err(VerifyError::MemberUnexpected { name: name.clone() });
        };
        match member.from {
            Some(Source::Algorithm) if value.as_str() != Some(scheme.jws_name()) => {
                return Err(VerifyError::AlgorithmLabel {
                    expected: scheme.jws_name().into(),
                });
            }
            Some(Source::Crit) if is_crit(&spec.crit(signed_at.unwrap_or(context.now)), value) => {}
            _ if fits(member, value, context)? => {}
            _ => return Err(VerifyError::MemberMismatch { name: name.clone() }),
        }
        if member.from.is_some_and(Source::is_time)
            && let Some(signed_at) = signed_at
        {
            check_age(spec, name, signed_at, context.now)?;
        }
    }
    Ok(signed_at)
}

/// Whether a member has the value the profile or the settings give it.
fn fits(member: &Member, value: &Value, context: Context<'_>) -> Result<bool, VerifyError> {
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
    let Some(source) = member.from else {
        return Ok(literal(member).as_ref() == Some(value));
    };
    Ok(match source {
        Source::UnencodedPayload => *value == Value::Bool(false),
        Source::X5cLeaf => is_x5c(value, 1, context.certificate)?,
        Source::X5cWithoutRoot | Source::X5cChain => {
            is_x5c(value, X5C_COUNT_MAX, context.certificate)?
        }
        // Some signers pad it, which RFC 7515 §2 forbids and which changes nothing.
        Source::X5tS256 => {
            text.map(|text| text.trim_end_matches('=')) == Some(&x5t_s256(context.certificate))
        }
        // Any media type may be signed.
        Source::ContentType => text.is_some(),
        Source::Crit => false,
        // Compared elsewhere: the algorithm and the times before, the names with the lines.
        Source::Algorithm
        | Source::IssuedAt
        | Source::IssuedAtText
        | Source::SigT
        | Source::SigD
        | Source::HeadNames => true,
    })
}

/// Leaf first, each of the others the issuer of the one before it (RFC 7515 §4.1.6).
fn is_x5c(value: &Value, count_max: usize, leaf: &Certificate) -> Result<bool, VerifyError> {
    let Some(entries) = value.as_array().filter(|list| list.len() <= count_max) else {
        return Ok(false);
    };
    if entries.first().and_then(Value::as_str) != Some(&x5c_entry(leaf)) {
        return Ok(false);
    }
    let mut below = leaf.clone();
    for entry in entries.iter().skip(1) {
        let issuer = certificate(entry)?;
        if below.verify_issued_by(&issuer).is_err() {
            return Ok(false);
        }
        below = issuer;
    }
    Ok(true)
}

/// The same names, in any order: RFC 7515 §4.1.11 gives the order no meaning.
fn is_crit(expected: &[&str], value: &Value) -> bool {
    let Some(found) = value.as_array() else {
        return false;
    };
    found.len() == expected.len()
        && expected
            .iter()
            .all(|name| found.iter().any(|entry| entry.as_str() == Some(name)))
}

/// The time in the first member that says one.
fn signed_at(
    spec: HeaderSpec<'_>,
    received: &Received<'_>,
) -> Result<Option<Timestamp>, VerifyError> {
    for member in spec.member {
        let Some(source) = member.from.filter(|source| source.is_time()) else {
            continue;
        };
        if let Some(value) = received.member(&member.name) {
            let read = read_time(source, value);
            return read.map(Some).ok_or_else(|| VerifyError::MemberMismatch {
                name: member.name.clone(),
            });
        }
    }
    Ok(None)
}

fn read_time(source: Source, value: &Value) -> Option<Timestamp> {
    let seconds = match source {
        Source::SigT => {
            let signed_at: Timestamp = value.as_str()?.parse().ok()?;
            return (sig_t(signed_at) == value.as_str()?).then_some(signed_at);
        }
        Source::IssuedAtText => value.as_str()?.parse().ok()?,
        _ => match (value.as_i64(), value.as_f64()) {
            (Some(seconds), _) => seconds,
            // Banks send broken seconds too.
            #[allow(clippy::cast_possible_truncation)]
            // The fraction does not matter; `as` saturates.
            (None, Some(seconds)) => seconds.floor() as i64,
            _ => return None,
        },
    };
    Timestamp::from_second(seconds).ok()
}

/// Not in the future, and not too old where the profile says how old.
fn check_age(
    spec: HeaderSpec<'_>,
    name: &str,
    signed_at: Timestamp,
    now: Timestamp,
) -> Result<(), VerifyError> {
    let stale = |skew_seconds_max| {
        Err(VerifyError::Stale {
            name: name.to_owned(),
            skew_seconds_max,
        })
    };
    let age_seconds = now.duration_since(signed_at).as_secs();
    if -age_seconds > i64::from(spec.iat_skew_seconds_max) {
        return stale(spec.iat_skew_seconds_max);
    }
    match spec.iat_age_seconds_max {
        Some(max) if age_seconds > i64::from(max) => stale(max),
        _ => Ok(()),
    }
}
