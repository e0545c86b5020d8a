//! How far rotations are, read at each scrape.
//!
//! In: the snapshot, what callers report of canaries, the time. Out: gauges of open rotations. Never: a label beside
//! credentials, banks and words of this code; a credential without an open rotation.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::PoisonError;

use jiff::Timestamp;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::state::{Labels, gauges};
use crate::bank::rotation::Rotation;
use crate::bank::rotation::campaign::moves;
use crate::bank::rotation::canary::{Canaries, Tally};
use crate::bank::rotation::plan::Action;
use crate::bank::rotation::preview::{QTSP_LEAD_DAYS_DEFAULT, steps};
use crate::bank::rotation::progress::Progress;
use crate::domain::Name;
use crate::world::Snapshot;

pub(super) fn encode(
    encoder: &mut DescriptorEncoder,
    snapshot: &Snapshot,
    canaries: &Canaries,
    now: Timestamp,
) -> Result<(), Error> {
    let open = || snapshot.rotations.values();
    let started = open().map(|rotation| {
        let labels = [("credential", rotation.credential.to_string())];
        (labels, rotation.started.as_second())
    });
    let help = "When an open rotation began";
    let name = "rotation_start_timestamp";
    gauges(encoder, name, help, Some(&Unit::Seconds), started)?;
    let banks = open().flat_map(|rotation| banks(snapshot, rotation));
    let help = "Banks of an open rotation, by how far they are";
    gauges(encoder, "rotation_banks", help, None, banks)?;
    let verified = open().flat_map(|rotation| verified(snapshot, rotation));
    let help = "Banks of an open rotation, by what the last verification of the new version found";
    gauges(encoder, "rotation_verifications", help, None, verified)?;
    let by = open().flat_map(|rotation| next_steps(snapshot, rotation, now));
    let help = "By when the next step of a kind must have happened, as the plan says";
    let name = "rotation_step_by_timestamp";
    gauges(encoder, name, help, Some(&Unit::Seconds), by)?;
    let answers = canary_answers(snapshot, canaries);
    let help = "What callers reported of a canary since it began";
    gauges(encoder, "canary_answers", help, None, answers)
}

/// Every state shows: absent is not zero.
fn banks(snapshot: &Snapshot, rotation: &Rotation) -> Vec<(Labels<2>, i64)> {
    let mut counts: BTreeMap<_, i64> = Progress::WORDS.map(|word| (word, 0)).into();
    for (_, progress) in moving(snapshot, &rotation.credential) {
        *counts.entry(progress.word()).or_default() += 1;
    }
    by_word(&rotation.credential, "state", counts)
}

fn verified(snapshot: &Snapshot, rotation: &Rotation) -> Vec<(Labels<2>, i64)> {
    let mut counts = BTreeMap::from([("failed", 0), ("none", 0), ("passed", 0)]);
    for (bank, _) in moving(snapshot, &rotation.credential) {
        let last = rotation
            .verified
            .get(bank)
            .map(|last| last.reason.is_empty());
        let word = match last {
            Some(true) => "passed",
            Some(false) => "failed",
            None => "none",
        };
        *counts.entry(word).or_default() += 1;
    }
    by_word(&rotation.credential, "verdict", counts)
}

fn by_word(
    credential: &Name,
    label: &'static str,
    counts: BTreeMap<&'static str, i64>,
) -> Vec<(Labels<2>, i64)> {
    let labels = |word: &str| {
        [
            ("credential", credential.to_string()),
            (label, word.to_owned()),
        ]
    };
    let counts = counts.into_iter();
    counts.map(|(word, count)| (labels(word), count)).collect()
}

fn moving<'a>(
    snapshot: &'a Snapshot,
    credential: &'a Name,
) -> impl Iterator<Item = (&'a Name, &'a Progress)> {
    let moving = moves(snapshot, credential).into_iter();
    moving.map(|(bank, moving)| (bank, &moving.progress))
}

/// The soonest of each kind that has not been done. The end of the way back is nobody's duty.
fn next_steps(snapshot: &Snapshot, rotation: &Rotation, now: Timestamp) -> Vec<(Labels<2>, i64)> {
    let Some(credential) = snapshot.credentials.get(&rotation.credential) else {
        return Vec::new();
    };
    let mut by = BTreeMap::new();
    for step in steps(snapshot, credential, QTSP_LEAD_DAYS_DEFAULT, now) {
        if !step.done && step.action != Action::Retire {
            by.entry(step.action.as_str())
                .or_insert(step.by.as_second());
        }
    }
    by_word(&rotation.credential, "action", by)
}

fn canary_answers(snapshot: &Snapshot, canaries: &Canaries) -> Vec<(Labels<4>, i64)> {
    let reported = canaries.lock().unwrap_or_else(PoisonError::into_inner);
    let mut samples = Vec::new();
    for (bank, destination) in &snapshot.banks {
        for (credential, moving) in &destination.moves {
            let Progress::Canary { at, .. } = moving.progress else {
                continue;
            };
            let outcomes = reported.get(&(bank.clone(), credential.clone()));
            let outcomes = outcomes.filter(|outcomes| outcomes.since == at);
            let tally = |tally: Option<Tally>| tally.unwrap_or_default();
            let (old, new) = (
                tally(outcomes.map(|o| o.old)),
                tally(outcomes.map(|o| o.new)),
            );
            for (version, answer, count) in [
                ("old", "good", old.good),
                ("old", "bad", old.bad),
                ("new", "good", new.good),
                ("new", "bad", new.bad),
            ] {
                let labels = [
                    ("bank", bank.to_string()),
                    ("credential", credential.to_string()),
                    ("version", version.to_owned()),
                    ("answer", answer.to_owned()),
                ];
                samples.push((labels, count.into()));
            }
        }
    }
    samples
}
