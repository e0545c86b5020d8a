//! HTTP message signatures: covered components under one signature.
//!
//! Comes in: a message, `[..http_message]` parameters, certificate, settings, time. Goes out: the signature base, and the
//! fields that carry the signature, beside signatures of others that are there already; on the other side, a verdict.
//! Never signs what the profile does not name. Serves RFC 9421 (HTTP Message Signatures) and RFC 9530 (Digest Fields).

mod base;
mod check;
mod component;
mod digest;
mod signatures;
mod spec;
mod value;
mod verify;

use jiff::Timestamp;
use sfv::{BareItem, KeyRef, Parameters};

use crate::algorithm::SignatureScheme;
use crate::certificate::Certificate;
use crate::prepared::{Layout, Prepared};
use crate::profile::Settings;
use crate::refusal::Refusal;
use crate::request::Message;

use base::{SignatureParams, signature_base};
use component::Component;
use signatures::{SIGNATURE, SIGNATURE_INPUT, before_ours};
use spec::Parameter;
use value::{SetField, Source};

pub(crate) use spec::HttpMessageSpec;
pub(crate) use verify::verify;

/// Builds the signature base of a request or response.
pub(crate) fn prepare(
    spec: &HttpMessageSpec,
    message: Message<'_>,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    let scheme = spec.scheme(certificate.public_key().key_type())?;
    let set = fields_to_set(spec, message, settings)?;
    let source = Source {
        spec,
        message,
        set: &set,
    };
    let components = covered(source)?;
    let parameters = parameters(source, scheme, certificate, settings, now)?;
    let params = SignatureParams::new(&components, parameters);
    let base = signature_base(source, &components, &params)?;

    let label = &spec.label;
    let inputs = before_ours(SIGNATURE_INPUT, message, label)?;
    let signatures = before_ours(SIGNATURE, message, label)?;
    let mut before: Vec<(String, String)> = set
        .into_iter()
        .map(|field| (field.name, field.value))
        .collect();
    let input = format!("{inputs}{label}={}", params.as_str());
    before.push((SIGNATURE_INPUT.into(), input));
    let layout = Layout::Headers {
        before,
        carrier: SIGNATURE.into(),
        prefix: format!("{signatures}{label}=:"),
        suffix: ":".into(),
        der: false,
    };
    let names = components.iter().map(Component::to_string).collect();
    let key = certificate.public_key().clone();
    let key_id = spec.key_id.as_ref();
    let key_id = key_id.map(|key_id| key_id.encode(certificate, settings));
    Ok(Prepared::seal(scheme, base, names, key, layout)?.with_key_id(key_id.transpose()?))
}

/// The digest of the body, and what the settings say.
fn fields_to_set(
    spec: &HttpMessageSpec,
    message: Message<'_>,
    settings: &Settings,
) -> Result<Vec<SetField>, Refusal> {
    let mut set = Vec::new();
    if let Some(field) = &spec.digest {
        set.extend(digest::to_set(field, message)?);
    }
    for field in &spec.set {
        let value = settings.require(&field.setting)?;
        if message
            .once(&field.header)?
            .is_some_and(|sent| sent != value)
        {
            return Err(Refusal::HeaderReserved {
                name: field.header.to_ascii_lowercase(),
            });
        }
        set.push(SetField {
            name: field.header.clone(),
            value: value.to_owned(),
        });
    }
    Ok(set)
}

/// What is covered in this message: entries with `?` only when it has them.
fn covered(source: Source<'_>) -> Result<Vec<Component>, Refusal> {
    let mut components = Vec::new();
    for covered in &source.spec.covered {
        if !covered.if_sent || source.value(&covered.component)?.is_some() {
            components.push(covered.component.clone());
        }
    }
    match components.is_empty() {
        true => Err(Refusal::NothingToSign),
        false => Ok(components),
    }
}

/// The signature parameters in the profile's order (RFC 9421 §2.3).
fn parameters(
    source: Source<'_>,
    scheme: SignatureScheme,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Parameters, Refusal> {
    let spec = source.spec;
    let mut parameters = Parameters::new();
    for parameter in &spec.parameters {
        let value = match parameter {
            Parameter::Created => Some(time(now.as_second())),
            Parameter::Expires => {
                let lifetime = i64::from(spec.lifetime_seconds.unwrap_or_default());
                Some(time(now.as_second().saturating_add(lifetime)))
            }
            Parameter::Nonce => Some(text(&nonce(spec, source.message)?)?),
            Parameter::Alg => scheme.http_message_name().map(text).transpose()?,
            Parameter::Keyid => match &spec.key_id {
                Some(key_id) => Some(text(&key_id.encode(certificate, settings)?)?),
                None => None,
            },
            Parameter::Tag => spec.tag.as_deref().map(text).transpose()?,
        };
        if let (Some(value), Ok(name)) = (value, KeyRef::from_str(parameter.name())) {
            parameters.insert(name.to_owned(), value);
        }
    }
    Ok(parameters)
}

fn time(seconds: i64) -> BareItem {
    // Cannot fail: a `Timestamp` ends with the year 9999 and a lifetime with 2^32 seconds; 15 digits hold both.
    BareItem::Integer(sfv::Integer::try_from(seconds).unwrap_or_default())
}

/// A string, escaped where it is written. Key ids, tags and header values are printable ASCII by now, so none is refused.
fn text(value: &str) -> Result<BareItem, Refusal> {
    sfv::String::from_string(value.to_owned())
        .map(BareItem::String)
        .map_err(|_| Refusal::KeyIdUnquotable)
}

/// The value of the header that the caller makes unique.
fn nonce(spec: &HttpMessageSpec, message: Message<'_>) -> Result<String, Refusal> {
    let name = spec.nonce_from.as_deref().unwrap_or_default();
    match message.once(name)? {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(Refusal::HeaderMissing {
            name: name.to_owned(),
        }),
    }
}
