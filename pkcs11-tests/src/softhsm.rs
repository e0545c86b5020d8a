//! A SoftHSM token in a folder of its own, gone when the test is.
//!
//! SoftHSM reads its configuration from `SOFTHSM2_CONF` when the module is initialised, so a process sees one folder
//! for life: start the program under test with [`SoftHsm::env`], or run the test as a [`Case`](crate::Case).

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Names another module to test with.
const MODULE_ENV: &str = "SEALKEEP_TEST_PKCS11_MODULE";
/// Where distributions put SoftHSM 2.
const MODULE_PATHS: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
const PIN: &str = "648219";
const SO_PIN: &str = "85239176";
const LABEL: &str = "sealkeep-test";

/// A token, its PIN, and the folder that holds it.
#[derive(Debug)]
pub struct SoftHsm {
    /// Deletes the folder; `None` in a child process, whose parent does it.
    _owner: Option<TempDir>,
    dir: PathBuf,
    module: PathBuf,
}

impl SoftHsm {
    /// Makes a folder, a configuration and one initialised token.
    ///
    /// # Panics
    /// When SoftHSM 2 or `softhsm2-util` is not installed or fails.
    #[allow(clippy::new_without_default)] // Making a token costs a process; nobody should get one by default.
    pub fn new() -> Self {
        let owner = tempfile::Builder::new().prefix("sealkeep-token-").tempdir();
        let owner = owner.unwrap_or_else(|e| panic!("cannot make a folder for a token: {e}"));
        let dir = owner.path().to_owned();
        write(&dir.join("softhsm2.conf"), &configuration(&dir));
        let tokens = dir.join("tokens");
        fs::create_dir(&tokens).unwrap_or_else(|e| panic!("{}: {e}", tokens.display()));
        let hsm = Self {
            _owner: Some(owner),
            dir,
            module: module(),
        };
        hsm.add_token(LABEL);
        hsm
    }

    /// The token that a parent process made in `dir`.
    pub(crate) fn made_in(dir: PathBuf) -> Self {
        Self {
            _owner: None,
            dir,
            module: module(),
        }
    }

    /// One more token in the same folder, with the same PIN. Only for processes that start later: a running module
    /// does not see it.
    ///
    /// # Panics
    /// When `softhsm2-util` is not there or fails.
    pub fn add_token(&self, label: &str) {
        let arguments = [
            "--init-token",
            "--free",
            "--label",
            label,
            "--so-pin",
            SO_PIN,
            "--pin",
            PIN,
        ];
        let output = self.run("softhsm2-util", arguments);
        assert!(output.status.success(), "softhsm2-util failed: {output:?}");
    }

    /// Puts a private key (PKCS#8, PEM) and its public key into a token of this folder, under a `CKA_ID`: what a vendor's
    /// replication does. A running module sees it at its next search.
    ///
    /// # Panics
    /// When `softhsm2-util` is not there or fails.
    pub fn import_key(&self, token_label: &str, id_hex: &str, pkcs8_pem: &Path) {
        let file = pkcs8_pem.to_string_lossy();
        let arguments = [
            "--import",
            &file,
            "--token",
            token_label,
            "--label",
            "imported",
            "--id",
            id_hex,
            "--pin",
            PIN,
        ];
        let output = self.run("softhsm2-util", arguments);
        assert!(output.status.success(), "softhsm2-util failed: {output:?}");
    }

    /// The folder of everything; tests may put files there.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder where SoftHSM keeps its tokens.
    pub fn token_dir(&self) -> PathBuf {
        self.dir.join("tokens")
    }

    /// The configuration file: the value of `SOFTHSM2_CONF`.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("softhsm2.conf")
    }

    /// What a process needs in its environment to see this token.
    pub fn env(&self) -> (&'static str, PathBuf) {
        ("SOFTHSM2_CONF", self.conf())
    }

    /// The PKCS#11 module.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// The user PIN.
    pub fn pin(&self) -> &'static str {
        PIN
    }

    /// The label of the first token.
    pub fn label(&self) -> &'static str {
        LABEL
    }

    /// Runs a program that sees this token, to its end.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).envs([self.env()]);
        command
            .output()
            .unwrap_or_else(|e| panic!("{program} cannot be run ({e}); install it"))
    }

    /// Runs OpenSC's `pkcs11-tool` on the token, logged in.
    ///
    /// # Panics
    /// When it is not installed.
    pub fn pkcs11_tool(&self, arguments: &[&str]) -> Output {
        let module = self.module.to_string_lossy();
        let common = [
            "--module",
            &module,
            "--token-label",
            LABEL,
            "--login",
            "--pin",
            PIN,
        ];
        self.run("pkcs11-tool", common.iter().chain(arguments))
    }
}

fn configuration(dir: &Path) -> String {
    format!(
        "directories.tokendir = {}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n\
         slots.removable = false\n",
        dir.display()
    )
}

fn module() -> PathBuf {
    let named = std::env::var_os(MODULE_ENV).map(PathBuf::from);
    let mut places = named
        .into_iter()
        .chain(MODULE_PATHS.iter().map(PathBuf::from));
    places.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("SoftHSM 2 is not installed (apt-get install softhsm2), and {MODULE_ENV} is not set")
    })
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
