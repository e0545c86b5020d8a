//! The other side of JAdES: was this message signed as the profile says, by this certificate?
//!
//! Comes in: a message with its signature. Goes out: what was proven, or the first difference, found from the outside in:
//! carrier, members, digest, list of lines, and last the signature itself. Never takes a line the profile does not sign.

use serde_json::Value;

use super::{JadesSpec, signed_fields, signing_input};
use crate::certificate::Certificate;
use crate::format::cavage::digest;
use crate::format::cavage::lines::{check_list, lines, signing_string};
use crate::format::jws::check::check_members;
use crate::format::jws::header::HTTP_HEADERS;
use crate::format::jws::member::Source;
use crate::format::jws::received::{Received, carried};
use crate::request::Message;
use crate::verify::{Context, Verified, VerifyError};

/// Verifies a request or response.
pub(crate) fn verify(
    spec: &JadesSpec,
    message: Message<'_>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    let received = Received::compact(carried(&spec.carrier, message)?)?;
    if !received.payload.is_empty() {
        return Err(VerifyError::Payload);
    }
    let key = context.certificate.public_key();
    let scheme = spec.header().scheme(key.key_type())?;
    let issued_at = check_members(spec.header(), &received, scheme, context)?;
    let digest = digest::check(&spec.digest, message)?;
    let rules = spec.line_rules();
    let lines = lines(&rules, message, digest.as_slice(), None)?;
    // Some signers list names as they are spelled in the message; the lines are in lower case all the same.
    check_list(&rules, &pars(&received)?, &lines, str::eq_ignore_ascii_case)?;
    let input = signing_input(&received.protected, signing_string(&rules, &lines));
    key.verify(scheme, &input, &received.signature)?;
    Ok(Verified {
        scheme,
        signed_fields: signed_fields(&lines),
        issued_at,
    })
}

/// The certificate in `x5c`, when the profile sends it.
pub(crate) fn certificate_of(
    spec: &JadesSpec,
    message: Message<'_>,
) -> Result<Option<Certificate>, VerifyError> {
    let mut sources = spec.member.iter().filter_map(|member| member.from);
    match sources.any(Source::is_x5c) {
        true => Received::compact(carried(&spec.carrier, message)?)?
            .leaf()
            .map(Some),
        false => Ok(None),
    }
}

/// The names in `sigD`, which has the mechanism of HTTP headers and says nothing else (§5.2.8.2).
fn pars<'a>(received: &'a Received<'_>) -> Result<Vec<&'a str>, VerifyError> {
    let mismatch = || VerifyError::MemberMismatch {
        name: "sigD".into(),
    };
    let sig_d = received.member("sigD").and_then(Value::as_object);
    let sig_d = sig_d
        .filter(|object| object.len() == 2)
        .ok_or_else(mismatch)?;
    if sig_d.get("mId").and_then(Value::as_str) != Some(HTTP_HEADERS) {
        return Err(mismatch());
    }
    let names = sig_d.get("pars").and_then(Value::as_array);
    let names = names.ok_or_else(mismatch)?.iter().map(Value::as_str);
    names.collect::<Option<_>>().ok_or_else(mismatch)
}
