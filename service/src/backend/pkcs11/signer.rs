//! The signing threads: one OS thread owns one session for life.
//!
//! In: jobs from one bounded queue. Out: a raw signature or an error for each, to whoever still waits. A thread never
//! searches, logs in or opens a session while all is well; it asks the token nothing for a job that is late or that
//! nobody waits for any more.

use std::sync::Arc;
use std::time::Instant;

use sealkeep_profiles::algorithm::KeyType;

use super::call_clock::CallClock;
use super::job_queue::JobQueue;
use super::key_table::KnownKey;
use super::link::Link;
use super::mechanism::SignInput;
use super::objects;
use super::recovery::{Action, Fault};
use super::session::TokenSession;
use super::waiter::BoxWaiter;
use crate::backend::BackendError;
use crate::clock::monotonic;

/// One signature that is wanted.
pub(super) struct SignJob {
    pub(super) key: Arc<KnownKey>,
    pub(super) input: SignInput,
    pub(super) deadline: Instant,
    pub(super) waiter: BoxWaiter<Vec<u8>>,
}

/// What one thread owns.
pub(super) struct Signer {
    link: Arc<Link>,
    session: Option<TokenSession>,
    call: Arc<CallClock>,
}

impl Signer {
    pub(super) fn new(link: Arc<Link>, session: TokenSession) -> Self {
        link.signing_session_opened();
        Self {
            call: link.call_clock(),
            link,
            session: Some(session),
        }
    }

    /// Serves until the queue is closed and empty.
    pub(super) fn run(mut self, jobs: &JobQueue<SignJob>) {
        let call = Arc::clone(&self.call);
        while let Some(job) = jobs.pop() {
            let _running = call.begin();
            self.serve(job);
        }
    }

    fn serve(&mut self, job: SignJob) {
        if job.waiter.is_gone() {
            self.link.counters.dropped_unwanted.add_one();
            return;
        }
        let outcome = if monotonic() >= job.deadline {
            self.link.counters.dropped_late.add_one();
            Err(BackendError::Deadline)
        } else {
            self.sign(&job)
        };
        // If the caller went away meanwhile, the signature goes with it.
        job.waiter.answer(outcome);
    }

    /// One attempt, and a second one if the class of the fault promises something from it.
    fn sign(&mut self, job: &SignJob) -> Result<Vec<u8>, BackendError> {
        let fault = match self.attempt(&job.key, &job.input) {
            Ok(raw) => return self.accept(&job.key, raw),
            Err(fault) => fault,
        };
        tracing::warn!(%fault, key = %job.key.id, "a signature failed");
        if fault.lacks_mechanism() {
            let scheme = job.input.scheme().name().into();
            return Err(BackendError::SchemeUnsupported { scheme });
        }
        if monotonic() >= job.deadline {
            return Err(fault.into());
        }
        let key = match fault.class().action() {
            Action::GiveUp => return Err(fault.into()),
            Action::RetryOnNewSession => Arc::clone(&job.key),
            Action::FindKeyAgain => self.find_again(&job.key)?,
        };
        self.link.counters.retries.add_one();
        let raw = self.attempt(&key, &job.input)?;
        self.accept(&key, raw)
    }

    fn attempt(&mut self, key: &KnownKey, input: &SignInput) -> Result<Vec<u8>, Fault> {
        self.with_session(|session| session.sign_once(key.handle, input))
    }

    /// Whether the signature has the form it must have is checked here; whether it verifies, by whoever assembles it.
    fn accept(&self, key: &KnownKey, raw: Vec<u8>) -> Result<Vec<u8>, BackendError> {
        let expected_bytes = match key.public.key_type() {
            KeyType::Rsa { bits } => bits.div_ceil(8) as usize,
            KeyType::EcP256 => 64,
            KeyType::EcP384 => 96,
            KeyType::EcP521 => 132,
            KeyType::Ed25519 => 64,
            other => return Err(BackendError::SpecUnsupported(other.to_string())),
        };
        if raw.len() != expected_bytes {
            return Err(BackendError::Malformed(format!(
                "a signature of {} bytes instead of {expected_bytes}",
                raw.len()
            )));
        }
        self.link.counters.signatures.add_one();
        Ok(raw)
    }

    /// The handle is worth nothing any more: search by id, compare the pin, and tell the other threads.
    fn find_again(&mut self, key: &KnownKey) -> Result<Arc<KnownKey>, BackendError> {
        let wanted = key.key_ref();
        self.link.counters.key_searches.add_one();
        let found = self.with_session(|session| match objects::find(session, &wanted)? {
            Ok((known, _)) => Ok(objects::self_test(session, &known)?.map(|()| known)),
            Err(error) => Ok(Err(error)),
        })?;
        match found {
            Ok(known) => {
                let known = Arc::new(known);
                self.link.keys.change(&[Arc::clone(&known)], &[]);
                Ok(known)
            }
            Err(error) => {
                tracing::error!(%error, "a key that was there is not found again");
                Err(error)
            }
        }
    }

    /// Runs one piece of work on this thread's session, opening a new one if the last was lost. An error costs it.
    fn with_session<T>(
        &mut self,
        work: impl FnOnce(&TokenSession) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.open()?,
        };
        match work(&session) {
            Ok(value) => {
                self.session = Some(session);
                self.link.works();
                Ok(value)
            }
            Err(fault) => {
                self.link.signing_session_lost();
                self.link.failed(&fault);
                self.link.discard(session, Some(&fault));
                Err(fault)
            }
        }
    }

    fn open(&self) -> Result<TokenSession, Fault> {
        let session = self
            .link
            .open()
            .inspect_err(|fault| self.link.failed(fault))?;
        self.link.signing_session_opened();
        Ok(session)
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.link.signing_session_lost();
            self.link.discard(session, None);
        }
    }
}
