//! What is with QTSPs, read at each scrape.
//!
//! In: the snapshot. Out: gauges of what waits and of what ended without a certificate that is still wanted. Never: what
//! ended well or was withdrawn; a label beside versions and configured ways.

use std::collections::BTreeMap;
use std::fmt::Error;

use jiff::Timestamp;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::state::{Labels, gauges};
use crate::domain::{Enrolment, EnrolmentState, Version, VersionState, Wish};
use crate::world::Snapshot;

pub(super) fn encode(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> Result<(), Error> {
    let wanted: Vec<&Enrolment> = wanted(snapshot).collect();
    let mut counts: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for enrolment in &wanted {
        let of = (enrolment.enroller.as_str(), enrolment.state.as_str());
        *counts.entry(of).or_default() += 1;
    }
    let counts = counts.into_iter().map(|((enroller, state), count)| {
        let labels = [
            ("enroller", enroller.to_owned()),
            ("state", state.to_owned()),
        ];
        (labels, count)
    });
    let help = "What QTSPs are asked for and is still wanted: pending, or failed";
    gauges(encoder, "enrolments", help, None, counts)?;
    let mut times = |name: &str, help: &str, at: fn(&Enrolment) -> Timestamp| {
        let pending = wanted.iter().filter(|e| e.state == EnrolmentState::Pending);
        let samples = pending.map(|e| (labels(e), at(e).as_second()));
        gauges(encoder, name, help, Some(&Unit::Seconds), samples)
    };
    let help = "When a request was submitted that a QTSP still has";
    times("enrolment_start_timestamp", help, |e| e.created)?;
    let help = "When the certificate should be there";
    times("enrolment_due_timestamp", help, |e| e.due)
}

/// Those whose version still waits for a certificate, and revocations.
fn wanted(snapshot: &Snapshot) -> impl Iterator<Item = &Enrolment> {
    snapshot.enrolments.iter().filter(|enrolment| {
        let id = &enrolment.version;
        let credential = snapshot.credentials.get(&id.credential);
        let version = credential.and_then(|credential| credential.version(id.number));
        let wanted = |version: &Version| match enrolment.wish {
            Wish::Certificate => version.state == VersionState::Requested,
            Wish::Revocation(_) => true,
        };
        enrolment.state != EnrolmentState::Withdrawn && version.is_some_and(|v| wanted(v))
    })
}

fn labels(enrolment: &Enrolment) -> Labels<2> {
    [
        ("name", enrolment.version.to_string()),
        ("enroller", enrolment.enroller.to_string()),
    ]
}
