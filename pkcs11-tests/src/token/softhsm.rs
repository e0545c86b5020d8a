//! SoftHSM 2: where it is, how it is configured, how a token is made.

use std::path::{Path, PathBuf};

use super::{PIN, SO_PIN, TestToken};

/// Names another build of it.
const MODULE_ENV: &str = "SEALKEEP_TEST_PKCS11_MODULE";
/// Where distributions put it.
const MODULE_PATHS: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

pub(super) fn module() -> PathBuf {
    let named = std::env::var_os(MODULE_ENV).map(PathBuf::from);
    let mut places = named
        .into_iter()
        .chain(MODULE_PATHS.iter().map(PathBuf::from));
    places.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("SoftHSM 2 is not installed (apt-get install softhsm2), and {MODULE_ENV} is not set")
    })
}

pub(super) fn configuration(token_dir: &Path) -> String {
    format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n\
         slots.removable = false\n",
        token_dir.display()
    )
}

pub(super) fn add_token(token: &TestToken, label: &str) {
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
    let output = token.run("softhsm2-util", arguments);
    assert!(output.status.success(), "softhsm2-util failed: {output:?}");
}

pub(super) fn import_key(token: &TestToken, label: &str, id_hex: &str, pkcs8_pem: &Path) {
    let file = pkcs8_pem.to_string_lossy();
    let arguments = [
        "--import", &file, "--token", label, "--label", "imported", "--id", id_hex, "--pin", PIN,
    ];
    let output = token.run("softhsm2-util", arguments);
    assert!(output.status.success(), "softhsm2-util failed: {output:?}");
}
