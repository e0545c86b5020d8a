//! The connection to one token: what all threads of a backend share.
//!
//! In: a context, a slot and the session that carries the login. Out: sessions, and the state of the token as others
//! may see it. A session is used by the thread that opened it and by no other. After an error it is thrown away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use cryptoki::error::RvError;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::call_clock::CallClock;
use super::counts::Counters;
use super::key_table::KeyTable;
use super::ladder::Ladder;
use super::module::Module;
use super::recovery::Fault;
use super::seat::Seat;
use super::session::TokenSession;

/// A token that is logged in to.
pub(super) struct Link {
    pub(super) module: Module,
    /// Whoever calls the module holds this for reading; a rung of the ladder holds it alone.
    connection: RwLock<Connection>,
    /// The keys that can sign, with their handles in this login.
    pub(super) keys: KeyTable,
    pub(super) ladder: Ladder,
    pub(super) counters: Counters,
    /// The places of the signing threads.
    signers: Mutex<Vec<Arc<Seat>>>,
    /// The place of the keeper.
    pub(super) keeper: Seat,
    /// What the ladder is at.
    pub(super) climb: CallClock,
    problem: ArcSwapOption<String>,
}

/// One initialisation of the module and one login, until the ladder makes another.
pub(super) struct Connection {
    slot: Slot,
    /// Never used (the lock is never taken): a token logs out when the last session closes (PKCS#11 v2.40 section 5.6), and this one stays open.
    anchor: Mutex<Option<Session>>,
    login: u64,
}

impl Connection {
    /// The last session of all, and with it the login.
    fn close_anchor(&mut self) {
        close(std::mem::take(&mut self.anchor));
        self.login += 1;
    }

    /// The login is a new one, and with it all handles.
    pub(super) fn logged_in_again(&mut self, slot: Slot, anchor: Session) {
        self.slot = slot;
        self.login += 1;
        // The session of the login before is closed last: without any session the token would log out.
        let before = std::mem::replace(&mut self.anchor, Mutex::new(Some(anchor)));
        close(before);
    }
}

fn close(anchor: Mutex<Option<Session>>) {
    let session = anchor.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(session) = session
        && let Err(error) = session.close()
    {
        tracing::debug!(fault = %Fault::from(error), "closing the session of the login failed");
    }
}

impl Link {
    pub(super) fn new(module: Module, slot: Slot, anchor: Session) -> Self {
        let connection = Connection {
            slot,
            anchor: Mutex::new(Some(anchor)),
            login: 1,
        };
        Self {
            module,
            connection: RwLock::new(connection),
            keys: KeyTable::default(),
            ladder: Ladder::default(),
            counters: Counters::default(),
            signers: Mutex::new(Vec::new()),
            keeper: Seat::new(None),
            climb: CallClock::new(),
            problem: ArcSwapOption::empty(),
        }
    }

    /// To be held around calls of the module, never twice by one thread.
    pub(super) fn enter(&self) -> RwLockReadGuard<'_, Connection> {
        self.connection.read()
    }

    /// Waits until no thread is inside the module, and keeps them out. `None`: one of them does not come out.
    pub(super) fn alone(&self, patience: Duration) -> Option<RwLockWriteGuard<'_, Connection>> {
        self.connection.try_write_for(patience)
    }

    /// Runs one piece of work in the session of a thread, opening a new one if the last was lost. An error costs it.
    pub(super) fn with_session<T>(
        &self,
        seat: &Seat,
        open: fn(&Self, &Connection) -> Result<TokenSession, Fault>,
        work: impl FnOnce(&TokenSession) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (at, mut place) = (self.enter(), seat.session());
        let session = match place.take() {
            Some(session) if session.login == at.login => session,
            before => {
                if let Some(session) = before {
                    self.discard(session, None);
                }
                open(self, &at).inspect_err(|fault| self.failed(fault))?
            }
        };
        match work(&session) {
            Ok(value) => {
                *place = Some(session);
                self.works();
                Ok(value)
            }
            Err(fault) => {
                self.failed(&fault);
                self.discard(session, Some(&fault));
                Err(fault)
            }
        }
    }

    /// Closes the session of a thread that ends.
    pub(super) fn leave(&self, seat: &Seat) {
        let _at = self.enter();
        if let Some(session) = seat.session().take() {
            self.discard(session, None);
        }
    }

    /// Closes the sessions of all threads, which must be outside the module. Those of a dead device do not close; their
    /// numbers are worth nothing either way.
    pub(super) fn close_sessions(&self, at: &mut Connection) {
        let signers = self.signers();
        for seat in signers.iter().map(|seat| &**seat).chain([&self.keeper]) {
            if let Some(session) = seat.session().take() {
                self.discard(session, None);
            }
        }
        at.close_anchor();
    }

    /// A session that can use keys; it is logged in because the process is.
    pub(super) fn open(&self, at: &Connection) -> Result<TokenSession, Fault> {
        let session = self.module.context.open_ro_session_no_drop(at.slot)?;
        Ok(self.opened(session, at))
    }

    /// A session that can also make and destroy keys, if the token lets anybody do that.
    pub(super) fn open_for_changes(&self, at: &Connection) -> Result<TokenSession, Fault> {
        match self
            .module
            .context
            .open_rw_session_no_drop(at.slot)
            .map_err(Fault::from)
        {
            Err(fault) if fault.rv() == Some(RvError::TokenWriteProtected) => self.open(at),
            Err(fault) => Err(fault),
            Ok(session) => Ok(self.opened(session, at)),
        }
    }

    fn opened(&self, session: Session, at: &Connection) -> TokenSession {
        self.counters.sessions_opened.add_one();
        TokenSession::new(session, &self.module, at.login)
    }

    /// Throws a session away, after `fault` if there was one.
    pub(super) fn discard(&self, session: TokenSession, fault: Option<&Fault>) {
        let is_dead = matches!(
            fault.and_then(Fault::rv),
            Some(
                RvError::SessionHandleInvalid
                    | RvError::SessionClosed
                    | RvError::CryptokiNotInitialized
            )
        );
        // A dead handle may already be the number of another thread's session: closing it would take that one away.
        if !is_dead && let Err(error) = session.close() {
            tracing::debug!(fault = %Fault::from(error), "closing a session failed");
        }
    }

    /// Writes down that a call failed.
    pub(super) fn failed(&self, fault: &Fault) {
        self.counters.faults.add_one();
        self.counters.kinds.add(fault);
        if fault.class().is_outage() {
            self.problem.store(Some(Arc::new(fault.to_string())));
        }
    }

    /// Writes down that a call worked, so the token does.
    pub(super) fn works(&self) {
        if self.problem.load().is_some() {
            self.problem.store(None);
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        if let Some(down) = self.ladder.refusal() {
            return Some(down.to_string());
        }
        self.problem
            .load()
            .as_ref()
            .map(|problem| problem.as_ref().clone())
    }

    /// A place for one more signing thread.
    pub(super) fn signing_seat(&self, session: TokenSession) -> Arc<Seat> {
        let seat = Arc::new(Seat::new(Some(session)));
        self.signers().push(Arc::clone(&seat));
        seat
    }

    /// The places of the signing threads.
    pub(super) fn signers(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.signers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        close(std::mem::take(&mut self.connection.get_mut().anchor));
    }
}
