//! What is refused before a key is touched.

use super::*;

#[test]
fn refuses_by_name_what_is_not_for_our_key() {
    let (rsa, ec) = (Seal::rsa(), Seal::p256());
    let (rsa, ec) = (rsa.certificate.public_key(), ec.certificate.public_key());
    let epk = Seal::p256().certificate.public_key().jwk();
    let other_curve = Seal::p384().certificate.public_key().jwk();
    let mut off_curve = epk.clone();
    off_curve["y"] = epk["x"].clone();
    let header = |changes: Value| {
        let mut header = json!({"alg": "RSA-OAEP", "enc": "A256GCM"});
        for (name, value) in changes.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    };
    let cases = [
        (json!({"alg": "RSA1_5"}), rsa, 256, "ALGORITHM_NOT_ALLOWED"),
        (json!({"alg": "dir"}), rsa, 0, "ALGORITHM_NOT_ALLOWED"),
        (json!({"alg": "A128KW"}), rsa, 24, "ALGORITHM_NOT_ALLOWED"),
        (
            json!({"alg": "PBES2-HS256+A128KW"}),
            rsa,
            24,
            "ALGORITHM_NOT_ALLOWED",
        ),
        (json!({"alg": 1}), rsa, 256, "JWE_MALFORMED"),
        (
            json!({"enc": "A192GCM"}),
            rsa,
            256,
            "ENCRYPTION_NOT_ALLOWED",
        ),
        (json!({"zip": "DEF"}), rsa, 256, "MEMBER_UNEXPECTED"),
        (json!({"crit": ["exp"]}), rsa, 256, "MEMBER_UNEXPECTED"),
        (
            json!({"jku": "https://evil.example"}),
            rsa,
            256,
            "MEMBER_UNEXPECTED",
        ),
        (json!({"epk": epk}), rsa, 256, "MEMBER_UNEXPECTED"),
        (json!({}), rsa, 255, "JWE_KEY_UNFIT"),
        (json!({}), ec, 256, "JWE_KEY_UNFIT"),
        (
            json!({"alg": "ECDH-ES", "epk": epk}),
            rsa,
            0,
            "JWE_KEY_UNFIT",
        ),
        (
            json!({"alg": "ECDH-ES", "epk": epk}),
            ec,
            8,
            "JWE_KEY_UNFIT",
        ),
        (
            json!({"alg": "ECDH-ES+A128KW", "epk": epk}),
            ec,
            32,
            "JWE_KEY_UNFIT",
        ),
        (
            json!({"alg": "ECDH-ES", "epk": other_curve}),
            ec,
            0,
            "JWE_KEY_UNFIT",
        ),
        (json!({"alg": "ECDH-ES"}), ec, 0, "JWE_MALFORMED"),
        (
            json!({"alg": "ECDH-ES", "epk": off_curve}),
            ec,
            0,
            "JWE_MALFORMED",
        ),
        (
            json!({"alg": "ECDH-ES", "epk": epk, "apu": "="}),
            ec,
            0,
            "JWE_MALFORMED",
        ),
    ];
    for (changes, key, encrypted_key_bytes, reason) in cases {
        let jwe = with_header(&header(changes.clone()), encrypted_key_bytes);
        let error = Jwe::parse(&jwe, key).unwrap_err();
        assert_eq!(error.reason(), reason, "{changes}: {error}");
    }
    let good = with_header(
        &header(json!({"alg": "ECDH-ES+A256KW", "epk": epk, "kid": "k"})),
        40,
    );
    let jwe = Jwe::parse(&good, ec).unwrap();
    assert_eq!(jwe.algorithm(), KeyManagement::EcdhEsA256Kw);
    assert!(jwe.decrypt(Some(&[1; 32]), &RANDOM).is_err());
}

/// Names from outside are told with their graphic characters, 32 of them at most.
#[test]
fn what_is_not_taken_is_named_in_short() {
    let seal = Seal::rsa();
    let long = format!("x\n y{}", "z".repeat(40));
    let name = format!("xy{}", "z".repeat(30));
    for (alg, enc, refusal) in [
        (
            long.as_str(),
            "A256GCM",
            JweError::AlgorithmNotAllowed { name: name.clone() },
        ),
        ("RSA-OAEP", &long, JweError::EncryptionNotAllowed { name }),
    ] {
        let jwe = with_header(&json!({ "alg": alg, "enc": enc }), 256);
        let found = Jwe::parse(&jwe, seal.certificate.public_key());
        assert_eq!(found.map(drop), Err(refusal));
    }
}

#[test]
fn refuses_what_is_no_compact_jwe() {
    let seal = Seal::rsa();
    let key = seal.certificate.public_key();
    let good = with_header(&json!({"alg": "RSA-OAEP", "enc": "A256GCM"}), 256);
    assert!(Jwe::parse(&good, key).is_ok());
    for text in [
        "",
        "....",
        "a.b.c",
        &format!("{good}."),
        &format!("{good}="),
        &good.replacen('.', "..", 1),
    ] {
        assert_eq!(
            Jwe::parse(text, key).unwrap_err().reason(),
            "JWE_MALFORMED",
            "{text}"
        );
    }
    let short_iv = good.replacen(&URL_SAFE_NO_PAD.encode([7; 12]), "AAAA", 1);
    assert_eq!(
        Jwe::parse(&short_iv, key).unwrap_err().reason(),
        "JWE_MALFORMED"
    );
    let long = format!("{good}{}", "A".repeat(512 * 1024));
    assert!(matches!(
        Jwe::parse(&long, key).unwrap_err(),
        JweError::TooLong { .. }
    ));
    let doubled = URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA1_5","alg":"RSA-OAEP","enc":"A256GCM"}"#);
    let (_, rest) = good.split_once('.').unwrap();
    assert!(Jwe::parse(&format!("{doubled}.{rest}"), key).is_err());
}
