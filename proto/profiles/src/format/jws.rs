//! JSON Web Signatures over bodies: compact, detached or flattened JSON, `b64` true or false.
//!
//! Comes in: payload bytes, `[..jws]` parameters, certificates, settings, time. Goes out: the signing input, and on the other
//! side a verdict. The protected header is serialised once and signed as serialised; payloads are never re-serialised, and
//! none is signed that another could take for the claims of a JWT. Serves RFC 7515, RFC 7797, RFC 7518 §3, and the OBIE
//! read-write profile 3.1.x.

pub(crate) mod check;
mod claims;
mod head;
pub(crate) mod header;
pub(crate) mod member;
pub(crate) mod received;
mod spec;
mod verify;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::algorithm::SignatureScheme;
use crate::certificate::Chain;
use crate::prepared::{JwsForm, Layout, Prepared};
use crate::profile::Settings;
use crate::refusal::Refusal;
use crate::request::Message;

use header::Facts;
use spec::{EmptyBody, Payload, Serialization};

pub(crate) use spec::JwsSpec;
pub(crate) use verify::{certificate_of, verify, verify_message};

/// The longest protected header made or read, in characters of base64url: header lines of this length reach every bank.
pub(crate) const PROTECTED_CHARS_MAX: usize = 8 * 1024;

/// Builds the signing input over the body of a request or response.
pub(crate) fn prepare_message(
    spec: &JwsSpec,
    message: Message<'_>,
    chain: Chain<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    if spec.empty_body == EmptyBody::Refuse && message.body.is_empty() {
        return Err(Refusal::NothingToSign);
    }
    let facts = Facts {
        scheme: scheme(spec, chain)?,
        content_type: message.once("content-type")?,
        names: &[],
        chain,
        settings,
        now,
    };
    let (Some(head), Some(carrier)) = (&spec.head, &spec.carrier) else {
        let payload = message.body.bytes().ok_or(Refusal::BodyRequired)?;
        return seal(spec, payload, &facts, signed_fields());
    };
    let headed = head.payload(carrier, message)?;
    let facts = Facts {
        names: &headed.names,
        ..facts
    };
    seal(spec, &headed.payload, &facts, headed.signed_fields())
}

/// Builds the signing input over a payload.
pub(crate) fn prepare(
    spec: &JwsSpec,
    payload: &[u8],
    chain: Chain<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    if spec.head.is_some() {
        return Err(Refusal::FormatNotAllowed {
            what: "payloads, only requests",
        });
    }
    let facts = Facts {
        scheme: scheme(spec, chain)?,
        content_type: None,
        names: &[],
        chain,
        settings,
        now,
    };
    seal(spec, payload, &facts, signed_fields())
}

fn scheme(spec: &JwsSpec, chain: Chain<'_>) -> Result<SignatureScheme, Refusal> {
    let key = chain.leaf().public_key().key_type();
    spec.header().scheme(key)
}

fn seal(
    spec: &JwsSpec,
    payload: &[u8],
    facts: &Facts<'_>,
    signed_fields: Vec<String>,
) -> Result<Prepared, Refusal> {
    claims::refuse(spec.payload, payload)?;
    let protected = header::protected(spec.header(), facts)?;
    let input = signing_input(spec, &protected, payload);
    let (form, payload) = match spec.serialization {
        Serialization::Compact => (JwsForm::Compact, URL_SAFE_NO_PAD.encode(payload)),
        Serialization::Detached => (JwsForm::Compact, String::new()),
        Serialization::FlattenedJson => (JwsForm::FlattenedJson, URL_SAFE_NO_PAD.encode(payload)),
    };
    let leaf = facts.chain.leaf();
    let layout = Layout::Jws {
        before: spec.certificate.iter().map(|h| h.to_set(leaf)).collect(),
        form,
        protected,
        payload,
        carrier: spec.carrier.clone(),
    };
    let key = leaf.public_key().clone();
    let prepared = Prepared::seal(facts.scheme, input, signed_fields, key, layout)?;
    Ok(prepared.with_key_id(header::key_id(spec.header(), facts)?))
}

/// What is covered, by name: the protected header, then the payload.
fn signed_fields() -> Vec<String> {
    ["jws.protected", "body"].map(str::to_owned).to_vec()
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
