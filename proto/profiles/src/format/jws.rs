//! JSON Web Signatures over bodies: compact or detached, `b64` true or false.
//!
//! Comes in: payload bytes, `[..jws]` parameters, certificate, settings, time. Goes out: the signing input, and on the other
//! side a verdict. The protected header is serialised once and signed as serialised; payloads are never re-serialised.
//! Serves RFC 7515, RFC 7797, RFC 7518 §3, and the OBIE read-write profile 3.1.x.

mod header;
mod spec;
mod verify;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::prepared::{Layout, Prepared};
use crate::profile::Settings;
use crate::refusal::Refusal;
use crate::request::Message;

use spec::{EmptyBody, Payload, Serialization};

pub(crate) use spec::JwsSpec;
pub(crate) use verify::{certificate_of, verify, verify_message};

/// What is covered, by name: the protected header, then the payload.
const SIGNED_FIELDS: [&str; 2] = ["jws.protected", "body"];

/// Builds the signing input over the body of a request or response.
pub(crate) fn prepare_message(
    spec: &JwsSpec,
    message: Message<'_>,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    let content_type = message.once("content-type")?;
    if spec.empty_body == EmptyBody::Refuse && message.body.is_empty() {
        return Err(Refusal::NothingToSign);
    }
    let payload = message.body.bytes().ok_or(Refusal::BodyRequired)?;
    prepare(spec, payload, content_type, certificate, settings, now)
}

/// Builds the signing input over a payload.
pub(crate) fn prepare(
    spec: &JwsSpec,
    payload: &[u8],
    content_type: Option<&str>,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    let scheme = spec.scheme(certificate.public_key().key_type())?;
    let facts = header::Facts {
        scheme,
        content_type,
        certificate,
        settings,
        now,
    };
    let protected = URL_SAFE_NO_PAD.encode(header::protected(spec, &facts)?);
    let attached = match spec.serialization {
        Serialization::Compact => URL_SAFE_NO_PAD.encode(payload),
        Serialization::Detached => String::new(),
    };
    let input = signing_input(spec, &protected, payload);
    let layout = Layout::Jws {
        protected,
        payload: attached,
        carrier: spec.carrier.clone(),
    };
    let fields = SIGNED_FIELDS.map(str::to_owned).to_vec();
    let key = certificate.public_key().clone();
    let prepared = Prepared::seal(scheme, input, fields, key, layout)?;
    Ok(prepared.with_key_id(header::key_id(spec, &facts)?))
}

/// `protected . payload`, the payload as `b64` says (RFC 7797 §3).
fn signing_input(spec: &JwsSpec, protected: &str, payload: &[u8]) -> Vec<u8> {
    let mut input = format!("{protected}.").into_bytes();
    match spec.payload {
        Payload::Base64url => input.extend(URL_SAFE_NO_PAD.encode(payload).into_bytes()),
        Payload::Raw => input.extend(payload),
    }
    input
}
