//! Sessions and logins that vanish behind the backend's back.

use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::session::Session;
use sealkeep_pkcs11_tests::TestToken;
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::{BackendError, KeyBackend, KeySpec};

use super::support::*;

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// From a token's return to the next signature: two seconds, on a machine that does other things too.
const BACK_MAX: Duration = Duration::from_secs(4);
/// More handles than the backend has given out by then.
const HANDLES_MAX: u64 = 200;

/// Closes every session but `keep`, as a token does that loses its connection or cleans up idle sessions.
#[allow(unsafe_code)] // No safe API closes a session that another part of the process owns.
fn close_sessions_but(hsm: &TestToken, keep: &Session) -> usize {
    type CloseSession = unsafe extern "C" fn(u64) -> u64;
    // SAFETY: the module is loaded and initialised already; loading it again only finds it.
    let library = unsafe { libloading::Library::new(hsm.module()) }.unwrap();
    // SAFETY: PKCS#11 gives C_CloseSession this signature (CK_SESSION_HANDLE and CK_RV are unsigned long).
    let close = unsafe { library.get::<CloseSession>(b"C_CloseSession\0") }.unwrap();
    (1..HANDLES_MAX)
        .filter(|handle| *handle != keep.handle())
        // SAFETY: takes a number; for one that is no session it answers CKR_SESSION_HANDLE_INVALID.
        .filter(|handle| unsafe { close(*handle) } == 0)
        .count()
}

case_in_thread!(stale_sessions_are_replaced_and_no_caller_notices, on_softhsm, hsm => {
    let (module, slot): (Pkcs11, _) = module_and_slot(hsm);
    let keeps_login = module.open_ro_session(slot).unwrap();
    let backend = start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let before = backend.counts();

    for round in 1..=3 {
        // At first the anchor, four signers, the keeper; later those that were needed again.
        let closed = close_sessions_but(hsm, &keeps_login);
        assert!(closed >= if round == 1 { 6 } else { 2 }, "{closed} in round {round}");
        let answers: Vec<_> = (0..100)
            .map(|_| backend.sign(&made.key, SCHEME, &SCHEME.hash().digest(b"m"), later()))
            .collect();
        for answer in answers {
            assert!(verifies(&made, SCHEME, b"m", &wait(answer).unwrap()), "round {round}");
        }
        // The keeper's session went too.
        assert!(wait(backend.public_key(&made.key, later())).is_ok());
    }
    let counts = backend.counts();
    assert_eq!(counts.signatures, before.signatures + 300);
    assert!(counts.faults > 0 && counts.retries > 0, "{counts:?}");
    assert_eq!(counts.key_searches, before.key_searches + 3, "only public_key searches");
    assert!(backend.info().ready);
});

case_in_thread!(lost_login_is_made_again_once_for_all_and_no_caller_notices, on_softhsm, hsm => {
    let backend = start(hsm);
    let made = [generate(&backend, KeySpec::EcP256), generate(&backend, KeySpec::EcP256)];
    other_session(hsm).logout().unwrap();

    let answers: Vec<_> = (0..100)
        .map(|n| backend.sign(&made[n % 2].key, SCHEME, &SCHEME.hash().digest(b"m"), later()))
        .collect();
    for (n, answer) in answers.into_iter().enumerate() {
        assert!(verifies(&made[n % 2], SCHEME, b"m", &wait(answer).unwrap()), "{n}");
    }
    let counts = backend.counts();
    assert_eq!((counts.logins, counts.initialisations), (1, 0), "{counts:?}");
    assert!(backend.info().ready);

    other_session(hsm).logout().unwrap();
    assert_eq!(adopt(&backend, &made[0].key).outcome, Ok(made[0].evidence));
    assert_eq!(backend.counts().logins, 2);
});

case_in_thread!(lost_initialisation_is_made_again_and_each_key_is_itself, hsm => {
    let backend = start(hsm);
    let made: Vec<_> = (0..6).map(|_| generate(&backend, KeySpec::EcP256)).collect();
    for round in 1..=3 {
        // A key fewer: after the new initialisation the handles of the others denote other keys.
        let gone = hsm.pkcs11_tool(&["--delete-object", "--type", "privkey", "--id", &made[round - 1].key.id.to_string()]);
        assert!(gone.status.success(), "{gone:?}");
        module_and_slot(hsm).0.finalize().unwrap();

        let stay = &made[round..];
        let answers: Vec<_> = (0..60)
            .map(|n| backend.sign(&stay[n % stay.len()].key, SCHEME, &SCHEME.hash().digest(b"m"), later()))
            .collect();
        for (n, answer) in answers.into_iter().enumerate() {
            let raw = wait(answer).unwrap();
            assert!(verifies(&stay[n % stay.len()], SCHEME, b"m", &raw), "round {round}, {n}");
        }
        let missing = sign(&backend, &made[round - 1].key, SCHEME, b"m");
        assert_eq!(missing, Err(BackendError::KeyUnknown(made[round - 1].key.id)));
    }
    let counts = backend.counts();
    assert_eq!((counts.initialisations, counts.recoveries_failed), (3, 0), "{counts:?}");
    assert_eq!(backend.info().key_count, 3);
});

case!(token_that_goes_away_and_comes_back_signs_without_a_restart, on_softhsm, hsm => {
    let backend = start(hsm);
    let made = [generate(&backend, KeySpec::EcP256), generate(&backend, KeySpec::EcP256)];
    let away = hsm.dir().join("away");
    for _ in 0..3 {
        std::fs::rename(hsm.token_dir(), &away).unwrap();
        let refused = sign(&backend, &made[0].key, SCHEME, b"m").unwrap_err();
        assert_eq!(refused.reason(), "TOKEN_UNAVAILABLE", "{refused}");
        assert!(!backend.info().ready);

        std::fs::rename(&away, hsm.token_dir()).unwrap();
        let back = Instant::now();
        let raw = loop {
            match sign(&backend, &made[1].key, SCHEME, b"m") {
                Ok(raw) => break raw,
                Err(error) => assert_eq!(error.reason(), "TOKEN_UNAVAILABLE", "{error}"),
            }
            assert!(back.elapsed() < BACK_MAX, "{:?}", back.elapsed());
        };
        assert!(verifies(&made[1], SCHEME, b"m", &raw));
        assert!(sign(&backend, &made[0].key, SCHEME, b"m").is_ok());
    }
});

case_in_thread!(pin_that_was_changed_is_tried_once_and_latched, on_softhsm, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let session = other_session(hsm);
    session.set_pin(&hsm.pin().into(), &"111111".into()).unwrap();
    session.logout().unwrap();

    let refused = BackendError::PinRefused { marker: marker(hsm) };
    for _ in 0..20 {
        assert_eq!(sign(&backend, &key, SCHEME, b"m"), Err(refused.clone()));
    }
    assert!(marker(hsm).exists());
    assert_eq!(backend.counts().logins, 1);
    assert!(!backend.info().ready);
});

case!(key_that_vanished_is_reported_missing_and_the_others_sign_on, on_softhsm, hsm => {
    let backend = start(hsm);
    let (gone, stays) = (generate(&backend, KeySpec::EcP256).key, generate(&backend, KeySpec::EcP256).key);
    let deleted = hsm.pkcs11_tool(&["--delete-object", "--type", "privkey", "--id", &gone.id.to_string()]);
    assert!(deleted.status.success(), "{deleted:?}");

    assert_eq!(sign(&backend, &gone, SCHEME, b"m"), Err(BackendError::KeyUnknown(gone.id)));
    for _ in 0..20 {
        assert!(sign(&backend, &stays, SCHEME, b"m").is_ok());
    }
    assert!(backend.info().ready);
    assert_eq!(backend.info().session_count, 4);
});
