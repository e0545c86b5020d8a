//! The supervisor: one thread that starts the worker, listens to it, ends it and starts the next.
//!
//! In: a socket, a child process, the time. Out: answers to callers, and a worker that works. It never kills a worker
//! inside `C_Login` and never starts one again whose PIN was refused.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::net::UnixStream as AsyncStream;
use tokio::process::Child;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};

use super::attend::{REST_PATIENCE, listen, watch};
use super::child;
use super::frame;
use super::message::{Answer, Key, Keys, Request, Start, ToWorker, error_of_json};
use super::restart::{Next, RestartPlan};
use super::shared::{Phase, Shared, unavailable};
use super::wire::Wire;
use super::{Confinement, PinSource, WorkerConfig};
use crate::backend::{BackendError, Protection};
use crate::clock::monotonic;

/// How long finding the keys again may take a new worker.
const ADOPT_PATIENCE: Duration = Duration::from_secs(60);
/// What is asked in so short an outage waits for the next worker; later it is refused at once.
const OUTAGE_GRACE: Duration = Duration::from_secs(1);
/// How a worker's life ended.
enum Ended {
    /// We wanted it.
    Stopped,
    /// It could not start, and said why.
    Refused(BackendError),
    /// It died, or was ended because it hung.
    Crashed(String),
}

type First = mpsc::Sender<Result<(), BackendError>>;

/// Runs until the backend is dropped. `first` learns how the first start went; if that failed, there is no second.
pub(super) fn run(shared: &Arc<Shared>, config: &WorkerConfig, pin: &PinSource, first: First) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(supervise(shared, config, pin, first)),
        Err(problem) => drop(first.send(Err(unavailable(&problem.to_string())))),
    }
}

async fn supervise(shared: &Arc<Shared>, config: &WorkerConfig, pin: &PinSource, first: First) {
    let mut plan = RestartPlan::new(config.crashes_per_minute_max);
    let mut first = Some(first);
    let mut outage_since = None;
    loop {
        let mut life = Life {
            shared,
            config,
            ready_since: None,
        };
        let ended = life.live(pin, &mut first).await;
        let ready_since = life.ready_since;
        let (crashed, reason) = match ended {
            Ended::Stopped => (false, unavailable("stopped")),
            Ended::Refused(error) => (false, error),
            Ended::Crashed(problem) => (true, unavailable(&problem)),
        };
        if let Some(first) = first.take() {
            let _ = first.send(Err(reason));
            return;
        }
        if shared.is_stopped() {
            shared.lost(Phase::Stopped, &reason);
            return;
        }
        if crashed {
            shared.lock().workers_crashed += 1;
        }
        if reason.needs_a_person() {
            tracing::error!(%reason, "no token worker is started until the service is started again");
            shared.lost(Phase::Down(reason.clone()), &reason);
            return shared.stopping.notified().await;
        }
        let now = monotonic();
        if ready_since.is_some() {
            outage_since = Some(now);
        }
        let outage = now.saturating_duration_since(outage_since.unwrap_or(now));
        let wait = match plan.ended(crashed, ready_since, now) {
            Next::After(wait) => {
                tracing::warn!(%reason, ?wait, "the token worker ended; starting another");
                let phase = if crashed || outage < OUTAGE_GRACE {
                    Phase::Starting
                } else {
                    Phase::Down(to_callers(reason.clone()))
                };
                shared.lost(phase, &reason);
                wait
            }
            Next::CircuitOpen(wait) => {
                tracing::error!(%reason, ?wait, "the token worker crashes too often");
                let open = unavailable("crashed too often; waiting before another start");
                shared.lost(Phase::Down(open), &reason);
                wait
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.stopping.notified() => return shared.lost(Phase::Stopped, &reason),
        }
    }
}

/// A caller can do nothing about a token that is not there but come back later.
fn to_callers(reason: BackendError) -> BackendError {
    match reason {
        BackendError::Unavailable { .. } => reason,
        reason => unavailable(&reason.to_string()),
    }
}

/// One worker, from its start to its end.
struct Life<'a> {
    shared: &'a Arc<Shared>,
    config: &'a WorkerConfig,
    ready_since: Option<Instant>,
}

impl Life<'_> {
    async fn live(&mut self, pin: &PinSource, first: &mut Option<First>) -> Ended {
        let (mut child, socket, wire, started) = match self.begin(pin) {
            Ok(begun) => begun,
            Err(error) => return Ended::Refused(error),
        };
        let (shared, over) = (self.shared, Notify::new());
        let conversation = async {
            let mut greet = std::pin::pin!(self.greet(&wire, started, first));
            let refusal = tokio::select! {
                refusal = &mut greet => Some(refusal),
                error = wire.flush_forever(&socket) => {
                    tracing::debug!(%error, "the worker takes nothing");
                    None
                }
                // Its last words may have come with the end.
                () = listen(shared, &socket) => timeout(Duration::ZERO, greet).await.ok(),
            };
            over.notify_one();
            refusal
        };
        let mut conversation = std::pin::pin!(conversation);
        let watch = watch(shared, &mut child, &wire, &socket, &over);
        let mut watch = std::pin::pin!(watch);
        let (refusal, (status, hung)) = tokio::select! {
            end = &mut watch => {
                // Answers that were written before the end are answers.
                (timeout(REST_PATIENCE, conversation).await.ok().flatten(), end)
            }
            refusal = &mut conversation => (refusal, watch.await),
        };
        match (refusal, hung) {
            _ if shared.is_stopped() => Ended::Stopped,
            (_, Some(hung)) => Ended::Crashed(hung),
            (Some(error), None) => Ended::Refused(error),
            (None, None) if let Some(error) = shared.lock().last_words.take() => {
                Ended::Refused(error)
            }
            (None, None) => Ended::Crashed(child::describe(&status)),
        }
    }

    /// Starts the process and tells it what it is for. The PIN goes over the socket here and nowhere else.
    fn begin(
        &self,
        pin: &PinSource,
    ) -> Result<(Child, AsyncStream, Arc<Wire>, Answering), BackendError> {
        let secret = pin()?;
        let (child, socket, wire) = self
            .spawn()
            .map_err(|error| unavailable(&format!("cannot be started: {error}")))?;
        let marker = self.config.pin_marker.to_string_lossy().into_owned();
        let start = Start::new(
            &self.config.token,
            self.config.confinement.as_ref(),
            marker,
            &secret,
        );
        let started = self.ask(&wire, Request::Start(start));
        let mut state = self.shared.lock();
        state.workers_started += 1;
        state.heard = monotonic();
        state.last_words = None;
        state.pid = child.id();
        drop(state);
        Ok((child, socket, wire, started))
    }

    fn spawn(&self) -> io::Result<(Child, AsyncStream, Arc<Wire>)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = AsyncStream::from_std(ours.try_clone()?)?;
        let child = child::spawn(self.config, theirs)?;
        Ok((child, socket, Arc::new(Wire::new(ours))))
    }

    /// A request of the supervisor itself.
    fn ask(&self, wire: &Wire, request: Request) -> Answering {
        let (id, answer) = self.shared.expect();
        let message = ToWorker {
            id,
            patience_us: ADOPT_PATIENCE.as_micros() as u64,
            request: Some(request),
        };
        if !frame::frame(&message).is_ok_and(|frame| wire.send(&frame).is_ok()) {
            tracing::error!("the worker cannot be told what to do");
        }
        answer
    }

    /// Waits until the worker has logged in, lets it find the keys, and lets callers in. Ends only if that fails.
    async fn greet(
        &mut self,
        wire: &Arc<Wire>,
        started: Answering,
        first: &mut Option<First>,
    ) -> BackendError {
        if let Err(error) = self.become_ready(wire, started).await {
            return error;
        }
        self.ready_since = Some(monotonic());
        self.shared.ready(wire);
        if let Some(first) = first.take() {
            let _ = first.send(Ok(()));
        }
        std::future::pending().await
    }

    async fn become_ready(&self, wire: &Wire, started: Answering) -> Result<(), BackendError> {
        match answered(started).await? {
            Answer::Started(started) => {
                self.say_protections(&started.protections());
                self.shared.learned(started);
            }
            _ => return Err(unavailable("it did not say that it started")),
        }
        let keys: Vec<Key> = self.shared.wanted().iter().map(Into::into).collect();
        let pid = self.shared.lock().pid;
        if keys.is_empty() {
            tracing::info!(pid, "token worker ready");
            return Ok(());
        }
        let report = match answered(self.ask(wire, Request::Adopt(Keys { keys }))).await? {
            Answer::Adopted(report) => report.adopted(),
            _ => None,
        };
        let report = report.ok_or_else(|| unavailable("it did not say which keys it found"))?;
        let missing = report
            .iter()
            .filter(|adopted| adopted.outcome.is_err())
            .count();
        tracing::info!(
            pid,
            keys = report.len(),
            missing,
            "token worker ready again"
        );
        Ok(())
    }
}

impl Life<'_> {
    /// Once, and again when it changes: the kernel is the same for every worker, the configured files need not be.
    fn say_protections(&self, applied: &[Protection]) {
        if self.shared.info().protections == applied {
            return;
        }
        let names = |list: &[Protection]| {
            list.iter()
                .map(|it| it.name())
                .collect::<Vec<_>>()
                .join(" ")
        };
        tracing::info!(protections = names(applied), "the token worker is confined");
        let wanted = Confinement::protections(self.config.confinement.as_ref());
        let lacking: Vec<_> = wanted
            .into_iter()
            .filter(|it| !applied.contains(it))
            .collect();
        if !lacking.is_empty() {
            let protections = names(&lacking);
            tracing::warn!(
                protections,
                "this kernel cannot confine the token worker as configured"
            );
        }
    }
}

type Answering = oneshot::Receiver<Result<Answer, BackendError>>;

async fn answered(answer: Answering) -> Result<Answer, BackendError> {
    match timeout(ADOPT_PATIENCE, answer).await {
        Ok(Ok(Ok(Answer::Error(json)))) => Err(error_of_json(&json)),
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(unavailable("ended")),
        Err(_) => Err(unavailable("it does not answer")),
    }
}
