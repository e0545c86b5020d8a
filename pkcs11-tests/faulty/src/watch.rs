//! What an application must not do, noticed from inside the module.
//!
//! In: every call, when it begins and when it ends. Out: one line in the trace for each broken rule. Always: no call
//! before `C_Initialize` or after `C_Finalize`, none of those while another thread is in a call, no session used by
//! two threads at a time, no session left open at the end. If the script says so: functions, mechanisms, the number of
//! logins, and no second use of a session after an error.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::*;

use crate::call::Call;
use crate::script::Watched;
use crate::trace::Trace;

/// What is known about the application.
#[derive(Default)]
pub(crate) struct Watch(Mutex<State>);

#[derive(Default)]
struct State {
    initialised: bool,
    /// Calls that have begun and not ended.
    inside: u32,
    logins: u32,
    sessions: HashMap<CK_SESSION_HANDLE, Session>,
}

struct Session {
    slot: CK_SLOT_ID,
    inside: u32,
    failed: bool,
}

impl Watch {
    /// A call begins.
    pub(crate) fn enter(&self, call: &Call, watched: &Watched, trace: &Trace) {
        let mut state = self.lock();
        for broken in state.broken(call, watched) {
            trace.violation(call, broken);
        }
        state.inside += 1;
        state.logins += u32::from(call.function == "C_Login");
        if let Some(session) = state.session(call) {
            session.inside += 1;
        }
    }

    /// A call ends.
    pub(crate) fn leave(&self, call: &Call, rv: CK_RV, trace: &Trace) {
        let mut state = self.lock();
        state.inside -= 1;
        if let Some(session) = state.session(call) {
            session.inside = session.inside.saturating_sub(1);
            session.failed |= rv != CKR_OK && matches!(call.function, "C_SignInit" | "C_Sign");
        }
        let is_gone = matches!(
            rv,
            CKR_SESSION_CLOSED | CKR_SESSION_HANDLE_INVALID | CKR_CRYPTOKI_NOT_INITIALIZED
        );
        // Nobody leaks what he was told is gone, or tried to give back.
        if let Some(session) = call.session
            && (is_gone || call.function == "C_CloseSession")
        {
            state.sessions.remove(&session);
        }
        match (call.function, rv) {
            ("C_Initialize", CKR_OK) => state.initialised = true,
            ("C_Finalize", CKR_OK) => {
                state.initialised = false;
                if !std::mem::take(&mut state.sessions).is_empty() {
                    trace.violation(call, "SESSIONS_LEAKED");
                }
            }
            _ => {}
        }
    }

    pub(crate) fn opened(&self, session: CK_SESSION_HANDLE, slot: CK_SLOT_ID) {
        self.lock().sessions.insert(
            session,
            Session {
                slot,
                inside: 0,
                failed: false,
            },
        );
    }

    pub(crate) fn closed(&self, session: CK_SESSION_HANDLE) {
        self.lock().sessions.remove(&session);
    }

    pub(crate) fn closed_all(&self, slot: CK_SLOT_ID) {
        self.lock()
            .sessions
            .retain(|_, session| session.slot != slot);
    }

    /// The token closed them, not the application.
    pub(crate) fn forget_sessions(&self) {
        self.lock().sessions.clear();
    }

    pub(crate) fn open_sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn session(&mut self, call: &Call) -> Option<&mut Session> {
        self.sessions.get_mut(&call.session?)
    }

    /// The rules that this call breaks.
    fn broken(&mut self, call: &Call, watched: &Watched) -> Vec<&'static str> {
        let (inside, logins, initialised) = (self.inside, self.logins, self.initialised);
        let (shared, failed) = self
            .session(call)
            .map_or((false, false), |s| (s.inside > 0, s.failed));
        let is = |name: &str| call.function == name;
        let forbidden = watched
            .functions_forbidden
            .iter()
            .any(|function| is(&function.0));
        let mechanism = watched
            .mechanisms_forbidden
            .iter()
            .any(|it| Some(it.0) == call.mechanism);
        let login = is("C_Login") && watched.logins_max.is_some_and(|most| logins >= most);
        [
            (!initialised && !is("C_Initialize"), "NOT_INITIALIZED"),
            (is("C_Finalize") && inside > 0, "FINALIZED_DURING_A_CALL"),
            (shared, "SESSION_SHARED"),
            (forbidden, "FUNCTION_FORBIDDEN"),
            (mechanism, "MECHANISM_FORBIDDEN"),
            (login, "LOGIN_REPEATED"),
            (
                watched.discard_after_error && failed && !is("C_CloseSession"),
                "SESSION_USED_AFTER_ERROR",
            ),
        ]
        .into_iter()
        .filter_map(|(broken, name)| broken.then_some(name))
        .collect()
    }
}
