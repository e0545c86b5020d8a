//! Sessions and logins that vanish behind the backend's back.

use cryptoki::context::Pkcs11;
use cryptoki::session::Session;
use sealkeep_pkcs11_tests::SoftHsm;
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::{BackendError, KeyBackend, KeySpec};

use super::support::*;

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// More handles than the backend has given out by then.
const HANDLES_MAX: u64 = 200;

/// Closes every session but `keep`, as a token does that loses its connection or cleans up idle sessions.
#[allow(unsafe_code)] // No safe API closes a session that another part of the process owns.
fn close_sessions_but(hsm: &SoftHsm, keep: &Session) -> usize {
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

case_in_thread!(stale_sessions_are_replaced_and_no_caller_notices, hsm => {
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

case_in_thread!(lost_login_is_an_outage_not_a_missing_key, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    other_session(hsm).logout().unwrap();

    let error = sign(&backend, &key, SCHEME, b"m").unwrap_err();
    assert_eq!(error.reason(), "TOKEN_UNAVAILABLE", "{error}");
    let asked = wait(backend.adopt(&[key], later())).unwrap_err();
    assert_eq!(asked.reason(), "TOKEN_UNAVAILABLE", "{asked}");
    let info = backend.info();
    assert!(!info.ready);
    assert!(info.problem.unwrap().contains("CKR_USER_NOT_LOGGED_IN"));
});

case!(key_that_vanished_is_reported_missing_and_the_others_sign_on, hsm => {
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
