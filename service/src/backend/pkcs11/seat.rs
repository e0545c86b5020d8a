//! The place of one thread: its session, and how long it has been inside the module.
//!
//! In: the thread that works here, and the ladder that must close every session before `C_Finalize`. Out: a session for
//! one of them at a time. No session is ever used by two threads.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::call_clock::CallClock;
use super::session::TokenSession;

pub(super) struct Seat {
    session: Mutex<Option<TokenSession>>,
    pub(super) call: CallClock,
}

impl Seat {
    pub(super) fn new(session: Option<TokenSession>) -> Self {
        Self {
            session: Mutex::new(session),
            call: CallClock::new(),
        }
    }

    /// A thread that panicked inside the module leaves a session that is worth as little as after an error; it is
    /// replaced at the next one.
    pub(super) fn session(&self) -> MutexGuard<'_, Option<TokenSession>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a session, in use or not.
    pub(super) fn is_taken(&self) -> bool {
        match self.session.try_lock() {
            Ok(session) => session.is_some(),
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Poisoned(_)) => false,
        }
    }
}
