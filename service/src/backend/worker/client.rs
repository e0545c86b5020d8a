//! The service's side of a token worker: a [`KeyBackend`] whose threads are in another process.
//!
//! In: what the service asks. Out: the worker's answers, or an error at the deadline at the latest. What is asked while
//! a worker starts waits for it; what was asked of a worker that died is answered with the reason. It never touches a
//! module.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_profiles::format::jwe::TokenWork;
use tokio::sync::oneshot;

use super::message::{Answer, Decrypt, Generate, Keys, Nothing, Request, Sign, error_of_json};
use super::shared::{Shared, malformed, unavailable};
use super::supervisor;
use super::{PinSource, WorkerConfig};
use crate::backend::pkcs11::Counts;
use crate::backend::{
    Adopted, BackendError, BoxFuture, GeneratedKey, KeyBackend, KeyId, KeyRef, KeySpec, KeyUsage,
    Tally, TokenInfo, Unwrapped,
};

/// A token behind a worker process.
///
/// Dropping it lets the worker finish what is queued, for as long as [`Pkcs11Backend`](crate::backend::pkcs11::Pkcs11Backend)
/// would.
pub struct TokenWorker {
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<()>>,
}

impl TokenWorker {
    /// Starts the worker and its supervisor. Blocks as long as the token takes.
    ///
    /// # Errors
    /// As [`Pkcs11Backend::start`](crate::backend::pkcs11::Pkcs11Backend::start), and
    /// [`BackendError::PinUnavailable`]; [`BackendError::Unavailable`] if the first worker dies.
    pub fn start(config: WorkerConfig, pin: PinSource) -> Result<Self, BackendError> {
        config.token.check()?;
        let shared = Arc::new(Shared::new(&config));
        let (first, started) = mpsc::channel();
        let supervised = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("token-worker".to_owned())
            .spawn(move || supervisor::run(&supervised, &config, &pin, first))
            .map_err(|problem| BackendError::Exhausted {
                function: "thread".to_owned(),
                rv: problem.to_string(),
            })?;
        let worker = Self {
            shared,
            supervisor: Some(thread),
        };
        match started.recv() {
            Ok(outcome) => outcome.map(|()| worker),
            Err(_) => Err(unavailable("the supervisor ended")),
        }
    }

    /// What the worker of today has done, and how often there was a new one.
    pub fn counts(&self, deadline: Instant) -> BoxFuture<Result<Counts, BackendError>> {
        let shared = Arc::clone(&self.shared);
        let answer = self.ask(Request::Counts(Nothing {}), deadline);
        Box::pin(async move {
            let answer = answer.await?;
            let counts = match &answer {
                Answer::Counts(counts) => counts.counts(),
                _ => None,
            };
            let mut counts = counts.ok_or_else(|| unexpected(&answer))?;
            shared.add_counts(&mut counts);
            Ok(counts)
        })
    }

    /// Process id of the worker of today, for tests and for people.
    pub fn worker_pid(&self) -> Option<u32> {
        self.shared.lock().pid
    }

    fn ask(&self, request: Request, deadline: Instant) -> BoxFuture<Result<Answer, BackendError>> {
        let (caller, answer) = oneshot::channel();
        let withdraw = Withdraw {
            id: self.shared.send(request, deadline, caller),
            shared: Arc::clone(&self.shared),
        };
        Box::pin(async move {
            let outcome = tokio::time::timeout_at(deadline.into(), answer).await;
            drop(withdraw);
            match outcome {
                Ok(Ok(Ok(Answer::Error(json)))) => Err(error_of_json(&json)),
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(unavailable("stopped")),
                Err(_) => Err(BackendError::Deadline),
            }
        })
    }
}

impl Drop for TokenWorker {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.supervisor.take()
            && thread.join().is_err()
        {
            tracing::error!("the supervisor of a token worker had panicked");
        }
    }
}

impl KeyBackend for TokenWorker {
    fn generate(
        &self,
        id: KeyId,
        label: &str,
        spec: KeySpec,
        usage: KeyUsage,
        deadline: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        let shared = Arc::clone(&self.shared);
        let request = Request::Generate(Generate::new(id, label, spec, usage));
        let answer = self.ask(request, deadline);
        Box::pin(async move {
            match answer.await? {
                Answer::Generated(made) => {
                    let made = made.generated_key().ok_or_else(|| malformed("a new key"))?;
                    shared.lock().wanted.insert(made.key.id, made.key);
                    Ok(made)
                }
                other => Err(unexpected(&other)),
            }
        })
    }

    fn sign(
        &self,
        key: &KeyRef,
        scheme: SignatureScheme,
        input: &[u8],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        let answer = self.ask(Request::Sign(Sign::new(key, scheme, input)), deadline);
        Box::pin(async move {
            match answer.await? {
                Answer::Signature(raw) => Ok(raw),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn decrypt(
        &self,
        key: &KeyRef,
        work: TokenWork<'_>,
        deadline: Instant,
    ) -> BoxFuture<Result<Unwrapped, BackendError>> {
        let answer = self.ask(Request::Decrypt(Decrypt::new(key, work)), deadline);
        Box::pin(async move {
            match answer.await? {
                Answer::Unwrapped(secret) => Ok(secret.unwrapped()),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn adopt(
        &self,
        keys: &[KeyRef],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<Adopted>, BackendError>> {
        let shared = Arc::clone(&self.shared);
        let keys = keys.iter().map(Into::into).collect();
        let answer = self.ask(Request::Adopt(Keys { keys }), deadline);
        Box::pin(async move {
            match answer.await? {
                Answer::Adopted(report) => {
                    let report = report.adopted().ok_or_else(|| malformed("a report"))?;
                    // Those that are not ready today are looked for again by the next worker.
                    let wanted = report.iter().map(|adopted| (adopted.key.id, adopted.key));
                    shared.lock().wanted.extend(wanted);
                    Ok(report)
                }
                other => Err(unexpected(&other)),
            }
        })
    }

    fn public_key(
        &self,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        let answer = self.ask(Request::PublicKey(key.into()), deadline);
        Box::pin(async move {
            match answer.await? {
                Answer::PublicKey(der) => Ok(der),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn destroy(&self, key: &KeyRef, deadline: Instant) -> BoxFuture<Result<(), BackendError>> {
        let (shared, id) = (Arc::clone(&self.shared), key.id);
        let answer = self.ask(Request::Destroy(key.into()), deadline);
        Box::pin(async move {
            match answer.await? {
                Answer::Destroyed(Nothing {}) => {
                    shared.lock().wanted.remove(&id);
                    Ok(())
                }
                other => Err(unexpected(&other)),
            }
        })
    }

    fn info(&self) -> TokenInfo {
        self.shared.info()
    }

    fn tally(&self) -> Tally {
        self.shared.tally()
    }
}

/// Withdraws a request that nobody waits for any more.
struct Withdraw {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.shared.withdraw(self.id);
    }
}

/// The other end is the same program: this is a bug, or bytes that were damaged.
fn unexpected(answer: &Answer) -> BackendError {
    match answer {
        Answer::Error(json) => error_of_json(json),
        _ => malformed("an answer to another question"),
    }
}
