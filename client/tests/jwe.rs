//! What is encrypted to a bank: read back by the library's own parser, and which keys are refused.
#![allow(clippy::unwrap_used, missing_docs)]

use sealkeep_client::{ContentEncryption, JweRecipient, KeyManagement, RecipientError};
use sealkeep_profiles::algorithm::PublicKey;
use sealkeep_profiles::format::jwe::Jwe;
use serde_json::{Value, json};

/// RFC 7517 appendix A.1, the first and the second key.
fn ec() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "use": "enc", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    })
}

fn rsa() -> Value {
    json!({
        "kty": "RSA", "e": "AQAB", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o\
              knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHz\
              u6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8\
              awapJzKnqDKgw",
    })
}

fn recipient(
    jwk: &Value,
    algorithm: KeyManagement,
    encryption: ContentEncryption,
) -> Result<JweRecipient, RecipientError> {
    JweRecipient::from_jwk(&jwk.to_string(), algorithm, encryption)
}

#[test]
fn what_is_encrypted_parses_for_its_key() {
    use ContentEncryption::{A128Gcm, A256Gcm};
    for (jwk, algorithm, encryption) in [
        (rsa(), KeyManagement::RsaOaep, A256Gcm),
        (rsa(), KeyManagement::RsaOaep256, A128Gcm),
        (ec(), KeyManagement::EcdhEs, A256Gcm),
    ] {
        let bank = recipient(&jwk, algorithm, encryption).unwrap();
        let (one, other) = (bank.encrypt_jwt("a.b.c"), bank.encrypt_jwt("a.b.c"));
        let (one, other) = (one.unwrap(), other.unwrap());
        let key = PublicKey::from_jwk(jwk.as_object().unwrap()).unwrap();
        let jwe = Jwe::parse(&one, &key).unwrap();
        assert_eq!((jwe.algorithm(), jwe.encryption()), (algorithm, encryption));
        assert_eq!(jwe.key_id(), jwk["kid"].as_str());
        assert_eq!(jwe.content_type(), Some("JWT"));
        // Nothing secret is used twice: not the key, not the IV.
        for part in 2..5 {
            assert_ne!(one.split('.').nth(part), other.split('.').nth(part));
        }
    }
}

/// One refusal, one line.
#[test]
fn refuses_keys_that_do_not_fit() {
    use ContentEncryption::{A128CbcHs256, A256Gcm};
    let with = |mut jwk: Value, name: &str, value: &str| {
        jwk[name] = value.into();
        jwk
    };
    for (jwk, algorithm, encryption, says) in [
        (json!([]), KeyManagement::RsaOaep, A256Gcm, "cannot be read"),
        (
            with(rsa(), "n", "AQAB"),
            KeyManagement::RsaOaep,
            A256Gcm,
            "cannot be read",
        ),
        (
            with(rsa(), "use", "sig"),
            KeyManagement::RsaOaep,
            A256Gcm,
            "`sig`",
        ),
        (
            with(rsa(), "alg", "RSA-OAEP-256"),
            KeyManagement::RsaOaep,
            A256Gcm,
            "RSA-OAEP-256",
        ),
        (rsa(), KeyManagement::EcdhEs, A256Gcm, "does not fit"),
        (ec(), KeyManagement::RsaOaep, A256Gcm, "does not fit"),
        (ec(), KeyManagement::EcdhEsA256Kw, A256Gcm, "not offered"),
        (rsa(), KeyManagement::RsaOaep, A128CbcHs256, "A128CBC-HS256"),
    ] {
        let error = recipient(&jwk, algorithm, encryption).unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
}
