//! How long a thread has been inside the module: the sign of a call that hangs.
//!
//! In: the beginning and the end of a piece of work, and how long somebody waits for it. Out: how long the one that
//! runs now has been running, for whoever watches. It ends nothing: a call that hangs can only be ended with its process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::monotonic;

/// A thread that is past the deadline of its caller is stuck, but not before the first of these, and after the second
/// in any case: a signature takes no token so long.
const STUCK_AFTER_MIN: Duration = Duration::from_secs(1);
const STUCK_AFTER_MAX: Duration = Duration::from_secs(2);

/// The clock of one thread.
pub(super) struct CallClock {
    born: Instant,
    /// Milliseconds from birth to the beginning of the work, plus one; zero while there is none.
    began_ms: AtomicU64,
    /// From the beginning to the moment from which the thread is stuck (milliseconds).
    stuck_after_ms: AtomicU64,
}

/// Work that runs until this is dropped.
pub(super) struct Running<'a>(&'a CallClock);

impl CallClock {
    pub(super) fn new() -> Self {
        Self {
            born: monotonic(),
            began_ms: AtomicU64::new(0),
            stuck_after_ms: AtomicU64::new(0),
        }
    }

    /// `patience`: how long somebody waits for the work.
    pub(super) fn begin(&self, patience: Duration) -> Running<'_> {
        let stuck_after = patience.clamp(STUCK_AFTER_MIN, STUCK_AFTER_MAX);
        self.stuck_after_ms
            .store(millis(stuck_after), Ordering::Relaxed);
        let began_ms = millis(monotonic().saturating_duration_since(self.born)) + 1;
        self.began_ms.store(began_ms, Ordering::Release);
        Running(self)
    }

    /// Zero while nothing runs.
    pub(super) fn running(&self, now: Instant) -> Duration {
        match self.began_ms.load(Ordering::Acquire).checked_sub(1) {
            Some(began_ms) => {
                let age_ms = millis(now.saturating_duration_since(self.born));
                Duration::from_millis(age_ms.saturating_sub(began_ms))
            }
            None => Duration::ZERO,
        }
    }

    /// Whether what runs now has been running for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let running = self.running(now);
        !running.is_zero() && millis(running) >= self.stuck_after_ms.load(Ordering::Relaxed)
    }
}

fn millis(time: Duration) -> u64 {
    // Cut far below the largest, so that one more fits.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.began_ms.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn runs_only_between_beginning_and_end() {
        let clock = CallClock::new();
        assert_eq!(clock.running(clock.born + MS(500)), Duration::ZERO);
        let running = clock.begin(MS(300));
        assert!(clock.running(monotonic() + MS(500)) >= MS(500));
        drop(running);
        assert_eq!(clock.running(monotonic() + MS(500)), Duration::ZERO);
    }

    #[test]
    fn is_stuck_after_its_caller_s_patience_within_limits() {
        for (patience, free, stuck) in [
            (10, 900, 1_100),
            (1_500, 1_400, 1_600),
            (60_000, 1_900, 2_100),
        ] {
            let clock = CallClock::new();
            let _running = clock.begin(MS(patience));
            let now = monotonic();
            assert!(!clock.is_stuck(now + MS(free)), "{patience}");
            assert!(clock.is_stuck(now + MS(stuck)), "{patience}");
        }
    }
}
