//! Starting, and not starting: each cause has a reason word, a way out, and leaves nothing half done.

use std::process::{Command, Stdio};
use std::time::Instant;

use sealkeep_client::v1::KeyAlgorithm;
use sealkeep_pkcs11_tests::Kind;

use crate::house::{House, OFFICER, TPP, payment, write_pin};

/// Runs `sealkeepd run`, which must fail, with this change of the configuration.
fn refused(house: &House, from: &str, to: &str) -> (i32, String) {
    let config = house.config();
    assert!(config.contains(from), "{from}");
    std::fs::write(house.config_file(), config.replace(from, to)).unwrap();
    let output = house.sealkeepd(&["run"]);
    std::fs::write(house.config_file(), config).unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), text)
}

#[test]
fn each_cause_has_its_reason_word() {
    let house = House::build();
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    let module = house.hsm.module().display().to_string();
    for (from, to, reason, code) in [
        ("[trust]", "[trusty]", "CONFIG_INVALID", 78),
        (
            "name = \"main\"",
            "name = \"main\"\nsessions = 3",
            "CONFIG_INVALID",
            78,
        ),
        (module.as_str(), "/no/such/module.so", "MODULE_MISSING", 78),
        (module.as_str(), "/bin/true", "MODULE_INVALID", 78),
        (
            "label = \"sealkeep-test\"",
            "label = \"no-such-token\"",
            "TOKEN_NOT_FOUND",
            1,
        ),
        (
            "sqlite_file = \"sealkeep.db\"",
            "sqlite_file = \"other.db\"",
            "STORE_ABSENT",
            78,
        ),
        (
            "certificate_file = \"server.pem\"",
            "certificate_file = \"pin\"",
            "TLS_MATERIAL_INVALID",
            78,
        ),
        (
            "caller_ca_file = \"pki/ca.pem\"",
            "caller_ca_file = \"no.pem\"",
            "TLS_MATERIAL_INVALID",
            78,
        ),
        (
            "sandbox_anchor_files = [\"qtsp/root.pem\"]",
            "sandbox_anchor_files = [\"x\"]",
            "CONFIG_INVALID",
            78,
        ),
        ("pin_file = \"pin\"", "", "PIN_UNAVAILABLE", 78),
        (
            "pin_file = \"pin\"",
            "pin_file = \"server.pem\"",
            "PIN_UNAVAILABLE",
            78,
        ),
        (
            "pin_file = \"pin\"",
            "pin_credential = \"hsm-pin\"",
            "PIN_UNAVAILABLE",
            78,
        ),
    ] {
        let (exit, text) = refused(&house, from, to);
        assert!(
            text.contains(&format!("sealkeepd: {reason}: ")),
            "{to}: {text}"
        );
        assert_eq!(exit, code, "{to}: {text}");
        assert!(!text.contains(house.hsm.pin()), "{text}");
    }
    let output = house.sealkeepd(&["check-config"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn init_refuses_to_make_a_second_first_officer() {
    let house = House::build();
    assert!(
        house
            .sealkeepd(&["init", "--officer", OFFICER])
            .status
            .success()
    );
    let again = house.sealkeepd(&["init", "--officer", "spiffe://test.example/eve"]);
    let text = String::from_utf8_lossy(&again.stderr);
    assert!(text.contains("INITIALISED"), "{text}");
}

/// One login with a wrong PIN, then none however often it is started, until an operator says so.
#[test]
fn a_wrong_pin_is_tried_once_across_restarts() {
    // A token that never locks, should this ever fail.
    let mut house = House::build_on(Kind::SoftHsm, None);
    assert!(
        house
            .sealkeepd(&["init", "--officer", OFFICER])
            .status
            .success()
    );
    let spy = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
    assert!(std::path::Path::new(spy).exists(), "install opensc-pkcs11");
    let config = house.config();
    let module = house.hsm.module().display().to_string();
    let spied = config.replace(&module, spy).replace(
        "[store]",
        "allow_spy = true\nworker_write_paths = [\"spy\"]\n[store]",
    );
    std::fs::write(house.config_file(), spied).unwrap();
    write_pin(&house.dir().join("pin"), "not-the-pin");
    std::fs::create_dir(house.dir().join("spy")).unwrap();
    let trace = house.dir().join("spy/log");
    let begun = Instant::now();
    for _ in 0..20 {
        let output = house
            .command(&["run"])
            .env("PKCS11SPY", &module)
            .env("PKCS11SPY_OUTPUT", &trace)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            text.contains("PIN_REFUSED") && text.contains("clear-pin"),
            "{text}"
        );
        assert_eq!(
            output.status.code(),
            Some(78),
            "a process manager must not try again"
        );
        assert!(!text.contains("not-the-pin"), "{text}");
    }
    assert!(begun.elapsed().as_secs() < 20, "no restart burns a second");
    let trace = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    assert_eq!(trace.matches(": C_Login").count(), 1, "{trace}");

    // Corrected and cleared, it starts.
    std::fs::write(house.config_file(), config).unwrap();
    write_pin(&house.dir().join("pin"), house.hsm.pin());
    let still = house.sealkeepd(&["run"]);
    assert_eq!(
        still.status.code(),
        Some(78),
        "latched until somebody says so: {still:?}"
    );
    assert!(house.sealkeepd(&["clear-pin"]).status.success());
    house.start();
}

#[tokio::test]
async fn a_second_service_on_the_same_store_is_refused() {
    let house = House::with_seal(KeyAlgorithm::EcP256).await;
    let second = house.sealkeepd(&["run"]);
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(text.contains("STORE_IN_USE"), "{text}");
}

#[tokio::test]
async fn sigterm_finishes_cleanly_and_a_restart_signs_again() {
    let mut house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    house
        .connect(TPP)
        .bank("bank")
        .sign(payment())
        .await
        .unwrap();
    assert_eq!(house.stop().await.code(), Some(0), "{}", house.log());
    house.start();
    house
        .connect(TPP)
        .bank("bank")
        .sign(payment())
        .await
        .unwrap();
    let report = house.verify_log().await;
    assert_eq!((report.faults, report.released_count), (vec![], 2));
    assert!(report.unknown_sequences.is_empty());
    let events: Vec<_> = house
        .records("st")
        .await
        .into_iter()
        .map(|r| r.event)
        .collect();
    assert_eq!(events, ["start", "stop", "start"]);
}

/// A key that is gone from the token makes its credential unusable, names it, and leaves the others alone.
#[tokio::test]
async fn a_missing_key_is_named_and_the_others_sign() {
    let mut house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    house
        .credential(
            "lost",
            sealkeep_client::v1::Purpose::Seal,
            KeyAlgorithm::Rsa2048,
        )
        .await;
    house
        .apply_bank(crate::house::bank("bank", &["seal", "lost"]))
        .await
        .unwrap();
    house.grant("bank", &["seal", "lost"]).await;
    house.stop().await;
    let key_id = {
        let listing = house
            .hsm
            .pkcs11_tool(&["--list-objects", "--type", "privkey"]);
        let text = String::from_utf8_lossy(&listing.stdout).into_owned();
        let object = text
            .split("Private Key Object")
            .find(|o| o.contains("lost"))
            .unwrap();
        let id = object.split_once("ID:").unwrap().1;
        id.split_whitespace().next().unwrap().to_owned()
    };
    let deleted = house
        .hsm
        .pkcs11_tool(&["--delete-object", "--type", "privkey", "--id", &key_id]);
    assert!(deleted.status.success(), "{deleted:?}");
    house.start();
    let tpp = house.connect(TPP).bank("bank");
    let error = tpp.credential("lost").sign(payment()).await.unwrap_err();
    assert_eq!(error.reason(), "KEY_UNKNOWN");
    tpp.credential("seal").sign(payment()).await.unwrap();
    assert!(house.log().contains("lost@1"), "{}", house.log());
    let report = house.verify_log().await;
    assert_eq!(
        (report.faults, report.released_count, report.failed_count),
        (vec![], 1, 1)
    );
}

/// On a full disk nothing is signed, the reason is said, and the log stays whole.
#[tokio::test]
async fn a_full_disk_signs_nothing() {
    let mut house = House::with_seal(KeyAlgorithm::EcP256).await;
    house.stop().await;
    // The store moves to a file system of 1 MiB that only the service sees: a mount namespace of its own.
    let (config, small) = (house.config(), house.dir().join("small"));
    std::fs::create_dir(&small).unwrap();
    let store = format!("sqlite_file = \"{}/sealkeep.db\"", small.display());
    std::fs::write(
        house.config_file(),
        config.replace("sqlite_file = \"sealkeep.db\"", &store),
    )
    .unwrap();
    let run = house.command(&["run"]);
    let script = r#"mount -t tmpfs -o size=1m tmpfs "$1" && cp "$2"/sealkeep.db "$1"/ && shift 2 && exec "$@""#;
    let mut confined = Command::new("unshare");
    confined.args(["--mount", "--map-root-user", "--", "sh", "-c", script, "sh"]);
    confined
        .arg(&small)
        .arg(house.dir())
        .arg(run.get_program())
        .args(run.get_args());
    confined.envs([house.hsm.env()]).stdin(Stdio::null());
    let log = house.dir().join("sealkeepd.log");
    house.service = Some(crate::house::Running::start(confined, &log));

    let tpp = house.connect(TPP).bank("bank");
    let mut released = 0;
    let error = loop {
        match tpp.sign(payment()).await {
            Ok(_) => released += 1,
            Err(error) => break error,
        }
        assert!(released < 20_000, "the disk never got full");
    };
    assert_eq!(error.reason(), "AUDIT_UNAVAILABLE", "{error}");
    assert!(released > 20, "{released}");
    let again = tpp.sign(payment()).await.unwrap_err();
    assert_eq!(again.reason(), "AUDIT_UNAVAILABLE");
}
