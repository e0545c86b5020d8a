//! Inside the worker: requests from the socket to the backend, answers back.
//!
//! In: frames. Out: frames. The signing threads write their answers themselves: a signature wakes no other thread on its
//! way out. The worker ends when the service closes the socket; nothing else makes it end by itself. It decides
//! nothing: what is asked was allowed by the service.

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::confine::confine;
use super::frame;
use super::message::{
    Answer, FromWorker, Generate, Key, Keys, Nothing, Request, Sign, Start, Started, Status,
    ToWorker, error_json,
};
use crate::backend::pkcs11::{
    BoxWaiter, Observer, Pkcs11Backend, TokenWatch, Waiter, make_directory,
};
use crate::backend::{
    Adopted, BackendError, GeneratedKey, KeyBackend, Protection, Tally, Unwrapped,
};
use crate::clock::monotonic;

/// Read from the socket at once (bytes): hundreds of requests.
const READ_BYTES: usize = 64 << 10;
/// How often the worker says how it is.
pub(super) const STATUS_INTERVAL: Duration = Duration::from_millis(100);

/// Serves one service over `socket` until it closes. `stopping` is set when the process was asked to end: then it begins
/// no login any more.
///
/// # Errors
/// When the socket breaks or the service says something that is no message.
pub fn serve(mut socket: UnixStream, stopping: Arc<AtomicBool>) -> io::Result<()> {
    let outbox = Arc::new(Outbox::new(socket.try_clone()?, stopping));
    let Some(first) = frame::read::<ToWorker>(&mut socket)? else {
        return Ok(());
    };
    let id = first.id;
    let Some(Request::Start(start)) = first.request else {
        return Err(io::Error::other(
            "the first message does not start anything",
        ));
    };
    let (mut backend, protections) = match begin(start, &outbox) {
        Ok(begun) => begun,
        Err(error) => {
            outbox.say(id, Answer::Error(error_json(&error)));
            return Ok(());
        }
    };
    outbox.watch(backend.observer());
    outbox.say(
        id,
        Answer::Started(Started::new(&backend.info(), &protections)),
    );
    let ticker = Ticker::start(Arc::clone(&outbox))?;
    let open = Arc::new(Open::default());
    // Only now: what is read ahead of the first message could hold the PIN.
    let mut requests = BufReader::with_capacity(READ_BYTES, socket);
    let outcome = loop {
        match frame::read::<ToWorker>(&mut requests) {
            Ok(Some(message)) => answer(&backend, &outbox, &open, message),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(ticker);
    if !backend.finish() {
        // Leaving in order would tear the module down around a thread that is inside it.
        std::process::abort();
    }
    outcome
}

/// Confines the process, then loads the module: nothing of the module's runs before.
fn begin(
    mut start: Start,
    outbox: &Arc<Outbox>,
) -> Result<(Pkcs11Backend, Vec<Protection>), BackendError> {
    let (config, marker) = (start.config(), PathBuf::from(&start.pin_marker));
    make_directory(&marker)?;
    let protections = confine(&start)?;
    let pin = start.take_pin();
    let watch = Arc::clone(outbox) as _;
    let backend = Pkcs11Backend::start_watched(config, pin, marker, watch)?;
    Ok((backend, protections))
}

/// Hands one request to the backend, with a waiter that answers over the socket.
fn answer(backend: &Pkcs11Backend, outbox: &Arc<Outbox>, open: &Arc<Open>, message: ToWorker) {
    let (id, deadline) = (message.id, deadline(message.patience_us));
    let malformed = |what: &str| {
        let error = BackendError::Malformed(format!("a request with {what}"));
        outbox.say(id, Answer::Error(error_json(&error)));
    };
    match message.request {
        Some(Request::Sign(sign)) => {
            match (sign.key.as_ref().and_then(|k| k.key_ref()), sign.scheme()) {
                (Some(key), Some(scheme)) => {
                    let waiter = open.waiter(id, outbox, Answer::Signature);
                    let Sign { input, .. } = sign;
                    backend.sign_for(&key, scheme, &input, deadline, waiter);
                }
                _ => malformed("no key or scheme"),
            }
        }
        Some(Request::Withdraw(Nothing {})) => open.withdraw(id),
        Some(Request::Generate(generate)) => match (generate.id(), generate.spec()) {
            (Some(key_id), Some(spec)) => {
                let waiter = open.waiter(id, outbox, |made: GeneratedKey| {
                    Answer::Generated(made.into())
                });
                let usage = generate.usage();
                let Generate { label, .. } = generate;
                backend.generate_for(key_id, label, spec, usage, deadline, waiter);
            }
            _ => malformed("no id or spec"),
        },
        Some(Request::Adopt(Keys { keys })) => match keys.iter().map(|k| k.key_ref()).collect() {
            Some(keys) => {
                let waiter = open.waiter(id, outbox, |report: Vec<Adopted>| {
                    Answer::Adopted(report.into())
                });
                backend.adopt_for(keys, deadline, waiter);
            }
            None => malformed("a key that is none"),
        },
        Some(Request::Decrypt(decrypt)) => match decrypt.key.as_ref().and_then(Key::key_ref) {
            Some(key) => {
                let waiter = open.waiter(id, outbox, |secret: Unwrapped| {
                    Answer::Unwrapped(secret.into())
                });
                let asked = decrypt.with_work(|work| {
                    backend.decrypt_for(&key, work, deadline, waiter);
                });
                if asked.is_none() {
                    malformed("no work");
                }
            }
            None => malformed("no key"),
        },
        Some(Request::PublicKey(key)) => match key.key_ref() {
            Some(key) => {
                let waiter = open.waiter(id, outbox, Answer::PublicKey);
                backend.public_key_for(key, deadline, waiter);
            }
            None => malformed("a key that is none"),
        },
        Some(Request::Destroy(key)) => match key.key_ref() {
            Some(key) => {
                let waiter = open.waiter(id, outbox, |()| Answer::Destroyed(Nothing {}));
                backend.destroy_for(key, deadline, waiter);
            }
            None => malformed("a key that is none"),
        },
        Some(Request::Counts(Nothing {})) => {
            outbox.say(id, Answer::Counts(backend.counts().into()));
        }
        Some(Request::Start(_)) => malformed("a second start"),
        None => malformed("nothing that is known"),
    }
}

fn deadline(patience_us: u64) -> Instant {
    let now = monotonic();
    // A time that no clock can show is as good as none; the service answers its caller in time in any case.
    now.checked_add(Duration::from_micros(patience_us))
        .unwrap_or(now)
}

/// The way back to the service.
struct Outbox {
    socket: Mutex<UnixStream>,
    in_login: AtomicBool,
    stopping: Arc<AtomicBool>,
    observer: OnceLock<Observer>,
    /// What was last said of what the worker has done.
    told: Mutex<Tally>,
}

impl Outbox {
    fn new(socket: UnixStream, stopping: Arc<AtomicBool>) -> Self {
        Self {
            socket: Mutex::new(socket),
            in_login: AtomicBool::new(false),
            stopping,
            observer: OnceLock::new(),
            told: Mutex::default(),
        }
    }

    /// A service that does not listen any more has closed the socket, which ends the worker elsewhere.
    fn say(&self, id: u64, answer: Answer) {
        if !matches!(
            answer,
            Answer::Signature(_) | Answer::Unwrapped(_) | Answer::Status(_)
        ) {
            // What has changed with the answer is known before the answer.
            self.say_status();
        }
        let message = FromWorker {
            id,
            answer: Some(answer),
        };
        let written = frame::frame(&message).and_then(|frame| {
            let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
            socket.write_all(&frame)
        });
        if let Err(problem) = written {
            tracing::debug!(%problem, "an answer did not reach the service");
        }
    }

    fn watch(&self, observer: Observer) {
        // Cannot fail: a worker has one backend.
        let _ = self.observer.set(observer);
    }

    fn say_status(&self) {
        let Some(observer) = self.observer.get() else {
            return;
        };
        let (info, pulse) = (observer.info(), observer.pulse());
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let status = Status {
            session_count: info.session_count,
            key_count: info.key_count,
            problem: info.problem,
            in_login: self.in_login.load(Ordering::Acquire),
            stuck_sessions: pulse.stuck_sessions,
            longest_call_ms: ms(pulse.longest_call),
            keeper_busy_ms: ms(pulse.keeper_busy),
            tally: self.news(observer),
        };
        self.say(0, Answer::Status(status));
    }

    /// What the worker has done, if that is more than was said before.
    fn news(&self, observer: &Observer) -> Option<String> {
        let (now, mut told) = (
            observer.tally(),
            self.told.lock().unwrap_or_else(PoisonError::into_inner),
        );
        if *told == now {
            return None;
        }
        *told = now;
        serde_json::to_string(&*told).ok()
    }

    fn say_in_login(&self, in_login: bool) {
        self.in_login.store(in_login, Ordering::Release);
        let status = Status {
            in_login,
            ..Status::default()
        };
        self.say(0, Answer::Status(status));
    }
}

/// The supervisor knows of a login before it begins, so that it does not kill the process inside it.
impl TokenWatch for Outbox {
    fn before(&self) -> Result<(), BackendError> {
        self.say_in_login(true);
        if self.stopping.load(Ordering::Acquire) {
            self.say_in_login(false);
            return Err(BackendError::Unavailable {
                function: "token-worker".to_owned(),
                rv: "ending".to_owned(),
            });
        }
        Ok(())
    }

    fn after(&self) {
        self.say_in_login(false);
    }

    /// The last words: the supervisor ends this process and starts another.
    fn lost(&self, error: &BackendError) -> bool {
        self.say(0, Answer::Error(error_json(error)));
        true
    }
}

/// Requests that have no answer yet, so that they can be withdrawn.
#[derive(Default)]
struct Open(Mutex<HashMap<u64, Arc<AtomicBool>>>);

impl Open {
    fn waiter<T: Send + 'static>(
        self: &Arc<Self>,
        id: u64,
        outbox: &Arc<Outbox>,
        encode: fn(T) -> Answer,
    ) -> BoxWaiter<T> {
        let gone = Arc::new(AtomicBool::new(false));
        self.lock().insert(id, Arc::clone(&gone));
        Box::new(Remote {
            id,
            gone,
            encode,
            open: Arc::clone(self),
            outbox: Arc::clone(outbox),
        })
    }

    fn withdraw(&self, id: u64) {
        if let Some(gone) = self.lock().remove(&id) {
            gone.store(true, Ordering::Release);
        }
    }

    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<AtomicBool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody at the other end of the socket.
struct Remote<T> {
    id: u64,
    gone: Arc<AtomicBool>,
    encode: fn(T) -> Answer,
    open: Arc<Open>,
    outbox: Arc<Outbox>,
}

impl<T> Waiter<T> for Remote<T> {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn answer(self: Box<Self>, outcome: Result<T, BackendError>) -> Option<T> {
        if self.open.lock().remove(&self.id).is_none() {
            return outcome.ok();
        }
        let answer = match outcome {
            Ok(value) => (self.encode)(value),
            Err(error) => Answer::Error(error_json(&error)),
        };
        self.outbox.say(self.id, answer);
        None
    }
}

/// A thread that says how the worker is, until it is dropped.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(outbox: Arc<Outbox>) -> io::Result<Self> {
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let tick = move || tick(&outbox, &stopped);
        let thread = thread::Builder::new()
            .name("status".to_owned())
            .spawn(tick)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

fn tick(outbox: &Outbox, stopped: &Receiver<()>) {
    loop {
        outbox.say_status();
        if stopped.recv_timeout(STATUS_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
