//! Keys behind a PKCS#11 module, loaded into this process.
//!
//! In: [`Pkcs11Config`] and a PIN. Out: a [`KeyBackend`]. One login for the life of the process; a fixed number of
//! threads that each own a session and sign; one more thread, the keeper, for what is slow and rare. Everything that
//! calls the module happens on those threads; the async side only waits for an answer or the deadline.
//!
//! ```text
//! sign() -> key table (no lock) -> bounded queue -> signer 1..n -> C_SignInit, C_Sign -> answer
//! generate(), decrypt(), adopt(), public_key(), destroy() -> queue -> keeper -> key table
//! ```
//!
//! It never logs out, and while all is well it makes one login and never searches. A lost login, device or module is
//! brought back by one more thread, see `climber`.
//! Serves PKCS#11 v2.40; return codes and what is done about them are in `recovery`.

mod bench;
mod call_clock;
mod climber;
mod config;
mod counts;
mod decrypt;
pub mod doctor;
mod generate;
mod import;
mod init_string;
mod job_queue;
mod keeper;
mod key_table;
mod ladder;
mod link;
mod mechanism;
mod module;
mod objects;
mod observer;
mod pin_marker;
mod pool;
mod recovery;
mod requests;
mod seat;
mod session;
mod signer;
mod spki;
mod token;
mod waiter;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_profiles::format::jwe::TokenWork;
use secrecy::SecretString;
use zeroize::Zeroizing;

use self::climber::Climber;
use self::job_queue::JobQueue;
use self::keeper::{Keeper, TASKS_WAITING_MAX, Task, ask};
use self::link::Link;
use self::module::Module;
use self::observer::Identity;
pub(in crate::backend) use self::observer::Observer;
use self::recovery::Class;
use self::session::TokenSession;
use self::signer::{SignJob, Signer};
pub(in crate::backend) use self::token::TokenWatch;
use self::token::{Token, Unwatched};
use self::waiter::waiter;
pub(in crate::backend) use self::waiter::{BoxWaiter, Waiter};
use super::{
    Adopted, BackendError, BoxFuture, GeneratedKey, KeyBackend, KeyId, KeyRef, KeySpec, KeyUsage,
    Tally, TokenInfo, Unwrapped,
};

pub use bench::{RawSignReport, raw_sign_loop};
pub(crate) use config::is_init_string;
pub use config::{
    Pkcs11Config, QUEUE_LENGTH_MAX_DEFAULT, QUEUE_LENGTH_MAX_MAX, SESSION_COUNT_DEFAULT,
    SESSION_COUNT_MAX,
};
pub use counts::Counts;
pub use pin_marker::clear_pin_marker;
pub(in crate::backend) use pin_marker::make_directory;

/// How long dropping a backend waits for its threads (seconds): the longest key generation, not a token that hangs.
pub const END_WAIT_SECONDS_MAX: u64 = 10;
/// A token that is logged in to and served by its threads.
///
/// Dropping it blocks until they have done what is queued, for [`END_WAIT_SECONDS_MAX`] at most. Do so before the process
/// ends: a thread that is inside the module while the process tears the module down crashes it.
pub struct Pkcs11Backend {
    identity: Arc<Identity>,
    link: Arc<Link>,
    jobs: Arc<JobQueue<SignJob>>,
    tasks: Sender<Task>,
    /// Disconnected when the last thread has done its work.
    ended: Receiver<Infallible>,
    threads: Vec<JoinHandle<()>>,
}

impl Pkcs11Backend {
    /// Loads the module, finds the token, logs in once and starts the threads. Blocks as long as the token takes.
    ///
    /// No key can sign yet: [`adopt`](KeyBackend::adopt) the known ones next. `pin_marker` is the file that remembers a
    /// refused PIN; its directory must be writable.
    ///
    /// # Errors
    /// [`BackendError::ConfigInvalid`], `Module*`, `Token*` and `Pin*`; [`BackendError::Unavailable`] if the token fails.
    pub fn start(
        config: Pkcs11Config,
        pin: SecretString,
        pin_marker: PathBuf,
    ) -> Result<Self, BackendError> {
        Self::start_watched(config, pin, pin_marker, Arc::new(Unwatched))
    }

    /// As [`start`](Self::start), telling somebody about the login.
    pub(in crate::backend) fn start_watched(
        config: Pkcs11Config,
        pin: SecretString,
        pin_marker: PathBuf,
        watch: Arc<dyn TokenWatch>,
    ) -> Result<Self, BackendError> {
        config.check()?;
        let module = Module::load(&config)?;
        let serial = config.token_serial.as_deref();
        let token = Token::find(&module.context, &config.token_label, serial)?;
        let anchor = token.log_in(&module.context, &pin, &pin_marker, &*watch)?;
        let description = module.about.description();
        let link = Arc::new(Link::new(module, token.slot, anchor));
        let sessions = sessions(&link, config.session_count)?;
        let jobs = Arc::new(JobQueue::new(config.queue_length_max, sessions.len()));
        let (tasks, waiting) = crossbeam_channel::bounded(TASKS_WAITING_MAX);
        let (alive, ended) = crossbeam_channel::bounded(0);
        let identity = Arc::new(Identity {
            name: config.name,
            label: config.token_label,
            serial: token.serial,
            manufacturer: token.manufacturer,
            module: description,
        });
        let mut backend = Self {
            identity,
            link,
            jobs,
            tasks,
            ended,
            threads: Vec::new(),
        };
        for (number, session) in sessions.into_iter().enumerate() {
            let (link, jobs) = (Arc::clone(&backend.link), Arc::clone(&backend.jobs));
            let signer = Signer::new(link, jobs, number, session);
            let work = move || signer.run();
            backend
                .threads
                .push(spawn(format!("sign-{number}"), &alive, work)?);
        }
        let keeper = Keeper::new(Arc::clone(&backend.link));
        let work = move || keeper.run(&waiting);
        backend
            .threads
            .push(spawn("keeper".to_owned(), &alive, work)?);
        let climber = Climber {
            link: Arc::clone(&backend.link),
            label: backend.identity.label.clone(),
            serial: backend.identity.serial.clone(),
            pin,
            pin_marker,
            watch,
        };
        let work = move || climber.run();
        backend
            .threads
            .push(spawn("recovery".to_owned(), &alive, work)?);
        Ok(backend)
    }

    /// For whoever watches the backend without owning it.
    pub(in crate::backend) fn observer(&self) -> Observer {
        Observer {
            identity: Arc::clone(&self.identity),
            link: Arc::clone(&self.link),
        }
    }

    /// What has been done since the start.
    pub fn counts(&self) -> Counts {
        self.link.counters.counts()
    }
}

impl Pkcs11Backend {
    /// Brings a private key (PKCS#8, DER) into the token under `id`, and proves that it belongs to `public`. The bytes
    /// are wiped when the token has them. The key says of itself that it was not made here.
    ///
    /// # Errors
    /// As [`KeyBackend::generate`]; [`BackendError::KeyMismatch`] when the two do not belong together,
    /// [`BackendError::SchemeUnsupported`] when the token cannot unwrap. Nothing stays in the token then.
    pub fn import(
        &self,
        id: KeyId,
        label: &str,
        public: PublicKey,
        private_key_info: Zeroizing<Vec<u8>>,
        deadline: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        let (waiter, answer) = waiter(deadline);
        let label = label.to_owned();
        ask(
            &self.tasks,
            deadline,
            waiter,
            move |keeper| keeper.import(id, &label, &public, &private_key_info),
            Keeper::destroy_unwanted,
        );
        Box::pin(answer)
    }
}

impl KeyBackend for Pkcs11Backend {
    fn generate(
        &self,
        id: KeyId,
        label: &str,
        spec: KeySpec,
        usage: KeyUsage,
        deadline: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        let (waiter, answer) = waiter(deadline);
        self.generate_for(id, label.to_owned(), spec, usage, deadline, waiter);
        Box::pin(answer)
    }

    fn sign(
        &self,
        key: &KeyRef,
        scheme: SignatureScheme,
        input: &[u8],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        let (waiter, answer) = waiter(deadline);
        self.sign_for(key, scheme, input, deadline, waiter);
        Box::pin(answer)
    }

    fn decrypt(
        &self,
        key: &KeyRef,
        work: TokenWork<'_>,
        deadline: Instant,
    ) -> BoxFuture<Result<Unwrapped, BackendError>> {
        let (waiter, answer) = waiter(deadline);
        self.decrypt_for(key, work, deadline, waiter);
        Box::pin(answer)
    }

    fn adopt(
        &self,
        keys: &[KeyRef],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<Adopted>, BackendError>> {
        let (waiter, answer) = waiter(deadline);
        self.adopt_for(keys.to_vec(), deadline, waiter);
        Box::pin(answer)
    }

    fn public_key(
        &self,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        let (waiter, answer) = waiter(deadline);
        self.public_key_for(*key, deadline, waiter);
        Box::pin(answer)
    }

    fn destroy(&self, key: &KeyRef, deadline: Instant) -> BoxFuture<Result<(), BackendError>> {
        let (waiter, answer) = waiter(deadline);
        self.destroy_for(*key, deadline, waiter);
        Box::pin(answer)
    }

    fn info(&self) -> TokenInfo {
        self.observer().info()
    }

    fn tally(&self) -> Tally {
        self.link.counters.tally()
    }
}

impl Drop for Pkcs11Backend {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Pkcs11Backend {
    /// Does what is queued and ends the threads. `false`: one of them is still inside the module.
    pub(in crate::backend) fn finish(&mut self) -> bool {
        self.jobs.close();
        self.link.ladder.close();
        self.tasks = crossbeam_channel::bounded(0).0;
        let wait = Duration::from_secs(END_WAIT_SECONDS_MAX);
        if self.ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(token = %self.identity.name, "a thread is still waiting for the token");
            return false;
        }
        // The rest of a thread is short, but libraries clean up in it: OpenSSL frees what it kept for the thread.
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!(token = %self.identity.name, "a thread of the token had panicked");
            }
        }
        true
    }
}

/// As many sessions as configured; fewer if the token has no more, but at least one.
fn sessions(link: &Link, wanted: u16) -> Result<Vec<TokenSession>, BackendError> {
    let mut sessions = Vec::new();
    for opened in 0..wanted {
        match link.open(&link.enter()) {
            Ok(session) => sessions.push(session),
            Err(fault) if opened > 0 && fault.class() == Class::Resources => {
                tracing::warn!(%fault, opened, wanted, "the token has fewer sessions than configured");
                break;
            }
            Err(fault) => {
                sessions
                    .into_iter()
                    .for_each(|session| link.discard(session, None));
                return Err(fault.into());
            }
        }
    }
    Ok(sessions)
}

/// `alive` is dropped when the work is over and everything the thread owned is gone.
fn spawn(
    name: String,
    alive: &Sender<Infallible>,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, BackendError> {
    let alive = alive.clone();
    let thread = thread::Builder::new().name(name).spawn(move || {
        work();
        drop(alive);
    });
    thread.map_err(|problem| BackendError::Exhausted {
        function: "thread".to_owned(),
        rv: problem.to_string(),
    })
}
