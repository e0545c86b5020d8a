//! The ladder of recovery: what is done when a new session does not help.
//!
//! In: a fault that a thread met, and how high to climb. Out: a token that works again, or the reason why it does not.
//! One thread climbs, however many wait: first a new login, then `C_Finalize` and `C_Initialize`, then, where
//! somebody can do that, a new process. After each rung the token is found by its label and serial, and each key by its
//! id, its pin and a signature that verifies. It never tries a PIN again that was refused, never calls `C_Logout`, and
//! never takes "nothing found" for "destroyed".

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use secrecy::SecretString;

use super::key_table::KnownKey;
use super::link::{Connection, Link};
use super::objects::{self, Inventory, Verdict};
use super::recovery::Fault;
use super::session::TokenSession;
use super::token::{Token, TokenWatch};
use crate::backend::{BackendError, KeyRef};
use crate::clock::monotonic;

/// How long threads that are inside the module may take to come out before a rung. Some modules never wake them when a
/// connection breaks (p11-kit's client): then only another process helps.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// How often a key is looked at before it is left out.
const KEY_ATTEMPTS_MAX: u32 = 3;
/// An outage so short is waited out by callers that have the time; after it they are refused at once.
const GRACE: Duration = Duration::from_secs(1);
/// Wait between attempts to initialise again: the first and the longest. A token that is back must be found within two
/// seconds.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);

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
    fn next(&self) -> Option<(Rung, String)> {
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

    fn ended(&self, down: Option<BackendError>) {
        let mut state = self.lock();
        if down.is_none() {
            state.wanted = None;
        }
        self.down.store(down.map(Arc::new));
        self.climbs.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_all();
    }

    /// `false`: the ladder was closed meanwhile.
    fn pause(&self, pause: Duration) -> bool {
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

/// The thread that climbs, with what it takes to log in.
pub(super) struct Climber {
    pub(super) link: Arc<Link>,
    pub(super) label: String,
    /// The serial of the token that was found at the start: no other one will do.
    pub(super) serial: String,
    pub(super) pin: SecretString,
    pub(super) pin_marker: PathBuf,
    pub(super) watch: Arc<dyn TokenWatch>,
}

impl Climber {
    /// Climbs when somebody needs it, until the ladder is closed or nothing here can help.
    pub(super) fn run(self) {
        while let Some((rung, fault)) = self.link.ladder.next() {
            let _running = self.link.climb.begin(Duration::MAX);
            tracing::warn!(?rung, %fault, "recovering the token");
            let begun = monotonic();
            if !self.recover(rung) {
                self.link.ladder.close();
                return;
            }
            let took_ms = (monotonic() - begun).as_millis();
            tracing::info!(
                keys = self.link.keys.len(),
                took_ms,
                "the token works again"
            );
        }
    }

    /// `false`: it does not, and nobody tries again.
    fn recover(&self, rung: Rung) -> bool {
        let begun = monotonic();
        let (mut outcome, mut pause) = (self.climb(rung), RETRY_MIN);
        while let Err(error) = outcome {
            self.link.counters.recoveries_failed.add_one();
            tracing::error!(%error, "the token does not come back");
            let needs_a_person = needs_a_person(&error);
            if needs_a_person || error == hangs() || monotonic() - begun >= GRACE {
                let is_final = needs_a_person || self.watch.lost(&error);
                self.link.ladder.ended(Some(to_callers(error)));
                if is_final {
                    return false;
                }
            }
            if !self.link.ladder.pause(pause) {
                return false;
            }
            pause = (pause * 2).min(RETRY_MAX);
            outcome = self.initialise();
        }
        self.link.works();
        self.link.ladder.ended(None);
        true
    }

    fn climb(&self, rung: Rung) -> Result<(), BackendError> {
        if rung == Rung::LogIn {
            match self.log_in() {
                Err(error) if !needs_a_person(&error) => {
                    tracing::warn!(%error, "a new login does not help");
                }
                outcome => return outcome,
            }
        }
        self.initialise()
    }

    fn log_in(&self) -> Result<(), BackendError> {
        self.link.counters.logins.add_one();
        let mut at = self.link.alone(DRAIN_MAX).ok_or_else(hangs)?;
        let session = self.link.open(&at)?;
        let still = objects::logged_in(&session);
        self.link.discard(session, None);
        if still.is_ok() {
            // The token refuses a key for want of a login that it says it has: it is confused.
            return Err(BackendError::Unavailable {
                function: "C_Login".to_owned(),
                rv: "not needed".to_owned(),
            });
        }
        self.connect(&mut at)
    }

    fn initialise(&self) -> Result<(), BackendError> {
        self.link.counters.initialisations.add_one();
        let mut at = self.link.alone(DRAIN_MAX).ok_or_else(hangs)?;
        self.link.close_sessions(&mut at);
        self.link.module.initialise_again().map_err(Fault::from)?;
        self.connect(&mut at)
    }

    fn connect(&self, at: &mut Connection) -> Result<(), BackendError> {
        let context = &self.link.module.context;
        let token = Token::find(context, &self.label, Some(&self.serial))?;
        let anchor = token.log_in(context, &self.pin, &self.pin_marker, &*self.watch)?;
        at.logged_in_again(token.slot, anchor);
        Ok(self.find_keys(at)?)
    }

    /// The table is filled anew: a handle of before may denote another key now.
    fn find_keys(&self, at: &Connection) -> Result<(), Fault> {
        self.link.counters.key_searches.add_one();
        let inventory = self.with_session(at, |session| {
            objects::logged_in(session)?;
            Inventory::of_token(session)
        })?;
        let mut ready = Vec::new();
        for key in self.link.keys.wanted() {
            match self.find_key(at, &inventory, &key)? {
                Ok(known) => ready.push(Arc::new(known)),
                Err(error) => {
                    tracing::error!(key = %key.id, %error, "a key is not found again");
                }
            }
        }
        self.link.keys.refill(ready);
        Ok(())
    }

    /// A token that has just come back may stumble; a key that is left out stays so until somebody asks for it anew.
    fn find_key(
        &self,
        at: &Connection,
        inventory: &Inventory,
        key: &KeyRef,
    ) -> Result<Verdict<KnownKey>, Fault> {
        let mut attempt = 1;
        loop {
            let found = self.with_session(at, |session| objects::adopt(session, inventory, key));
            match found {
                Ok(Ok((known, _))) => return Ok(Ok(known)),
                Ok(Err(error @ BackendError::KeyUnknown(_))) => return Ok(Err(error)),
                outcome if attempt == KEY_ATTEMPTS_MAX => {
                    return Ok(outcome?.map(|(known, _)| known));
                }
                _ => attempt += 1,
            }
        }
    }

    fn with_session<T>(
        &self,
        at: &Connection,
        work: impl FnOnce(&TokenSession) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let session = self.link.open(at)?;
        let outcome = work(&session);
        self.link.discard(session, outcome.as_ref().err());
        outcome
    }
}

/// Trying again would try a PIN that may lock the token.
fn needs_a_person(error: &BackendError) -> bool {
    matches!(
        error,
        BackendError::PinRefused { .. }
            | BackendError::PinLocked
            | BackendError::PinFinalTry
            | BackendError::PinMarker { .. }
    )
}

/// A caller can do nothing about the token but come back later, unless a person must act first.
fn to_callers(error: BackendError) -> BackendError {
    match error {
        BackendError::Unavailable { .. } => error,
        error if needs_a_person(&error) => error,
        error => BackendError::Unavailable {
            function: "recovery".to_owned(),
            rv: error.to_string(),
        },
    }
}

fn hangs() -> BackendError {
    BackendError::Unavailable {
        function: "recovery".to_owned(),
        rv: "a thread hangs in the module".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
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
        let now = Instant::now();
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
