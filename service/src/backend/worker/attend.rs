//! One worker, looked after: its answers given out, its health judged, its end brought about.
//!
//! In: a socket, a child process, the time. Out: answers to callers, and how the worker ended. It never kills a worker
//! inside `C_Login`.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::net::UnixStream as AsyncStream;
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::child;
use super::frame::Assembler;
use super::shared::{Phase, Shared, unavailable};
use super::verdict;
use super::wire::Wire;
use crate::backend::pkcs11::END_WAIT_SECONDS_MAX;
use crate::clock::monotonic;

/// How often the worker is judged.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a login may take before it is called a problem. It is not ended even then.
const LOGIN_PATIENCE: Duration = Duration::from_secs(30);
/// What is left in the socket of a worker that is gone is read for so long: a module may have left a child of its own
/// that keeps the socket open.
pub(super) const REST_PATIENCE: Duration = Duration::from_millis(500);
/// Read from the socket at once (bytes).
const READ_BYTES: usize = 64 << 10;

/// Gives the worker's answers out until it hangs up.
pub(super) async fn listen(shared: &Shared, socket: &AsyncStream) {
    let (mut assembler, mut piece) = (Assembler::default(), vec![0; READ_BYTES]);
    loop {
        let read = match socket.readable().await {
            Ok(()) => socket.try_read(&mut piece),
            Err(error) => Err(error),
        };
        match read {
            Ok(0) => return,
            Ok(count) => assembler.add(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return tracing::debug!(%error, "the worker's socket broke"),
        }
        loop {
            match assembler.next() {
                Ok(Some(message)) => shared.heard(message),
                Ok(None) => break,
                Err(error) => return tracing::error!(%error, "the worker says nonsense"),
            }
        }
    }
}

/// Waits for the worker's end, or brings it about. Says why, if it hung.
pub(super) async fn watch(
    shared: &Shared,
    child: &mut Child,
    wire: &Wire,
    socket: &AsyncStream,
    over: &Notify,
) -> (io::Result<ExitStatus>, Option<String>) {
    let mut login_since = None;
    loop {
        tokio::select! {
            status = child.wait() => return (status, None),
            () = shared.stopping.notified() => {
                let _ = wire.flush(socket).await;
                wire.hang_up();
                let patience = Duration::from_secs(END_WAIT_SECONDS_MAX) + REST_PATIENCE;
                let status = match timeout(patience, child.wait()).await {
                    Ok(status) => status,
                    Err(_) => end(shared, child).await,
                };
                return (status, None);
            }
            () = shared.gave_up.notified() => {
                wire.hang_up();
                return (end(shared, child).await, None);
            }
            () = over.notified() => {
                wire.hang_up();
                return (end(shared, child).await, None);
            }
            () = sleep(LOOK_INTERVAL) => {}
        }
        if let Some(hung) = judge(shared, &mut login_since) {
            tracing::error!(%hung, "the token worker is replaced");
            return (end(shared, child).await, Some(hung));
        }
    }
}

fn judge(shared: &Shared, login_since: &mut Option<Instant>) -> Option<String> {
    let (now, mut state) = (monotonic(), shared.lock());
    if !state.status.in_login {
        *login_since = None;
    } else if now.saturating_duration_since(*login_since.get_or_insert(now)) >= LOGIN_PATIENCE {
        // Whether the PIN was taken is unknown; the login goes on, and nobody waits for it any more.
        state.phase = Phase::Down(unavailable("C_Login does not answer"));
    }
    let has_started = matches!(state.phase, Phase::Ready(_));
    let silence = now.saturating_duration_since(state.heard);
    verdict::replace(&state.status, silence, has_started)
}

/// Ends the worker, but not inside `C_Login`.
async fn end(shared: &Shared, child: &mut Child) -> io::Result<ExitStatus> {
    while shared.lock().status.in_login {
        tokio::select! {
            status = child.wait() => return status,
            () = sleep(LOOK_INTERVAL) => {}
        }
    }
    child::end(child).await
}
