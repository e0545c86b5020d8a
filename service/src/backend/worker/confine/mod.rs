//! The worker gives up what it does not need, before it loads the module.
//!
//! In: which files the module may use, and whether its token is reached over a network. Out: what the process cannot do
//! any more, and neither can any thread or library in it. Best effort by kernel: what the kernel lacks is left out of the
//! answer, and the service says so; a path that was configured and is not there is an error. Nothing of it can be taken
//! back. Clauses: landlock(7), seccomp(2), prctl(2).
//!
//! The module runs in this process as the service's user, with the PIN. What is taken from it is what it would need to
//! carry the PIN or a key elsewhere: the service's files, the network, other processes.

mod calls;
mod files;
mod paths;

use std::path::{Path, PathBuf};

use super::message::Start;
use crate::backend::{BackendError, Protection};

/// What a worker may use beside the module and the system's libraries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Files and directories that the module reads: its configuration, its own libraries.
    pub read_paths: Vec<PathBuf>,
    /// Files and directories that it writes: where a token in files is, logs of the vendor.
    pub write_paths: Vec<PathBuf>,
    /// The token is reached over a network.
    pub network: bool,
}

impl Confinement {
    /// What a worker with this configuration is to have. `None`: no more than what is always done first thing.
    pub(super) fn protections(wanted: Option<&Self>) -> Vec<Protection> {
        let wants = |protection: &Protection| match (protection, wanted) {
            (Protection::NoCoreDumps | Protection::NoNewPrivileges, _) => true,
            (Protection::Files | Protection::SystemCalls, wanted) => wanted.is_some(),
            (Protection::Network, wanted) => wanted.is_some_and(|wanted| !wanted.network),
        };
        Protection::ALL.into_iter().filter(wants).collect()
    }
}

/// Confines this thread and all that it starts; the worker has no other yet. Answers what was applied.
///
/// # Errors
/// [`BackendError::ConfigInvalid`] for a configured path that is not there; [`BackendError::Unavailable`] when the
/// kernel refuses what it has.
pub(super) fn confine(start: &Start) -> Result<Vec<Protection>, BackendError> {
    let wanted = start.confinement();
    let mut protections = Confinement::protections(wanted.as_ref());
    let Some(wanted) = wanted else {
        return Ok(protections);
    };
    let (module, init_string) = (Path::new(&start.module), start.init_string.as_deref());
    let allowed = paths::Allowed::of(&wanted, module, init_string, &marker_directory(start))?;
    if !files::restrict(&allowed, wanted.network)? {
        protections.retain(|it| *it != Protection::Files);
    }
    if !calls::restrict(wanted.network)? {
        let of_calls = [Protection::SystemCalls, Protection::Network];
        protections.retain(|it| !of_calls.contains(it));
    }
    Ok(protections)
}

/// The marker of a refused PIN has a directory of its own, so that nothing else need be writable.
fn marker_directory(start: &Start) -> PathBuf {
    let marker = Path::new(&start.pin_marker);
    marker.parent().unwrap_or(Path::new(".")).to_owned()
}

fn refused(by: &str, problem: impl ToString) -> BackendError {
    BackendError::Unavailable {
        function: by.to_owned(),
        rv: problem.to_string(),
    }
}
