//! A backend starts with exactly the token that was meant, or says why not.

use std::path::PathBuf;

use sealkeep_pkcs11_tests::Kind;
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::pkcs11::clear_pin_marker;
use sealkeep_service::backend::{BackendError, KeyBackend, KeyId, KeyRef, KeySpec};

use super::support::*;

case!(tells_what_it_is_connected_to, hsm => {
    let backend = start(hsm);
    let info = backend.info();
    assert!(info.ready && info.problem.is_none());
    assert_eq!((info.name.as_str(), info.label.as_str()), ("main", hsm.label()));
    assert_eq!((info.session_count, info.key_count), (4, 0));
    assert_eq!(info.serial.len(), 16, "{info:?}");
    let (manufacturer, module, version) = match hsm.kind() {
        Kind::SoftHsm => ("SoftHSM", "libsofthsm2.so", "2."),
        Kind::Kryoptic => ("Kryoptic", "libkryoptic_pkcs11.so", "PKCS#11 3.2"),
    };
    assert!(info.manufacturer.contains(manufacturer), "{info:?}");
    assert!(info.module.contains(module) && info.module.contains(version), "{info:?}");
});

case!(keys_survive_a_restart_and_are_adopted_with_evidence, hsm => {
    let first = start(hsm);
    let made: Vec<_> = [KeySpec::EcP256, KeySpec::Rsa { bits: 2048 }, KeySpec::EcP384]
        .map(|spec| generate(&first, spec))
        .into();
    drop(first);

    let second = start(hsm);
    let scheme = SignatureScheme::EcdsaP256Sha256;
    let unadopted = sign(&second, &made[0].key, scheme, b"early");
    assert_eq!(unadopted, Err(BackendError::KeyUnknown(made[0].key.id)));

    let absent = KeyRef { id: KeyId::random(), spki_sha256: [0; 32] };
    let asked = [made[0].key, absent, made[1].key, made[2].key];
    let report = wait(second.adopt(&asked, later())).unwrap();
    assert_eq!(report.iter().map(|adopted| adopted.key).collect::<Vec<_>>(), asked);
    assert_eq!(report[1].outcome, Err(BackendError::KeyUnknown(absent.id)));
    for (adopted, made) in [&report[0], &report[2], &report[3]].into_iter().zip(&made) {
        assert_eq!(adopted.outcome, Ok(made.evidence));
    }
    assert_eq!(second.info().key_count, 3);
    let raw = sign(&second, &made[0].key, scheme, b"a message").unwrap();
    assert!(verifies(&made[0], scheme, b"a message", &raw));
});

case!(wrong_pin_is_tried_once_and_never_again_until_cleared, hsm => {
    let refused = BackendError::PinRefused { marker: marker(hsm) };
    assert_eq!(start_with(hsm, config(hsm), "000000").err(), Some(refused.clone()));
    assert_eq!(std::fs::read(marker(hsm)).unwrap(), b"refused\n");
    // The right PIN does not help either: whoever corrects it says so by clearing the marker.
    for _ in 0..3 {
        assert_eq!(start_with(hsm, config(hsm), hsm.pin()).err(), Some(refused.clone()));
    }
    assert_eq!(clear_pin_marker(&marker(hsm)), Ok(true));
    let backend = start(hsm);
    assert!(backend.info().ready);
    assert!(!marker(hsm).exists());
});

case_in_thread!(no_login_where_a_refusal_could_not_be_remembered, hsm => {
    use sealkeep_service::backend::pkcs11::Pkcs11Backend;
    let marker = hsm.dir().join("no-such-folder/pin/refused");
    let started = Pkcs11Backend::start(config(hsm), hsm.pin().into(), marker);
    assert_eq!(started.err().unwrap().reason(), "PIN_MARKER");
});

case!(refuses_module_that_is_missing_or_no_module, hsm => {
    let with = |module: PathBuf| {
        let config = sealkeep_service::backend::pkcs11::Pkcs11Config { module, ..config(hsm) };
        start_with(hsm, config, hsm.pin()).err().unwrap().reason()
    };
    assert_eq!(with("/nowhere/libpkcs11.so".into()), "MODULE_MISSING");
    assert_eq!(with(hsm.conf()), "MODULE_INVALID");
    let libc = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"];
    if let Some(library) = libc.map(PathBuf::from).into_iter().find(|path| path.exists()) {
        assert_eq!(with(library), "MODULE_INVALID");
    }
});

case!(refuses_token_that_is_not_there, hsm => {
    let mut absent = config(hsm);
    absent.token_label = "another".to_owned();
    assert_eq!(start_with(hsm, absent, hsm.pin()).err().unwrap(), BackendError::TokenNotFound {
        label: "another".to_owned(),
        serial: None,
    });
    let mut other_serial = config(hsm);
    other_serial.token_serial = Some("0000000000000000".to_owned());
    let error = start_with(hsm, other_serial, hsm.pin()).err().unwrap();
    assert_eq!(error.reason(), "TOKEN_NOT_FOUND");
    // None of this counted as a refused PIN.
    assert!(!marker(hsm).exists());
});

case!(refuses_ambiguous_label_and_takes_the_serial, |case| case.prepared(|hsm| hsm.add_token(hsm.label())), hsm => {
        let error = start_with(hsm, config(hsm), hsm.pin()).err().unwrap();
        let label = hsm.label().to_owned();
        assert_eq!(error, BackendError::TokenAmbiguous { label, count: 2 });

        let (module, _) = module_and_slot(hsm);
        let serials: Vec<_> = module
            .get_slots_with_initialized_token()
            .unwrap()
            .into_iter()
            .map(|slot| {
                module
                    .get_token_info(slot)
                    .unwrap()
                    .serial_number()
                    .to_owned()
            })
            .collect();
        assert_eq!(serials.len(), 2);
        for serial in serials {
            let mut named = config(hsm);
            named.token_serial = Some(serial.clone());
            let backend = start_with(hsm, named, hsm.pin()).unwrap();
            assert_eq!(backend.info().serial, serial);
        }
});

case!(refuses_settings_out_of_range, hsm => {
    let reason = |change: fn(&mut sealkeep_service::backend::pkcs11::Pkcs11Config)| {
        let mut config = config(hsm);
        change(&mut config);
        start_with(hsm, config, hsm.pin()).err().unwrap().reason()
    };
    assert_eq!(reason(|config| config.session_count = 0), "CONFIG_INVALID");
    assert_eq!(reason(|config| config.session_count = 1000), "CONFIG_INVALID");
    assert_eq!(reason(|config| config.queue_length_max = 0), "CONFIG_INVALID");
    assert_eq!(reason(|config| config.token_label.clear()), "CONFIG_INVALID");
});

// A thread inside the module while the exiting process tears the module down crashes it.
case!(process_ends_cleanly_with_work_in_flight, |case| case.repeated(10), hsm => {
            let backend = start(hsm);
            let key = generate(&backend, KeySpec::EcP256).key;
            let scheme = SignatureScheme::EcdsaP256Sha256;
            let digest = scheme.hash().digest(b"m");
            for _ in 0..2000 {
                // Neither waited for nor withdrawn.
                std::mem::forget(backend.sign(&key, scheme, &digest, later()));
            }
            drop(backend);
});

case!(dropped_backend_first_does_what_is_queued, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let scheme = SignatureScheme::EcdsaP256Sha256;
    let digest = scheme.hash().digest(b"m");
    let answers: Vec<_> = (0..500).map(|_| backend.sign(&key, scheme, &digest, later())).collect();
    drop(backend);
    assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
});
