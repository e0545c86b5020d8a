//! The corpus of public sample certificates: read where it is, compared with the reading that comes with it.
//!
//! Not part of the project: without the folder (`SEALKEEP_CORPUS`, or the default below) these tests have nothing to
//! read and say so.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// Codes that `expected.json` knows; findings of ours beyond these are not compared.
const SHARED_CODES: &[&str] = &[
    "qcstatements_outer_sequence_missing",
    "bare_statement",
    "psd2_info_not_sequence",
    "psd2_field_count_",
    "roles_empty",
    "role_not_sequence",
    "role_arity_",
    "role_oid_wrong_type_",
    "role_name_type_",
    "role_name_empty",
    "role_name_mismatch",
    "duplicate_role",
    "nca_name_type_",
    "nca_id_type_",
    "nca_name_empty",
    "nca_id_empty",
    "nca_id_syntax",
    "nca_id_vs_org_id_mismatch",
    "org_id_missing",
    "org_id_not_psd_syntax",
];

struct Sample {
    name: String,
    pem: Vec<u8>,
    expected: Value,
}

fn corpus() -> Vec<Sample> {
    let folder: PathBuf =
        std::env::var_os("SEALKEEP_CORPUS").map_or("/work/shared/corpus".into(), PathBuf::from);
    let Ok(text) = std::fs::read(folder.join("expected.json")) else {
        #[allow(clippy::print_stderr)] // A test that could not look at anything has to say so.
        {
            eprintln!("no corpus at {}: nothing compared", folder.display());
        }
        return Vec::new();
    };
    let expected: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
    let samples: Vec<Sample> = expected
        .into_iter()
        .map(|(name, expected)| {
            let pem = std::fs::read(folder.join(&name)).unwrap();
            Sample {
                name,
                pem,
                expected,
            }
        })
        .collect();
    assert!(samples.len() > 50, "the corpus is there but almost empty");
    samples
}

fn read(sample: &Sample) -> Certificate {
    let mut chain = Certificate::chain_from_pem(&sample.pem)
        .unwrap_or_else(|error| panic!("{}: {error}", sample.name));
    assert_eq!(chain.len(), 1, "{}", sample.name);
    chain.remove(0)
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn every_sample_reads_as_expected() {
    for sample in corpus() {
        let (name, expected, certificate) = (&sample.name, &sample.expected, read(&sample));
        assert_eq!(
            hex::encode(certificate.sha256()),
            expected["sha256"],
            "{name}"
        );
        assert_eq!(certificate.serial_hex(), expected["serial_hex"], "{name}");
        assert_eq!(
            certificate.organization_identifier(),
            expected["org_id"].as_str(),
            "{name}"
        );
        assert_eq!(
            certificate.policies(),
            texts(&expected["policies"]),
            "{name}"
        );
        let usages = certificate.extended_key_usage().unwrap_or_default();
        assert_eq!(usages, texts(&expected["eku"]), "{name}");
        assert_eq!(
            certificate.is_precertificate(),
            expected["precert"] == true,
            "{name}"
        );
        for (ours, field) in [
            (certificate.not_before(), "not_before"),
            (certificate.not_after(), "not_after"),
        ] {
            let theirs: jiff::Timestamp = expected[field].as_str().unwrap().parse().unwrap();
            assert_eq!(ours, theirs, "{name} {field}");
        }
    }
}

#[test]
fn every_key_usage_reads_as_expected() {
    for sample in corpus() {
        let certificate = read(&sample);
        let usage = certificate.key_usage();
        let ours = usage.map(|usage| {
            [
                (usage.digital_signature(), "digital_signature"),
                (usage.non_repudiation(), "non_repudiation"),
                (usage.key_encipherment(), "key_encipherment"),
                (usage.key_cert_sign(), "key_cert_sign"),
            ]
        });
        let theirs = texts(&sample.expected["ku"]);
        assert_eq!(
            ours.is_some(),
            sample.expected.get("ku").is_some(),
            "{}",
            sample.name
        );
        for (stated, name) in ours.into_iter().flatten() {
            assert_eq!(stated, theirs.contains(&name), "{} {name}", sample.name);
        }
    }
}

#[test]
fn every_psd2_statement_and_finding_is_as_expected() {
    for sample in corpus() {
        let (name, expected, certificate) = (&sample.name, &sample.expected, read(&sample));
        let qualified = certificate.qualified();
        let statements: Vec<String> = qualified.statements().collect();
        assert_eq!(statements, texts(&expected["qc_statements"]), "{name}");
        let psd2 = qualified.psd2();
        let nca_id = psd2.and_then(|psd2| psd2.nca_id());
        assert_eq!(nca_id, expected["nca_id"].as_str(), "{name}");
        let nca_name = psd2.and_then(|psd2| psd2.nca_name());
        assert_eq!(nca_name, expected["nca_name"].as_str(), "{name}");
        let ours: Vec<(String, &str)> = psd2
            .map(|psd2| psd2.printed_roles())
            .unwrap_or_default()
            .iter()
            .map(|(role, printed)| (role.oid(), printed.as_str()))
            .collect();
        let theirs: Vec<(String, &str)> = expected["roles"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pair| {
                (
                    pair[0].as_str().unwrap().to_owned(),
                    pair[1].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(ours, theirs, "{name}");

        let codes: BTreeSet<String> = qualified.findings().iter().map(|f| f.code()).collect();
        let shared = |code: &&String| SHARED_CODES.iter().any(|known| code.starts_with(known));
        let ours: BTreeSet<&str> = codes.iter().filter(shared).map(String::as_str).collect();
        let theirs: BTreeSet<&str> = texts(&expected["findings"]).into_iter().collect();
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Names whose RFC 4514 text by the corpus (PyCA) does not depend on liberties: without types that only we write as
/// hexadecimal, and without control characters.
#[test]
fn every_plain_issuer_renders_as_expected() {
    let samples = corpus();
    let mut compared = 0;
    for sample in &samples {
        let theirs = sample.expected["issuer_rfc4514"].as_str().unwrap();
        if !theirs.contains(char::is_control) {
            let with = UnnamedAttribute::Text;
            let ours = read(sample).issuer().rfc2253_with(with, NonAscii::Utf8);
            assert_eq!(ours, theirs, "{}", sample.name);
            compared += 1;
        }
    }
    assert_eq!(compared > 50, !samples.is_empty());
}

#[test]
fn no_truncation_or_flipped_byte_of_a_sample_panics() {
    for sample in corpus() {
        let der = read(&sample).der().to_vec();
        for len in (0..der.len()).step_by(7) {
            assert!(
                Certificate::from_der(&der[..len]).is_err(),
                "{} {len}",
                sample.name
            );
        }
        for index in (0..der.len()).step_by(3) {
            let mut bytes = der.clone();
            bytes[index] ^= 1 << (index % 8);
            if let Ok(certificate) = Certificate::from_der(&bytes) {
                assert_ne!(certificate.der(), der);
                let _ = (certificate.kind(), certificate.subject().rfc1779());
            }
        }
    }
}
