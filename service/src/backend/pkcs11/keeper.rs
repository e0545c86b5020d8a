//! The keeper: a thread beside the signers for everything that is slow and rare.
//!
//! In: tasks to adopt, generate, read or destroy keys. Out: their answers, and a table of keys that can sign. It has a
//! session of its own, so that a key generation of seconds holds up no signature.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use sealkeep_profiles::algorithm::PublicKey;

use super::decrypt::{self, DecryptInput};
use super::generate::{self, Made};
use super::import;
use super::key_table::KnownKey;
use super::link::Link;
use super::objects::{self, Inventory, Verdict};
use super::recovery::{Action, Fault};
use super::session::TokenSession;
use super::waiter::{BoxWaiter, stopped};
use crate::backend::{
    Adopted, BackendError, GeneratedKey, KeyId, KeyRef, KeySpec, KeyUsage, Unwrapped,
};
use crate::clock::monotonic;

/// How long the keeper waits for the ladder: its callers have deadlines of their own.
const CLIMB_PATIENCE: Duration = Duration::from_secs(5);
/// Tasks that may wait for the keeper; more are refused as busy.
pub(super) const TASKS_WAITING_MAX: usize = 32;

/// One task: it answers its caller by itself, also when the keeper does not take it.
pub(super) type Task = Box<dyn FnOnce(Turn<'_>) + Send>;

/// What becomes of a task.
pub(super) enum Turn<'a> {
    /// The keeper does it now.
    Of(&'a mut Keeper),
    /// It never reached the keeper.
    Refused(BackendError),
}

/// What the thread owns.
pub(super) struct Keeper {
    link: Arc<Link>,
}

/// Why a piece of work was not done.
enum Failure {
    /// A call of the module failed, and nothing more can be done about it.
    Call(Fault),
    /// It was not tried, or the token did not come back.
    Other(BackendError),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Call(fault)
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for BackendError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Call(fault) => fault.into(),
            Failure::Other(error) => error,
        }
    }
}

/// Sends a piece of work to the keeper. `unwanted` gets an answer that nobody waited for.
pub(super) fn ask<T: Send + 'static>(
    tasks: &Sender<Task>,
    deadline: Instant,
    waiter: BoxWaiter<T>,
    work: impl FnOnce(&mut Keeper) -> Result<T, BackendError> + Send + 'static,
    unwanted: impl FnOnce(&mut Keeper, T) + Send + 'static,
) {
    let task = move |turn: Turn<'_>| match turn {
        Turn::Refused(error) => drop(waiter.answer(Err(error))),
        Turn::Of(keeper) if waiter.is_gone() => keeper.link.counters.dropped_unwanted.add_one(),
        Turn::Of(keeper) if monotonic() >= deadline => {
            keeper.link.counters.dropped_late.add_one();
            waiter.answer(Err(BackendError::Deadline));
        }
        Turn::Of(keeper) => {
            if let Some(value) = waiter.answer(work(keeper)) {
                unwanted(keeper, value);
            }
        }
    };
    match tasks.try_send(Box::new(task)) {
        Ok(()) => {}
        Err(TrySendError::Full(task)) => task(Turn::Refused(BackendError::Busy)),
        Err(TrySendError::Disconnected(task)) => task(Turn::Refused(stopped())),
    }
}

impl Keeper {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, tasks: &Receiver<Task>) {
        for task in tasks {
            let link = Arc::clone(&self.link);
            let _running = link.keeper.call.begin(Duration::MAX);
            task(Turn::Of(&mut self));
        }
    }

    /// See [`KeyBackend::generate`](crate::backend::KeyBackend::generate).
    pub(super) fn generate(
        &mut self,
        id: KeyId,
        label: &str,
        spec: KeySpec,
        usage: KeyUsage,
    ) -> Result<GeneratedKey, BackendError> {
        spec.check()?;
        spec.check_usage(usage)?;
        // Tried again only while it is looked for an object of that id: a key whose birth was not told may be there.
        let make = |session: &TokenSession| generate::generate(session, id, label, spec, usage);
        let made = self.with_session_if(Fault::is_of_search, make)??;
        tracing::info!(key = %id, %spec, "generated a key");
        Ok(self.ready(made))
    }

    /// See [`Pkcs11Backend::import`](super::Pkcs11Backend::import).
    pub(super) fn import(
        &mut self,
        id: KeyId,
        label: &str,
        public: &PublicKey,
        private_key_info: &[u8],
    ) -> Result<GeneratedKey, BackendError> {
        let bring =
            |session: &TokenSession| import::import(session, id, label, public, private_key_info);
        let brought = self.with_session_if(Fault::is_of_search, bring);
        let brought = brought.map_err(BackendError::from).and_then(|it| it);
        let made = brought.inspect_err(|error| {
            // An answer that was lost may have been a yes; whatever has this id now was not there before.
            if !matches!(error, BackendError::KeyExists(_))
                && let Err(left) = self.with_session(|session| import::sweep(session, id))
            {
                tracing::error!(key = %id, error = %left, "a key that was not imported may be in the token");
            }
        })?;
        tracing::warn!(key = %id, "imported a key; copies of it may exist elsewhere");
        Ok(self.ready(made))
    }

    /// Lets a new key sign.
    fn ready(&self, made: Made) -> GeneratedKey {
        let generated = GeneratedKey {
            key: made.key.key_ref(),
            spki_der: made.key.public.spki_der().to_vec(),
            evidence: made.evidence,
            decrypts: made.decrypts,
        };
        self.link.keys.change(&[Arc::new(made.key)], &[]);
        generated
    }

    /// For a key that was ready when nobody waited for it any more.
    pub(super) fn destroy_unwanted(&mut self, unwanted: GeneratedKey) {
        if let Err(error) = self.destroy(&unwanted.key) {
            tracing::error!(key = %unwanted.key.id, %error, "a key nobody waited for could not be destroyed");
        }
    }

    /// See [`KeyBackend::adopt`](crate::backend::KeyBackend::adopt).
    pub(super) fn adopt(
        &mut self,
        keys: &[KeyRef],
        deadline: Instant,
    ) -> Result<Vec<Adopted>, BackendError> {
        self.link.counters.key_searches.add_one();
        let inventory = self.with_session(|session| {
            objects::logged_in(session)?;
            Inventory::of_token(session)
        })?;
        let (mut report, mut ready, mut refused) = (Vec::with_capacity(keys.len()), vec![], vec![]);
        for key in keys {
            if monotonic() >= deadline {
                return Err(BackendError::Deadline);
            }
            let adopted = self.with_session(|session| objects::adopt(session, &inventory, key))?;
            let outcome = match adopted {
                Ok((known, evidence)) => {
                    ready.push(Arc::new(known));
                    Ok(evidence)
                }
                Err(error) => {
                    tracing::error!(key = %key.id, %error, "a key is not ready");
                    refused.push(key.id);
                    Err(error)
                }
            };
            report.push(Adopted { key: *key, outcome });
        }
        self.link.keys.want(keys.iter().copied());
        self.link.keys.change(&ready, &refused);
        Ok(report)
    }

    /// See [`KeyBackend::decrypt`](crate::backend::KeyBackend::decrypt).
    pub(super) fn decrypt(
        &mut self,
        key: &KnownKey,
        input: &DecryptInput,
    ) -> Result<Unwrapped, BackendError> {
        let outcome = self.with_session_if(
            |_| true,
            |session| match self.link.keys.handle_in(key, session.login)? {
                Ok(handle) => {
                    let key = key.under(handle, session.login);
                    Ok(Ok(decrypt::run(input, session, &key)?))
                }
                Err(error) => Ok(Err(error)),
            },
        );
        match outcome {
            Err(Failure::Call(fault)) if decrypt::lacks(&fault) => {
                Err(BackendError::SchemeUnsupported {
                    scheme: input.name().into(),
                })
            }
            Err(failure) => Err(failure.into()),
            Ok(outcome) => outcome,
        }
    }

    /// See [`KeyBackend::public_key`](crate::backend::KeyBackend::public_key).
    pub(super) fn public_key(&mut self, key: &KeyRef) -> Result<Vec<u8>, BackendError> {
        let (known, _) = self.find(key)??;
        Ok(known.public.spki_der().to_vec())
    }

    /// See [`KeyBackend::destroy`](crate::backend::KeyBackend::destroy).
    pub(super) fn destroy(&mut self, key: &KeyRef) -> Result<(), BackendError> {
        self.link.counters.key_searches.add_one();
        // Found and destroyed under one login: after another one the handle may denote another key.
        self.with_session(|session| {
            let pair = match objects::find(session, key)? {
                Ok((_, pair)) => pair,
                Err(error) => return Ok(Err(error)),
            };
            session.destroy_object(pair.private)?;
            if let Some(public) = pair.public
                && let Err(error) = session.destroy_object(public)
            {
                // The key is gone, which is what was asked; what is left is a public object without a use.
                let fault = Fault::from(error);
                tracing::warn!(%fault, key = %key.id, "the public object of a destroyed key stays behind");
            }
            Ok(Ok(()))
        })??;
        self.link.keys.forget(key.id);
        tracing::info!(key = %key.id, "destroyed a key");
        Ok(())
    }

    fn find(&mut self, key: &KeyRef) -> Result<Verdict<(KnownKey, objects::Pair)>, BackendError> {
        self.link.counters.key_searches.add_one();
        self.with_session(|session| objects::find(session, key))
    }

    /// Runs a piece of work on the keeper's session. The session is idle most of its life, so it is the first to be
    /// closed by the token: a session fault is worth a second try on a new one. So is a fault that the ladder cured.
    fn with_session<T>(
        &self,
        work: impl Fn(&TokenSession) -> Result<T, Fault>,
    ) -> Result<T, BackendError> {
        Ok(self.with_session_if(|_| true, work)?)
    }

    /// As [`with_session`](Self::with_session), but for work that is done a second time only after some faults.
    fn with_session_if<T>(
        &self,
        may_repeat: impl FnOnce(&Fault) -> bool,
        work: impl Fn(&TokenSession) -> Result<T, Fault>,
    ) -> Result<T, Failure> {
        if let Some(down) = self.link.ladder.refusal() {
            return Err(Failure::Other(down));
        }
        let seen = self.link.ladder.climbs();
        let fault = match self.attempt(&work) {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        match fault.class().action() {
            Action::RetryOnNewSession => {}
            Action::Climb(rung) => {
                let deadline = monotonic() + CLIMB_PATIENCE;
                self.link.ladder.climb(rung, &fault, seen, deadline)?;
            }
            Action::FindKeyAgain | Action::GiveUp => return Err(fault.into()),
        }
        if !may_repeat(&fault) {
            return Err(fault.into());
        }
        Ok(self.attempt(&work)?)
    }

    /// The session is opened at the first need, and again after an error.
    fn attempt<T>(&self, work: impl Fn(&TokenSession) -> Result<T, Fault>) -> Result<T, Fault> {
        let link = &self.link;
        link.with_session(&link.keeper, Link::open_for_changes, work)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.link.leave(&self.link.keeper);
    }
}
