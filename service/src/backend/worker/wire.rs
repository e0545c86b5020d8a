//! The service's end of the socket.
//!
//! In: frames of any thread. Out: bytes on the socket, in order. Whoever sends writes at once if the socket takes it;
//! otherwise the rest waits here and the supervisor's thread writes it. It never blocks a caller: a worker that does not
//! read costs memory up to a limit, and then callers are told that it is busy.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Most bytes that wait for a worker that does not read.
const WAITING_BYTES_MAX: usize = 64 << 20;

pub(super) struct Wire {
    socket: UnixStream,
    waiting: Mutex<Vec<u8>>,
    /// Something waits that did not before.
    filled: Notify,
}

/// The worker does not read what was sent before.
#[derive(Debug)]
pub(super) struct Full;

impl Wire {
    /// `socket` must not block.
    pub(super) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            waiting: Mutex::new(Vec::new()),
            filled: Notify::new(),
        }
    }

    pub(super) fn send(&self, frame: &[u8]) -> Result<(), Full> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() + frame.len() > WAITING_BYTES_MAX {
            return Err(Full);
        }
        let written = if waiting.is_empty() {
            self.write(frame)
        } else {
            0
        };
        if written < frame.len() {
            waiting.extend_from_slice(&frame[written..]);
            self.filled.notify_one();
        }
        Ok(())
    }

    /// What the socket takes now. A broken socket takes everything: its reader notices and tells everybody.
    fn write(&self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match (&self.socket).write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return bytes.len(),
            }
        }
        written
    }

    /// Nothing more is sent: the worker does what it has and ends.
    pub(super) fn hang_up(&self) {
        if let Err(error) = self.socket.shutdown(Shutdown::Write) {
            tracing::debug!(%error, "the worker has hung up already");
        }
    }

    /// Writes what waits, as the socket takes it.
    pub(super) async fn flush_forever(&self, socket: &tokio::net::UnixStream) -> io::Error {
        loop {
            self.filled.notified().await;
            if let Err(error) = self.flush(socket).await {
                return error;
            }
        }
    }

    /// Returns when nothing waits.
    pub(super) async fn flush(&self, socket: &tokio::net::UnixStream) -> io::Result<()> {
        loop {
            if self
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
            {
                return Ok(());
            }
            socket.writable().await?;
            let tried = socket.try_io(tokio::io::Interest::WRITABLE, || self.write_waiting());
            match tried {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    fn write_waiting(&self) -> io::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.write(&waiting);
        waiting.drain(..written);
        match waiting.is_empty() {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
