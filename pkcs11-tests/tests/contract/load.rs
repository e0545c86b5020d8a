//! Under load every caller gets an answer in time, and the token does only what somebody waits for.

use std::time::{Duration, Instant};

use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::pkcs11::{Pkcs11Backend, Pkcs11Config, raw_sign_loop};
use sealkeep_service::backend::{BackendError, KeyBackend, KeyId, KeySpec, KeyUsage};

use super::support::*;

const RSA: SignatureScheme = SignatureScheme::RsaPkcs1Sha256;
const EC: SignatureScheme = SignatureScheme::EcdsaP256Sha256;

case!(a_thousand_concurrent_signatures_over_four_sessions_all_verify, hsm => {
    let backend = start(hsm);
    let keys = [generate(&backend, KeySpec::EcP256), generate(&backend, KeySpec::EcP256)];
    let opened = backend.counts().sessions_opened;
    let message = |number: usize| format!("request {number}").into_bytes();
    let answers: Vec<_> = (0..1000)
        .map(|n| backend.sign(&keys[n % 2].key, EC, &EC.hash().digest(&message(n)), later()))
        .collect();
    for (n, answer) in answers.into_iter().enumerate() {
        let raw = wait(answer).unwrap();
        assert!(verifies(&keys[n % 2], EC, &message(n), &raw), "request {n}");
    }
    let counts = backend.counts();
    assert_eq!((counts.signatures, counts.faults, counts.retries), (1000, 0, 0));
    assert_eq!(counts.sessions_opened, opened);
});

case!(full_queue_refuses_at_once_and_the_rest_is_signed, hsm => {
    let config = Pkcs11Config { session_count: 1, queue_length_max: 2, ..config(hsm) };
    let backend = start_with(hsm, config, hsm.pin()).unwrap();
    let key = generate(&backend, KeySpec::Rsa { bits: 2048 });
    let digest = RSA.hash().digest(b"message");
    let answers: Vec<_> =
        (0..2000).map(|_| backend.sign(&key.key, RSA, &digest, later())).collect();
    let outcomes: Vec<_> = answers.into_iter().map(wait).collect();

    let busy = outcomes.iter().filter(|o| **o == Err(BackendError::Busy)).count();
    let signed = outcomes.iter().flatten().collect::<Vec<_>>();
    // 2000 calls take less time than as many RSA signatures on any machine.
    assert!(busy > 0, "{busy} of 2000 refused");
    assert_eq!(busy + signed.len(), 2000);
    assert!(signed.iter().all(|raw| verifies(&key, RSA, b"message", raw)));
    assert_eq!(backend.counts().refused_busy, busy as u64);
    assert!(sign(&backend, &key.key, RSA, b"afterwards").is_ok());
});

case!(passed_deadline_is_answered_without_the_token, hsm => {
    let config = Pkcs11Config { session_count: 1, ..config(hsm) };
    let backend = start_with(hsm, config, hsm.pin()).unwrap();
    let key = generate(&backend, KeySpec::Rsa { bits: 2048 }).key;
    let digest = RSA.hash().digest(b"message");

    let past = backend.sign(&key, RSA, &digest, Instant::now());
    assert_eq!(wait(past), Err(BackendError::Deadline));
    assert_eq!(backend.counts().signatures, 0);

    // More work than one session does in 20 ms; the last one waits for the whole queue.
    let soon = Instant::now() + Duration::from_millis(20);
    let answers: Vec<_> = (0..2000).map(|_| backend.sign(&key, RSA, &digest, soon)).collect();
    let last = backend.sign(&key, RSA, &digest, later());
    assert!(wait(last).is_ok());
    let late = answers.into_iter().map(wait).filter(|o| *o == Err(BackendError::Deadline)).count();
    let counts = backend.counts();
    assert!(counts.dropped_late > 0 && late > 0, "{counts:?}");
    assert_eq!(counts.signatures + counts.dropped_late, 2000 + 1 + 1, "{counts:?}");
    assert!(counts.signatures < 1000, "{counts:?}");
});

case!(work_that_nobody_waits_for_is_not_done, hsm => {
    let config = Pkcs11Config { session_count: 1, ..config(hsm) };
    let backend = start_with(hsm, config, hsm.pin()).unwrap();
    let key = generate(&backend, KeySpec::Rsa { bits: 2048 }).key;
    let digest = RSA.hash().digest(b"message");
    // Keeps the one session busy while the others are withdrawn.
    let wanted: Vec<_> = (0..50).map(|_| backend.sign(&key, RSA, &digest, later())).collect();
    for _ in 0..1000 {
        drop(backend.sign(&key, RSA, &digest, later()));
    }
    assert!(wanted.into_iter().all(|answer| wait(answer).is_ok()));
    assert!(sign(&backend, &key, RSA, b"the last one").is_ok());
    let counts = backend.counts();
    assert_eq!(counts.signatures + counts.dropped_unwanted, 1051, "{counts:?}");
    assert!(counts.dropped_unwanted > 900, "{counts:?}");
});

case!(key_generation_does_not_hold_up_signatures, on_softhsm, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let id = sealkeep_service::backend::KeyId::random();
    let slow = backend.generate(id, "slow", KeySpec::Rsa { bits: 4096 }, KeyUsage::Sign, later());
    let mut signed_meanwhile = 0;
    wait(async {
        let mut slow = slow;
        loop {
            tokio::select! {
                biased;
                made = &mut slow => return made.map(drop),
                signed = backend.sign(&key, EC, &EC.hash().digest(b"m"), later()) => {
                    signed?;
                    signed_meanwhile += 1;
                }
            }
        }
    })
    .unwrap();
    assert!(signed_meanwhile > 20, "{signed_meanwhile} signatures during an RSA-4096 generation");
});

case_in_thread!(raw_sign_loop_measures_the_token, hsm => {
    let backend = Pkcs11Backend::start(config(hsm), hsm.pin().into(), marker(hsm)).unwrap();
    let made = backend.generate(KeyId::random(), "measured", KeySpec::EcP256, KeyUsage::Sign, later());
    let key = wait(made).unwrap().key;
    let duration = Duration::from_millis(300);
    for threads in [1, 3] {
        let report = raw_sign_loop(&backend, &key, EC, threads, duration).unwrap();
        assert!(report.signatures > 10 && report.elapsed >= duration, "{report:?}");
        assert!(report.p50 <= report.p99 && report.p99 <= report.elapsed, "{report:?}");
        assert!(report.per_second() > 10.0 && report.cpu.is_some(), "{report:?}");
    }
    assert_eq!(raw_sign_loop(&backend, &key, EC, 0, duration).unwrap_err().reason(), "CONFIG_INVALID");
    assert_eq!(raw_sign_loop(&backend, &key, RSA, 1, duration).unwrap_err().reason(), "SCHEME_UNFIT");
});
