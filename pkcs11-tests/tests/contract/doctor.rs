//! The doctor on a module that breaks: what is wrong is told, whatever it is.

use sealkeep_pkcs11_tests::TestToken;
use sealkeep_quirks::Quirks;
use sealkeep_service::backend::pkcs11::Pkcs11Config;
use sealkeep_service::backend::pkcs11::doctor::{Examination, examine};
use sealkeep_service::doctor::{Diagnosis, diagnose};
use secrecy::SecretString;

use super::faulty::{Faulty, faulty_case};
use super::support::*;

fn visited(hsm: &TestToken, faulty: &Faulty, script: &str) -> (Examination, Diagnosis) {
    faulty.script(script);
    let config = Pkcs11Config {
        session_count: 6,
        ..faulty.config(hsm)
    };
    let seen = examine(&config, &SecretString::from(hsm.pin()), &marker(hsm)).unwrap();
    let diagnosis = diagnose(&seen, Quirks::shipped());
    (seen, diagnosis)
}

/// What is said under a code, one line each.
fn what(diagnosis: &Diagnosis, code: &str) -> String {
    let such = diagnosis.findings.iter().filter(|it| it.code == code);
    let lines: Vec<_> = such.map(|it| it.what.as_str()).collect();
    assert!(!lines.is_empty(), "no {code}: {diagnosis:?}");
    lines.join("\n")
}

faulty_case!(missing_mechanisms_and_sessions_are_told, hsm, faulty => {
    let script = "[token]\nhide_mechanisms = ['CKM_RSA_PKCS_PSS']\nsessions_max = 4";
    let (seen, diagnosis) = visited(hsm, &faulty, script);
    assert!(diagnosis.signs);
    assert!(what(&diagnosis, "ALGORITHM_NOT_OFFERED").contains("rsa-pss-sha256 with rsa-2048: C_SignInit answered CKR_MECHANISM_INVALID"));
    assert!(what(&diagnosis, "SESSIONS_FEWER").contains("of 6 sessions"));
    assert!((1..4).contains(&seen.sessions.opened), "{seen:?}");
});

faulty_case!(wrong_signatures_are_told_and_nothing_stays_behind, hsm, faulty => {
    let (_, diagnosis) = visited(hsm, &faulty, "rule = [{ fn = 'C_Sign', output = 'corrupt' }]");
    assert!(!diagnosis.signs);
    what(&diagnosis, "CANNOT_SIGN");
    what(&diagnosis, "KEY_FAILS");
    let objects = hsm.pkcs11_tool(&["--list-objects"]);
    assert!(objects.stdout.is_empty(), "{objects:?}");
});

faulty_case!(a_token_that_makes_no_keys_is_told, hsm, faulty => {
    let script = "rule = [{ fn = 'C_GenerateKeyPair', rv = 'CKR_TOKEN_WRITE_PROTECTED' }]";
    let (_, diagnosis) = visited(hsm, &faulty, script);
    assert!(!diagnosis.signs);
    assert!(what(&diagnosis, "KEY_FAILS").contains("CKR_TOKEN_WRITE_PROTECTED"));
});

faulty_case!(a_wrong_pin_is_refused_as_by_the_service_and_latched, hsm, faulty => {
    let visit = || examine(&faulty.config(hsm), &SecretString::from("wrong"), &marker(hsm));
    for _ in 0..3 {
        assert_eq!(visit().err().unwrap().reason(), "PIN_REFUSED");
    }
    assert_eq!(faulty.calls("C_Login"), 1);
});
