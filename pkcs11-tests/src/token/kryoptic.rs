//! kryoptic: where `deploy/kryoptic.sh` puts it, how it is configured, how a token is made.

use std::path::PathBuf;

use super::{PIN, SO_PIN, TestToken, read, write};

/// Where the script puts it, seen from the target directory.
const MODULE: &str = "kryoptic/debug/libkryoptic_pkcs11.so";

pub(super) fn module() -> PathBuf {
    // Cargo gave this program its place in the target directory.
    let program = std::env::current_exe().unwrap_or_else(|e| panic!("no path of mine: {e}"));
    let mut places = program.ancestors().map(|folder| folder.join(MODULE));
    places
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("kryoptic is not built; run deploy/kryoptic.sh"))
}

/// No slots: each token brings its own.
pub(super) fn configuration() -> String {
    String::new()
}

pub(super) fn add_token(token: &TestToken, label: &str) {
    let conf = read(&token.conf());
    let slot = conf.matches("[[slots]]").count().to_string();
    let file = token.token_dir().join(format!("{slot}.sql"));
    let entry = format!(
        "{conf}[[slots]]\nslot = {slot}\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
        file.display()
    );
    write(&token.conf(), &entry);
    let tool = |arguments: &[&str]| {
        let module = token.module().to_string_lossy();
        let common = ["--module", &*module, "--slot", &slot, "--so-pin", SO_PIN];
        let output = token.run("pkcs11-tool", common.iter().chain(arguments));
        assert!(output.status.success(), "pkcs11-tool failed: {output:?}");
    };
    tool(&["--init-token", "--label", label]);
    let user_pin = [
        "--login",
        "--login-type",
        "so",
        "--init-pin",
        "--new-pin",
        PIN,
    ];
    tool(&user_pin);
}
