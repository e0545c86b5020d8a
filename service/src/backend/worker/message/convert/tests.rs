use prost::Message;

use super::super::{Request, ToWorker};
use super::*;

#[test]
fn errors_arrive_as_they_were_sent() {
    let id = KeyId::random();
    for error in [
        BackendError::KeyMismatch(id),
        BackendError::DigestLength {
            expected: 32,
            found: 31,
        },
        BackendError::SchemeUnfit {
            key_type: "ec-p256".to_owned(),
            scheme: "rsa-pss-sha256".into(),
        },
        BackendError::Unavailable {
            function: "C_Sign".to_owned(),
            rv: "CKR_DEVICE_ERROR".to_owned(),
        },
        BackendError::PinRefused {
            marker: PathBuf::from("/var/lib/sealkeep/x.pin-refused"),
        },
        BackendError::ConfigInvalid {
            field: "session_count".into(),
            rule: "between 1 and 2".to_owned(),
        },
        BackendError::Deadline,
    ] {
        assert_eq!(error_of_json(&error_json(&error)), error);
    }
    assert_eq!(error_of_json("{").reason(), "TOKEN_MALFORMED_ANSWER");
}

#[test]
fn specs_and_schemes_arrive_as_they_were_sent() {
    let id = KeyId::random();
    for spec in [
        KeySpec::Rsa { bits: 3072 },
        KeySpec::EcP256,
        KeySpec::EcP384,
        KeySpec::EcP521,
        KeySpec::Ed25519,
    ] {
        for usage in [KeyUsage::Sign, KeyUsage::Decrypt] {
            let sent = Generate::new(id, "label", spec, usage).encode_to_vec();
            let arrived = Generate::decode(sent.as_slice()).unwrap();
            assert_eq!((arrived.id(), arrived.spec()), (Some(id), Some(spec)));
            assert_eq!(arrived.usage(), usage);
        }
    }
    let key = KeyRef {
        id,
        spki_sha256: [3; 32],
    };
    for scheme in SignatureScheme::ALL {
        let sent = Sign::new(&key, scheme, b"input").encode_to_vec();
        let arrived = Sign::decode(sent.as_slice()).unwrap();
        assert_eq!(arrived.scheme(), Some(scheme));
        assert_eq!(arrived.key.unwrap().key_ref(), Some(key));
    }
}

#[test]
fn decryptions_arrive_as_they_were_asked_for_and_secrets_are_not_printed() {
    let id = KeyId::random();
    let key = KeyRef {
        id,
        spki_sha256: [3; 32],
    };
    for hash in [OaepHash::Sha1, OaepHash::Sha256] {
        let work = TokenWork::RsaOaep {
            hash,
            encrypted_key: b"encrypted",
        };
        let sent = Decrypt::new(&key, work).encode_to_vec();
        let arrived = Decrypt::decode(sent.as_slice()).unwrap();
        assert_eq!(arrived.with_work(|arrived| arrived == work), Some(true));
    }
    for unwrapped in [None, Some(Zeroizing::new(b"secret".to_vec()))] {
        let message = Secret::from(unwrapped.clone());
        assert!(!format!("{message:?}").contains("115"), "{message:?}");
        let arrived = Secret::decode(message.encode_to_vec().as_slice()).unwrap();
        assert_eq!(arrived.unwrapped(), unwrapped);
    }
}

#[test]
fn the_pin_travels_and_is_never_printed() {
    let config = Pkcs11Config {
        name: "main".to_owned(),
        module: "/m.so".into(),
        token_label: "t".to_owned(),
        token_serial: None,
        session_count: 4,
        queue_length_max: 8,
        allow_spy: false,
        init_string: Some("configdir='x'".to_owned()),
    };
    let confinement = Confinement {
        write_paths: vec!["/var/lib/token".into()],
        network: true,
        ..Confinement::default()
    };
    let pin = SecretString::from("648219");
    let start = Start::new(&config, Some(&confinement), "/x".to_owned(), &pin);
    assert_eq!(start.confinement(), Some(confinement));
    let message = ToWorker {
        id: 1,
        patience_us: 0,
        request: Some(Request::Start(start)),
    };
    assert!(!format!("{message:?}").contains("648219"));
    let sent = message.encode_to_vec();
    let arrived = ToWorker::decode(sent.as_slice()).unwrap();
    let Some(Request::Start(mut start)) = arrived.request else {
        panic!("{arrived:?}")
    };
    assert_eq!(start.config(), config);
    assert_eq!(start.take_pin().expose_secret(), "648219");
    assert_eq!(start.take_pin().expose_secret(), "");
}
