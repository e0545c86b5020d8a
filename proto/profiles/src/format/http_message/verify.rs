//! The other side of RFC 9421: was this message signed as the profile says, by this certificate?
//!
//! Comes in: a message with its signatures. Goes out: what was proven by the one the profile means, or the first
//! difference, found from the outside in: label, components, parameters, key, digest, and last the signature itself. Never
//! trusts `alg` to choose the algorithm: the profile and the certificate's key do. Serves RFC 9421 §3.2.

use jiff::Timestamp;
use sfv::{BareItem, Dictionary, FieldType, InnerList, ListEntry, Parameters};

use super::base::{SignatureParams, signature_base};
use super::component::Component;
use super::digest;
use super::signatures::{SIGNATURE, SIGNATURE_INPUT, Unusable, read};
use super::spec::{HttpMessageSpec, Parameter};
use super::value::Source;
use crate::algorithm::SignatureScheme;
use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::{Context, Verified, VerifyError};

/// The most components a signature may cover.
const COMPONENT_COUNT_MAX: usize = 64;

/// Verifies a request or response.
pub(crate) fn verify(
    spec: &HttpMessageSpec,
    message: Message<'_>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    let carried = carried(spec, message)?;
    let scheme = spec.scheme(context.certificate.public_key().key_type())?;
    let source = Source {
        spec,
        message,
        set: &[],
    };
    let components = components(&carried.list)?;
    check_covered(source, &components)?;
    let issued_at = check_parameters(source, &carried.list.params, scheme, context)?;
    check_fields(source, context)?;
    let params = SignatureParams::new(&components, carried.list.params);
    let base = signature_base(source, &components, &params)?;
    let key = context.certificate.public_key();
    key.verify(scheme, &base, &carried.signature)?;
    Ok(Verified {
        scheme,
        signed_fields: components.iter().map(Component::to_string).collect(),
        issued_at: Some(issued_at),
    })
}

/// The signature the profile means.
struct Carried {
    list: InnerList,
    signature: Vec<u8>,
}

fn carried(spec: &HttpMessageSpec, message: Message<'_>) -> Result<Carried, VerifyError> {
    let missing = |header: &str| VerifyError::SignatureMissing {
        header: header.to_owned(),
    };
    let members = |name| match read(name, message) {
        Ok(Some(members)) => Ok(members),
        Ok(None) => Err(missing(name)),
        Err(Unusable::Malformed) => Err(VerifyError::ParameterMalformed),
        Err(Unusable::Repeated(name)) => Err(VerifyError::ParameterRepeated { name }),
    };
    let (mut inputs, signatures) = (members(SIGNATURE_INPUT)?, members(SIGNATURE)?);
    let label = label(spec, &inputs).ok_or_else(|| missing(SIGNATURE_INPUT))?;
    let signature = signatures.get(label.as_str());
    let signature = match signature.ok_or_else(|| missing(SIGNATURE))? {
        ListEntry::Item(item) => item.bare_item.as_byte_sequence().map(<[u8]>::to_vec),
        ListEntry::InnerList(_) => None,
    };
    match (inputs.swap_remove(label.as_str()), signature) {
        (Some(ListEntry::InnerList(list)), Some(signature)) => Ok(Carried { list, signature }),
        _ => Err(VerifyError::ParameterMalformed),
    }
}

/// Labels are the signer's choice (RFC 9421 §7.2.5): the profile's first, then whatever has the profile's tag, then the
/// only one there is.
fn label(spec: &HttpMessageSpec, inputs: &Dictionary) -> Option<String> {
    if inputs.contains_key(spec.label.as_str()) {
        return Some(spec.label.clone());
    }
    let is_meant = |entry: &ListEntry| match (&spec.tag, entry) {
        (Some(tag), ListEntry::InnerList(list)) => {
            let found = list.params.get(Parameter::Tag.name());
            found
                .and_then(BareItem::as_string)
                .is_some_and(|t| t.as_str() == tag)
        }
        (Some(_), ListEntry::Item(_)) => false,
        (None, _) => true,
    };
    let mut meant = inputs.iter().filter(|(_, entry)| is_meant(entry));
    match (meant.next(), meant.next()) {
        (Some((label, _)), None) => Some(label.as_str().to_owned()),
        _ => None,
    }
}

/// Every covered component is one we can evaluate, and is there once (RFC 9421 §2.5).
fn components(list: &InnerList) -> Result<Vec<Component>, VerifyError> {
    if list.items.len() > COMPONENT_COUNT_MAX {
        return Err(VerifyError::ParameterMalformed);
    }
    let mut components: Vec<Component> = Vec::new();
    for item in &list.items {
        let component = Component::from_item(item).map_err(|_| VerifyError::FieldUnexpected {
            name: item.serialize(),
        })?;
        if components.contains(&component) {
            return Err(VerifyError::ParameterRepeated {
                name: component.to_string(),
            });
        }
        components.push(component);
    }
    Ok(components)
}

/// What the profile demands is covered; the order is the signer's, and so is what is covered beyond.
fn check_covered(source: Source<'_>, components: &[Component]) -> Result<(), VerifyError> {
    for covered in &source.spec.covered {
        let component = &covered.component;
        if components.contains(component) {
            continue;
        }
        if !covered.if_sent || source.value(component)?.is_some() {
            return Err(VerifyError::FieldNotSigned {
                name: component.to_string(),
            });
        }
    }
    Ok(())
}

/// Answers with `created`.
fn check_parameters(
    source: Source<'_>,
    params: &Parameters,
    scheme: SignatureScheme,
    context: Context<'_>,
) -> Result<Timestamp, VerifyError> {
    let spec = source.spec;
    for parameter in &spec.parameters {
        let name = parameter.name();
        if !params.contains_key(name) {
            return Err(VerifyError::ParameterMissing { name });
        }
    }
    let created = seconds(params, Parameter::Created)?.unwrap_or_default();
    let age = context.now.duration_since(created).abs();
    if age.as_secs() > i64::from(spec.age_seconds_max) {
        return Err(VerifyError::Stale {
            name: Parameter::Created.name().to_owned(),
            skew_seconds_max: spec.age_seconds_max,
        });
    }
    match seconds(params, Parameter::Expires)? {
        Some(expires) if expires <= created => return Err(VerifyError::ParameterMalformed),
        Some(expires) if expires <= context.now => return Err(VerifyError::Expired),
        _ => {}
    }
    check_names(source, params, scheme, context)?;
    Ok(created)
}

/// `alg`, `keyid`, `tag` and `nonce`, as far as there is something to compare with.
fn check_names(
    source: Source<'_>,
    params: &Parameters,
    scheme: SignatureScheme,
    context: Context<'_>,
) -> Result<(), VerifyError> {
    let spec = source.spec;
    let registered = scheme.http_message_name();
    if let Some(alg) = string(params, Parameter::Alg)?
        && Some(alg) != registered
    {
        let expected = registered
            .unwrap_or("not named (RFC 9421 §3.3.7)")
            .to_owned();
        return Err(VerifyError::AlgorithmLabel { expected });
    }
    if let (Some(key_id), Some(found)) = (&spec.key_id, string(params, Parameter::Keyid)?) {
        match key_id.encode(context.certificate, context.settings) {
            Ok(expected) if expected == found => {}
            Ok(_) => return Err(VerifyError::KeyId),
            // Nothing to compare with: the certificate tells who signed.
            Err(Refusal::SettingMissing { .. }) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let tag = string(params, Parameter::Tag)?;
    if spec.tag.is_some() && tag != spec.tag.as_deref() {
        return Err(mismatch(Parameter::Tag.name()));
    }
    let nonce = string(params, Parameter::Nonce)?;
    let sent = match &spec.nonce_from {
        Some(name) => source.message.once(name)?,
        None => None,
    };
    match sent {
        Some(_) if sent != nonce => Err(mismatch(Parameter::Nonce.name())),
        _ => Ok(()),
    }
}

/// The digest is the body's, and what the settings say is what came.
fn check_fields(source: Source<'_>, context: Context<'_>) -> Result<(), VerifyError> {
    if let Some(field) = &source.spec.digest {
        digest::check(field, source.message)?;
    }
    for field in &source.spec.set {
        let found = source.message.once(&field.header)?;
        match context.settings.get(&field.setting) {
            Some(_) if context.settings.get(&field.setting) != found => {
                return Err(mismatch(&field.header.to_ascii_lowercase()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn seconds(params: &Parameters, parameter: Parameter) -> Result<Option<Timestamp>, VerifyError> {
    let Some(value) = params.get(parameter.name()) else {
        return Ok(None);
    };
    let seconds = value.as_integer().ok_or(VerifyError::ParameterMalformed)?;
    Timestamp::from_second(seconds.into())
        .map(Some)
        .map_err(|_| VerifyError::ParameterMalformed)
}

fn string(params: &Parameters, parameter: Parameter) -> Result<Option<&str>, VerifyError> {
    match params.get(parameter.name()) {
        None => Ok(None),
        Some(value) => match value.as_string() {
            Some(text) => Ok(Some(text.as_str())),
            None => Err(VerifyError::ParameterMalformed),
        },
    }
}

fn mismatch(name: &str) -> VerifyError {
    VerifyError::ParameterMismatch {
        name: name.to_owned(),
    }
}
