//! Keys are made in the token, cannot leave it, and sign what others verify.

use std::time::{Duration, Instant};

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use sealkeep_pkcs11_tests::Kind;
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::{
    BackendError, KeyBackend, KeyEvidence, KeyId, KeyLimits, KeySpec, KeyUsage,
};

use super::support::*;

const MESSAGE: &[u8] = b"POST /v1/payments/sepa-credit-transfers";

fn every_scheme_signs(hsm: &sealkeep_pkcs11_tests::TestToken, spec: KeySpec, expected: usize) {
    let backend = start(hsm);
    let key = generate(&backend, spec);
    let fitting = SignatureScheme::ALL
        .iter()
        .filter(|scheme| scheme.fits(&spec.key_type()));
    let mut tried = 0;
    for &scheme in fitting {
        let raw = sign(&backend, &key.key, scheme, MESSAGE).unwrap();
        assert!(verifies(&key, scheme, MESSAGE, &raw), "{scheme}");
        assert!(
            openssl_verifies(hsm, &key, scheme, MESSAGE, &raw),
            "openssl: {scheme}"
        );
        assert!(
            !verifies(&key, scheme, b"another message", &raw),
            "{scheme}"
        );
        assert!(
            !openssl_verifies(hsm, &key, scheme, b"another message", &raw),
            "{scheme}"
        );
        tried += 1;
    }
    assert_eq!(tried, expected);
    assert_eq!(backend.counts().signatures, expected as u64);
}

case!(rsa_2048_signs_by_every_rsa_scheme, hsm => {
    every_scheme_signs(hsm, KeySpec::Rsa { bits: 2048 }, 6);
});

case!(rsa_3072_signs_by_every_rsa_scheme, hsm => {
    every_scheme_signs(hsm, KeySpec::Rsa { bits: 3072 }, 6);
});

case!(rsa_4096_signs_by_every_rsa_scheme, hsm => {
    every_scheme_signs(hsm, KeySpec::Rsa { bits: 4096 }, 6);
});

case!(p256_signs, hsm => { every_scheme_signs(hsm, KeySpec::EcP256, 1); });

case!(p384_signs, hsm => { every_scheme_signs(hsm, KeySpec::EcP384, 1); });

case!(p521_signs, hsm => { every_scheme_signs(hsm, KeySpec::EcP521, 1); });

case!(ed25519_signs, on_softhsm, hsm => { every_scheme_signs(hsm, KeySpec::Ed25519, 1); });

case!(ed25519_signs_the_message_whole_and_up_to_a_limit, on_softhsm, hsm => {
    let backend = start(hsm);
    let made = generate(&backend, KeySpec::Ed25519);
    for length in [0, 1, 64, 4096, 1024 * 1024] {
        let message = vec![b'm'; length];
        let raw = sign(&backend, &made.key, SignatureScheme::Ed25519, &message).unwrap();
        assert!(verifies(&made, SignatureScheme::Ed25519, &message, &raw), "{length} bytes");
    }
    let long = vec![b'm'; 1024 * 1024 + 1];
    let refused = sign(&backend, &made.key, SignatureScheme::Ed25519, &long);
    assert_eq!(refused.unwrap_err().reason(), "MESSAGE_TOO_LONG");
});

/// Takes a mechanism away from the token of a case. SoftHSM 2.6.1 skips the first name after the dash.
fn without(name: &str, hsm: &sealkeep_pkcs11_tests::TestToken) {
    let conf = std::fs::read_to_string(hsm.conf()).unwrap();
    std::fs::write(
        hsm.conf(),
        format!("{conf}\nslots.mechanisms = -CKM_MD5,{name}\n"),
    )
    .unwrap();
}

case!(refuses_by_name_what_the_token_does_not_have, |case| on_softhsm(case).prepared(|hsm| without("CKM_EDDSA", hsm)), hsm => {
        let backend = start(hsm);
        let made = backend.generate(
            KeyId::random(),
            "mute",
            KeySpec::Ed25519,
            KeyUsage::Sign,
            later(),
        );
        assert_eq!(
            wait(made),
            Err(BackendError::SchemeUnsupported { scheme: "ed25519".into() })
        );
        // What was made does not stay, and the session that was refused is not stuck.
        let made = generate(&backend, KeySpec::EcP256);
        let left = other_session(hsm)
            .find_objects(&[Attribute::Token(true)])
            .unwrap();
        assert_eq!(left.len(), 2, "the pair that signs");
        let scheme = SignatureScheme::EcdsaP256Sha256;
        assert!(sign(&backend, &made.key, scheme, MESSAGE).is_ok());
});

case!(refuses_scheme_that_does_not_fit_the_key, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    for scheme in [SignatureScheme::EcdsaP384Sha384, SignatureScheme::RsaPssSha256] {
        assert_eq!(
            sign(&backend, &key, scheme, MESSAGE),
            Err(BackendError::SchemeUnfit {
                key_type: "ec-p256 for signatures".to_owned(),
                scheme: scheme.name().into(),
            })
        );
    }
});

case!(refuses_specs_that_no_certificate_has, hsm => {
    let backend = start(hsm);
    for bits in [1024, 2049, 8192] {
        let made = backend.generate(KeyId::random(), "short", KeySpec::Rsa { bits }, KeyUsage::Sign, later());
        assert_eq!(wait(made).unwrap_err().reason(), "KEY_SPEC_UNSUPPORTED");
    }
    assert_eq!(backend.info().key_count, 0);
});

case!(generated_keys_prove_that_they_never_left, on_softhsm, hsm => {
    let backend = start(hsm);
    for spec in [
        KeySpec::Rsa { bits: 2048 },
        KeySpec::EcP256,
        KeySpec::EcP384,
        KeySpec::EcP521,
        KeySpec::Ed25519,
    ] {
        let made = generate(&backend, spec);
        assert_eq!(made.evidence, KeyEvidence {
            sensitive: true,
            extractable: false,
            always_sensitive: true,
            never_extractable: true,
            local: true,
            limits: KeyLimits {
                sign: Some(true),
                decrypt: Some(false),
                unwrap: Some(false),
                derive: Some(false),
                modifiable: Some(false),
                copyable: Some(false),
                mechanisms: Some(true),
            },
        });
        assert_eq!(adopt(&backend, &made.key).outcome, Ok(made.evidence));
        assert_eq!(wait(backend.public_key(&made.key, later())), Ok(made.spki_der));
    }
});

case!(private_key_can_be_neither_read_nor_wrapped_nor_misused, hsm => {
    let backend = start(hsm);
    let made = generate(&backend, KeySpec::Rsa { bits: 2048 });
    let session = other_session(hsm);
    let found = session
        .find_objects(&[
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Id(made.key.id.as_bytes().to_vec()),
        ])
        .unwrap();
    let [private] = found[..] else { panic!("{} private keys", found.len()) };

    for secret in [AttributeType::PrivateExponent, AttributeType::Prime] {
        assert_eq!(session.get_attributes(private, &[secret]).unwrap(), []);
    }
    for change in [Attribute::Extractable(true), Attribute::Sensitive(false)] {
        assert!(session.update_attributes(private, &[change]).is_err());
    }
    let kek = session
        .generate_key(
            &Mechanism::AesKeyGen,
            &[Attribute::ValueLen(32.into()), Attribute::Wrap(true), Attribute::Token(false)],
        )
        .unwrap();
    let wrap = match hsm.kind() {
        Kind::SoftHsm => Mechanism::AesKeyWrapPad,
        Kind::Kryoptic => Mechanism::AesCbcPad([0; 16]),
    };
    let wrapped = session.wrap_key(&wrap, kek, private);
    assert!(matches!(wrapped, Err(Error::Pkcs11(RvError::KeyUnextractable | RvError::KeyFunctionNotPermitted, _))), "{wrapped:?}");
    // An oracle that decrypts, or signs by a mechanism nobody asked for, is a way around the policy.
    assert!(session.decrypt(&Mechanism::RsaPkcs, private, &[1; 256]).is_err());
    assert!(session.sign(&Mechanism::RsaX509, private, &[1; 256]).is_err());
    assert!(session.sign(&Mechanism::Sha1RsaPkcs, private, MESSAGE).is_err());
});

case!(pkcs11_tool_sees_a_key_that_is_protected, hsm => {
    let backend = start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let id = made.key.id.to_string();

    let listed = hsm.pkcs11_tool(&["--list-objects", "--type", "privkey", "--id", &id]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let access = listed.lines().find(|line| line.contains("Access:")).unwrap_or_default();
    for word in ["sensitive", "always sensitive", "never extractable", "local"] {
        assert!(access.contains(word), "{word:?} is missing:\n{listed}");
    }
    let usage = listed.lines().find(|line| line.contains("Usage:")).unwrap_or_default();
    assert_eq!(usage.trim(), "Usage:      sign", "{listed}");

    // It says that it cannot and exits with 0; the attributes themselves are asked for in the case above.
    let read = hsm.pkcs11_tool(&["--read-object", "--type", "privkey", "--id", &id]);
    assert!(read.stdout.is_empty(), "{read:?}");

    let public = hsm.pkcs11_tool(&["--read-object", "--type", "pubkey", "--id", &id]);
    assert_eq!(public.stdout, made.spki_der);
});

case!(destroyed_key_is_gone_from_the_token_and_from_the_table, hsm => {
    let backend = start(hsm);
    let (gone, stays) = (generate(&backend, KeySpec::EcP256), generate(&backend, KeySpec::EcP256));
    wait(backend.destroy(&gone.key, later())).unwrap();

    let unknown = BackendError::KeyUnknown(gone.key.id);
    let scheme = SignatureScheme::EcdsaP256Sha256;
    assert_eq!(sign(&backend, &gone.key, scheme, MESSAGE), Err(unknown.clone()));
    assert_eq!(adopt(&backend, &gone.key).outcome, Err(unknown.clone()));
    assert_eq!(wait(backend.destroy(&gone.key, later())), Err(unknown));
    assert!(sign(&backend, &stays.key, scheme, MESSAGE).is_ok());
    let left = other_session(hsm).find_objects(&[Attribute::Token(true)]).unwrap();
    assert_eq!(left.len(), 2, "the pair that stays");
});

case!(an_id_is_never_used_twice, hsm => {
    let backend = start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let again = backend.generate(made.key.id, "again", KeySpec::EcP256, KeyUsage::Sign, later());
    assert_eq!(wait(again), Err(BackendError::KeyExists(made.key.id)));
    let scheme = SignatureScheme::EcdsaP256Sha256;
    let raw = sign(&backend, &made.key, scheme, MESSAGE).unwrap();
    assert!(verifies(&made, scheme, MESSAGE, &raw));
});

case!(key_that_nobody_waits_for_does_not_stay, hsm => {
    let backend = start(hsm);
    // The first task keeps the keeper busy; dropping the second one's future withdraws it.
    let first = backend.generate(KeyId::random(), "first", KeySpec::EcP256, KeyUsage::Sign, later());
    drop(backend.generate(KeyId::random(), "second", KeySpec::Rsa { bits: 2048 }, KeyUsage::Sign, later()));
    wait(first).unwrap();
    let last = generate(&backend, KeySpec::EcP384);
    let objects = other_session(hsm).find_objects(&[Attribute::Token(true)]).unwrap();
    assert_eq!(objects.len(), 4, "two pairs");
    assert_eq!(backend.info().key_count, 2);
    assert!(adopt(&backend, &last.key).outcome.is_ok());
});

case!(key_that_is_ready_too_late_is_destroyed_again, hsm => {
    let backend = start(hsm);
    let soon = Instant::now() + Duration::from_millis(15);
    let late = backend.generate(KeyId::random(), "late", KeySpec::Rsa { bits: 4096 }, KeyUsage::Sign, soon);
    assert_eq!(wait(late), Err(BackendError::Deadline));
    // The keeper does one thing after the other: once it answers this, it is done with the late key.
    let made = generate(&backend, KeySpec::EcP256);
    let objects = other_session(hsm).find_objects(&[Attribute::Token(true)]).unwrap();
    assert_eq!(objects.len(), 2, "the pair that was waited for");
    assert_eq!(backend.info().key_count, 1);
    assert!(adopt(&backend, &made.key).outcome.is_ok());
});
