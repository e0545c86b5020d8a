//! What a bank encrypted to us: decrypted with a key that does nothing else, under a grant and a record of its own.

use sealkeep_client::v1::{self, KeyAlgorithm, Operation, Purpose, Role};
use sealkeep_client::{BankHandle, ContentEncryption, Error, JweRecipient, KeyManagement};

use crate::house::{House, TPP, bank};

const PAYLOAD: &[u8] = b"eyJhbGciOiJQUzI1NiJ9.e30.c2lnbmF0dXJl";

/// A house with a decryption key that a bank knows, and its public JWK.
async fn house(key: KeyAlgorithm) -> (House, String) {
    let house = House::open();
    let enrolled = house.enrol("inbox", Purpose::Decryption, key).await;
    let jwk = enrolled.unwrap().version.unwrap().encryption_jwk;
    house.apply_bank(bank("bank", &["inbox"])).await.unwrap();
    assert_eq!(house.activate("inbox", false).await.unwrap(), ["bank"]);
    grant(&house, Operation::DecryptJwe).await;
    (house, jwk)
}

async fn grant(house: &House, operation: Operation) {
    let grant = v1::Grant {
        operations: vec![operation.into()],
        credential: "inbox".to_owned(),
        banks: vec!["bank".to_owned()],
    };
    let caller = v1::Caller {
        name: TPP.to_owned(),
        role: Role::Signer.into(),
        grants: vec![grant],
    };
    house.apply_callers(vec![caller]).await.unwrap();
}

fn encrypted(jwk: &str, algorithm: KeyManagement, encryption: ContentEncryption) -> String {
    let bank = JweRecipient::from_jwk(jwk, algorithm, encryption).unwrap();
    bank.encrypt(PAYLOAD, Some("JWT")).unwrap()
}

fn to_rsa(jwk: &str) -> String {
    encrypted(jwk, KeyManagement::RsaOaep, ContentEncryption::A256Gcm)
}

async fn reason(bank: &BankHandle, jwe: &str) -> String {
    let error: Error = bank.decrypt_jwe(jwe).await.unwrap_err();
    error.reason().to_owned()
}

/// The JWE with another part at this place.
fn with_part(jwe: &str, at: usize, part: &str) -> String {
    let mut parts: Vec<&str> = jwe.split('.').collect();
    parts[at] = part;
    parts.join(".")
}

/// The JWE with one character of a part changed, of which every bit counts.
fn flipped(jwe: &str, at: usize) -> String {
    let part = jwe.split('.').nth(at).unwrap();
    let first = if part.starts_with('A') { "B" } else { "A" };
    with_part(jwe, at, &format!("{first}{}", &part[1..]))
}

#[tokio::test]
async fn what_is_encrypted_to_an_rsa_key_is_decrypted_and_recorded() {
    let (house, jwk) = house(KeyAlgorithm::Rsa2048).await;
    let bank = house.connect(TPP).bank("bank");
    for encryption in [ContentEncryption::A128Gcm, ContentEncryption::A256Gcm] {
        let jwe = encrypted(&jwk, KeyManagement::RsaOaep, encryption);
        let opened = bank.decrypt_jwe(&jwe).await.unwrap();
        assert_eq!(opened.plaintext.as_slice(), PAYLOAD);
        assert_eq!(opened.content_type.as_deref(), Some("JWT"));
        assert_eq!(opened.version, "credentials/inbox/versions/1");
        assert_eq!(opened.algorithm, "RSA-OAEP");
        assert_eq!(opened.encryption, encryption.name());
    }
    let intents = house.records("sign.intent").await;
    assert_eq!(intents.len(), 2);
    assert!(
        intents
            .iter()
            .all(|r| r.line.contains(r#""operation":"decrypt-jwe""#))
    );
    assert!(
        intents
            .iter()
            .all(|r| !r.line.contains("eyJhbGciOiJQUzI1NiJ9"))
    );
}

#[tokio::test]
async fn what_is_encrypted_to_an_ec_key_is_decrypted() {
    for key in [KeyAlgorithm::EcP256, KeyAlgorithm::EcP384] {
        let (house, jwk) = house(key).await;
        let bank = house.connect(TPP).bank("bank");
        let jwe = encrypted(&jwk, KeyManagement::EcdhEs, ContentEncryption::A256Gcm);
        let opened = bank.decrypt_jwe(&jwe).await.unwrap();
        assert_eq!(opened.plaintext.as_slice(), PAYLOAD);
    }
}

#[tokio::test]
async fn every_failure_after_the_parse_is_the_same() {
    let (house, jwk) = house(KeyAlgorithm::Rsa2048).await;
    let bank = house.connect(TPP).bank("bank");
    let jwe = to_rsa(&jwk);
    // The encrypted key, one of another content, the IV, the ciphertext, the tag.
    let other = to_rsa(&jwk);
    let others_key = other.split('.').nth(1).unwrap();
    let mut messages = Vec::new();
    for bad in [
        flipped(&jwe, 1),
        with_part(&jwe, 1, others_key),
        flipped(&jwe, 2),
        flipped(&jwe, 3),
        flipped(&jwe, 4),
    ] {
        let error = bank.decrypt_jwe(&bad).await.unwrap_err();
        assert_eq!(error.reason(), "JWE_UNDECRYPTABLE", "{error}");
        messages.push(error.to_string());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(house.records("sign.failed").await.len(), 5);
    // The token is none the worse for it.
    assert!(bank.decrypt_jwe(&jwe).await.is_ok());
}

#[tokio::test]
async fn what_is_wrong_with_the_form_is_told() {
    let (house, jwk) = house(KeyAlgorithm::Rsa2048).await;
    let bank = house.connect(TPP).bank("bank");
    let jwe = to_rsa(&jwk);
    assert_eq!(reason(&bank, "a.b").await, "JWE_MALFORMED");
    assert_eq!(
        reason(&bank, &with_part(&jwe, 1, "")).await,
        "JWE_KEY_UNFIT"
    );
    assert_eq!(house.records("sign.refused").await.len(), 2);
    assert!(house.records("sign.intent").await.is_empty());
}

/// SoftHSM refuses OAEP with SHA-256: told when the key is made, and again when a bank uses it all the same.
#[tokio::test]
async fn a_token_without_rsa_oaep_256_says_so() {
    let house = House::open();
    let enrolled = house
        .enrol("inbox", Purpose::Decryption, KeyAlgorithm::Rsa2048)
        .await
        .unwrap();
    assert_eq!(enrolled.decryption_algorithms, ["RSA-OAEP"]);
    assert_eq!(enrolled.csr_pem, "");
    let jwk = enrolled.version.unwrap().encryption_jwk;
    house.apply_bank(bank("bank", &["inbox"])).await.unwrap();
    house.activate("inbox", false).await.unwrap();
    grant(&house, Operation::DecryptJwe).await;
    let bank = house.connect(TPP).bank("bank");
    let jwe = encrypted(&jwk, KeyManagement::RsaOaep256, ContentEncryption::A256Gcm);
    assert_eq!(reason(&bank, &jwe).await, "SCHEME_UNSUPPORTED");
}

#[tokio::test]
async fn decryption_takes_its_own_grant_and_its_own_key() {
    let (house, jwk) = house(KeyAlgorithm::Rsa2048).await;
    let bank = house.connect(TPP).bank("bank");
    let jwe = to_rsa(&jwk);
    grant(&house, Operation::SignJws).await;
    assert_eq!(reason(&bank, &jwe).await, "NOT_GRANTED");
    // The key signs nothing, whoever grants it.
    let signed = bank.credential("inbox").jws(b"{}").await.unwrap_err();
    assert_eq!(signed.reason(), "KEY_PURPOSE_MISMATCH");
}

#[tokio::test]
async fn a_decryption_credential_has_no_certificate() {
    let (house, jwk) = house(KeyAlgorithm::EcP256).await;
    let jwk: serde_json::Value = serde_json::from_str(&jwk).unwrap();
    assert_eq!(jwk["use"], "enc");
    assert!(jwk.get("d").is_none() && jwk["kid"].is_string());
    let installed = house.install("inbox", String::new()).await.unwrap_err();
    assert_eq!(installed.reason(), "CREDENTIAL_WITHOUT_CERTIFICATE");
    for key in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcP521] {
        let refused = house.enrol("other", Purpose::Decryption, key).await;
        assert_eq!(refused.unwrap_err().reason(), "KEY_SPEC_UNSUPPORTED");
    }
}
