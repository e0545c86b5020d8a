//! The thread that climbs the ladder of recovery: what is done when a new session does not help.
//!
//! In: how high to climb. Out: a token that works again, or the reason why it does not. First a new login, then
//! `C_Finalize` and `C_Initialize`, then, where somebody can do that, a new process. After each rung the token is found by
//! its label and serial, and each key by its id, its pin and a signature that verifies. It never tries a PIN again that
//! was refused, never calls `C_Logout`, and never takes "nothing found" for "destroyed".

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::key_table::KnownKey;
use super::ladder::Rung;
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
            let needs_a_person = error.needs_a_person();
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
                Err(error) if !error.needs_a_person() => {
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

/// A caller can do nothing about the token but come back later, unless a person must act first.
fn to_callers(error: BackendError) -> BackendError {
    match error {
        BackendError::Unavailable { .. } => error,
        error if error.needs_a_person() => error,
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
