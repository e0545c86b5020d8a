//! JAdES signatures over HTTP headers: the lines of draft-cavage under a JWS.
//!
//! Comes in: a message, `[..jades]` parameters, certificates, settings, time. Goes out: the signing input, and on the other
//! side a verdict. The body is covered by the digest header, which is always among the lines. Serves ETSI TS 119 182-1
//! §5.2.8.2, as the Open Banking Europe JWS profile, STET from 1.6, ING and others use it.

mod spec;
mod verify;

use jiff::Timestamp;

use super::cavage::digest;
use super::cavage::lines::{Line, lines, signing_string};
use super::jws::header::{Facts, key_id, protected};
use crate::certificate::Chain;
use crate::prepared::{JwsForm, Layout, Prepared};
use crate::profile::Settings;
use crate::refusal::Refusal;
use crate::request::Message;

pub(crate) use spec::JadesSpec;
pub(crate) use verify::{certificate_of, verify};

/// Builds the signing input of a request or response.
pub(crate) fn prepare(
    spec: &JadesSpec,
    message: Message<'_>,
    chain: Chain<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    let key = chain.leaf().public_key();
    let scheme = spec.header().scheme(key.key_type())?;
    let digest = digest::to_set(&spec.digest, message)?;
    let rules = spec.line_rules();
    let lines = lines(&rules, message, digest.as_slice(), None)?;
    let names: Vec<String> = lines.iter().map(|line| line.listed.clone()).collect();
    let facts = Facts {
        scheme,
        content_type: None,
        names: &names,
        chain,
        settings,
        now,
    };
    let protected = protected(spec.header(), &facts)?;
    let input = signing_input(&protected, signing_string(&rules, &lines));
    let layout = Layout::Jws {
        before: digest
            .into_iter()
            .map(|set| (set.name, set.value))
            .collect(),
        form: JwsForm::Compact,
        protected,
        payload: String::new(),
        carrier: Some(spec.carrier.clone()),
    };
    let prepared = Prepared::seal(scheme, input, signed_fields(&lines), key.clone(), layout)?;
    Ok(prepared.with_key_id(key_id(spec.header(), &facts)?))
}

/// `protected . lines`, the lines unencoded (RFC 7797 §3).
fn signing_input(protected: &str, mut lines: Vec<u8>) -> Vec<u8> {
    let mut input = format!("{protected}.").into_bytes();
    input.append(&mut lines);
    input
}

/// What is covered, by name: the protected header, then each line.
fn signed_fields(lines: &[Line]) -> Vec<String> {
    let names = lines.iter().map(|line| line.listed.clone());
    std::iter::once("jws.protected".to_owned())
        .chain(names)
        .collect()
}
