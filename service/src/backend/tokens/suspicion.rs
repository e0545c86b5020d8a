//! When a token's signatures by one key are no longer asked for. Pure: times are arguments.
//!
//! In: when a signature did not verify. Out: whether that is enough. A single one may be a memory that flipped a bit; a
//! row of them is a token that mixes up keys or is attacked by faults (Boneh, DeMillo, Lipton 1997), and every further one
//! might help the attacker.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::KeyId;

/// So many signatures of one key at one token that do not verify ...
pub(super) const BAD_SIGNATURES_MAX: usize = 3;
/// ... within this time make the token suspect.
pub(super) const BAD_SIGNATURES_WINDOW: Duration = Duration::from_secs(60);

/// The bad signatures of one key at one token.
#[derive(Debug, Clone, Default)]
struct BadSignatures(VecDeque<Instant>);

impl BadSignatures {
    /// One more, now. `true`: that is enough.
    fn add(&mut self, now: Instant) -> bool {
        let recent = |at: &Instant| now.saturating_duration_since(*at) <= BAD_SIGNATURES_WINDOW;
        self.0.retain(recent);
        self.0.push_back(now);
        self.0.len() >= BAD_SIGNATURES_MAX
    }
}

/// The bad signatures of a set, by the token's place and the key.
#[derive(Default)]
pub(super) struct Suspicions(Mutex<HashMap<(usize, KeyId), BadSignatures>>);

impl Suspicions {
    /// One more, now. `true`: the token is suspect.
    pub(super) fn add(&self, place: usize, key: KeyId, now: Instant) -> bool {
        self.lock().entry((place, key)).or_default().add(now)
    }

    /// The token has proven the key again.
    pub(super) fn forget(&self, place: usize, key: KeyId) {
        self.lock().remove(&(place, key));
    }

    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<(usize, KeyId), BadSignatures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[test]
    fn three_within_a_minute_are_enough_and_slower_ones_are_not() {
        let start = monotonic();
        let verdicts = |seconds: [u64; 5]| {
            let mut bad = BadSignatures::default();
            seconds.map(|s| bad.add(start + Duration::from_secs(s)))
        };
        assert_eq!(verdicts([0, 1, 2, 3, 4]), [false, false, true, true, true]);
        assert_eq!(verdicts([0, 31, 61, 92, 122]), [false; 5]);
        assert_eq!(verdicts([0, 30, 60, 200, 300])[2..], [true, false, false]);
    }
}
