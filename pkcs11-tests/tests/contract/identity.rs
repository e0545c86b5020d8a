//! A key is what its pin says, not what its id or label claims.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_service::backend::{BackendError, KeyBackend, KeyId, KeyRef, KeySpec};

use super::support::*;

const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// DER of the OID of P-256.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// What an intruder or a careless operator does: another pair under the same id.
fn plant_key(session: &Session, id: KeyId, private_too: bool, public_too: bool) {
    let id = || {
        Attribute::Id(if private_too {
            id.as_bytes().to_vec()
        } else {
            vec![0]
        })
    };
    let public_id = if public_too {
        id()
    } else {
        Attribute::Id(vec![1])
    };
    session
        .generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &[
                Attribute::Token(true),
                Attribute::EcParams(P256.to_vec()),
                public_id,
            ],
            &[
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
                id(),
            ],
        )
        .unwrap();
}

fn remove(session: &Session, id: KeyId, class: ObjectClass) {
    let template = [
        Attribute::Class(class),
        Attribute::Id(id.as_bytes().to_vec()),
    ];
    for object in session.find_objects(&template).unwrap() {
        session.destroy_object(object).unwrap();
    }
}

case!(refuses_pair_that_was_replaced_under_its_id, on_softhsm, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let session = other_session(hsm);
    remove(&session, key.id, ObjectClass::PRIVATE_KEY);
    remove(&session, key.id, ObjectClass::PUBLIC_KEY);
    plant_key(&session, key.id, true, true);

    let mismatch = BackendError::KeyMismatch(key.id);
    // The handle is stale: the search for the key finds the wrong one.
    assert_eq!(sign(&backend, &key, SCHEME, b"message"), Err(mismatch.clone()));
    assert_eq!(wait(backend.public_key(&key, later())), Err(mismatch.clone()));
    assert_eq!(wait(backend.destroy(&key, later())), Err(mismatch.clone()));
    assert_eq!(adopt(&backend, &key).outcome, Err(mismatch));
});

case!(refuses_private_key_that_was_replaced_beside_its_public_key, on_softhsm, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let session = other_session(hsm);
    remove(&session, key.id, ObjectClass::PRIVATE_KEY);
    plant_key(&session, key.id, true, false);

    // Attributes look right; only a signature tells.
    let mismatch = BackendError::KeyMismatch(key.id);
    assert_eq!(sign(&backend, &key, SCHEME, b"message"), Err(mismatch.clone()));
    assert_eq!(adopt(&backend, &key).outcome, Err(mismatch));
});

case!(a_new_key_under_the_old_label_is_not_the_key, hsm => {
    let backend = start(hsm);
    let made = generate(&backend, KeySpec::EcP256);
    let planted = hsm.pkcs11_tool(&[
        "--keypairgen", "--key-type", "EC:prime256v1", "--label", "a test key", "--id", "01",
    ]);
    assert!(planted.status.success(), "{planted:?}");
    // The pair of before goes on; once it is gone nothing under its label takes its place.
    assert!(adopt(&backend, &made.key).outcome.is_ok());
    assert!(verifies(&made, SCHEME, b"m", &sign(&backend, &made.key, SCHEME, b"m").unwrap()));
    let session = other_session(hsm);
    remove(&session, made.key.id, ObjectClass::PRIVATE_KEY);
    remove(&session, made.key.id, ObjectClass::PUBLIC_KEY);
    let unknown = BackendError::KeyUnknown(made.key.id);
    assert_eq!(adopt(&backend, &made.key).outcome, Err(unknown.clone()));
    assert_eq!(sign(&backend, &made.key, SCHEME, b"m"), Err(unknown));
});

case!(refuses_two_keys_under_one_id, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let session = other_session(hsm);
    plant_key(&session, key.id, true, true);

    let ambiguous = BackendError::KeyAmbiguous(key.id);
    assert_eq!(adopt(&backend, &key).outcome, Err(ambiguous.clone()));
    assert_eq!(wait(backend.destroy(&key, later())), Err(ambiguous));
    // What is not adopted does not sign, even if it did before.
    assert_eq!(sign(&backend, &key, SCHEME, b"m"), Err(BackendError::KeyUnknown(key.id)));
});

case!(refuses_wrong_pin_of_a_key_that_is_there, hsm => {
    let backend = start(hsm);
    let key = generate(&backend, KeySpec::EcP256).key;
    let other = KeyRef { spki_sha256: [7; 32], ..key };
    assert_eq!(sign(&backend, &other, SCHEME, b"m"), Err(BackendError::KeyMismatch(key.id)));
    assert!(sign(&backend, &key, SCHEME, b"m").is_ok());
});

case!(refuses_to_adopt_a_key_that_can_leave_the_token, hsm => {
    let backend = start(hsm);
    let session = other_session(hsm);
    for (sensitive, extractable) in [(true, true), (false, false)] {
        let id = KeyId::random();
        let (public, _) = session
            .generate_key_pair(
                &Mechanism::EccKeyPairGen,
                &[
                    Attribute::Token(true),
                    Attribute::EcParams(P256.to_vec()),
                    Attribute::Id(id.as_bytes().to_vec()),
                ],
                &[
                    Attribute::Token(true),
                    Attribute::Private(true),
                    Attribute::Sensitive(sensitive),
                    Attribute::Extractable(extractable),
                    Attribute::Sign(true),
                    Attribute::Id(id.as_bytes().to_vec()),
                ],
            )
            .unwrap();
        let point = cryptoki::object::AttributeType::EcPoint;
        let Some(Attribute::EcPoint(point)) = session.get_attributes(public, &[point]).unwrap().pop()
        else {
            panic!("no point")
        };
        let key = KeyRef { id, spki_sha256: p256_spki_sha256(&point[2..]) };
        let outcome = adopt(&backend, &key).outcome;
        assert_eq!(outcome, Err(BackendError::KeyUnprotected(id)), "{sensitive} {extractable}");
    }
});

/// RFC 5480 section 2: algorithm identifier and point, all of fixed length for P-256.
fn p256_spki_sha256(point: &[u8]) -> [u8; 32] {
    let head = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let spki = [head.as_slice(), point].concat();
    sealkeep_profiles::algorithm::PublicKey::from_spki_der(&spki)
        .unwrap()
        .spki_sha256()
}
