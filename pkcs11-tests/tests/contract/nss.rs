//! NSS's token decrypts where SoftHSM cannot: RSA-OAEP with SHA-256, through the backend, as a JWE from outside needs it.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, KeyType as ObjectType, ObjectClass};
use cryptoki::session::{Session, UserType};
use sealkeep_pkcs11_tests::NssToken;
use sealkeep_profiles::algorithm::PublicKey;
use sealkeep_profiles::format::jwe::{Jwe, KeyManagement, OaepHash, TokenWork};
use sealkeep_service::backend::pkcs11::Pkcs11Config;
use sealkeep_service::backend::{KeyBackend, KeyId, KeyRef, KeySpec};
use serde_json::Value;

use super::decrypt::{SECRET, decrypt, encrypted_with, generate_to_decrypt};
use super::support::*;

fn nss_config(token: &NssToken) -> Pkcs11Config {
    Pkcs11Config {
        name: "nss".to_owned(),
        module: NssToken::module(),
        token_label: NssToken::LABEL.to_owned(),
        token_serial: None,
        session_count: 2,
        queue_length_max: 64,
        allow_spy: false,
        init_string: Some(token.init_string()),
    }
}

fn pin(token: &NssToken) -> String {
    let pin = std::fs::read_to_string(token.pin_file()).unwrap();
    pin.trim_end().to_owned()
}

case!(rsa_oaep_256_decrypts_what_openssl_encrypted, hsm => {
    let token = NssToken::below(hsm.dir());
    let backend = start_with(hsm, nss_config(&token), &pin(&token)).unwrap();
    let key = generate_to_decrypt(&backend, KeySpec::Rsa { bits: 2048 }).unwrap();
    assert_eq!(key.decrypts, [KeyManagement::RsaOaep, KeyManagement::RsaOaep256]);
    for (hash, name) in [(OaepHash::Sha1, "sha1"), (OaepHash::Sha256, "sha256")] {
        let good = encrypted_with(hsm, &key, name);
        let work = TokenWork::RsaOaep { hash, encrypted_key: &good };
        let secret = decrypt(&backend, &key.key, work).unwrap();
        assert_eq!(secret.unwrap().as_slice(), SECRET, "{name}");
        let mut bad = good.clone();
        bad[100] ^= 1;
        let work = TokenWork::RsaOaep { hash, encrypted_key: &bad };
        assert_eq!(decrypt(&backend, &key.key, work).unwrap(), None, "{name}");
    }
    assert!(backend.info().ready, "{:?}", backend.info().problem);
});

/// A session of the same process, beside those of the backend.
fn session(token: &NssToken) -> Session {
    let module = cryptoki::context::Pkcs11::new(NssToken::module()).unwrap();
    let slots = module.get_slots_with_token().unwrap().into_iter();
    let mut ours = slots
        .filter(|slot| module.get_token_info(*slot).unwrap().label().trim_end() == NssToken::LABEL);
    let session = module.open_rw_session(ours.next().unwrap()).unwrap();
    match session.login(UserType::User, Some(&pin(token).into())) {
        Ok(()) => session,
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session,
        Err(error) => panic!("{error}"),
    }
}

fn member(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
}

/// Puts a key pair into the token as its owner would have wrapped it: sensitive, not extractable, for decryption alone.
fn import(
    token: &NssToken,
    kind: ObjectType,
    public: &[Attribute],
    private: &[Attribute],
) -> KeyId {
    let session = session(token);
    let id = KeyId::random();
    let common = |class| {
        [
            Attribute::Class(class),
            Attribute::KeyType(kind),
            Attribute::Token(true),
            Attribute::Id(id.as_bytes().to_vec()),
        ]
    };
    let template = [&common(ObjectClass::PUBLIC_KEY)[..], public].concat();
    session.create_object(&template).unwrap();
    let closed = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(false),
    ];
    let template = [
        &common(ObjectClass::PRIVATE_KEY)[..],
        &closed,
        public,
        private,
    ]
    .concat();
    session.create_object(&template).unwrap();
    id
}

fn import_rsa(token: &NssToken, jwk: &Value) -> (KeyId, PublicKey) {
    let public = [
        Attribute::Modulus(member(jwk, "n")),
        Attribute::PublicExponent(member(jwk, "e")),
    ];
    let private = [
        Attribute::PrivateExponent(member(jwk, "d")),
        Attribute::Prime1(member(jwk, "p")),
        Attribute::Prime2(member(jwk, "q")),
        Attribute::Exponent1(member(jwk, "dp")),
        Attribute::Exponent2(member(jwk, "dq")),
        Attribute::Coefficient(member(jwk, "qi")),
        Attribute::Decrypt(true),
    ];
    (
        import(token, ObjectType::RSA, &public, &private),
        public_key(jwk),
    )
}

fn public_key(jwk: &Value) -> PublicKey {
    let mut public = jwk.as_object().unwrap().clone();
    public.retain(|name, _| ["kty", "n", "e"].contains(&name.as_str()));
    PublicKey::from_jwk(&public).unwrap()
}

// The token opens what another implementation encrypted, with the private key that belongs to those vectors.
case_in_thread!(opens_what_jwcrypto_encrypted, hsm => {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/jwe_to_tpp.json");
    let Ok(vectors) = std::fs::read(vectors) else {
        return;
    };
    let vectors: Value = serde_json::from_slice(&vectors).unwrap();
    let token = NssToken::below(hsm.dir());
    let backend = start_with(hsm, nss_config(&token), &pin(&token)).unwrap();
    let (id, public) = import_rsa(&token, &vectors["rsa_key_jwk"]);
    let key = KeyRef { id, spki_sha256: public.spki_sha256() };
    let evidence = adopt(&backend, &key).outcome.unwrap();
    assert!(evidence.is_protected() && !evidence.is_born_here());

    let mut opened = Vec::new();
    for case in vectors["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let Ok(jwe) = Jwe::parse(text("jwe"), &public) else {
            continue;
        };
        opened.push(jwe.algorithm());
        let from_token = decrypt(&backend, &key, jwe.token_work()).unwrap();
        let plain = jwe.decrypt(from_token.as_ref().map(|bytes| bytes.as_slice()), &[0; 64]);
        assert_eq!(plain.unwrap().as_slice(), text("plaintext").as_bytes(), "{}", text("id"));
    }
    assert_eq!(opened, [KeyManagement::RsaOaep, KeyManagement::RsaOaep256]);
});
