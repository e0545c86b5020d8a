//! The fault table: one test for each fault that the backend in process answers for.
//!
//! Each row: what breaks, what the caller gets, what the token must not be asked. Nowhere may a signature come out
//! that another key made, and no caller may wait longer than its deadline.

use std::time::{Duration, Instant};

use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::pkcs11::Pkcs11Config;
use sealkeep_service::backend::{BackendError, KeyBackend, KeyId, KeySpec, KeyUsage};

use super::super::support::*;
use super::faulty_case;

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// What a caller may get beyond its deadline: the time to wake up on a busy machine.
const ANSWER_LATE_MAX: Duration = Duration::from_millis(500);

/// Deadline of a call that hangs: long enough for everything else in its test on a busy machine.
const HANG_DEADLINE: Duration = Duration::from_secs(3);

/// A rule that breaks one of the two calls of a signature once.
fn once(function: &str, rv: &str) -> String {
    format!("rule = [{{ fn = '{function}', rv = '{rv}', count = 1 }}]")
}

faulty_case!(a_lost_session_costs_nobody_anything, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    for rv in [
        "CKR_SESSION_HANDLE_INVALID",
        "CKR_SESSION_CLOSED",
        "CKR_OPERATION_ACTIVE",
        "CKR_OPERATION_NOT_INITIALIZED",
    ] {
        for function in ["C_SignInit", "C_Sign"] {
            faulty.script(&once(function, rv));
            let raw = sign(&backend, &made.key, SCHEME, b"m").unwrap();
            assert!(verifies(&made, SCHEME, b"m", &raw), "{rv} by {function}");
            assert_eq!(faulty.answers(function, rv), 1);
        }
    }
    assert_eq!(backend.counts().retries, 8);
    assert_eq!(faulty.calls("C_Login"), 1);
    assert!(backend.info().ready);
});

faulty_case!(a_session_is_not_used_again_after_any_error, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    for rv in ["CKR_SESSION_CLOSED", "CKR_DEVICE_ERROR", "CKR_DEVICE_MEMORY", "CKR_DATA_INVALID"] {
        let broken = once("C_Sign", rv);
        faulty.script(&format!("{broken}\n[watch]\ndiscard_after_error = true"));
        let _ = sign(&backend, &key, SCHEME, b"m");
        for _ in 0..8 {
            sign(&backend, &key, SCHEME, b"m").unwrap();
        }
    }
});

faulty_case!(a_lost_handle_is_found_again_and_checked, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    for rv in ["CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID"] {
        faulty.script(&once("C_SignInit", rv));
        let searches = backend.counts().key_searches;
        let raw = sign(&backend, &made.key, SCHEME, b"m").unwrap();
        assert!(verifies(&made, SCHEME, b"m", &raw), "{rv}");
        assert_eq!(backend.counts().key_searches, searches + 1);
    }
});

faulty_case!(a_key_that_cannot_be_found_is_missing_not_destroyed, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let hidden = format!("[token]\nhide_ids = ['{}']", key.id);
    faulty.script(&format!("{}\n{hidden}", once("C_SignInit", "CKR_KEY_HANDLE_INVALID")));
    let missing = BackendError::KeyUnknown(key.id);
    assert_eq!(sign(&backend, &key, SCHEME, b"m"), Err(missing.clone()));
    assert_eq!(adopt(&backend, &key).outcome, Err(missing));
    // The token shows it again: nobody has to enrol a new one.
    faulty.script("");
    assert!(adopt(&backend, &key).outcome.is_ok());
    assert!(sign(&backend, &key, SCHEME, b"m").is_ok());
    assert_eq!(faulty.calls("C_DestroyObject"), 0);
});

faulty_case!(a_failed_device_is_unavailable_and_works_when_it_is_back, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    for rv in [
        "CKR_DEVICE_ERROR",
        "CKR_DEVICE_REMOVED",
        "CKR_TOKEN_NOT_PRESENT",
        "CKR_GENERAL_ERROR",
        "CKR_FUNCTION_FAILED",
    ] {
        faulty.script(&format!("rule = [{{ fn = '*', rv = '{rv}' }}]"));
        let error = sign(&backend, &made.key, SCHEME, b"m").unwrap_err();
        assert_eq!(error.reason(), "TOKEN_UNAVAILABLE", "{rv}");
        assert!(error.to_string().contains(rv), "{error}");
        assert!(!backend.info().ready);
        faulty.script("");
        // No more is asked than that a caller tries again while the token works.
        let back = Instant::now();
        let raw = std::iter::repeat_with(|| sign(&backend, &made.key, SCHEME, b"m"));
        let raw = raw.take_while(|_| back.elapsed() < Duration::from_secs(2)).find_map(Result::ok);
        assert!(verifies(&made, SCHEME, b"m", &raw.unwrap()), "{rv}");
        // What another process knows arrives a moment later.
        while !backend.info().ready {
            assert!(back.elapsed() < Duration::from_secs(2), "{rv}");
        }
    }
});

faulty_case!(a_token_without_memory_or_sessions_is_exhausted, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    for rv in ["CKR_DEVICE_MEMORY", "CKR_HOST_MEMORY", "CKR_SESSION_COUNT"] {
        faulty.script(&once("C_SignInit", rv));
        let error = sign(&backend, &key, SCHEME, b"m").unwrap_err();
        assert_eq!(error.reason(), "TOKEN_EXHAUSTED", "{error}");
    }
    for _ in 0..16 {
        sign(&backend, &key, SCHEME, b"m").unwrap();
    }
});

faulty_case!(a_token_with_few_sessions_is_used_with_those_it_has, hsm, faulty => {
    // One is the anchor, one the keeper's.
    faulty.script("[token]\nsessions_max = 4");
    let config = Pkcs11Config { session_count: 3, ..faulty.config(hsm) };
    let backend = start_with(hsm, config, hsm.pin()).unwrap();
    assert_eq!(backend.info().session_count, 3);
    drop(backend);
    let config = Pkcs11Config { session_count: 16, ..faulty.config(hsm) };
    let backend = start_with(hsm, config, hsm.pin()).unwrap();
    assert_eq!(backend.info().session_count, 3);
});

faulty_case!(a_refused_pin_is_tried_once_over_all_starts, hsm, faulty => {
    for rv in ["CKR_PIN_INCORRECT", "CKR_PIN_EXPIRED", "CKR_PIN_INVALID", "CKR_PIN_LOCKED"] {
        let before = faulty.calls("C_Login");
        faulty.script(&format!("rule = [{{ fn = 'C_Login', rv = '{rv}' }}]"));
        for start in 0..5 {
            let error = start_with(hsm, faulty.config(hsm), hsm.pin()).err().unwrap();
            let expected = if rv == "CKR_PIN_LOCKED" && start == 0 { "PIN_LOCKED" } else { "PIN_REFUSED" };
            assert_eq!(error.reason(), expected, "{rv}");
        }
        assert_eq!(faulty.calls("C_Login"), before + 1, "{rv}");
        std::fs::remove_file(marker(hsm)).unwrap();
    }
});

faulty_case!(a_pin_that_counts_is_never_tried_to_its_end, hsm, faulty => {
    faulty.script("[token]\npin_tries_max = 3");
    for wrong in 1..=2 {
        assert_eq!(start_with(hsm, faulty.config(hsm), "000000").err().unwrap().reason(), "PIN_REFUSED");
        assert_eq!(faulty.calls("C_Login"), wrong);
        std::fs::remove_file(marker(hsm)).unwrap();
    }
    // An operator who clears the marker without a look at the token cannot lock it either.
    for pin in ["000000", hsm.pin()] {
        assert_eq!(start_with(hsm, faulty.config(hsm), pin).err().unwrap().reason(), "PIN_FINAL_TRY");
    }
    assert_eq!(faulty.calls("C_Login"), 2);
});

faulty_case!(flags_that_warn_of_a_lock_refuse_the_login, hsm, faulty => {
    for (flag, reason) in [("FINAL_TRY", "PIN_FINAL_TRY"), ("LOCKED", "PIN_LOCKED")] {
        faulty.script(&format!("[token]\nflags_set = ['CKF_USER_PIN_{flag}']"));
        assert_eq!(start_with(hsm, faulty.config(hsm), hsm.pin()).err().unwrap().reason(), reason);
    }
    assert_eq!(faulty.calls("C_Login"), 0);
});

faulty_case!(a_hanging_signature_is_answered_at_its_deadline_and_the_others_go_on, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let digest = SCHEME.hash().digest(b"m");
    faulty.script("rule = [{ fn = 'C_Sign', hang = true, count = 1 }]");
    let deadline = Instant::now() + HANG_DEADLINE;
    let hung = backend.sign(&key, SCHEME, &digest, deadline);
    faulty.wait_for_hangs(1);
    assert!((0..100).all(|_| sign(&backend, &key, SCHEME, b"m").is_ok()), "three sessions are left");
    assert_eq!(wait(hung), Err(BackendError::Deadline));
    assert!(Instant::now() < deadline + ANSWER_LATE_MAX);
    faulty.script("");
});

faulty_case!(when_every_session_hangs_callers_still_get_an_answer, hsm, faulty => {
    let config = Pkcs11Config { queue_length_max: 8, ..faulty.config(hsm) };
    let backend = start_with(hsm, config, hsm.pin()).unwrap();
    let key = generate(&backend, KeySpec::EcP256).key;
    let digest = SCHEME.hash().digest(b"m");
    faulty.script("rule = [{ fn = 'C_Sign', hang = true }]");
    let deadline = Instant::now() + HANG_DEADLINE;
    let hung: Vec<_> = (0..4).map(|_| backend.sign(&key, SCHEME, &digest, deadline)).collect();
    faulty.wait_for_hangs(4);
    let more: Vec<_> = (0..40).map(|_| backend.sign(&key, SCHEME, &digest, deadline)).collect();
    let answers: Vec<_> = more.into_iter().chain(hung).map(wait).collect();
    assert!(Instant::now() < deadline + ANSWER_LATE_MAX);
    let count = |error: &BackendError| answers.iter().filter(|answer| answer.as_ref() == Err(error)).count();
    assert_eq!((count(&BackendError::Busy), count(&BackendError::Deadline)), (32, 12));
    faulty.script("");
    // The queue is full until the sessions come back to it.
    let mut tries = std::iter::repeat_with(|| sign(&backend, &key, SCHEME, b"m"));
    let first = tries.find(|outcome| *outcome != Err(BackendError::Busy));
    assert!(first.is_some_and(|outcome| outcome.is_ok()));
});

faulty_case!(a_slow_token_serves_what_fits_and_refuses_the_rest, hsm, faulty => {
    let config = Pkcs11Config { session_count: 2, queue_length_max: 6, ..faulty.config(hsm) };
    let backend = start_with(hsm, config, hsm.pin()).unwrap();
    let key = generate(&backend, KeySpec::EcP256).key;
    let digest = SCHEME.hash().digest(b"m");
    faulty.script("rule = [{ fn = 'C_SignInit', delay_ms = 50 }]");
    let answers: Vec<_> = (0..50).map(|_| backend.sign(&key, SCHEME, &digest, later())).collect();
    let outcomes: Vec<_> = answers.into_iter().map(wait).collect();
    let signed = outcomes.iter().flatten().count();
    assert!((6..=8).contains(&signed), "six waiting and at most two in work: {signed}");
    assert!(outcomes.iter().all(|o| o.is_ok() || *o == Err(BackendError::Busy)));
});

faulty_case!(a_signature_of_another_length_is_malformed, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    faulty.script("rule = [{ fn = 'C_Sign', output = 'short', count = 1 }]");
    assert_eq!(sign(&backend, &key, SCHEME, b"m").unwrap_err().reason(), "TOKEN_MALFORMED_ANSWER");
    assert!(sign(&backend, &key, SCHEME, b"m").is_ok());
});

faulty_case!(a_token_that_signs_wrongly_makes_no_key_ready, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    for output in ["corrupt", "zero"] {
        faulty.script(&format!("rule = [{{ fn = 'C_Sign', output = '{output}' }}]"));
        assert_eq!(adopt(&backend, &key).outcome, Err(BackendError::KeyMismatch(key.id)));
        assert_eq!(sign(&backend, &key, SCHEME, b"m"), Err(BackendError::KeyUnknown(key.id)));
        let id = KeyId::random();
        let made = wait(backend.generate(id, "x", KeySpec::EcP256, KeyUsage::Sign, later()));
        assert_eq!(made, Err(BackendError::KeyMismatch(id)));
    }
});

faulty_case!(a_spoilt_self_test_loses_no_key, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let spoilt = "{ fn = 'C_Sign', output = 'corrupt', count = 2 }";
    faulty.script(&format!("rule = [{spoilt}]"));
    assert!(adopt(&backend, &made.key).outcome.is_ok());
    // The handle is lost, the key is found again and must prove itself.
    faulty.script(&format!("rule = [{{ fn = 'C_SignInit', rv = 'CKR_KEY_HANDLE_INVALID', count = 1 }}, {spoilt}]"));
    assert!(verifies(&made, SCHEME, b"m", &sign(&backend, &made.key, SCHEME, b"m").unwrap()));
});

faulty_case!(a_key_under_another_id_is_not_the_pinned_key, hsm, faulty => {
    let backend = faulty.start(hsm);
    let [one, other] = [(); 2].map(|()| generate(&backend, KeySpec::EcP256).key);
    faulty.script(&format!("[token]\nswap_ids = [['{}', '{}']]", one.id, other.id));
    for key in [one, other] {
        assert_eq!(adopt(&backend, &key).outcome, Err(BackendError::KeyMismatch(key.id)));
        assert_eq!(wait(backend.destroy(&key, later())), Err(BackendError::KeyMismatch(key.id)));
    }
    faulty.script(&format!("[token]\nduplicate_ids = [['{}', '{}']]", one.id, other.id));
    assert_eq!(adopt(&backend, &one).outcome, Err(BackendError::KeyAmbiguous(one.id)));
    faulty.script("");
    assert!(adopt(&backend, &one).outcome.is_ok() && adopt(&backend, &other).outcome.is_ok());
});

faulty_case!(a_lost_handle_is_not_replaced_by_another_key, hsm, faulty => {
    let backend = faulty.start(hsm);
    let [one, other] = [(); 2].map(|()| generate(&backend, KeySpec::EcP256).key);
    let swapped = format!("[token]\nswap_ids = [['{}', '{}']]", one.id, other.id);
    for key in [one, other] {
        faulty.script(&format!("{}\n{swapped}", once("C_SignInit", "CKR_KEY_HANDLE_INVALID")));
        assert_eq!(sign(&backend, &key, SCHEME, b"m"), Err(BackendError::KeyMismatch(key.id)));
    }
});

faulty_case!(tokens_are_told_apart_by_serial_and_not_by_slot, hsm, faulty => {
    faulty.script("[token]\nslot_shift = 11\nserial = 'PRIMARY'\nclone_serial = 'CLONE'");
    let error = start_with(hsm, faulty.config(hsm), hsm.pin()).err().unwrap();
    assert_eq!(error.reason(), "TOKEN_AMBIGUOUS");
    assert_eq!(faulty.calls("C_Login"), 0, "a PIN is not given to whichever comes first");
    let config = Pkcs11Config { token_serial: Some("CLONE".to_owned()), ..faulty.config(hsm) };
    let backend = start_with(hsm, config, hsm.pin()).unwrap();
    assert_eq!(backend.info().serial, "CLONE");
    let made = generate(&backend, KeySpec::EcP256);
    assert!(verifies(&made, SCHEME, b"m", &sign(&backend, &made.key, SCHEME, b"m").unwrap()));
});

faulty_case!(a_key_whose_birth_was_not_told_is_not_made_twice, hsm, faulty => {
    let backend = faulty.start(hsm);
    let id = KeyId::random();
    let attempt = || wait(backend.generate(id, "x", KeySpec::EcP256, KeyUsage::Sign, later()));
    faulty.script("rule = [{ fn = 'C_GenerateKeyPair', rv = 'CKR_DEVICE_ERROR', when = 'after' }]");
    assert_eq!(attempt().unwrap_err().reason(), "TOKEN_UNAVAILABLE");
    faulty.script("");
    assert_eq!(attempt(), Err(BackendError::KeyExists(id)));
});

faulty_case!(a_mechanism_that_is_gone_is_named, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    faulty.script("[token]\nhide_mechanisms = ['CKM_ECDSA']");
    let error = sign(&backend, &key, SCHEME, b"m").unwrap_err();
    assert_eq!(error.reason(), "SCHEME_UNSUPPORTED");
    assert_eq!(backend.counts().retries, 0);
});

faulty_case!(a_token_that_may_not_be_changed_still_signs, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    drop(backend);
    faulty.script("[token]\nread_only = true");
    let backend = faulty.start(hsm);
    assert!(adopt(&backend, &key).outcome.is_ok());
    assert!(sign(&backend, &key, SCHEME, b"m").is_ok());
    let made = wait(backend.generate(KeyId::random(), "x", KeySpec::EcP256, KeyUsage::Sign, later()));
    assert_eq!(made.unwrap_err().reason(), "TOKEN_REJECTED");
});

faulty_case!(nothing_but_what_signing_needs_is_asked_of_the_token, hsm, faulty => {
    faulty.script(
        "[watch]\nlogins_max = 1\ndiscard_after_error = true\n\
         functions_forbidden = ['C_Logout', 'C_Finalize', 'C_CloseAllSessions', 'C_WrapKey', 'C_UnwrapKey', \
         'C_Decrypt', 'C_DecryptInit', 'C_CreateObject', 'C_CopyObject', 'C_DeriveKey', 'C_SetPIN', 'C_InitPIN', \
         'C_InitToken', 'C_SetAttributeValue', 'C_SignUpdate', 'C_SignFinal', 'C_SignRecover']\n\
         mechanisms_forbidden = ['CKM_RSA_X_509', 'CKM_SHA1_RSA_PKCS', 'CKM_ECDSA_SHA1', 'CKM_SHA_1', 'CKM_MD5']",
    );
    let backend = faulty.start(hsm);
    let keys = [KeySpec::EcP256, KeySpec::Rsa { bits: 2048 }].map(|spec| generate(&backend, spec).key);
    adopt(&backend, &keys[0]);
    for (key, scheme) in [
        (keys[0], SCHEME),
        (keys[1], SignatureScheme::RsaPkcs1Sha256),
        (keys[1], SignatureScheme::RsaPssSha256),
    ] {
        sign(&backend, &key, scheme, b"m").unwrap();
    }
    wait(backend.public_key(&keys[0], later())).unwrap();
    wait(backend.destroy(&keys[0], later())).unwrap();
});

faulty_case!(a_token_without_room_gets_fewer_sessions_and_never_none, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    for (rv, halvings, left) in [("CKR_DEVICE_MEMORY", 1, 2), ("CKR_SESSION_COUNT", 2, 1)] {
        faulty.script(&format!("rule = [{{ fn = 'C_SignInit', rv = '{rv}' }}]"));
        // Faults of one moment are one shortage, so the second halving takes a second.
        let begun = Instant::now();
        while backend.counts().pool_halvings < halvings {
            assert_eq!(sign(&backend, &key, SCHEME, b"m").unwrap_err().reason(), "TOKEN_EXHAUSTED");
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", backend.info());
        }
        faulty.script("");
        assert!((0..100).all(|_| sign(&backend, &key, SCHEME, b"m").is_ok()), "what is left serves");
        assert!(backend.info().session_count <= left, "{:?}", backend.info());
    }
    faulty.script("rule = [{ fn = 'C_SignInit', rv = 'CKR_HOST_MEMORY', count = 5 }]");
    for _ in 0..5 {
        assert_eq!(sign(&backend, &key, SCHEME, b"m").unwrap_err().reason(), "TOKEN_EXHAUSTED");
    }
    assert!(sign(&backend, &key, SCHEME, b"m").is_ok());
    assert_eq!(backend.counts().pool_halvings, 2, "never to none");
});

faulty_case!(faults_are_counted_by_function_and_code, hsm, faulty => {
    let backend = faulty.start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    for (function, rv) in [
        ("C_SignInit", "CKR_SESSION_CLOSED"),
        ("C_SignInit", "CKR_KEY_HANDLE_INVALID"),
        ("C_Sign", "CKR_DATA_INVALID"),
    ] {
        faulty.script(&once(function, rv));
        let _ = sign(&backend, &key, SCHEME, b"m");
    }
    let faults: Vec<_> = backend.tally().faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    assert_eq!(faults, [
        "C_Sign CKR_DATA_INVALID 1",
        "C_SignInit CKR_KEY_HANDLE_INVALID 1",
        "C_SignInit CKR_SESSION_CLOSED 1",
    ]);
});
