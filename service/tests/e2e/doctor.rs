//! `sealkeepd token doctor`, on tokens as different as a Debian machine has them.

use std::process::Output;

use sealkeep_pkcs11_tests::NssToken;
use serde_json::Value;

use crate::house::{House, write_pin};

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What was tried with a kind of key, `works`, `lacks` or `fails`.
fn tried<'a>(report: &'a Value, key: &str, usage: &str, algorithm: &str) -> &'a str {
    let keys = report["seen"]["keys"].as_array().unwrap();
    let key = keys
        .iter()
        .find(|it| it["key"] == key && it["usage"] == usage)
        .unwrap();
    let algorithms = key["algorithms"].as_array().unwrap();
    let found = algorithms.iter().find(|it| it["name"] == algorithm);
    found.map_or_else(
        || key["made"]["result"].as_str().unwrap(),
        |it| it["tried"]["result"].as_str().unwrap(),
    )
}

fn codes(report: &Value) -> Vec<&str> {
    let findings = report["diagnosis"]["findings"].as_array().unwrap();
    let codes = findings.iter().map(|it| it["code"].as_str().unwrap());
    codes.collect()
}

#[test]
fn tells_what_works_on_softhsm_and_leaves_nothing_behind() {
    let house = House::build();
    let output = house.sealkeepd(&["token", "doctor", "-o", "json"]);
    assert!(output.status.success(), "{output:?}");
    let report = report(&output);
    for (key, usage, algorithm, result) in [
        ("ec-p256", "sign", "ecdsa-p256-sha256", "works"),
        ("ed25519", "sign", "ed25519", "works"),
        ("rsa-4096", "sign", "rsa-pss-sha512", "works"),
        ("ec-p384", "decrypt", "ECDH-ES", "works"),
        ("rsa-2048", "decrypt", "RSA-OAEP", "works"),
        ("rsa-2048", "decrypt", "RSA-OAEP-256", "lacks"),
    ] {
        assert_eq!(tried(&report, key, usage, algorithm), result, "{algorithm}");
    }
    assert_eq!(report["seen"]["import"]["result"], "works");
    let codes = codes(&report);
    assert_eq!(report["diagnosis"]["known_as"][0], "SoftHSM 2 (2.6.1)");
    assert!(codes.contains(&"softhsm-oaep-sha1-only") && codes.contains(&"ALGORITHM_NOT_OFFERED"));
    let objects = house.hsm.pkcs11_tool(&["--list-objects"]);
    assert!(objects.stdout.is_empty(), "{objects:?}");
    // It neither needs nor makes a store.
    assert!(!house.dir().join("sealkeep.db").exists());
}

#[test]
fn works_beside_a_running_service() {
    let house = House::open();
    let output = house.sealkeepd(&["token", "doctor"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("\nthe token signs; "), "{text}");
    assert!(!text.contains(house.hsm.pin()), "{text}");
}

#[test]
fn knows_nss_for_what_it_is() {
    let (house, nss) = (House::build(), NssToken::new());
    let config = house
        .config()
        .replace(
            &house.hsm.module().display().to_string(),
            &NssToken::module().display().to_string(),
        )
        .replace(house.hsm.label(), NssToken::LABEL)
        .replace(
            "pin_file = \"pin\"",
            &format!(
                "pin_file = \"pin\"\ninit_string = \"{}\"",
                nss.init_string()
            ),
        );
    std::fs::write(house.config_file(), config).unwrap();
    let pin = std::fs::read_to_string(nss.pin_file()).unwrap();
    write_pin(&house.dir().join("pin"), pin.trim_end());
    let output = house.sealkeepd(&["token", "doctor", "-o", "json"]);
    assert!(output.status.success(), "{output:?}");
    let report = report(&output);
    for (key, usage, algorithm, result) in [
        // Made only because the table says what to leave out.
        ("ec-p256", "sign", "ecdsa-p256-sha256", "works"),
        ("rsa-2048", "sign", "rsa-pss-sha256", "works"),
        ("rsa-2048", "decrypt", "RSA-OAEP-256", "works"),
        ("ed25519", "sign", "ed25519", "lacks"),
    ] {
        assert_eq!(tried(&report, key, usage, algorithm), result, "{algorithm}");
    }
    let codes = codes(&report);
    for code in [
        "nss-extractable-copy",
        "EVIDENCE_NOT_LOCAL",
        "MECHANISMS_NOT_LIMITED",
        "IMPORT_FAILS",
    ] {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
}
