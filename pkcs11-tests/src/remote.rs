//! A network HSM without a network: a token behind p11-kit's server.
//!
//! Out: a module that reaches a [`TestToken`] through a socket, and a way to stall or cut the connection. The server
//! starts one process for each application that connects: stopping it stalls the token, killing it cuts the line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::TestToken;

/// Where distributions put p11-kit's client module.
const CLIENT_PATHS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
];

/// A server that shows a token to whoever connects; it ends with this value.
#[derive(Debug)]
pub struct RemoteHsm {
    server: Child,
}

impl RemoteHsm {
    /// The variable in which the client module looks for its server.
    pub const ADDRESS_ENV: &str = "P11_KIT_SERVER_ADDRESS";

    /// Starts a server for the token and waits until it listens.
    ///
    /// # Panics
    /// When p11-kit is not installed or does not start.
    pub fn serve(hsm: &TestToken) -> Self {
        let socket = Self::socket(hsm);
        let mut command = Command::new("p11-kit");
        command
            .args(["server", "--foreground", "--name"])
            .arg(&socket);
        command
            .arg("--provider")
            .arg(hsm.module())
            .arg("pkcs11:")
            .envs([hsm.env()]);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server =
            server.unwrap_or_else(|e| panic!("p11-kit cannot be run ({e}); install p11-kit"));
        let mut remote = Self { server };
        while !socket.exists() {
            let ended = remote.server.try_wait();
            assert!(matches!(ended, Ok(None)), "p11-kit server ended: {ended:?}");
            std::thread::yield_now();
        }
        remote
    }

    /// Where the server listens, or will.
    pub fn address(hsm: &TestToken) -> String {
        format!("unix:path={}", Self::socket(hsm).display())
    }

    /// The module that speaks to the server.
    ///
    /// # Panics
    /// When it is not installed.
    pub fn module() -> PathBuf {
        let found = CLIENT_PATHS
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file());
        found.unwrap_or_else(|| {
            panic!("p11-kit-client.so is not installed (apt-get install p11-kit-modules)")
        })
    }

    /// Stalls every connection: calls do not return.
    pub fn stall(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a stalled connection go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.signal(Signal::KILL);
    }

    /// How many applications are connected.
    pub fn connections(&self) -> usize {
        self.remotes().len()
    }

    fn socket(hsm: &TestToken) -> PathBuf {
        hsm.dir().join("p11-kit.sock")
    }

    fn signal(&self, signal: Signal) {
        for remote in self.remotes() {
            // It may have ended by itself meanwhile.
            let _ = kill_process(remote, signal);
        }
    }

    /// The processes that the server started.
    fn remotes(&self) -> Vec<Pid> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.server.id()));
        let children = |task: &Path| fs::read_to_string(task.join("children")).unwrap_or_default();
        let tasks = fs::read_dir(tasks).into_iter().flatten().flatten();
        let text: String = tasks.map(|task| children(&task.path())).collect();
        text.split_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect()
    }
}

impl Drop for RemoteHsm {
    fn drop(&mut self) {
        self.cut();
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
