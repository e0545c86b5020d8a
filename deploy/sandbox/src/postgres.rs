//! A PostgreSQL server for one test: the packaged programs, a directory of its own, a Unix socket; no network unless it is
//! asked for. It ends, and everything it kept, when it is dropped.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::clock::Clock;

/// How long the server may take to answer.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// What the server says.
const LOG: &str = "server.log";
/// The port that names its socket.
const PORT: u16 = 5432;
/// Who runs it when we are root: the server refuses root.
const NOBODY: u32 = 65534;

/// A running server with one empty database.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    port: u16,
    server: Child,
}

impl Postgres {
    /// Reached by its socket alone.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or did not start; what it said is on stderr.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(PORT, |_| Ok(vec!["listen_addresses=".to_owned()]))
    }

    /// Reached by TLS as well, at a free port of `addresses` (a comma between two). Both files are PEM.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_tls(certificate: &Path, key: &Path, addresses: &str) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Self::start_with(port, |dir| {
            let owner = fs::metadata(dir)?;
            // Its key must belong to the server.
            let its_own = |file: &Path, name: &str| -> anyhow::Result<String> {
                let own = dir.join(name);
                fs::copy(file, &own)?;
                chown(&own, Some(owner.uid()), Some(owner.gid()))?;
                Ok(own.display().to_string())
            };
            Ok(vec![
                format!("listen_addresses={addresses}"),
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", its_own(certificate, "server.pem")?),
                format!("ssl_key_file={}", its_own(key, "server.key")?),
            ])
        })
    }

    fn start_with(
        port: u16,
        settings: impl FnOnce(&Path) -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let is_root = fs::metadata(dir.path())?.uid() == 0;
        if is_root {
            chown(dir.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let (bin, data) = (bin()?, dir.path().join("data"));
        let program = |name: &str| {
            let mut command = Command::new(bin.join(name));
            if is_root {
                command = Command::new("setpriv");
                let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
                command.args(ids).arg("--clear-groups").arg(bin.join(name));
            }
            command.current_dir(dir.path()).stdin(Stdio::null());
            command.stdout(Stdio::null());
            command
        };
        let made = program("initdb")
            .args(["--no-sync", "--username=sealkeep", "--auth=trust"])
            .args(["--encoding=UTF8", "-D"])
            .arg(&data)
            .output()?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "initdb: {said}");
        let settings = settings(dir.path())?;
        let server = program("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-k"])
            .arg(dir.path())
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stderr(File::create(dir.path().join(LOG))?)
            .spawn()?;
        let postgres = Self { dir, port, server };
        postgres.wait()?;
        Ok(postgres)
    }

    /// The URL of its one database, by the socket.
    pub fn url(&self) -> String {
        let (dir, port) = (self.dir.path().display(), self.port);
        format!("postgres://sealkeep@localhost:{port}/postgres?host={dir}&sslmode=disable")
    }

    /// The port that it was started with.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// The server refused it.
    pub fn execute(&self, statement: &str) -> anyhow::Result<()> {
        let output = Command::new(bin()?.join("psql"))
            .args(["-q", "-U", "sealkeep", "-d", "postgres", "-c", statement])
            .args(["-p", &self.port.to_string(), "-h"])
            .arg(self.dir.path())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{statement}: {said}");
        Ok(())
    }

    /// Stops or continues the whole server: `-STOP`, `-CONT`.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.server.id().to_string();
        let children = Command::new("pkill").args([signal, "-P", &pid]).status()?;
        let server = Command::new("kill").args([signal, &pid]).status()?;
        ensure!(children.success() && server.success(), "{signal}: gone");
        Ok(())
    }

    fn wait(&self) -> anyhow::Result<()> {
        let clock = Clock::system();
        let until = clock.now() + READY_TIMEOUT;
        while let Err(error) = self.execute("SELECT 1") {
            ensure!(clock.now() < until, "no answer: {error}");
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = File::open(self.dir.path().join(LOG))
        {
            // The log of a failed test is a help, not a duty.
            let _ = std::io::copy(&mut { log }, &mut std::io::stderr());
        }
        // SIGQUIT: at once, with its children; nothing of it is needed any more.
        let pid = self.server.id().to_string();
        for signal in ["-CONT", "-QUIT"] {
            // It may have ended before.
            let _ = Command::new("kill").args([signal, &pid]).status();
        }
        let _ = self.server.wait();
    }
}

/// Where Debian puts the programs of the newest server.
fn bin() -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let bins = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let newest = bins.filter(|bin| bin.join("initdb").exists()).max();
    newest.context("apt install postgresql: no initdb in /usr/lib/postgresql/*/bin")
}
