//! What its sender should have made of a message.
//!
//! In: a message or a JWS that does not verify. Out: what differs from what signing would have set, and the exact string to
//! sign. Never: a second opinion; the expected side is what the profile's own signing code prepares, whatever the format. The
//! sender's clock told another time of signing: all else is compared as if it had been ours.

use super::difference::{Difference, ahead, in_value, split_outside_quotes};
use super::message::Message;
use crate::explained::parts_of_jws;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::refusal::Refusal;

/// How many headers that stand in the way of preparing are put right.
const REPAIR_COUNT_MAX: usize = 4;

/// Headers in which each signature of RFC 9421 is a member of a dictionary.
const SIGNATURE_DICTIONARIES: [&str; 2] = ["signature-input", "signature"];

/// What its sender should have made of a message.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) to_be_signed: Vec<u8>,
    pub(super) differences: Vec<Difference>,
}

/// What has to be there; `None` when the profile would not sign such a message at all, which the verdict says.
pub(super) fn of_message(
    message: &Message,
    profile: &Profile,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Option<Expected> {
    let at = |now| prepare(message.clone(), profile, certificate, settings, now).ok();
    let mut prepared = at(now)?;
    if let Some(claimed) = claimed_time(&prepared, message, now) {
        prepared = at(claimed)?;
    }
    Some(Expected {
        differences: differences(&prepared.outline(), message),
        to_be_signed: prepared.to_be_signed().to_vec(),
    })
}

/// The same for a JWS that travels alone; `None` also when its payload is nowhere.
pub(super) fn of_jws(
    jws: &str,
    payload: Option<&[u8]>,
    profile: &Profile,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Option<Expected> {
    let inside = || URL_SAFE_NO_PAD.decode(&parts_of_jws(jws)?[1]).ok();
    let payload = payload.map(<[u8]>::to_vec).or_else(inside)?;
    let at = |now| {
        let prepared = profile.prepare_jws(&payload, certificate, settings, now);
        let prepared = prepared.ok()?;
        Some((prepared.outline_jws()?, prepared))
    };
    let (mut outline, mut prepared) = at(now)?;
    if let Some(claimed) = later(now, ahead(&outline, jws)) {
        (outline, prepared) = at(claimed)?;
    }
    Some(Expected {
        differences: in_value("JWS", &outline, jws),
        to_be_signed: prepared.to_be_signed().to_vec(),
    })
}

/// Prepares; headers that a signer refuses to replace are taken out, digests of another body put right.
fn prepare(
    mut message: Message,
    profile: &Profile,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    for _ in 0..REPAIR_COUNT_MAX {
        match message.prepare(profile, certificate, settings, now) {
            Err(Refusal::HeaderReserved { name }) => remove(&mut message, &name),
            Err(Refusal::SignatureLabelTaken { label }) => remove_label(&mut message, &label),
            Err(Refusal::DigestMismatch { name }) => {
                let mut without = message.clone();
                remove(&mut without, &name);
                let outline = without
                    .prepare(profile, certificate, settings, now)?
                    .outline();
                let right = outline
                    .into_iter()
                    .find(|(set, _)| set.eq_ignore_ascii_case(&name));
                match (right, position(&message, &name)) {
                    // In its old place: some profiles sign headers in the order sent.
                    (Some((_, value)), Some(index)) => {
                        message.headers_mut()[index].1 = value.into_bytes()
                    }
                    _ => message = without,
                }
            }
            other => return other,
        }
    }
    message.prepare(profile, certificate, settings, now)
}

fn position(message: &Message, name: &str) -> Option<usize> {
    message
        .headers()
        .iter()
        .position(|(n, _)| n.eq_ignore_ascii_case(name))
}

fn remove(message: &mut Message, name: &str) {
    message
        .headers_mut()
        .retain(|(n, _)| !n.eq_ignore_ascii_case(name));
}

/// Takes out one signature of RFC 9421 and leaves those of others.
fn remove_label(message: &mut Message, label: &str) {
    let ours = format!("{label}=");
    for (name, value) in message.headers_mut() {
        if SIGNATURE_DICTIONARIES
            .iter()
            .any(|d| d.eq_ignore_ascii_case(name))
        {
            let text = String::from_utf8_lossy(value).into_owned();
            let mut members = split_outside_quotes(&text, ',');
            members.retain(|member| !member.trim_matches(' ').starts_with(&ours));
            *value = members.join(",").into_bytes();
        }
    }
}

fn differences(outline: &[(String, String)], message: &Message) -> Vec<Difference> {
    let mut all = Vec::new();
    for (header, expected) in outline {
        let Some(index) = position(message, header) else {
            all.push(Difference {
                header: header.clone(),
                part: None,
                expected: Some(expected.clone()),
                found: None,
            });
            continue;
        };
        let found = String::from_utf8_lossy(&message.headers()[index].1);
        all.extend(in_value(header, expected, found.trim_matches(' ')));
    }
    all
}

/// The time at which a signer whose signature says this time of signing would have signed; `None` when it says none.
fn claimed_time(prepared: &Prepared, message: &Message, now: Timestamp) -> Option<Timestamp> {
    prepared.outline().iter().find_map(|(header, expected)| {
        let index = position(message, header)?;
        let found = String::from_utf8_lossy(&message.headers()[index].1);
        later(now, ahead(expected, &found))
    })
}

fn later(now: Timestamp, seconds: Option<i64>) -> Option<Timestamp> {
    now.checked_add(SignedDuration::from_secs(seconds?)).ok()
}
