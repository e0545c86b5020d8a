//! What really reaches the module, as OpenSC's pkcs11-spy writes it down.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use sealkeep_pkcs11_tests::{Case, TestToken};
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::pkcs11::Pkcs11Config;
use sealkeep_service::backend::{BackendError, KeyBackend, KeyId, KeyRef, KeySpec};

use super::support::*;

const EC: SignatureScheme = SignatureScheme::EcdsaP256Sha256;

fn spy() -> PathBuf {
    [
        "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
    ]
    .map(PathBuf::from)
    .into_iter()
    .find(|path| path.exists())
    .expect("pkcs11-spy is not installed (apt-get install opensc-pkcs11)")
}

fn log(hsm: &TestToken) -> PathBuf {
    hsm.dir().join("spy.log")
}

fn spied(case: Case) -> Case {
    case.env("PKCS11SPY", |hsm| hsm.module().into())
        .env("PKCS11SPY_OUTPUT", |hsm| log(hsm).into())
}

fn spied_config(hsm: &TestToken) -> Pkcs11Config {
    Pkcs11Config {
        module: spy(),
        allow_spy: true,
        ..config(hsm)
    }
}

/// How often each function was called so far: the spy writes `12: C_Sign` and a time before each.
fn calls(hsm: &TestToken) -> BTreeMap<String, usize> {
    let text = String::from_utf8_lossy(&std::fs::read(log(hsm)).unwrap()).into_owned();
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        if let Some((number, function)) = line.split_once(": ")
            && number.parse::<u64>().is_ok()
            && function.starts_with("C_")
        {
            *calls.entry(function.trim().to_owned()).or_default() += 1;
        }
    }
    calls
}

fn calls_since(hsm: &TestToken, before: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let mut since = calls(hsm);
    for (function, count) in before {
        *since.get_mut(function).unwrap() -= count;
    }
    since.retain(|_, count| *count > 0);
    since
}

case!(steady_state_calls_nothing_but_sign, spied, hsm => {
        let backend = start_with(hsm, spied_config(hsm), hsm.pin()).unwrap();
        let made = [
            generate(&backend, KeySpec::EcP256),
            generate(&backend, KeySpec::EcP384),
        ];
        let started = calls(hsm);
        assert_eq!((started["C_Initialize"], started["C_Login"]), (1, 1));
        assert!(
            started["C_FindObjects"] > 0,
            "the spy sees searches: {started:?}"
        );

        let schemes = [EC, SignatureScheme::EcdsaP384Sha384];
        let answers: Vec<_> = (0..2000)
            .map(|n| {
                let scheme = schemes[n % 2];
                backend.sign(
                    &made[n % 2].key,
                    scheme,
                    &scheme.hash().digest(b"m"),
                    later(),
                )
            })
            .collect();
        for (n, answer) in answers.into_iter().enumerate() {
            assert!(verifies(
                &made[n % 2],
                schemes[n % 2],
                b"m",
                &wait(answer).unwrap()
            ));
        }
        let steady = calls_since(hsm, &started);
        assert_eq!((steady["C_SignInit"], steady["C_Sign"]), (2000, 2000));
        let others: Vec<_> = steady
            .keys()
            .filter(|name| !["C_SignInit", "C_Sign"].contains(&name.as_str()))
            .collect();
        assert!(others.is_empty(), "{steady:?}");
});

case!(what_is_refused_never_reaches_the_token, spied, hsm => {
        let backend = start_with(hsm, spied_config(hsm), hsm.pin()).unwrap();
        let key = generate(&backend, KeySpec::EcP256).key;
        let started = calls(hsm);
        for length in [0, 16, 20, 31, 33, 48, 64, 4096] {
            let answer = backend.sign(&key, EC, &vec![1; length], later());
            let error = BackendError::DigestLength {
                expected: 32,
                found: length,
            };
            assert_eq!(wait(answer), Err(error));
        }
        let late = backend.sign(&key, EC, &[1; 32], Instant::now());
        assert_eq!(wait(late), Err(BackendError::Deadline));
        let scheme = SignatureScheme::RsaPkcs1Sha256;
        assert_eq!(
            sign(&backend, &key, scheme, b"m").unwrap_err().reason(),
            "SCHEME_UNFIT"
        );
        let absent = KeyRef {
            id: KeyId::random(),
            ..key
        };
        assert_eq!(
            sign(&backend, &absent, EC, b"m").unwrap_err().reason(),
            "KEY_UNKNOWN"
        );
        assert_eq!(calls_since(hsm, &started), BTreeMap::new());
});

case!(wrong_pin_costs_one_login_over_twenty_starts, spied, hsm => {
        for _ in 0..20 {
            let error = start_with(hsm, spied_config(hsm), "000000").err().unwrap();
            assert_eq!(error.reason(), "PIN_REFUSED");
        }
        assert_eq!(calls(hsm)["C_Login"], 1);
        assert_eq!(calls(hsm).get("C_Logout"), None);
});

case!(lost_sessions_cost_no_second_login_and_no_logout, spied, hsm => {
        let backend = start_with(hsm, spied_config(hsm), hsm.pin()).unwrap();
        let key = generate(&backend, KeySpec::EcP256).key;
        for _ in 0..50 {
            assert!(sign(&backend, &key, EC, b"m").is_ok());
        }
        wait(backend.destroy(&key, later())).unwrap();
        let seen = calls(hsm);
        assert_eq!(seen["C_Login"], 1);
        for never in [
            "C_Logout",
            "C_Finalize",
            "C_CloseAllSessions",
            "C_SignUpdate",
        ] {
            assert_eq!(seen.get(never), None, "{never}");
        }
});

case!(spy_is_refused_unless_allowed, spied, hsm => {
        let copy = hsm.dir().join("libvendor.so");
        std::fs::copy(spy(), &copy).unwrap();
        for module in [spy(), copy] {
            let config = Pkcs11Config {
                module,
                ..config(hsm)
            };
            let error = start_with(hsm, config, hsm.pin()).err().unwrap();
            assert_eq!(error.reason(), "MODULE_SPIES");
        }
        assert!(!log(hsm).exists(), "the spy was loaded");
});
