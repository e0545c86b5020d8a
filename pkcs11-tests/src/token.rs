//! A token in a folder of its own, gone when the test is.
//!
//! Out: SoftHSM 2, the reference, or kryoptic, the stranger that shows what was assumed of all tokens. Both read their
//! configuration from a variable of the environment when the module is initialised, so a process sees one folder for
//! life: start the program under test with [`TestToken::env`], or run the test as a [`Case`](crate::Case).

mod kryoptic;
mod softhsm;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Names the token to test with: `softhsm` (unless said otherwise) or `kryoptic`.
pub(crate) const KIND_ENV: &str = "SEALKEEP_TEST_TOKEN";
const PIN: &str = "648219";
const SO_PIN: &str = "85239176";
const LABEL: &str = "sealkeep-test";

/// Which token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SoftHSM 2, from the distribution.
    SoftHsm,
    /// kryoptic, made by `deploy/kryoptic.sh`. It survives a process that is killed in `C_Login`, has RSA-OAEP with
    /// SHA-256, and locks after ten wrong PINs.
    Kryoptic,
}

/// A token, its PIN, and the folder that holds it.
#[derive(Debug)]
pub struct TestToken {
    /// Deletes the folder; `None` in a child process, whose parent does it.
    _owner: Option<TempDir>,
    dir: PathBuf,
    kind: Kind,
    module: PathBuf,
}

impl Kind {
    /// As the environment says.
    ///
    /// # Panics
    /// When it names no token.
    pub fn from_env() -> Self {
        let Ok(named) = std::env::var(KIND_ENV) else {
            return Self::SoftHsm;
        };
        let kinds = [Self::SoftHsm, Self::Kryoptic];
        let kind = kinds.into_iter().find(|kind| kind.name() == named);
        kind.unwrap_or_else(|| panic!("{KIND_ENV}={named}: softhsm or kryoptic"))
    }

    /// As in the environment.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SoftHsm => "softhsm",
            Self::Kryoptic => "kryoptic",
        }
    }

    fn module(self) -> PathBuf {
        match self {
            Self::SoftHsm => softhsm::module(),
            Self::Kryoptic => kryoptic::module(),
        }
    }
}

impl TestToken {
    /// One initialised token of the kind that the environment says.
    ///
    /// # Panics
    /// As [`TestToken::of`].
    #[allow(clippy::new_without_default)] // Making a token costs a process; nobody should get one by default.
    pub fn new() -> Self {
        Self::of(Kind::from_env())
    }

    /// Makes a folder, a configuration and one initialised token.
    ///
    /// # Panics
    /// When the token's module or tool is not installed or fails.
    pub fn of(kind: Kind) -> Self {
        let owner = tempfile::Builder::new().prefix("sealkeep-token-").tempdir();
        let owner = owner.unwrap_or_else(|e| panic!("cannot make a folder for a token: {e}"));
        let token = Self {
            dir: owner.path().to_owned(),
            _owner: Some(owner),
            kind,
            module: kind.module(),
        };
        let tokens = token.token_dir();
        fs::create_dir(&tokens).unwrap_or_else(|e| panic!("{}: {e}", tokens.display()));
        token.configure();
        token.add_token(LABEL);
        token
    }

    /// The token of the kind that the environment says, which a parent process made in `dir`.
    pub(crate) fn made_in(dir: PathBuf) -> Self {
        let kind = Kind::from_env();
        Self {
            _owner: None,
            dir,
            kind,
            module: kind.module(),
        }
    }

    fn configure(&self) {
        let text = match self.kind {
            Kind::SoftHsm => softhsm::configuration(&self.token_dir()),
            Kind::Kryoptic => kryoptic::configuration(),
        };
        write(&self.conf(), &text);
    }

    /// One more token in the same folder, with the same PIN. Only for processes that start later: a running module
    /// does not see it.
    ///
    /// # Panics
    /// When the token's tool is not there or fails.
    pub fn add_token(&self, label: &str) {
        match self.kind {
            Kind::SoftHsm => softhsm::add_token(self, label),
            Kind::Kryoptic => kryoptic::add_token(self, label),
        }
    }

    /// Puts a private key (PKCS#8, PEM) and its public key into a SoftHSM token of this folder, under a `CKA_ID`: what a
    /// vendor's replication does. A running module sees it at its next search.
    ///
    /// # Panics
    /// When it is no SoftHSM, or `softhsm2-util` is not there or fails.
    pub fn import_key(&self, token_label: &str, id_hex: &str, pkcs8_pem: &Path) {
        assert_eq!(self.kind, Kind::SoftHsm);
        softhsm::import_key(self, token_label, id_hex, pkcs8_pem);
    }

    /// Which token it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The folder of everything; tests may put files there.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder where the module keeps its tokens.
    pub fn token_dir(&self) -> PathBuf {
        self.dir.join("tokens")
    }

    /// The module's configuration file.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("token.conf")
    }

    /// What a process needs in its environment to see this token.
    pub fn env(&self) -> (&'static str, PathBuf) {
        let name = match self.kind {
            Kind::SoftHsm => "SOFTHSM2_CONF",
            Kind::Kryoptic => "KRYOPTIC_CONF",
        };
        (name, self.conf())
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

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
