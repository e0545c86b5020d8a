//! draft-cavage-http-signatures: lines of headers under one signature.
//!
//! Comes in: a message, `[..cavage]` parameters, certificate, settings, time. Goes out: the string to sign, and where the
//! signature goes; on the other side, a verdict. Never signs what the profile does not name. Serves
//! draft-cavage-http-signatures-10 §2 and §4, with what draft-12 added, as Berlin Group 1.3.x §12, STET 1.4 §3.5 and single
//! banks use it.

mod carrier;
pub(crate) mod check;
mod created;
mod date;
pub(crate) mod digest;
pub(crate) mod field;
pub(crate) mod lines;
mod parameters;
pub(crate) mod spec;
mod verify;

use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::prepared::{Layout, Prepared};
use crate::profile::Settings;
use crate::refusal::Refusal;
use crate::request::Message;

use lines::{Set, lines, signing_string};
use spec::EcdsaForm;

pub(crate) use date::DateForm;
pub(crate) use spec::CavageSpec;
pub(crate) use verify::{certificate_of, verify};

/// Builds the string to sign of a request or response.
pub(crate) fn prepare(
    spec: &CavageSpec,
    message: Message<'_>,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    let row = spec.row(certificate.public_key().key_type())?;
    let key_id = spec.key_id.encode(certificate, settings)?;
    // All else in it is printable ASCII by now.
    if key_id.contains('"') {
        return Err(Refusal::KeyIdUnquotable);
    }
    let carried_before = spec.carrier.prefix(message)?;
    let mut set: Vec<Set> = Vec::new();
    if let Some(digest) = &spec.digest {
        set.extend(digest::to_set(digest, message)?);
    }
    set.extend(date::to_set(spec, message, now)?);
    set.extend(authority(spec, message)?);
    let times = spec.created.as_ref().map(|created| created.times(now));
    let rules = spec.line_rules();
    let lines = lines(&rules, message, &set, times)?;
    let names: Vec<String> = lines.iter().map(|line| line.listed.clone()).collect();

    let mut before: Vec<(String, String)> = set
        .into_iter()
        .map(|header| (header.name, header.value))
        .collect();
    if let Some(header) = &spec.certificate {
        before.push(header.to_set(certificate));
    }
    let parameters = parameters::write(spec, &key_id, row.label.as_deref(), &names, times);
    let layout = Layout::Headers {
        before,
        carrier: spec.carrier.header().into(),
        prefix: carried_before + &parameters,
        suffix: "\"".into(),
        der: row.ecdsa == Some(EcdsaForm::Der),
    };
    let string = signing_string(&rules, &lines);
    let key = certificate.public_key().clone();
    let prepared = Prepared::seal(row.scheme, string, names, key, layout)?;
    Ok(prepared.with_key_id(Some(key_id)))
}

/// The header that says the authority, when it is to be set; one that was sent says the same.
fn authority(spec: &CavageSpec, message: Message<'_>) -> Result<Option<Set>, Refusal> {
    let (Some(header), Some(request)) = (&spec.authority_header, message.request) else {
        return Ok(None);
    };
    match message.once(header)? {
        Some(sent) if sent == request.authority() => Ok(None),
        Some(_) => Err(Refusal::HeaderMalformed {
            name: header.to_ascii_lowercase(),
            expected: "the authority of the request",
        }),
        None => Ok(Some(Set {
            name: header.clone(),
            value: request.authority().to_owned(),
        })),
    }
}
