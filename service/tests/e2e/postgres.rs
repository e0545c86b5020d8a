//! A PostgreSQL server for one test: the packaged programs, a directory of its own, a Unix socket; no network unless it is
//! asked for.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to answer.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// What the server says.
const LOG: &str = "server.log";
/// The port that names its socket.
const PORT: u16 = 5432;
/// Who runs it when we are root: the server refuses root.
const NOBODY: u32 = 65534;

pub struct Postgres {
    dir: tempfile::TempDir,
    /// Names its socket too.
    pub port: u16,
    server: Child,
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_with(PORT, |_| vec!["listen_addresses=".to_owned()])
    }

    /// Reached by TLS as well, at a free port of `addresses`.
    pub fn start_with_tls(certificate: &Path, key: &Path, addresses: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self::start_with(port, |dir| {
            // Its key must belong to the server.
            for (from, to) in [(certificate, "server.pem"), (key, "server.key")] {
                let to = dir.join(to);
                std::fs::copy(from, &to).unwrap();
                let owner = std::fs::metadata(dir).unwrap();
                chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
            }
            let file = |name: &str| dir.join(name).display().to_string();
            vec![
                format!("listen_addresses={addresses}"),
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", file("server.pem")),
                format!("ssl_key_file={}", file("server.key")),
            ]
        })
    }

    fn start_with(port: u16, settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::metadata(dir.path()).unwrap().uid() == 0;
        if root {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = dir.path().join("data");
        let program = |name: &str| {
            let file = bin().join(name);
            let mut command = match root {
                true => Command::new("setpriv"),
                false => Command::new(&file),
            };
            if root {
                let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
                command.args(ids).arg("--clear-groups").arg(&file);
            }
            command.current_dir(dir.path()).stdin(Stdio::null());
            command.stdout(Stdio::null());
            command
        };
        let made = program("initdb")
            .args([
                "--no-sync",
                "--username=sealkeep",
                "--auth=trust",
                "--encoding=UTF8",
                "-D",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let server = program("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-k"])
            .arg(dir.path())
            .args(
                settings(dir.path())
                    .into_iter()
                    .flat_map(|setting| ["-c".to_owned(), setting]),
            )
            .stderr(std::fs::File::create(dir.path().join(LOG)).unwrap())
            .spawn()
            .unwrap();
        let postgres = Self { dir, port, server };
        postgres.wait();
        postgres
    }

    /// The URL of its one database.
    pub fn url(&self) -> String {
        let dir = self.dir.path().display();
        let port = self.port;
        format!("postgres://sealkeep@localhost:{port}/postgres?host={dir}&sslmode=disable")
    }

    /// Runs a statement.
    pub fn execute(&self, statement: &str) {
        assert!(self.psql(statement), "{statement}");
    }

    fn psql(&self, statement: &str) -> bool {
        let status = Command::new(bin().join("psql"))
            .args([
                "-q", "-U", "sealkeep", "-d", "postgres", "-c", statement, "-h",
            ])
            .arg(self.dir.path())
            .args(["-p", &self.port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.unwrap().success()
    }

    /// Stops or continues the whole server: `-STOP`, `-CONT`.
    pub fn signal(&self, signal: &str) {
        let pid = self.server.id().to_string();
        let children = Command::new("pkill").args([signal, "-P", &pid]).status();
        assert!(children.unwrap().success());
        let server = Command::new("kill").args([signal, &pid]).status();
        assert!(server.unwrap().success());
    }

    fn wait(&self) {
        let begun = Instant::now();
        while !self.psql("SELECT 1") {
            assert!(
                begun.elapsed() < READY_TIMEOUT,
                "PostgreSQL does not answer"
            );
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join(LOG));
            eprintln!("log of PostgreSQL:\n{}", log.unwrap_or_default());
        }
        // SIGQUIT: at once, with its children; nothing of it is needed any more.
        let pid = self.server.id().to_string();
        Command::new("kill").args(["-CONT", &pid]).status().ok();
        Command::new("kill").args(["-QUIT", &pid]).status().ok();
        self.server.wait().ok();
    }
}

/// Where Debian and others put the programs of the newest server.
fn bin() -> PathBuf {
    let debian = Path::new("/usr/lib/postgresql");
    let mut versions: Vec<_> = std::fs::read_dir(debian)
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
                .collect()
        })
        .unwrap_or_default();
    versions.retain(|bin| bin.join("initdb").exists());
    versions.sort();
    versions
        .pop()
        .expect("apt install postgresql: no initdb in /usr/lib/postgresql/*/bin")
}
