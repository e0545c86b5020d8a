//! NSS's softokn, the token of Firefox, in a folder of its own: a stranger to what SoftHSM taught us.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const PIN: &str = "648219";
/// Where distributions put it.
const MODULE_PATHS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
    "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
    "/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so",
    "/usr/lib64/libsoftokn3.so",
];

/// A database with a PIN, gone when the test is.
#[derive(Debug)]
pub struct NssToken {
    dir: TempDir,
}

impl NssToken {
    /// Label of the slot that keeps keys; NSS gives it to every database.
    pub const LABEL: &str = "NSS Certificate DB";

    /// Makes a database.
    ///
    /// # Panics
    /// When `certutil` is not installed or fails.
    #[allow(clippy::new_without_default)] // Making a token costs a process; nobody should get one by default.
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// Makes a database in a folder of its own below another one, which a confined process may write to.
    ///
    /// # Panics
    /// As [`NssToken::new`].
    pub fn below(parent: &Path) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("sealkeep-nss-")
            .tempdir_in(parent);
        let dir = dir.unwrap_or_else(|e| panic!("cannot make a folder for a token: {e}"));
        let token = Self { dir };
        let pin = token.pin_file();
        std::fs::write(&pin, format!("{PIN}\n"))
            .unwrap_or_else(|e| panic!("{}: {e}", pin.display()));
        let mut command = Command::new("certutil");
        command.args(["-N", "-d"]).arg(token.database());
        let output = command.arg("-f").arg(&pin).output();
        let output = output.unwrap_or_else(|e| {
            panic!("certutil cannot be run ({e}); apt-get install libnss3-tools")
        });
        assert!(output.status.success(), "{output:?}");
        token
    }

    /// The PKCS#11 module.
    ///
    /// # Panics
    /// When it is not installed.
    pub fn module() -> PathBuf {
        let mut places = MODULE_PATHS.iter().map(Path::new);
        let found = places.find(|path| path.is_file());
        found
            .unwrap_or_else(|| panic!("libsoftokn3.so is not installed (apt-get install libnss3)"))
            .to_owned()
    }

    /// A file with the user PIN.
    pub fn pin_file(&self) -> PathBuf {
        self.dir.path().join("pin")
    }

    /// NSS wants to hear at `C_Initialize` where the database is.
    pub fn init_string(&self) -> String {
        format!(
            "configdir='{}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=noModDB",
            self.database()
        )
    }

    fn database(&self) -> String {
        format!("sql:{}", self.dir.path().display())
    }
}
