#![allow(clippy::unwrap_used)]

use super::*;
use crate::backend::pkcs11::doctor::{ModuleFacts, SearchFacts, SessionFacts, TokenFacts};
use crate::backend::{KeyEvidence, KeyLimits};

const WORKS: Trial = Trial::Works { us: 100 };

fn lacks() -> Trial {
    Trial::Lacks {
        said: "C_SignInit answered CKR_MECHANISM_INVALID".to_owned(),
    }
}

fn fails() -> Trial {
    Trial::Fails {
        said: "the signature does not verify".to_owned(),
    }
}

fn evidence() -> KeyEvidence {
    KeyEvidence {
        sensitive: true,
        extractable: false,
        always_sensitive: true,
        never_extractable: true,
        local: true,
        limits: KeyLimits {
            modifiable: Some(false),
            mechanisms: Some(true),
            ..KeyLimits::default()
        },
    }
}

fn key(name: &str, algorithms: &[(&'static str, Trial)]) -> KeyFacts {
    let facts = |(name, tried): &(&'static str, Trial)| AlgorithmFacts {
        name,
        tried: tried.clone(),
    };
    KeyFacts {
        key: name.to_owned(),
        usage: "sign",
        made: WORKS,
        evidence: Some(evidence()),
        algorithms: algorithms.iter().map(facts).collect(),
        ec_point: Some(PointForm::OctetString),
        allowed_mechanisms_enforced: Some(true),
    }
}

/// A token with nothing to say about.
fn healthy() -> Examination {
    Examination {
        module: ModuleFacts {
            path: "/opt/v/libvendor.so".to_owned(),
            file: "libvendor.so".to_owned(),
            manufacturer: "Vendor".to_owned(),
            library: "Vendor PKCS#11".to_owned(),
            library_version: "1.0".to_owned(),
            cryptoki_version: "2.40".to_owned(),
        },
        token: TokenFacts {
            label: "t".to_owned(),
            serial: "1".to_owned(),
            manufacturer: "Vendor".to_owned(),
            model: "M".to_owned(),
            firmware: "1.0".to_owned(),
            write_protected: false,
            pin_count_low: false,
        },
        sessions: SessionFacts {
            wanted: 4,
            opened: 4,
            told_max: None,
        },
        search: SearchFacts {
            private_keys: 3,
            by_id_us: 100,
        },
        keys: vec![
            key("ec-p256", &[("ecdsa-p256-sha256", WORKS)]),
            key("rsa-2048", &[("rsa-pss-sha256", WORKS)]),
        ],
        import: WORKS,
    }
}

/// What the doctor says about a healthy token with one change.
fn after(change: impl FnOnce(&mut Examination)) -> Diagnosis {
    let mut seen = healthy();
    change(&mut seen);
    diagnose(&seen, Quirks::shipped())
}

#[test]
fn has_nothing_to_say_about_a_healthy_stranger() {
    let diagnosis = after(|_| ());
    assert!(diagnosis.signs && diagnosis.known_as.is_empty());
    assert_eq!(diagnosis.findings, []);
}

#[test]
fn every_fact_has_its_finding() {
    type Change = fn(&mut Examination);
    let table: &[(&str, Severity, Change)] = &[
        ("SESSIONS_FEWER", Severity::Degraded, |it| {
            it.sessions.opened = 2;
        }),
        ("PIN_COUNT_LOW", Severity::Degraded, |it| {
            it.token.pin_count_low = true;
        }),
        ("SEARCH_SLOW", Severity::Note, |it| {
            it.search.by_id_us = SEARCH_SLOW_US + 1;
        }),
        ("KEYS_NOT_OFFERED", Severity::Note, |it| {
            it.keys[1].made = lacks();
            it.keys[1].evidence = None;
        }),
        ("KEY_FAILS", Severity::Degraded, |it| {
            it.keys[1].made = fails();
            it.keys[1].evidence = None;
        }),
        ("KEY_UNPROTECTED", Severity::Unsafe, |it| {
            it.keys[0].evidence.as_mut().unwrap().extractable = true;
        }),
        ("EVIDENCE_NOT_LOCAL", Severity::Note, |it| {
            it.keys[0].evidence.as_mut().unwrap().local = false;
        }),
        ("MECHANISMS_NOT_LIMITED", Severity::Note, |it| {
            it.keys[0].evidence.as_mut().unwrap().limits.mechanisms = None;
        }),
        ("MECHANISMS_NOT_ENFORCED", Severity::Degraded, |it| {
            it.keys[1].allowed_mechanisms_enforced = Some(false);
        }),
        ("KEYS_MODIFIABLE", Severity::Note, |it| {
            it.keys[0].evidence.as_mut().unwrap().limits.modifiable = Some(true);
        }),
        ("EC_POINT_BARE", Severity::Note, |it| {
            it.keys[0].ec_point = Some(PointForm::Bare);
        }),
        ("ALGORITHM_NOT_OFFERED", Severity::Degraded, |it| {
            it.keys[1].algorithms[0].tried = lacks();
        }),
        ("ALGORITHM_FAILS", Severity::Degraded, |it| {
            it.keys[1].algorithms[0].tried = fails();
        }),
        ("IMPORT_FAILS", Severity::Note, |it| it.import = lacks()),
        ("SIGNATURE_SLOW", Severity::Note, |it| {
            it.keys[1].algorithms[0].tried = Trial::Works {
                us: SIGNATURE_SLOW_US + 1,
            };
        }),
    ];
    for (code, severity, change) in table {
        let diagnosis = after(change);
        let codes: Vec<_> = diagnosis.findings.iter().map(|it| &it.code).collect();
        assert_eq!(codes, [code], "{:?}", diagnosis.findings);
        let finding = &diagnosis.findings[0];
        assert_eq!(finding.severity, *severity, "{code}");
        assert!(
            finding.severity == Severity::Note || finding.fix.is_some(),
            "{code}: no way out"
        );
        assert!(diagnosis.signs, "{code}");
    }
}

#[test]
fn a_token_that_signs_by_nothing_cannot_be_used() {
    let diagnosis = after(|it| {
        for key in &mut it.keys {
            key.algorithms[0].tried = lacks();
        }
    });
    assert!(!diagnosis.signs);
    assert_eq!(diagnosis.findings[0].code, "CANNOT_SIGN");
    let decrypts_only = after(|it| it.keys.iter_mut().for_each(|key| key.usage = "decrypt"));
    assert!(!decrypts_only.signs);
}

#[test]
fn what_is_known_of_the_module_stands_beside_what_was_seen_worst_first() {
    let diagnosis = after(|it| {
        it.module.manufacturer = "SoftHSM".to_owned();
        it.module.library = "Implementation of PKCS11".to_owned();
        it.search.by_id_us = SEARCH_SLOW_US + 1;
    });
    assert_eq!(diagnosis.known_as, ["SoftHSM 2 (2.6.1)"]);
    let severities: Vec<_> = diagnosis.findings.iter().map(|it| it.severity).collect();
    assert!(severities.windows(2).all(|pair| pair[0] >= pair[1]));
    assert_eq!(severities[0], Severity::Unsafe);
    let codes: Vec<_> = diagnosis
        .findings
        .iter()
        .map(|it| it.code.as_str())
        .collect();
    assert!(codes.contains(&"SEARCH_SLOW") && codes.contains(&"softhsm-pin-never-locks"));
}
