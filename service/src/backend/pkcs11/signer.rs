//! The signing threads: one OS thread owns one session for life.
//!
//! In: jobs from one bounded queue. Out: a raw signature or an error for each, to whoever still waits. A thread never
//! searches, logs in or opens a session while all is well; it asks the token nothing for a job that is late or that
//! nobody waits for any more.

use std::sync::Arc;
use std::time::Instant;

use sealkeep_profiles::algorithm::KeyType;

use super::job_queue::{JobQueue, Next};
use super::key_table::KnownKey;
use super::link::Link;
use super::mechanism::SignInput;
use super::objects::{self, Inventory, Verdict};
use super::recovery::{Action, Class, Fault};
use super::seat::Seat;
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
    jobs: Arc<JobQueue<SignJob>>,
    /// Its place among the threads.
    number: usize,
    seat: Arc<Seat>,
}

impl Signer {
    pub(super) fn new(
        link: Arc<Link>,
        jobs: Arc<JobQueue<SignJob>>,
        number: usize,
        session: TokenSession,
    ) -> Self {
        Self {
            seat: link.signing_seat(session),
            jobs,
            number,
            link,
        }
    }

    /// Serves until the queue is closed and empty.
    pub(super) fn run(self) {
        loop {
            match self.jobs.pop(self.number) {
                Next::Job(job) => {
                    let patience = job.deadline.saturating_duration_since(job.accepted);
                    let _running = self.seat.call.begin(patience);
                    self.serve(job);
                }
                Next::Rest => self.rest(),
                Next::End => return,
            }
        }
    }

    /// Gives its session back, and tries for another one when it is time: no caller's request is tried on that.
    fn rest(&self) {
        self.link.leave(&self.seat);
        if self.jobs.rest(self.number) && self.with_session(|_| Ok(())).is_err() {
            self.jobs.no_room_for(self.number);
        }
    }

    fn serve(&self, job: SignJob) {
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

    /// One attempt, and another one after each remedy for the fault of the one before; no remedy is tried twice.
    fn sign(&self, job: &SignJob) -> Result<Vec<u8>, BackendError> {
        let (mut key, mut tried) = (Arc::clone(&job.key), Vec::new());
        loop {
            let seen = self.link.ladder.climbs();
            let fault = match self.attempt(&key, &job.input) {
                Ok(outcome) => return outcome.and_then(|raw| self.accept(&key, raw)),
                Err(fault) => fault,
            };
            tracing::warn!(%fault, key = %key.id, "a signature failed");
            if fault.class() == Class::Resources && self.jobs.halve() {
                tracing::warn!("the token has no room; half of the sessions rest");
                self.link.counters.pool_halvings.add_one();
            }
            if fault.lacks_mechanism() {
                let scheme = job.input.scheme().name().into();
                return Err(BackendError::SchemeUnsupported { scheme });
            }
            let action = fault.class().action();
            if tried.contains(&action) || !job.is_worth_a_retry(monotonic()) {
                return Err(fault.into());
            }
            tried.push(action);
            match action {
                Action::GiveUp => return Err(fault.into()),
                Action::RetryOnNewSession => {}
                Action::FindKeyAgain => self.find_again(job)?,
                Action::Climb(rung) => {
                    self.link.ladder.climb(rung, &fault, seen, job.deadline)?;
                }
            }
            key = self.link.keys.get(&key.key_ref())?;
            self.link.counters.retries.add_one();
        }
    }

    /// Signs with the handle that the key has in this login, which need not be the one it had when it was asked for.
    fn attempt(
        &self,
        key: &KnownKey,
        input: &SignInput,
    ) -> Result<Result<Vec<u8>, BackendError>, Fault> {
        self.with_session(
            |session| match self.link.keys.handle_in(key, session.login)? {
                Ok(handle) => Ok(Ok(session.sign_once(handle, input)?)),
                Err(error) => Ok(Err(error)),
            },
        )
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
    fn find_again(&self, job: &SignJob) -> Result<(), BackendError> {
        let seen = self.link.ladder.climbs();
        let looked = match self.look(&job.key) {
            // The session that was opened for it was gone already.
            Err(fault) if fault.class().action() == Action::RetryOnNewSession => {
                self.look(&job.key)
            }
            looked => looked,
        };
        match looked {
            Ok(Ok(known)) => self.link.keys.change(&[Arc::new(known)], &[]),
            Ok(Err(error)) => {
                tracing::error!(%error, "a key that was there is not found again");
                return Err(error);
            }
            Err(fault) => match fault.class().action() {
                Action::Climb(rung) => {
                    self.link.ladder.climb(rung, &fault, seen, job.deadline)?;
                }
                _ => return Err(fault.into()),
            },
        }
        Ok(())
    }

    fn look(&self, key: &KnownKey) -> Result<Verdict<KnownKey>, Fault> {
        self.link.counters.key_searches.add_one();
        self.with_session(|session| {
            let found = match objects::find(session, &key.key_ref())? {
                Ok((known, _)) => objects::self_test(session, &known)?.map(|_| known),
                Err(error) => Err(error),
            };
            if matches!(found, Err(BackendError::KeyUnknown(_)))
                && !Inventory::of_token(session)?.has_any(&self.link.keys.wanted())
            {
                return Err(Fault::no_key_visible());
            }
            Ok(found)
        })
    }

    fn with_session<T>(
        &self,
        work: impl FnOnce(&TokenSession) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.link.with_session(&self.seat, Link::open, work)
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.link.leave(&self.seat);
    }
}
