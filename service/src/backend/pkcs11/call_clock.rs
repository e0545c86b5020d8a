//! How long a thread has been inside the module: the sign of a call that hangs.
//!
//! In: the beginning and the end of a piece of work. Out: how long the one that runs now has been running, for whoever
//! watches. It ends nothing: a call that hangs can only be ended with its process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::monotonic;

/// The clock of one thread.
pub(super) struct CallClock {
    born: Instant,
    /// Milliseconds from birth to the beginning of the work, plus one; zero while there is none.
    began_ms: AtomicU64,
}

/// Work that runs until this is dropped.
pub(super) struct Running<'a>(&'a CallClock);

impl CallClock {
    pub(super) fn new() -> Self {
        Self {
            born: monotonic(),
            began_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn begin(&self) -> Running<'_> {
        self.began_ms.store(self.age_ms() + 1, Ordering::Relaxed);
        Running(self)
    }

    /// Zero while nothing runs.
    pub(super) fn running(&self) -> Duration {
        match self.began_ms.load(Ordering::Relaxed).checked_sub(1) {
            Some(began_ms) => Duration::from_millis(self.age_ms().saturating_sub(began_ms)),
            None => Duration::ZERO,
        }
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.began_ms.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_only_between_beginning_and_end() {
        let clock = CallClock::new();
        assert_eq!(clock.running(), Duration::ZERO);
        let running = clock.begin();
        while clock.running() < Duration::from_millis(3) {
            std::thread::yield_now();
        }
        drop(running);
        assert_eq!(clock.running(), Duration::ZERO);
    }
}
