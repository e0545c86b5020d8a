//! The laws, on every token that a Debian machine can have.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Output};

use sealkeep_pkcs11_tests::{Kind, NssToken, RemoteHsm, TestToken};
use serde_json::Value;

/// Runs the examiner, as its users do.
fn examine(
    module: &Path,
    label: &str,
    pin_file: &Path,
    more: &[&str],
    env: &[(&str, &str)],
) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkcs11-laws"));
    command
        .arg("--module")
        .arg(module)
        .args(["--token-label", label])
        .arg("--pin-file")
        .arg(pin_file);
    command.args(more).envs(env.iter().copied());
    command.output().unwrap()
}

/// All laws, a wrong PIN too: the tokens here do not count them.
fn keeps_the_laws_as_known(
    module: &Path,
    label: &str,
    pin_file: &Path,
    more: &[&str],
    env: &[(&str, &str)],
) {
    let more = [more, &["--try-wrong-pin"]].concat();
    let output = examine(module, label, pin_file, &more, env);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{report}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(report.contains("; 0 not as known"), "{report}");
}

fn pin_file(hsm: &TestToken) -> std::path::PathBuf {
    let file = hsm.dir().join("pin");
    std::fs::write(&file, format!("{}\n", hsm.pin())).unwrap();
    file
}

#[test]
fn softhsm_keeps_all_laws() {
    let hsm = TestToken::of(Kind::SoftHsm);
    let (name, conf) = hsm.env();
    keeps_the_laws_as_known(
        hsm.module(),
        hsm.label(),
        &pin_file(&hsm),
        &[],
        &[(name, conf.to_str().unwrap())],
    );
}

// The wrong PIN of law 16 is one of the ten that kryoptic takes.
#[test]
fn kryoptic_keeps_the_laws_as_known() {
    let hsm = TestToken::of(Kind::Kryoptic);
    let (name, conf) = hsm.env();
    let env = [(name, conf.to_str().unwrap())];
    keeps_the_laws_as_known(hsm.module(), hsm.label(), &pin_file(&hsm), &[], &env);
}

#[test]
fn softhsm_behind_a_socket_keeps_the_laws_as_known() {
    let hsm = TestToken::of(Kind::SoftHsm);
    let _server = RemoteHsm::serve(&hsm);
    let (name, address) = (RemoteHsm::ADDRESS_ENV, RemoteHsm::address(&hsm));
    keeps_the_laws_as_known(
        &RemoteHsm::module(),
        hsm.label(),
        &pin_file(&hsm),
        &[],
        &[(name, &address)],
    );
}

#[test]
fn nss_keeps_the_laws_as_known() {
    let token = NssToken::new();
    let init_string = token.init_string();
    let more = ["--init-string", init_string.as_str()];
    keeps_the_laws_as_known(
        &NssToken::module(),
        NssToken::LABEL,
        &token.pin_file(),
        &more,
        &[],
    );
}

/// The report of a module between SoftHSM and the examiner that breaks things.
fn examine_broken(script: &str, laws: &[&str]) -> Value {
    let hsm = TestToken::of(Kind::SoftHsm);
    let (name, conf) = hsm.env();
    let script_file = hsm.dir().join("faults.toml");
    std::fs::write(&script_file, script).unwrap();
    let faulty = std::env::current_exe()
        .unwrap()
        .with_file_name("libsealkeep_pkcs11_faulty.so");
    let env = [
        (name, conf.to_str().unwrap()),
        ("P11FAULT_MODULE", hsm.module().to_str().unwrap()),
        ("P11FAULT_SCRIPT", script_file.to_str().unwrap()),
    ];
    let laws: Vec<_> = laws
        .iter()
        .flat_map(|law| ["--law", *law])
        .chain(["--json", "--try-wrong-pin"])
        .collect();
    let output = examine(&faulty, hsm.label(), &pin_file(&hsm), &laws, &env);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_module_that_breaks_a_law_is_told_so() {
    for (script, law, seen) in [
        (
            "[token]\nclone_serial = 'CLONE'",
            "1",
            "2 tokens have the label",
        ),
        (
            "rule = [{ fn = 'C_Login', after = 1, rv = 'CKR_OK' }]",
            "11",
            "answered CKR_OK",
        ),
        (
            "rule = [{ fn = 'C_SignInit', die = 'segv' }]",
            "15",
            "ended the process",
        ),
        (
            "rule = [{ fn = 'C_SignInit', die = 'exit' }]",
            "15",
            "ended the process",
        ),
        (
            "rule = [{ fn = 'C_Login', rv = 'CKR_PIN_INVALID' }]",
            "16",
            "CKR_PIN_INVALID",
        ),
        (
            "rule = [{ fn = 'C_Sign', after = 20, nth = 2, output = 'short' }]",
            "30",
            "has 63 bytes",
        ),
        (
            "rule = [{ fn = 'C_Sign', after = 20, nth = 2, output = 'corrupt' }]",
            "30",
            "does not verify",
        ),
        (
            "rule = [{ fn = 'C_Sign', output = 'corrupt' }]",
            "33",
            "does not verify",
        ),
        (
            "rule = [{ fn = 'C_SignInit', nth = 20, event = 'permute_handles' }]\n[token]\nhandles = 'stale'",
            "35",
            "",
        ),
        (
            "rule = [{ fn = 'C_DestroyObject', rv = 'CKR_OK' }]",
            "25",
            "still found",
        ),
        (
            "rule = [{ fn = 'C_Finalize', rv = 'CKR_OK' }]",
            "40",
            "CKR_OK",
        ),
    ] {
        let report = examine_broken(script, &[law]);
        let line = &report["lines"][0];
        assert_eq!(
            (&line["finding"], report["lines"].as_array().unwrap().len()),
            (&"broken".into(), 1),
            "{script}"
        );
        assert!(
            line["detail"].as_str().unwrap().contains(seen),
            "{script}: {line}"
        );
    }
}

#[test]
fn what_cannot_be_examined_is_an_error_and_no_report() {
    let hsm = TestToken::of(Kind::SoftHsm);
    let pin = pin_file(&hsm);
    let empty = hsm.dir().join("empty");
    std::fs::write(&empty, "").unwrap();
    for (module, pin, more, told) in [
        (
            Path::new("/nowhere/x.so"),
            &pin,
            vec![],
            "no PKCS#11 module",
        ),
        (
            hsm.module(),
            &empty,
            vec![],
            "the first line must be the PIN",
        ),
        (hsm.module(), &hsm.dir().join("absent"), vec![], "absent"),
        (
            hsm.module(),
            &pin,
            vec!["--law", "999"],
            "there is no law 999",
        ),
    ] {
        let output = examine(module, hsm.label(), pin, &more, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), output.stdout.is_empty()),
            (Some(2), true),
            "{said}"
        );
        assert!(said.contains(told), "{said}");
    }
}
