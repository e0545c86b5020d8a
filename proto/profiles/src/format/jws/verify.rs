//! The other side of a JWS: was this payload signed as the profile says, by this certificate?
//!
//! Comes in: a JWS from outside and the payload. Goes out: what was proven, or the first difference. The algorithm is the
//! profile's for the certificate's key, never the header's word for it (RFC 8725 §3.1).

use super::check::check_members;
use super::member::Source;
use super::received::{Received, carried, decode};
use super::spec::{JwsSpec, Serialization};
use super::{signed_fields, signing_input};
use crate::certificate::Certificate;
use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::{Context, Verified, VerifyError};

/// Verifies the JWS in the profile's carrier over the body of a message.
pub(crate) fn verify_message(
    spec: &JwsSpec,
    message: Message<'_>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    let carrier = carrier(spec)?;
    let jws = carried(carrier, message)?;
    if let Some(header) = &spec.certificate
        && header.carried(message)? != *context.certificate
    {
        return Err(VerifyError::CertificateMismatch);
    }
    let received = Received::compact(jws)?;
    let verified = header(spec, &received, context)?;
    let (Some(head), Some(name)) = (&spec.head, spec.head_names()) else {
        let body = message.body.bytes().ok_or(Refusal::BodyRequired)?;
        return signature(spec, &received, Some(body), context).map(|()| verified);
    };
    let headed = head.payload_received(carrier, message, &received, name)?;
    signature(spec, &received, Some(&headed.payload), context)?;
    Ok(Verified {
        signed_fields: headed.signed_fields(),
        ..verified
    })
}

/// Verifies a JWS; `payload` is the detached payload, or one that an attached payload has to equal.
pub(crate) fn verify(
    spec: &JwsSpec,
    jws: &str,
    payload: Option<&[u8]>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    if spec.head.is_some() {
        let what = "payloads, only requests";
        return Err(Refusal::FormatNotAllowed { what }.into());
    }
    let received = match spec.serialization {
        Serialization::Compact | Serialization::Detached => Received::compact(jws)?,
        Serialization::FlattenedJson => Received::flattened(jws)?,
    };
    let verified = header(spec, &received, context)?;
    signature(spec, &received, payload, context).map(|()| verified)
}

/// Checks the protected header; answers with what will be proven by the signature.
fn header(
    spec: &JwsSpec,
    received: &Received<'_>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    let header = spec.header();
    let scheme = header.scheme(context.certificate.public_key().key_type())?;
    Ok(Verified {
        scheme,
        signed_fields: signed_fields(),
        issued_at: check_members(header, received, scheme, context)?,
    })
}

/// Finds the payload where the profile has it, and checks the signature over it.
fn signature(
    spec: &JwsSpec,
    received: &Received<'_>,
    payload: Option<&[u8]>,
    context: Context<'_>,
) -> Result<(), VerifyError> {
    let payload = match (spec.serialization, payload) {
        (Serialization::Detached, Some(payload)) if received.payload.is_empty() => payload.to_vec(),
        (Serialization::Detached, _) => return Err(VerifyError::Payload),
        (Serialization::Compact | Serialization::FlattenedJson, given) => {
            let inside = decode(&received.payload)?;
            if given.is_some_and(|given| given != inside) {
                return Err(VerifyError::Payload);
            }
            inside
        }
    };
    let key = context.certificate.public_key();
    let scheme = spec.header().scheme(key.key_type())?;
    let input = signing_input(spec, &received.protected, &payload);
    Ok(key.verify(scheme, &input, &received.signature)?)
}

/// The certificate in its header or in `x5c`, when the profile sends it.
pub(crate) fn certificate_of(
    spec: &JwsSpec,
    message: Message<'_>,
) -> Result<Option<Certificate>, VerifyError> {
    if let Some(header) = &spec.certificate {
        return header.carried(message).map(Some);
    }
    let mut sources = spec.member.iter().filter_map(|member| member.from);
    match sources.any(Source::is_x5c) {
        true => Received::compact(carried(carrier(spec)?, message)?)?
            .leaf()
            .map(Some),
        false => Ok(None),
    }
}

fn carrier(spec: &JwsSpec) -> Result<&str, Refusal> {
    spec.carrier.as_deref().ok_or(Refusal::FormatNotAllowed {
        what: "messages, only payloads",
    })
}
