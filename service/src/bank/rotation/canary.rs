//! When a canary has seen enough.
//!
//! In: what callers report of the bank's answers to either version. Out: whether the old version signs everything
//! again. Pure. An answer counts as bad when the bank refuses the signature or the handshake, which only callers see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::domain::Name;

/// Fewer bad answers than this are bad luck.
const BAD_MIN: u64 = 5;
/// How much worse than the old version the new one may be, percent of its answers.
const WORSE_PERCENT_MAX: u64 = 5;

/// What was reported of one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers that were as they should be.
    pub good: u32,
    /// Answers in which the bank refused the signature.
    pub bad: u32,
}

/// What was reported since a canary began. A restart begins anew: reports go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcomes {
    /// Which canary: when it began.
    pub since: Timestamp,
    /// Of the old version.
    pub old: Tally,
    /// Of the new version.
    pub new: Tally,
}

/// What callers reported of the canaries under way, by bank and credential.
pub type Canaries = Arc<Mutex<HashMap<(Name, Name), Outcomes>>>;

impl Tally {
    /// Counts one answer.
    pub fn count(&mut self, good: bool) {
        let counter = if good { &mut self.good } else { &mut self.bad };
        *counter = counter.saturating_add(1);
    }

    fn total(self) -> u64 {
        u64::from(self.good) + u64::from(self.bad)
    }
}

impl Outcomes {
    /// Nothing reported yet.
    pub fn since(since: Timestamp) -> Self {
        Self {
            since,
            old: Tally::default(),
            new: Tally::default(),
        }
    }

    /// Whether the new version fails clearly more often than the old one.
    pub fn fall_back(&self) -> bool {
        let (old, new) = (self.old, self.new);
        if u64::from(new.bad) < BAD_MIN {
            return false;
        }
        // bad_new / all_new > bad_old / all_old + 5 %, multiplied out. Counters of 32 bits keep it in range.
        let (all_old, all_new) = (old.total().max(1), new.total());
        let left = u128::from(new.bad) * u128::from(all_old) * 100;
        let right = (u128::from(old.bad) * 100
            + u128::from(WORSE_PERCENT_MAX) * u128::from(all_old))
            * u128::from(all_new);
        left > right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_back_when_the_new_version_is_clearly_worse() {
        for (old, new, wanted) in [
            ((0, 0), (0, 0), false),
            ((1_000, 0), (0, 4), false),
            ((1_000, 0), (0, 5), true),
            ((0, 0), (0, 5), true),
            ((1_000, 0), (95, 5), false),
            ((1_000, 0), (94, 6), true),
            // The bank has a bad day with both.
            ((500, 500), (50, 50), false),
            ((500, 500), (45, 55), false),
            ((500, 500), (44, 56), true),
            ((0, u32::MAX), (0, u32::MAX), false),
            ((u32::MAX, 0), (0, u32::MAX), true),
        ] {
            let tally = |(good, bad)| Tally { good, bad };
            let outcomes = Outcomes {
                since: Timestamp::UNIX_EPOCH,
                old: tally(old),
                new: tally(new),
            };
            assert_eq!(outcomes.fall_back(), wanted, "{old:?} {new:?}");
        }
    }

    #[test]
    fn counters_do_not_overflow() {
        let mut tally = Tally {
            good: u32::MAX,
            bad: u32::MAX,
        };
        tally.count(true);
        tally.count(false);
        assert_eq!(tally.total(), 2 * u64::from(u32::MAX));
    }
}
