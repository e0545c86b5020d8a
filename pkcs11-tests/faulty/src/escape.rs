//! What a hostile module would try: to carry off what it knows, or to get at more.
//!
//! In: one attempt of the script. Out: whether the operating system let it happen. It reads and sends nothing: it is
//! enough that the door opens.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Signal, getppid, kill_process};
use serde::Deserialize;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Escape {
    /// Open a file to read it.
    Read(PathBuf),
    /// Open a file to write it, or make it.
    Write(PathBuf),
    /// Connect by TCP, `address:port`.
    Connect(String),
    /// Make a UDP socket.
    Udp,
    /// Become another program.
    Exec(PathBuf),
    /// Start another program.
    Spawn(PathBuf),
    /// Signal the process that started this one.
    SignalParent,
}

impl Escape {
    /// # Errors
    /// Whatever stopped it.
    pub(crate) fn attempt(&self) -> io::Result<()> {
        match self {
            Self::Read(path) => File::open(path).map(drop),
            Self::Write(path) => {
                let mut options = OpenOptions::new();
                options.append(true).create(true).open(path).map(drop)
            }
            Self::Connect(address) => TcpStream::connect(address).map(drop),
            Self::Udp => UdpSocket::bind("127.0.0.1:0").map(drop),
            Self::Exec(program) => Err(Command::new(program).exec()),
            Self::Spawn(program) => {
                let mut command = Command::new(program);
                command.stdin(Stdio::null()).status().map(drop)
            }
            // Does nothing to a process that runs.
            Self::SignalParent => match getppid() {
                Some(parent) => Ok(kill_process(parent, Signal::CONT)?),
                None => Ok(()),
            },
        }
    }
}
