//! When a worker that ended is started again: pure, the time is an argument.
//!
//! In: how a worker ended, and when. Out: how long to wait, or that nobody tries any more. It never starts anything.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Wait before the second start in a row; the first comes at once.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest wait between starts: a token that is back must be found within two seconds.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A worker that was ready for so long has shown that it works: the wait starts from nothing again.
const PROVEN_AFTER: Duration = Duration::from_secs(10);
/// Crashes are counted over this time.
const CRASH_WINDOW: Duration = Duration::from_secs(60);
/// How long no worker is started after too many crashes.
pub(super) const CIRCUIT_OPEN: Duration = Duration::from_secs(30);
/// Crashes in a minute that open the circuit, unless configured.
pub const CRASHES_PER_MINUTE_MAX_DEFAULT: u32 = 5;

/// What the next start has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Start after this time.
    After(Duration),
    /// Too many crashes: start after this time, and refuse what comes meanwhile.
    CircuitOpen(Duration),
}

/// Remembers how workers ended.
#[derive(Debug)]
pub(super) struct RestartPlan {
    crashes_per_minute_max: u32,
    crashes: VecDeque<Instant>,
    in_a_row: u32,
}

impl RestartPlan {
    pub(super) fn new(crashes_per_minute_max: u32) -> Self {
        Self {
            crashes_per_minute_max,
            crashes: VecDeque::new(),
            in_a_row: 0,
        }
    }

    /// A worker ended now; `crashed` if nobody meant it to. `ready_since`: when it could sign, if it ever could.
    pub(super) fn ended(
        &mut self,
        crashed: bool,
        ready_since: Option<Instant>,
        now: Instant,
    ) -> Next {
        if ready_since.is_some_and(|since| now.saturating_duration_since(since) >= PROVEN_AFTER) {
            self.in_a_row = 0;
        }
        let wait = self.backoff();
        self.in_a_row = self.in_a_row.saturating_add(1);
        if crashed {
            self.crashes.push_back(now);
        }
        while let Some(first) = self.crashes.front()
            && now.saturating_duration_since(*first) > CRASH_WINDOW
        {
            self.crashes.pop_front();
        }
        if crashed && self.crashes.len() >= self.crashes_per_minute_max as usize {
            self.crashes.clear();
            return Next::CircuitOpen(CIRCUIT_OPEN);
        }
        Next::After(wait)
    }

    fn backoff(&self) -> Duration {
        let Some(doublings) = self.in_a_row.checked_sub(1) else {
            return Duration::ZERO;
        };
        BACKOFF_MIN
            .saturating_mul(1 << doublings.min(10))
            .min(BACKOFF_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn waits_double_up_to_the_longest() {
        let (mut plan, now) = (RestartPlan::new(1000), monotonic());
        let waits: Vec<_> = (0..7).map(|_| plan.ended(false, None, now)).collect();
        let expected = [0, 100, 200, 400, 800, 1000, 1000].map(|ms| Next::After(MS(ms)));
        assert_eq!(waits, expected);
    }

    #[test]
    fn a_worker_that_lasted_starts_the_wait_from_nothing() {
        let (mut plan, start) = (RestartPlan::new(1000), monotonic());
        for _ in 0..5 {
            plan.ended(true, None, start);
        }
        let short = plan.ended(true, Some(start), start + PROVEN_AFTER - MS(1));
        assert_eq!(short, Next::After(BACKOFF_MAX));
        let proven = plan.ended(true, Some(start), start + PROVEN_AFTER);
        assert_eq!(proven, Next::After(Duration::ZERO));
    }

    #[test]
    fn five_crashes_in_a_minute_open_the_circuit_for_thirty_seconds() {
        let (mut plan, start) = (RestartPlan::new(5), monotonic());
        for n in 0..4 {
            let next = plan.ended(true, None, start + Duration::from_secs(n * 10));
            assert!(matches!(next, Next::After(_)), "{n}: {next:?}");
        }
        let fifth = plan.ended(true, None, start + Duration::from_secs(59));
        assert_eq!(fifth, Next::CircuitOpen(Duration::from_secs(30)));
        let later = plan.ended(true, None, start + Duration::from_secs(90));
        assert!(matches!(later, Next::After(_)), "counted anew: {later:?}");
    }

    #[test]
    fn slow_crashes_and_meant_ends_do_not_open_it() {
        let (mut plan, start) = (RestartPlan::new(5), monotonic());
        for n in 0..20 {
            let next = plan.ended(true, None, start + Duration::from_secs(n * 16));
            assert!(matches!(next, Next::After(_)), "{n}");
        }
        for n in 0..20 {
            let next = plan.ended(false, None, start + Duration::from_secs(400 + n));
            assert!(matches!(next, Next::After(_)), "{n}");
        }
    }
}
