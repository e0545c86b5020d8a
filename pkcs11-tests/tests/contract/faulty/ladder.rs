//! The part of the fault table that needs more than a new session: to log in again, to initialise again, another
//! process.

use std::time::{Duration, Instant};

use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::{GeneratedKey, KeyBackend, KeySpec};

use super::super::support::*;
use super::{faulty_case, faulty_worker_case};

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// From the token's return to the first signature (reliability: two seconds).
const BACK_MAX: Duration = Duration::from_secs(2);

/// Until a pool that hangs is given up and replaced, and signs again: ten seconds, and the two from above.
const REPLACED_MAX: Duration = Duration::from_secs(12);
/// Deadline of each try.
const TRY_MAX: Duration = Duration::from_millis(500);

/// Tries until a signature comes, as callers do; it must be by the right key and come in time.
fn signs_again(backend: &Backend, made: &GeneratedKey, within: Duration) {
    let back = Instant::now();
    let mut last = None;
    while back.elapsed() < within {
        let deadline = Instant::now() + TRY_MAX;
        match wait(backend.sign(&made.key, SCHEME, &SCHEME.token_input(b"m"), deadline)) {
            Ok(raw) => {
                assert!(
                    verifies(made, SCHEME, b"m", &raw),
                    "a signature by another key"
                );
                return;
            }
            Err(error) => last = Some(error),
        }
    }
    panic!("no signature after {within:?}: {last:?}");
}

faulty_case!(a_lost_login_is_made_again_once_and_no_caller_notices, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let digest = SCHEME.hash().digest(b"m");
    for event in ["logout", "close_sessions"] {
        let logins = faulty.calls("C_Login");
        faulty.script(&format!("rule = [{{ fn = 'C_SignInit', nth = 1, event = '{event}' }}]"));
        let answers: Vec<_> = (0..200).map(|_| backend.sign(&made.key, SCHEME, &digest, later())).collect();
        for answer in answers {
            assert!(verifies(&made, SCHEME, b"m", &wait(answer).unwrap()), "{event}");
        }
        assert_eq!(faulty.calls("C_Login"), logins + 1, "one for all who wait");
        assert_eq!(faulty.calls("C_Logout"), 0);
    }
});

faulty_case!(a_token_that_went_down_is_back_within_two_seconds, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    faulty.script("rule = [{ fn = 'C_SignInit', nth = 1, event = 'down' }]");
    let _ = sign(&backend, &made.key, SCHEME, b"m");
    signs_again(&backend, &made, BACK_MAX);
    assert!(backend.info().ready);
});

faulty_case!(old_handles_are_not_used_after_the_token_was_down, hsm, faulty => {
    for handles in ["stale", "permuted"] {
        faulty.script(&format!("[token]\nhandles = '{handles}'"));
        let backend = faulty.start(hsm);
        let keys = [(); 4].map(|()| generate(&backend, KeySpec::EcP256));
        faulty.script(&format!(
            "rule = [{{ fn = 'C_SignInit', nth = 1, event = 'down' }}]\n[token]\nhandles = '{handles}'\nslot_shift = 3"
        ));
        let _ = sign(&backend, &keys[0].key, SCHEME, b"m");
        for key in &keys {
            signs_again(&backend, key, BACK_MAX);
        }
    }
});

faulty_case!(
    #[ignore = "fails, and shows why every signature is verified before it leaves: sessions and handles of a module that \
                another part of the process reset look alive and denote other keys; the raw answer alone cannot tell. \
                cargo test -p sealkeep-pkcs11-tests --test contract -- --ignored reset_behind"]
    a_module_that_was_reset_behind_our_back_never_signs_with_another_key, hsm, faulty => {
    faulty.script("[token]\nhandles = 'permuted'");
    let backend = faulty.start(hsm);
    let keys = [(); 4].map(|()| generate(&backend, KeySpec::EcP256));
    let reset = super::module::reset_and_log_in(hsm);
    for _ in 0..8 {
        for key in &keys {
            if let Ok(raw) = sign(&backend, &key.key, SCHEME, b"m") {
                assert!(verifies(key, SCHEME, b"m", &raw), "a signature by another key");
            }
        }
    }
    drop(reset);
});

faulty_case!(slots_that_were_renumbered_and_a_clone_beside_it_change_nothing, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let serial = backend.info().serial;
    // The clone holds the same keys; it is another token all the same, and the configured one is there.
    faulty.script(
        "rule = [{ fn = 'C_SignInit', nth = 1, event = 'down' }]\n[token]\nslot_shift = 7\nclone_serial = 'CLONE'",
    );
    let _ = sign(&backend, &made.key, SCHEME, b"m");
    signs_again(&backend, &made, BACK_MAX);
    assert_eq!(backend.info().serial, serial);
});

faulty_case!(two_tokens_that_match_are_refused_until_there_is_one, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let logins = faulty.calls("C_Login");
    let twice = format!("[token]\nclone_serial = '{}'", backend.info().serial);
    faulty.script(&format!("rule = [{{ fn = 'C_SignInit', nth = 1, event = 'down' }}]\n{twice}"));
    let refused = sign(&backend, &made.key, SCHEME, b"m").unwrap_err();
    assert_eq!(refused.reason(), "TOKEN_UNAVAILABLE");
    assert!(refused.to_string().contains("2 tokens with label"), "{refused}");
    assert_eq!(faulty.calls("C_Login"), logins, "no PIN is given to whichever comes first");
    faulty.script("");
    signs_again(&backend, &made, BACK_MAX);
});

faulty_case!(a_module_that_lies_about_a_length_is_not_believed, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    faulty.script("rule = [{ fn = 'C_Sign', output = 'lying_length' }]");
    signs_again(&backend, &made, BACK_MAX);
});

faulty_worker_case!(a_module_that_dies_takes_nobody_along, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    for death in ["abort", "segv", "exit"] {
        faulty.script(&format!("rule = [{{ fn = 'C_Sign', die = '{death}' }}]"));
        let error = sign(&backend, &made.key, SCHEME, b"m").unwrap_err();
        assert_eq!(error.reason(), "TOKEN_UNAVAILABLE", "{death}");
        faulty.script("");
        signs_again(&backend, &made, BACK_MAX);
    }
});

faulty_worker_case!(a_pool_that_hangs_is_replaced, hsm, faulty => {
    let backend = faulty.start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let digest = SCHEME.hash().digest(b"m");
    faulty.script("rule = [{ fn = 'C_Sign', hang = true }]");
    let deadline = Instant::now() + Duration::from_millis(300);
    let hung: Vec<_> = (0..4).map(|_| backend.sign(&made.key, SCHEME, &digest, deadline)).collect();
    faulty.wait_for_hangs(4);
    // The token works again, but what hangs stays so: only another process gets the sessions back.
    faulty.script("keep_hanging = true");
    assert!(hung.into_iter().map(wait).all(|answer| answer.is_err()));
    signs_again(&backend, &made, REPLACED_MAX);
});
