//! The service's side of a token worker: a [`KeyBackend`] whose threads are in another process.
//!
//! In: what the service asks. Out: the worker's answers, or an error at the deadline at the latest. What is asked while
//! a worker starts waits for it; what was asked of a worker that died is answered with the reason. It never touches a
//! module.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sealkeep_profiles::algorithm::SignatureScheme;
use tokio::sync::{Notify, oneshot};

use super::frame;
use super::message::{
    Answer, FromWorker, Generate, Keys, Nothing, Request, Sign, Started, Status, ToWorker,
    error_of_json,
};
use super::supervisor;
use super::wire::Wire;
use super::{PinSource, WorkerConfig};
use crate::backend::pkcs11::Counts;
use crate::backend::{
    Adopted, BackendError, BoxFuture, GeneratedKey, KeyBackend, KeyId, KeyRef, KeySpec, TokenInfo,
};
use crate::clock::monotonic;

/// Requests beside signatures that may be under way.
const TASKS_MAX: usize = 64;
/// How long destroying a key that nobody waited for may take.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(30);

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
        deadline: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        let shared = Arc::clone(&self.shared);
        let answer = self.ask(Request::Generate(Generate::new(id, label, spec)), deadline);
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
        let state = self.shared.lock();
        let mut info = state.info.clone();
        info.problem = match &state.phase {
            Phase::Starting => Some("the token worker is starting".to_owned()),
            Phase::Ready(_) => match &state.last_words {
                Some(error) => Some(error.to_string()),
                None => state.status.problem.clone(),
            },
            Phase::Down(error) => Some(error.to_string()),
            Phase::Stopped => Some("stopped".to_owned()),
        };
        info.ready = info.problem.is_none();
        let is_up = matches!(state.phase, Phase::Ready(_));
        info.session_count = if is_up { state.status.session_count } else { 0 };
        info.key_count = if is_up { state.status.key_count } else { 0 };
        info
    }
}

/// What callers and the supervisor share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Most requests under way; the worker's own queue is not longer.
    in_flight_max: usize,
    next_id: AtomicU64,
    refused_busy: AtomicU64,
    /// The worker has said its last words.
    pub(super) gave_up: Notify,
    /// [`Shared::stop`] was called.
    pub(super) stopping: Notify,
}

/// Where the worker is in its life.
pub(super) enum Phase {
    /// One is being started: what is asked waits for it.
    Starting,
    /// It serves.
    Ready(Arc<Wire>),
    /// There is none, and the last attempt to have one failed: what is asked is refused with the reason.
    Down(BackendError),
    /// There will be none.
    Stopped,
}

pub(super) struct State {
    pub(super) phase: Phase,
    in_flight: HashMap<u64, oneshot::Sender<Result<Answer, BackendError>>>,
    /// Asked while a worker was being started.
    parked: Vec<(ToWorker, Instant)>,
    /// Keys that every new worker must find.
    wanted: BTreeMap<KeyId, KeyRef>,
    info: TokenInfo,
    pub(super) status: Status,
    pub(super) heard: Instant,
    /// Why the worker of today has given up.
    pub(super) last_words: Option<BackendError>,
    pub(super) pid: Option<u32>,
    pub(super) workers_started: u64,
    pub(super) workers_crashed: u64,
}

impl Shared {
    fn new(config: &WorkerConfig) -> Self {
        let token = &config.token;
        let info = TokenInfo {
            name: token.name.clone(),
            label: token.token_label.clone(),
            serial: token.token_serial.clone().unwrap_or_default(),
            manufacturer: String::new(),
            module: token.module.display().to_string(),
            ready: false,
            problem: None,
            session_count: 0,
            key_count: 0,
        };
        Self {
            state: Mutex::new(State {
                phase: Phase::Starting,
                in_flight: HashMap::new(),
                parked: Vec::new(),
                wanted: BTreeMap::new(),
                info,
                status: Status::default(),
                heard: monotonic(),
                last_words: None,
                pid: None,
                workers_started: 0,
                workers_crashed: 0,
            }),
            in_flight_max: token.queue_length_max + usize::from(token.session_count) + TASKS_MAX,
            next_id: AtomicU64::new(1),
            refused_busy: AtomicU64::new(0),
            gave_up: Notify::new(),
            stopping: Notify::new(),
        }
    }

    /// No code panics while it holds the lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request now, parks it, or answers it with the reason why not. Gives back its id.
    fn send(
        &self,
        request: Request,
        deadline: Instant,
        caller: oneshot::Sender<Result<Answer, BackendError>>,
    ) -> u64 {
        let id = self.next_id();
        let mut message = ToWorker {
            id,
            patience_us: patience_us(deadline),
            request: Some(request),
        };
        let frame = frame::frame(&message);
        let mut state = self.lock();
        let refusal = match &state.phase {
            _ if state.in_flight.len() >= self.in_flight_max => {
                self.refused_busy.fetch_add(1, Ordering::Relaxed);
                BackendError::Busy
            }
            Phase::Down(error) => error.clone(),
            Phase::Stopped => unavailable("stopped"),
            Phase::Starting => {
                message.patience_us = 0;
                state.parked.push((message, deadline));
                state.in_flight.insert(id, caller);
                return id;
            }
            Phase::Ready(wire) => {
                let wire = Arc::clone(wire);
                state.in_flight.insert(id, caller);
                drop(state);
                let sent = frame.is_ok_and(|frame| wire.send(&frame).is_ok());
                if !sent {
                    self.answer(id, Err(BackendError::Busy));
                }
                return id;
            }
        };
        drop(state);
        // An error here: nobody waits, and nobody need know.
        let _ = caller.send(Err(refusal));
        id
    }

    /// Gives an answer to whoever waits for it.
    fn answer(&self, id: u64, answer: Result<Answer, BackendError>) {
        let caller = self.lock().in_flight.remove(&id);
        let unwanted = match caller {
            Some(caller) => caller.send(answer).err(),
            None => Some(answer),
        };
        if let Some(Ok(Answer::Generated(made))) = unwanted
            && let Some(made) = made.generated_key()
        {
            self.destroy_unwanted(&made.key);
        }
    }

    /// A key whose caller left in the moment it was made.
    fn destroy_unwanted(&self, key: &KeyRef) {
        tracing::warn!(key = %key.id, "nobody waited for a new key; it is destroyed");
        let (caller, _) = oneshot::channel();
        self.send(
            Request::Destroy(key.into()),
            monotonic() + CLEANUP_PATIENCE,
            caller,
        );
    }

    /// Takes what the worker says.
    pub(super) fn heard(&self, message: FromWorker) {
        match (message.id, message.answer) {
            (0, Some(Answer::Status(status))) => {
                let mut state = self.lock();
                state.heard = monotonic();
                state.status = status;
            }
            (0, Some(Answer::Error(json))) => {
                self.lock().last_words = Some(error_of_json(&json));
                self.gave_up.notify_one();
            }
            (id, Some(answer)) => self.answer(id, Ok(answer)),
            (id, None) => self.answer(id, Err(malformed("an answer"))),
        }
    }

    /// Keys that a new worker must find before it serves.
    pub(super) fn wanted(&self) -> Vec<KeyRef> {
        self.lock().wanted.values().copied().collect()
    }

    /// A request of the supervisor itself, answered whatever the phase.
    pub(super) fn expect(&self) -> (u64, oneshot::Receiver<Result<Answer, BackendError>>) {
        let (id, (caller, answer)) = (self.next_id(), oneshot::channel());
        self.lock().in_flight.insert(id, caller);
        (id, answer)
    }

    /// The worker has found the token.
    pub(super) fn learned(&self, started: Started) {
        let mut state = self.lock();
        state.info.serial = started.serial;
        state.info.manufacturer = started.manufacturer;
        state.info.module = started.module;
    }

    /// The worker serves; what has waited for it is sent.
    pub(super) fn ready(&self, wire: &Arc<Wire>) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Stopped) {
            return;
        }
        state.phase = Phase::Ready(Arc::clone(wire));
        for (mut message, deadline) in std::mem::take(&mut state.parked) {
            if !state.in_flight.contains_key(&message.id) {
                continue;
            }
            message.patience_us = patience_us(deadline);
            let sent = frame::frame(&message).is_ok_and(|frame| wire.send(&frame).is_ok());
            if !sent && let Some(caller) = state.in_flight.remove(&message.id) {
                let _ = caller.send(Err(BackendError::Busy));
            }
        }
    }

    /// The worker is gone. Those it was working for learn why; those who waited for it to start wait on, or learn it too.
    pub(super) fn lost(&self, phase: Phase, reason: &BackendError) {
        let mut state = self.lock();
        state.pid = None;
        state.status = Status::default();
        let keep_parked = matches!(phase, Phase::Starting);
        if !matches!(state.phase, Phase::Stopped) {
            state.phase = phase;
        }
        let parked: Vec<u64> = state.parked.iter().map(|(message, _)| message.id).collect();
        let stays = |id: &u64| keep_parked && parked.contains(id);
        let (waiting, lost): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut state.in_flight)
            .into_iter()
            .partition(|(id, _)| stays(id));
        state.in_flight = waiting;
        if !keep_parked {
            state.parked.clear();
        }
        drop(state);
        for caller in lost.into_values() {
            let _ = caller.send(Err(reason.clone()));
        }
    }

    fn stop(&self) {
        self.lock().phase = Phase::Stopped;
        self.stopping.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.lock().phase, Phase::Stopped)
    }

    fn add_counts(&self, counts: &mut Counts) {
        counts.refused_busy += self.refused_busy.load(Ordering::Relaxed);
        let state = self.lock();
        counts.workers_started = state.workers_started;
        counts.workers_crashed = state.workers_crashed;
    }

    fn withdraw(&self, id: u64) {
        let mut state = self.lock();
        if state.in_flight.remove(&id).is_none() {
            return;
        }
        state.parked.retain(|(message, _)| message.id != id);
        if let Phase::Ready(wire) = &state.phase {
            let wire = Arc::clone(wire);
            drop(state);
            let message = ToWorker {
                id,
                patience_us: 0,
                request: Some(Request::Withdraw(Nothing {})),
            };
            // A worker that takes nothing any more drops the request at its deadline.
            let _ = frame::frame(&message).map(|frame| wire.send(&frame));
        }
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

fn patience_us(deadline: Instant) -> u64 {
    let patience = deadline.saturating_duration_since(monotonic());
    u64::try_from(patience.as_micros()).unwrap_or(u64::MAX)
}

/// The worker cannot be asked; a later request may find another one.
pub(super) fn unavailable(problem: &str) -> BackendError {
    BackendError::Unavailable {
        function: "token-worker".to_owned(),
        rv: problem.to_owned(),
    }
}

fn malformed(what: &str) -> BackendError {
    BackendError::Malformed(format!("{what} of the token worker"))
}

/// The other end is the same program: this is a bug, or bytes that were damaged.
fn unexpected(answer: &Answer) -> BackendError {
    match answer {
        Answer::Error(json) => error_of_json(json),
        _ => malformed("an answer to another question"),
    }
}
