//! A bank between two versions: what the way of a signature looks at.
//!
//! In: two versions, the progress, the time. Out: the version that signs now. Never: I/O; the pointer in the store
//! follows later, and who signs meanwhile does not depend on it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::progress::{self, Facts, Progress, Side};
use crate::domain::{RotationTerms, Version};

/// A bank between two versions of a credential.
#[derive(Debug, Clone)]
pub struct Move {
    /// The version it had when the rotation began for it.
    pub old: Arc<Version>,
    /// The version it moves to.
    pub new: Arc<Version>,
    /// How far it is.
    pub progress: Progress,
    /// What the table looks up.
    pub facts: Facts,
}

/// What signs for a bank at an instant.
#[derive(Debug, Clone, Copy)]
pub enum Pick<'a> {
    /// This version.
    Version(&'a Arc<Version>),
    /// Nothing: the bank changes over.
    Held {
        /// Until then.
        until: Timestamp,
    },
}

impl Move {
    /// A bank with its terms between two versions.
    pub fn new(
        terms: &RotationTerms,
        old: Arc<Version>,
        new: Arc<Version>,
        progress: Progress,
    ) -> Self {
        let facts = Facts {
            procedure: terms.procedure,
            lead_time: SignedDuration::from_hours(24 * i64::from(terms.lead_time_days)),
            old_ends: signs_between(&old).map(|(_, ends)| ends),
            new: signs_between(&new),
        };
        Self {
            old,
            new,
            progress,
            facts,
        }
    }

    /// What signs now. In a canary the share of the request decides, 0 to 99.
    pub fn pick(&self, now: Timestamp, share: impl FnOnce() -> u8) -> Pick<'_> {
        match progress::side(&self.progress, &self.facts, now) {
            Side::Old => Pick::Version(&self.old),
            Side::New => Pick::Version(&self.new),
            Side::Held { until } => Pick::Held { until },
            Side::Split { percent } if share() < percent => Pick::Version(&self.new),
            Side::Split { .. } => Pick::Version(&self.old),
        }
    }
}

/// The first and the last instant at which a version may sign; none when it does not. An end names the last valid
/// second, and a second lasts until the next one begins.
fn signs_between(version: &Version) -> Option<(Timestamp, Timestamp)> {
    let leaf = version.issued.as_ref()?.leaf();
    let ends = leaf.not_after() + SignedDuration::from_nanos(999_999_999);
    version.state.signs().then(|| (leaf.not_before(), ends))
}

/// The share of a request in a canary, 0 to 99: the same for the same bytes, on every replica.
pub fn share(of: &[u8]) -> u8 {
    let hash = Sha256::digest(of);
    let word = u16::from_be_bytes([hash[0], hash[1]]);
    // Cannot fail: a remainder of 100 fits.
    u8::try_from(word % 100).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_stable() {
        let mut counts = [0u32; 100];
        for n in 0..100_000u32 {
            counts[usize::from(share(&n.to_be_bytes()))] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1_200).contains(count)),
            "{counts:?}"
        );
        assert_eq!(
            share(b"99391c7e-ad88-49ec-a2ad-99ddcb1f7721"),
            share(b"99391c7e-ad88-49ec-a2ad-99ddcb1f7721")
        );
    }
}
