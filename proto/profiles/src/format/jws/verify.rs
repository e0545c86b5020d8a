//! The other side of a JWS: was this payload signed as the profile says, by this certificate?
//!
//! Comes in: a JWS from outside and the payload. Goes out: what was proven, or the first difference. The algorithm is the
//! profile's for the certificate's key, never the header's word for it (RFC 8725 §3.1).

use super::check::check_members;
use super::member::Source;
use super::received::{Received, carried, decode};
use super::spec::{JwsSpec, Serialization};
use super::{SIGNED_FIELDS, signing_input};
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
    let jws = carried(carrier(spec)?, message)?;
    if let Some(header) = &spec.certificate
        && header.carried(message)? != *context.certificate
    {
        return Err(VerifyError::CertificateMismatch);
    }
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
    let received = match spec.serialization {
        Serialization::Compact | Serialization::Detached => Received::compact(jws)?,
        Serialization::FlattenedJson => Received::flattened(jws)?,
    };
    let header = spec.header();
    let scheme = header.scheme(context.certificate.public_key().key_type())?;
    let issued_at = check_members(header, &received, scheme, context)?;
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
    let input = signing_input(spec, &received.protected, &payload);
    let key = context.certificate.public_key();
    key.verify(scheme, &input, &received.signature)?;
    Ok(Verified {
        scheme,
        signed_fields: SIGNED_FIELDS.map(str::to_owned).to_vec(),
        issued_at,
    })
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
