//! The token worker: a vendor's module in a process of its own.
//!
//! In: a [`WorkerConfig`] and where the PIN is. Out: a [`KeyBackend`](super::KeyBackend) that a module cannot take down.
//! A module that crashes, hangs or leaks costs its worker; the supervisor ends and restarts it, finds the same keys again
//! and goes on. Whoever was waiting for the lost worker gets [`BackendError::Unavailable`](super::BackendError), and
//! nothing else of the service notices.
//!
//! ```text
//! service                                     worker (same program, one per token)
//! sign() -> TokenWorker -- socket pair --> serve -> Pkcs11Backend: queue, threads, sessions
//!           supervisor thread <-- frames --------- signing threads answer directly
//! ```
//!
//! The PIN goes over the socket pair once for each worker and is wiped on both sides; the service does not keep it. The
//! worker gets no other descriptor, a reduced environment and no way to gain privileges, and gives up the files, sockets
//! and system calls that it does not need before it loads the module ([`Confinement`]). Never: a worker that is killed
//! inside `C_Login`, or a refused PIN that is tried again.

mod attend;
mod child;
mod client;
mod confine;
mod frame;
mod message;
mod restart;
mod serve;
mod shared;
mod supervisor;
mod verdict;
mod wire;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use secrecy::SecretString;

use super::BackendError;
use super::pkcs11::Pkcs11Config;
use crate::process;

pub use child::{ENVIRONMENT_DEFAULT, THIS_PROGRAM};
pub use client::TokenWorker;
pub use confine::Confinement;
pub use restart::CRASHES_PER_MINUTE_MAX_DEFAULT;
pub use serve::serve;

/// Reads the PIN each time a worker is started, so that the service need not keep it.
pub type PinSource = Arc<dyn Fn() -> Result<SecretString, BackendError> + Send + Sync>;

/// How a worker is started and how much is forgiven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// The token, as the worker opens it.
    pub token: Pkcs11Config,
    /// The file that remembers a refused PIN.
    pub pin_marker: PathBuf,
    /// What is started: [`THIS_PROGRAM`], or something around it that watches it work.
    pub program: PathBuf,
    /// Arguments that make it [`run_worker`].
    pub arguments: Vec<OsString>,
    /// Names of the variables that the worker inherits; see [`ENVIRONMENT_DEFAULT`].
    pub environment: Vec<String>,
    /// What the worker may use; `None`: whatever the service may.
    pub confinement: Option<Confinement>,
    /// Crashes in a minute after which no worker is started for half a minute.
    pub crashes_per_minute_max: u32,
}

/// The worker's whole life: closes the process to others, then [`serve`]s the socket that is its standard input.
///
/// # Errors
/// When the process cannot be hardened, or the socket breaks.
pub fn run_worker() -> io::Result<()> {
    process::harden()?;
    process::end_with_parent()?;
    let stopping = Arc::new(AtomicBool::new(false));
    // Asked to end, a worker begins no login any more; it goes when the service closes the socket. A service manager
    // sends SIGTERM to the whole unit, and the service still needs the token for what it drains.
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stopping))?;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    serve(UnixStream::from(socket), stopping)
}
