//! When and how long to wait before a call is tried again.
//!
//! In: the number of the try, what the service asked for, a random number. Out: a pause. Never: a clock, a sleep.

use std::time::Duration;

/// A retry policy as a value. Only calls that failed because the service was not available are tried again (AIP-194),
/// and never after their deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often a call is made in all; 1 means no retry, 0 counts as 1.
    pub tries_max: u32,
    /// The longest pause before the second try, in milliseconds; doubles with each further try.
    pub pause_ms_first: u64,
    /// No pause is longer than this, in milliseconds.
    pub pause_ms_max: u64,
}

impl Retry {
    /// One try only: for calls that change something.
    pub const NEVER: Self = Self {
        tries_max: 1,
        pause_ms_first: 0,
        pause_ms_max: 0,
    };

    /// The pause after the `failed`-th try (from 1), or `None` when there is no further try.
    ///
    /// Equal jitter: between half the pause and the whole one, so that many clients do not come back at the same
    /// moment; never less than what the service asked for, `asked`.
    #[must_use]
    pub fn pause(&self, failed: u32, asked: Option<Duration>, random: u64) -> Option<Duration> {
        if failed >= self.tries_max {
            return None;
        }
        let doublings = failed.saturating_sub(1).min(16);
        let full = self
            .pause_ms_first
            .saturating_mul(1 << doublings)
            .min(self.pause_ms_max);
        let jittered = full / 2 + random % (full / 2 + 1);
        Some(Duration::from_millis(jittered).max(asked.unwrap_or_default()))
    }
}

impl Default for Retry {
    /// Two tries, 50 to 100 ms apart.
    fn default() -> Self {
        Self {
            tries_max: 2,
            pause_ms_first: 100,
            pause_ms_max: 2_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_twice_by_default_and_once_when_told() {
        assert!(Retry::default().pause(1, None, 7).is_some());
        assert!(Retry::default().pause(2, None, 7).is_none());
        assert!(Retry::NEVER.pause(1, None, 7).is_none());
    }

    #[test]
    fn pauses_double_stay_in_bounds_and_respect_the_service() {
        let retry = Retry {
            tries_max: 99,
            pause_ms_first: 100,
            pause_ms_max: 1_000,
        };
        for failed in 1..98 {
            for random in [0, 1, 49, 50, 51, u64::MAX] {
                let full = (100_u64 << (failed - 1).min(16)).min(1_000);
                let pause = retry
                    .pause(failed, None, random)
                    .unwrap_or_default()
                    .as_millis();
                assert!(pause >= u128::from(full / 2) && pause <= u128::from(full));
            }
        }
        let asked = Some(Duration::from_secs(3));
        assert_eq!(retry.pause(1, asked, 0), asked);
    }
}
