//! The ladder of recovery: where threads that met a fault meet the one that climbs.
//!
//! In: a fault, and how high to climb. Out: that somebody climbed, or the reason why the token does not work. One thread
//! climbs, however many wait; what it does is in `climber`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::recovery::Fault;
use crate::backend::BackendError;
use crate::clock::monotonic;

/// How high to climb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rung {
    /// Log in again.
    LogIn,
    /// Finalise and initialise the module, then log in.
    Initialise,
}

/// Where threads that met a fault meet the one that climbs.
#[derive(Default)]
pub(super) struct Ladder {
    state: Mutex<State>,
    changed: Condvar,
    /// Climbs that ended, well or not.
    climbs: AtomicU64,
    /// Why nothing can be asked of the token now.
    down: ArcSwapOption<BackendError>,
}

#[derive(Default)]
struct State {
    wanted: Option<(Rung, String)>,
    /// Nobody climbs any more.
    closed: bool,
}

impl Ladder {
    /// A mark of now: a fault met after it is not cured by a climb that ended before.
    pub(super) fn climbs(&self) -> u64 {
        self.climbs.load(Ordering::Acquire)
    }

    /// Why nothing can be asked of the token now.
    pub(super) fn refusal(&self) -> Option<BackendError> {
        let down = self.down.load();
        down.as_ref().map(|error| BackendError::clone(error))
    }

    /// Has somebody climb, and waits until that is done. At once if it was done since `seen`.
    pub(super) fn climb(
        &self,
        rung: Rung,
        fault: &Fault,
        seen: u64,
        deadline: Instant,
    ) -> Result<(), BackendError> {
        let mut state = self.lock();
        while self.climbs() == seen && !state.closed {
            let wanted = state.wanted.as_ref().map(|(wanted, _)| *wanted);
            if wanted < Some(rung) {
                state.wanted = Some((rung, fault.to_string()));
                self.changed.notify_all();
            }
            let left = deadline.saturating_duration_since(monotonic());
            if left.is_zero() {
                return Err(fault.into());
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        match self.refusal() {
            Some(error) => Err(error),
            None if self.climbs() == seen => Err(fault.into()),
            None => Ok(()),
        }
    }

    /// Waits for somebody who needs a climb. `None`: never again.
    pub(super) fn next(&self) -> Option<(Rung, String)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            // It stays wanted while the climb goes on, so that nobody asks for the same one again.
            if let Some(wanted) = state.wanted.clone() {
                return Some(wanted);
            }
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn ended(&self, down: Option<BackendError>) {
        let mut state = self.lock();
        if down.is_none() {
            state.wanted = None;
        }
        self.down.store(down.map(Arc::new));
        self.climbs.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_all();
    }

    /// `false`: the ladder was closed meanwhile.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let end = monotonic() + pause;
        let mut state = self.lock();
        while !state.closed {
            let left = end.saturating_duration_since(monotonic());
            if left.is_zero() {
                return true;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Nobody climbs any more; those who wait are told.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn later() -> Instant {
        monotonic() + Duration::from_secs(60)
    }

    #[test]
    fn any_number_of_waiters_cost_one_climb() {
        let ladder = Arc::new(Ladder::default());
        let waiters: Vec<_> = (0..16)
            .map(|_| {
                let ladder = Arc::clone(&ladder);
                std::thread::spawn(move || {
                    ladder.climb(Rung::LogIn, &Fault::logged_out(), 0, later())
                })
            })
            .collect();
        assert_eq!(ladder.next().unwrap().0, Rung::LogIn);
        ladder.ended(None);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Ok(()));
        }
        assert_eq!(ladder.climbs(), 1);
        assert!(ladder.lock().wanted.is_none());
    }

    #[test]
    fn the_higher_rung_is_climbed() {
        let ladder = Ladder::default();
        let now = monotonic();
        for rung in [Rung::LogIn, Rung::Initialise, Rung::LogIn] {
            let outcome = ladder.climb(rung, &Fault::logged_out(), 0, now);
            assert_eq!(outcome.unwrap_err().reason(), "TOKEN_UNAVAILABLE");
        }
        assert_eq!(ladder.next().unwrap().0, Rung::Initialise);
    }

    #[test]
    fn while_it_is_down_the_reason_is_given_at_once() {
        let ladder = Ladder::default();
        let marker = PathBuf::from("/x");
        let refused = BackendError::PinRefused { marker };
        ladder.ended(Some(refused.clone()));
        assert_eq!(ladder.refusal(), Some(refused.clone()));
        let outcome = ladder.climb(Rung::LogIn, &Fault::logged_out(), 0, later());
        assert_eq!(outcome, Err(refused));
    }

    #[test]
    fn a_closed_ladder_keeps_nobody_waiting() {
        let ladder = Ladder::default();
        ladder.close();
        assert!(ladder.next().is_none());
        let outcome = ladder.climb(Rung::LogIn, &Fault::logged_out(), 0, later());
        assert!(outcome.is_err());
        assert!(!ladder.pause(Duration::from_secs(60)));
    }
}
