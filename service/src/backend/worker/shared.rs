//! What callers and the supervisor share: the requests under way, and where the worker is in its life.
//!
//! In: requests, and what the worker says. Out: each request to the worker, now or when there is one, and each answer to
//! whoever waits for it. It never waits itself: all its locks are short.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::WorkerConfig;
use super::frame;
use super::message::{
    Answer, FromWorker, Nothing, Request, Started, Status, ToWorker, error_of_json,
};
use super::wire::Wire;
use crate::backend::pkcs11::Counts;
use crate::backend::{BackendError, KeyId, KeyRef, Tally, TokenInfo};
use crate::clock::monotonic;

/// Requests beside signatures that may be under way.
const TASKS_MAX: usize = 64;
/// How long destroying a key that nobody waited for may take.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(30);

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
    pub(super) wanted: BTreeMap<KeyId, KeyRef>,
    info: TokenInfo,
    pub(super) status: Status,
    pub(super) heard: Instant,
    /// Why the worker of today has given up.
    pub(super) last_words: Option<BackendError>,
    pub(super) pid: Option<u32>,
    pub(super) workers_started: u64,
    pub(super) workers_crashed: u64,
    /// What the worker of today has done, and all before it.
    tally: Tally,
    tally_before: Tally,
}

impl Shared {
    pub(super) fn new(config: &WorkerConfig) -> Self {
        let token = &config.token;
        let info = TokenInfo::closed(
            &token.name,
            &token.token_label,
            token.token_serial.as_deref(),
            &token.module.display().to_string(),
        );
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
                tally: Tally::default(),
                tally_before: Tally::default(),
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
    pub(super) fn send(
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
                let tally = status.tally.as_deref();
                if let Some(Ok(tally)) = tally.map(serde_json::from_str) {
                    state.tally = tally;
                }
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

    /// See [`KeyBackend::info`](crate::backend::KeyBackend::info).
    pub(super) fn info(&self) -> TokenInfo {
        let state = self.lock();
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
        state.info.protections = started.protections();
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
        let done = std::mem::take(&mut state.tally);
        state.tally_before.add(&done);
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

    pub(super) fn stop(&self) {
        self.lock().phase = Phase::Stopped;
        self.stopping.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.lock().phase, Phase::Stopped)
    }

    pub(super) fn add_counts(&self, counts: &mut Counts) {
        counts.refused_busy += self.refused_busy.load(Ordering::Relaxed);
        let state = self.lock();
        counts.workers_started = state.workers_started;
        counts.workers_crashed = state.workers_crashed;
    }

    /// What all workers have done. What one did in the tenth of a second before its end may be missing.
    pub(super) fn tally(&self) -> Tally {
        let state = self.lock();
        let mut tally = state.tally_before.clone();
        tally.add(&state.tally);
        drop(state);
        self.add_counts(&mut tally.counts);
        tally
    }

    pub(super) fn withdraw(&self, id: u64) {
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

pub(super) fn malformed(what: &str) -> BackendError {
    BackendError::Malformed(format!("{what} of the token worker"))
}
