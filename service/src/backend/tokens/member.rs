//! One token of a set: opened or not, and how it has been answering.
//!
//! In: what opens it. Out: its answers, timed and counted. It never retries: that is the set's work.

use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::health::{Candidate, Health};
use crate::backend::{BackendError, BoxFuture, KeyBackend, TokenInfo};
use crate::clock::monotonic;

/// Opens a token; may block, and may be called again after it failed.
pub type Opener = Arc<dyn Fn() -> Result<Arc<dyn KeyBackend>, BackendError> + Send + Sync>;

/// A token as it is configured.
#[derive(Clone)]
pub struct MemberConfig {
    /// What is known of it before it is opened; see [`TokenInfo::closed`].
    pub about: TokenInfo,
    /// No version is put to use before its key is proven there.
    pub is_required: bool,
    /// Opens it.
    pub open: Opener,
}

/// A token of a set.
pub(super) struct Member {
    about: TokenInfo,
    pub(super) is_required: bool,
    open: Opener,
    backend: ArcSwapOption<Arc<dyn KeyBackend>>,
    /// Why it is not open.
    problem: ArcSwapOption<BackendError>,
    health: Mutex<Health>,
    in_flight: AtomicU32,
    pub(super) failovers: AtomicU64,
}

impl Member {
    pub(super) fn new(config: MemberConfig) -> Self {
        let MemberConfig {
            about,
            is_required,
            open,
        } = config;
        Self {
            about,
            is_required,
            open,
            backend: ArcSwapOption::empty(),
            problem: ArcSwapOption::empty(),
            health: Mutex::default(),
            in_flight: AtomicU32::new(0),
            failovers: AtomicU64::new(0),
        }
    }

    /// A token that is open.
    pub(super) fn of(backend: Arc<dyn KeyBackend>) -> Self {
        let about = TokenInfo::closed("main", "", None, "");
        let opened = Arc::clone(&backend);
        let member = Self::new(MemberConfig {
            about,
            is_required: true,
            open: Arc::new(move || Ok(Arc::clone(&opened))),
        });
        member.backend.store(Some(Arc::new(backend)));
        member
    }

    pub(super) fn name(&self) -> &str {
        &self.about.name
    }

    /// Blocks as long as the token takes.
    pub(super) fn open(&self) -> Result<(), BackendError> {
        match (self.open)() {
            Ok(backend) => {
                self.backend.store(Some(Arc::new(backend)));
                self.problem.store(None);
                Ok(())
            }
            Err(error) => {
                self.problem.store(Some(Arc::new(error.clone())));
                Err(error)
            }
        }
    }

    pub(super) fn backend(&self) -> Option<Arc<dyn KeyBackend>> {
        self.backend.load().as_deref().cloned()
    }

    /// See [`KeyBackend::info`].
    pub(super) fn info(&self) -> TokenInfo {
        if let Some(backend) = self.backend() {
            return backend.info();
        }
        let problem = self.problem.load();
        TokenInfo {
            problem: Some(match problem.as_deref() {
                Some(error) => error.to_string(),
                None => "the token is being opened".to_owned(),
            }),
            ..self.about.clone()
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.backend().is_some_and(|backend| backend.info().ready)
    }

    pub(super) fn candidate(&self, place: usize) -> Candidate {
        Candidate {
            place,
            health: *self.health(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
        }
    }

    /// How long somebody with `patience` waits before another token is asked too.
    pub(super) fn silence(&self, patience: Duration) -> Duration {
        self.health().silence(patience)
    }

    pub(super) fn has_answered_since(&self, moment: Instant) -> bool {
        self.health().has_answered_since(moment)
    }

    /// It said nothing to anybody for too long.
    pub(super) fn is_silent(&self) {
        self.health().failed(monotonic());
    }

    /// Asks the token for what it is judged by; the work starts now.
    pub(super) fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&dyn KeyBackend) -> BoxFuture<Result<T, BackendError>>,
    ) -> impl Future<Output = Result<T, BackendError>> + Send + 'static {
        let (asked, begun) = (InFlight::new(Arc::clone(self)), monotonic());
        let answer = self.task(work);
        async move {
            let outcome = answer.await;
            asked.0.judge(&outcome, begun);
            outcome
        }
    }

    /// Asks the token for what is slow and rare and says nothing about how well it is; the work starts now.
    pub(super) fn task<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn KeyBackend) -> BoxFuture<Result<T, BackendError>>,
    ) -> BoxFuture<Result<T, BackendError>> {
        match self.backend() {
            Some(backend) => work(&*backend),
            None => Box::pin(std::future::ready(Err(self.closed()))),
        }
    }

    fn closed(&self) -> BackendError {
        match self.problem.load().as_deref() {
            Some(error) => error.clone(),
            None => BackendError::Unavailable {
                function: "token".to_owned(),
                rv: "not open yet".to_owned(),
            },
        }
    }

    fn judge<T>(&self, outcome: &Result<T, BackendError>, begun: Instant) {
        let now = monotonic();
        let mut health = self.health();
        match outcome {
            Ok(_) => health.worked(now.saturating_duration_since(begun), now),
            Err(error) if error.is_outage() => health.failed(now),
            Err(_) => health.refused(now),
        }
    }

    /// No code panics while it holds the lock.
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that the token works on, also when nobody waits for it any more.
struct InFlight(Arc<Member>);

impl InFlight {
    fn new(member: Arc<Member>) -> Self {
        member.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(member)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
