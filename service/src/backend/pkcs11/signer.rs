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
use super::link::{Connection, Link};
use super::mechanism::SignInput;
use super::objects::{self, Inventory};
use super::recovery::{Action, Fault};
use super::session::TokenSession;
use super::waiter::BoxWaiter;
use crate::backend::BackendError;
use crate::clock::monotonic;

/// How much of its time a request must have left to be tried again (percent).
const RETRY_TIME_LEFT_PERCENT_MIN: u32 = 40;

/// One signature that is wanted.
pub(super) struct SignJob {
    pub(super) key: Arc<KnownKey>,
    pub(super) input: SignInput,
    pub(super) accepted: Instant,
    pub(super) deadline: Instant,
    pub(super) waiter: BoxWaiter<Vec<u8>>,
}

impl SignJob {
    /// A second attempt that comes too late helps nobody and costs the others.
    fn is_worth_a_retry(&self, now: Instant) -> bool {
        let whole = self.deadline.saturating_duration_since(self.accepted);
        let left = self.deadline.saturating_duration_since(now);
        left * 100 >= whole * RETRY_TIME_LEFT_PERCENT_MIN
    }
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
        let outcome = if let Some(down) = self.link.ladder.refusal() {
            Err(down)
        } else if monotonic() >= job.deadline {
            self.link.counters.dropped_late.add_one();
            Err(BackendError::Deadline)
        } else {
            self.sign(&job)
        };
        // If the caller went away meanwhile, the signature goes with it.
        job.waiter.answer(outcome);
    }

    /// One attempt, and a second one if something can be done about the fault of the first.
    fn sign(&mut self, job: &SignJob) -> Result<Vec<u8>, BackendError> {
        let seen = self.link.ladder.climbs();
        let fault = match self.attempt(job) {
            Ok(outcome) => return outcome.and_then(|raw| self.accept(&job.key, raw)),
            Err(fault) => fault,
        };
        tracing::warn!(%fault, key = %job.key.id, "a signature failed");
        if fault.lacks_mechanism() {
            let scheme = job.input.scheme().name().into();
            return Err(BackendError::SchemeUnsupported { scheme });
        }
        match fault.class().action() {
            Action::GiveUp => return Err(fault.into()),
            Action::RetryOnNewSession => {}
            Action::FindKeyAgain => self.find_again(job)?,
            Action::Climb(rung) => {
                self.link.ladder.climb(rung, &fault, seen, job.deadline)?;
            }
        }
        if !job.is_worth_a_retry(monotonic()) {
            return Err(fault.into());
        }
        self.link.counters.retries.add_one();
        let raw = self.attempt(job)??;
        self.accept(&job.key, raw)
    }

    /// Signs with the handle that the key has in this login, which need not be the one it had when it was asked for.
    fn attempt(&mut self, job: &SignJob) -> Result<Result<Vec<u8>, BackendError>, Fault> {
        let link = Arc::clone(&self.link);
        self.with_session(|session| {
            let handle = if job.key.login == session.login {
                job.key.handle
            } else {
                match link.keys.get(&job.key.key_ref()) {
                    Ok(known) if known.login == session.login => known.handle,
                    Ok(known) => return Ok(Err(BackendError::KeyUnknown(known.id))),
                    Err(error) => return Ok(Err(error)),
                }
            };
            Ok(Ok(session.sign_once(handle, &job.input)?))
        })
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

    /// The handle is worth nothing any more: search by id, compare the pin, and tell the other threads. A token that
    /// shows none of our keys has lost its objects, or its connection: that is a reason to initialise, not to give up.
    fn find_again(&mut self, job: &SignJob) -> Result<(), BackendError> {
        let (wanted, seen) = (job.key.key_ref(), self.link.ladder.climbs());
        let link = Arc::clone(&self.link);
        link.counters.key_searches.add_one();
        let looked = self.with_session(|session| {
            let found = match objects::find(session, &wanted)? {
                Ok((known, _)) => objects::self_test(session, &known)?.map(|()| known),
                Err(error) => Err(error),
            };
            if matches!(found, Err(BackendError::KeyUnknown(_)))
                && !Inventory::of_token(session)?.has_any(&link.keys.wanted())
            {
                return Err(Fault::no_key_visible());
            }
            Ok(found)
        });
        match looked {
            Ok(Ok(known)) => link.keys.change(&[Arc::new(known)], &[]),
            Ok(Err(error)) => {
                tracing::error!(%error, "a key that was there is not found again");
                return Err(error);
            }
            Err(fault) => match fault.class().action() {
                Action::Climb(rung) => link.ladder.climb(rung, &fault, seen, job.deadline)?,
                _ => return Err(fault.into()),
            },
        }
        Ok(())
    }

    /// Runs one piece of work on this thread's session, opening a new one if the last was lost. An error costs it.
    fn with_session<T>(
        &mut self,
        work: impl FnOnce(&TokenSession) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let at = self.link.enter();
        let had_one = self.session.is_some();
        let session = match self.link.current(self.session.take(), &at) {
            Some(session) => session,
            None => {
                if had_one {
                    self.link.signing_session_lost();
                }
                self.open(&at)?
            }
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

    fn open(&self, at: &Connection) -> Result<TokenSession, Fault> {
        let session = self
            .link
            .open(at)
            .inspect_err(|fault| self.link.failed(fault))?;
        self.link.signing_session_opened();
        Ok(session)
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.link.signing_session_lost();
            let at = self.link.enter();
            if let Some(session) = self.link.current(Some(session), &at) {
                self.link.discard(session, None);
            }
        }
    }
}
