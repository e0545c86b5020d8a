//! The worker as a process: how it is started, and how it is ended.
//!
//! In: the program's own file, a reduced environment, one end of a socket pair as standard input. Out: a child, and what
//! became of it. It is ended gently first, and never inside `C_Login`: SoftHSM rewrites its token there and loses
//! it when the process dies.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::WorkerConfig;

/// The running program itself, also when its file was replaced by an upgrade.
pub const THIS_PROGRAM: &str = "/proc/self/exe";
/// From SIGTERM to SIGKILL.
pub(super) const TERM_TO_KILL: Duration = Duration::from_millis(500);
/// What of the service's environment a worker gets, unless configured: where modules look for their configuration. A
/// name that ends in `*` stands for all that begin so.
pub const ENVIRONMENT_DEFAULT: [&str; 13] = [
    "SOFTHSM2_CONF",
    "KRYOPTIC_CONF",
    "PKCS11SPY*",
    "P11FAULT*",
    "P11_KIT_*",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "HOME",
    "PATH",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
];

/// Starts a worker that talks over `socket`.
///
/// Must be called on a thread that lives as long as the worker: Linux ends a child with the *thread* that started it
/// (PR_SET_PDEATHSIG, prctl(2)).
pub(super) fn spawn(config: &WorkerConfig, socket: UnixStream) -> io::Result<Child> {
    let environment = &config.environment;
    let kept = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        environment.iter().any(|pattern| matches(pattern, &name))
    });
    Command::new(&config.program)
        .arg0("sealkeepd")
        .args(&config.arguments)
        .env_clear()
        .envs(kept)
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        // A signal from the terminal goes to a whole group, and the worker ends after the service, not with it.
        .process_group(0)
        .spawn()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// SIGTERM, a moment, SIGKILL. Whoever calls makes sure that the worker is not in `C_Login`; after SIGTERM it begins no
/// login any more.
pub(super) async fn end(child: &mut Child) -> io::Result<ExitStatus> {
    if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()))
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        tracing::debug!(%error, "the worker has ended already");
    }
    if let Ok(status) = timeout(TERM_TO_KILL, child.wait()).await {
        return status;
    }
    child.start_kill()?;
    child.wait().await
}

/// What became of a process, for people.
pub(super) fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exited with status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "ended".to_owned(),
        },
        Err(error) => format!("lost: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names_or_beginnings() {
        assert!(matches("HOME", "HOME") && !matches("HOME", "HOMER"));
        assert!(matches("LC_*", "LC_ALL") && !matches("LC_*", "LC") && !matches("LC_*", "XLC_ALL"));
    }

    #[test]
    fn no_secret_of_the_service_is_in_the_default_environment() {
        for name in [
            "CREDENTIALS_DIRECTORY",
            "SEALKEEP_PIN",
            "DATABASE_URL",
            "LD_PRELOAD",
        ] {
            assert!(
                !ENVIRONMENT_DEFAULT.iter().any(|p| matches(p, name)),
                "{name}"
            );
        }
    }
}
