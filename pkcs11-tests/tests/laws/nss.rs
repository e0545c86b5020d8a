//! NSS's softokn: the token of Firefox. A stranger to what SoftHSM taught us.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Label of the slot that keeps keys; NSS gives it to every database.
pub(crate) const LABEL: &str = "NSS Certificate DB";
const PIN: &str = "648219";
const MODULE_PATHS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
    "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
    "/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so",
    "/usr/lib64/libsoftokn3.so",
];

pub(crate) fn module() -> PathBuf {
    let found = MODULE_PATHS
        .iter()
        .map(Path::new)
        .find(|path| path.is_file());
    found
        .expect("libsoftokn3.so is not installed (apt-get install libnss3)")
        .to_owned()
}

/// A database with a PIN.
pub(crate) struct Nss {
    dir: TempDir,
}

impl Nss {
    pub(crate) fn new() -> Self {
        let token = Self {
            dir: tempfile::Builder::new()
                .prefix("sealkeep-nss-")
                .tempdir()
                .unwrap(),
        };
        std::fs::write(token.pin_file(), format!("{PIN}\n")).unwrap();
        let mut command = Command::new("certutil");
        command
            .args(["-N", "-d"])
            .arg(token.database())
            .arg("-f")
            .arg(token.pin_file());
        let output = command
            .output()
            .expect("certutil is not installed (apt-get install libnss3-tools)");
        assert!(output.status.success(), "{output:?}");
        token
    }

    pub(crate) fn pin_file(&self) -> PathBuf {
        self.dir.path().join("pin")
    }

    /// NSS wants to hear at `C_Initialize` where the database is.
    pub(crate) fn init_string(&self) -> String {
        format!(
            "configdir='{}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=noModDB",
            self.database()
        )
    }

    fn database(&self) -> String {
        format!("sql:{}", self.dir.path().display())
    }
}
