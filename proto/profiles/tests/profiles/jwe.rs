//! JWE: vectors of others, the one generic error, and what is refused before a key is touched. The token's part is played
//! by OpenSSL (RSA) and the curves' crates (ECDH).

mod limits;
mod refusals;

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealkeep_profiles::algorithm::PublicKey;
use sealkeep_profiles::format::jwe::{
    CEK_BYTES_MAX, ContentEncryption, Jwe, JweError, KeyManagement, OaepHash, TokenWork,
};
use serde_json::{Value, json};

use crate::support::*;

const RANDOM: [u8; CEK_BYTES_MAX] = [0x5a; CEK_BYTES_MAX];

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

/// The public half of a private JWK.
fn public(jwk: &Value) -> PublicKey {
    let mut jwk = jwk.as_object().unwrap().clone();
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        jwk.remove(name);
    }
    PublicKey::from_jwk(&jwk).unwrap()
}

/// What a token answers for the EC key of a private JWK.
#[allow(clippy::disallowed_types, reason = "the test plays the token")]
fn agree(jwk: &Value, peer: &PublicKey) -> Vec<u8> {
    let (secret, peer) = (bytes(&jwk["d"]), peer.jwk());
    let point = [&[4], &bytes(&peer["x"])[..], &bytes(&peer["y"])[..]].concat();
    match jwk["crv"].as_str().unwrap() {
        "P-256" => {
            let secret = p256::SecretKey::from_slice(&secret).unwrap();
            let peer = p256::PublicKey::from_sec1_bytes(&point).unwrap();
            let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
            shared.raw_secret_bytes().to_vec()
        }
        _ => {
            let secret = p384::SecretKey::from_slice(&secret).unwrap();
            let peer = p384::PublicKey::from_sec1_bytes(&point).unwrap();
            let shared = p384::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
            shared.raw_secret_bytes().to_vec()
        }
    }
}

/// What a token answers for the RSA key of the example TPP.
fn openssl_decrypt(hash: OaepHash, encrypted_key: &[u8]) -> Vec<u8> {
    let key = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/rfc9421-test-key-rsa.pem"
    );
    let hash = match hash {
        OaepHash::Sha1 => "rsa_oaep_md:sha1",
        OaepHash::Sha256 => "rsa_oaep_md:sha256",
    };
    let mut openssl = Command::new("openssl")
        .args(["pkeyutl", "-decrypt", "-inkey", key])
        .args(["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", hash])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl plays the token");
    let mut stdin = openssl.stdin.take().unwrap();
    stdin.write_all(encrypted_key).unwrap();
    drop(stdin);
    let output = openssl.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl: {}", output.status);
    output.stdout
}

fn token(jwk: &Value, work: TokenWork<'_>) -> Vec<u8> {
    match work {
        TokenWork::Ecdh { peer } => agree(jwk, peer),
        TokenWork::RsaOaep {
            hash,
            encrypted_key,
        } => openssl_decrypt(hash, encrypted_key),
    }
}

#[test]
fn what_other_implementations_encrypt_to_us_is_decrypted() {
    let Some(file) = vectors("jwe_to_tpp.json") else {
        return;
    };
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let jwk = match id.starts_with("RSA") {
            true => &file["rsa_key_jwk"],
            false => &file["ec_key_jwk"],
        };
        let key = public(jwk);
        let jwe = Jwe::parse(case["jwe"].as_str().unwrap(), &key).unwrap();
        assert_eq!(
            jwe.algorithm().name(),
            case["protected"]["alg"].as_str().unwrap()
        );
        assert_eq!(
            jwe.encryption().name(),
            case["protected"]["enc"].as_str().unwrap()
        );
        assert_eq!(jwe.content_type(), Some("JWT"));
        let answer = token(jwk, jwe.token_work());
        let plaintext = jwe.decrypt(Some(&answer), &RANDOM).unwrap();
        assert_eq!(
            plaintext.as_slice(),
            case["plaintext"].as_str().unwrap().as_bytes(),
            "{id}"
        );
    }
}

#[test]
fn the_figures_of_rfc_7520_are_decrypted() {
    let Some(file) = vectors("rfc7520.json") else {
        return;
    };
    let files = file["files"].as_object().unwrap();
    let mut count = 0;
    for (name, case) in files.iter().filter(|(name, _)| name.starts_with("jwe/")) {
        let jwk = &case["input"]["key"];
        let key = public(jwk);
        let jwe = Jwe::parse(case["output"]["compact"].as_str().unwrap(), &key).unwrap();
        // The RSA key of the figure is not OpenSSL's here; its CEK is in the figure.
        let answer = match jwe.token_work() {
            TokenWork::Ecdh { peer } => agree(jwk, peer),
            TokenWork::RsaOaep { hash, .. } => {
                assert_eq!(hash, OaepHash::Sha1);
                bytes(&case["generated"]["cek"])
            }
        };
        assert_eq!(jwe.key_id(), jwk["kid"].as_str());
        let plaintext = jwe.decrypt(Some(&answer), &RANDOM).unwrap();
        let expected = case["input"]["plaintext"].as_str().unwrap();
        assert_eq!(plaintext.as_slice(), expected.as_bytes(), "{name}");
        count += 1;
    }
    assert_eq!(count, 3);
}

/// Keys longer than one hash, on P-384, with the names of both parties: the derivation of RFC 7518 §4.6.2 in full.
#[test]
fn what_jwcrypto_agrees_on_over_p384_is_decrypted() {
    let file = include_str!("../data/jwe-ecdh-p384.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let key = public(&file["key"]);
    for case in file["cases"].as_array().unwrap() {
        let jwe = Jwe::parse(case["jwe"].as_str().unwrap(), &key).unwrap();
        assert_eq!(jwe.algorithm().name(), case["alg"].as_str().unwrap());
        assert_eq!(jwe.encryption().name(), case["enc"].as_str().unwrap());
        let answer = token(&file["key"], jwe.token_work());
        let plaintext = jwe.decrypt(Some(&answer), &RANDOM).unwrap();
        assert_eq!(plaintext.as_slice(), b"what the bank says", "{case}");
    }
}

#[test]
fn every_content_encryption_opens_only_what_it_sealed() {
    let plaintext = "A cipher system must not be required to be secret, and it must be able to fall \
                     into the hands of the enemy without inconvenience";
    let jwk = Seal::rsa().certificate.public_key().clone();
    assert_eq!(plaintext.len(), 128);
    for encryption in ContentEncryption::ALL {
        let key: Vec<u8> = (0..encryption.cek_bytes())
            .map(|n| u8::try_from(n).unwrap())
            .collect();
        let jwe = sealed(encryption, &key, plaintext.as_bytes());
        let open =
            |text: &str, cek: Option<&[u8]>| Jwe::parse(text, &jwk).unwrap().decrypt(cek, &RANDOM);
        assert_eq!(
            open(&jwe, Some(&key)).unwrap().as_slice(),
            plaintext.as_bytes()
        );
        let mut other = key.clone();
        other[0] ^= 1;
        for answer in [None, Some(&other[..]), Some(&key[1..]), Some(&[])] {
            assert!(open(&jwe, answer).is_err(), "{encryption:?}");
        }
    }
}

/// Who encrypts by `ECDH-ES` without the names of the parties has the key by one call.
#[test]
fn the_agreed_key_seals_what_its_secret_opens() {
    let (token, sender) = (Seal::p256(), Seal::p256());
    let token = token.certificate.public_key();
    let epk = sender.certificate.public_key().jwk();
    for encryption in ContentEncryption::ALL {
        let key = encryption.agreed_key(&[3; 32]);
        let header = json!({ "alg": "ECDH-ES", "enc": encryption.name(), "epk": epk });
        let jwe = sealed_under(&header, &[], encryption, &key, b"what the TPP says");
        let open = |secret: &[u8]| {
            let jwe = Jwe::parse(&jwe, token).unwrap();
            jwe.decrypt(Some(secret), &RANDOM)
        };
        assert_eq!(open(&[3; 32]).unwrap().as_slice(), b"what the TPP says");
        assert!(open(&[4; 32]).is_err());
    }
}

/// A JWE as a sender makes it, with the key given: only the key management is left to the token.
fn sealed(encryption: ContentEncryption, key: &[u8], plaintext: &[u8]) -> String {
    let header = json!({"alg": "RSA-OAEP", "enc": encryption.name()});
    sealed_under(&header, &[1; 256], encryption, key, plaintext)
}

fn sealed_under(
    header: &Value,
    encrypted_key: &[u8],
    encryption: ContentEncryption,
    key: &[u8],
    plaintext: &[u8],
) -> String {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let (iv, ciphertext, tag) = match encryption {
        ContentEncryption::A128Gcm | ContentEncryption::A256Gcm => {
            use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
            let algorithm = if key.len() == 16 {
                &AES_128_GCM
            } else {
                &AES_256_GCM
            };
            let sealer = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
            let mut buffer = plaintext.to_vec();
            let nonce = Nonce::assume_unique_for_key([7; 12]);
            let tag = sealer
                .seal_in_place_separate_tag(nonce, Aad::from(protected.as_bytes()), &mut buffer)
                .unwrap();
            (vec![7; 12], buffer, tag.as_ref().to_vec())
        }
        ContentEncryption::A128CbcHs256 | ContentEncryption::A256CbcHs512 => {
            let (mac_key, cipher_key) = key.split_at(key.len() / 2);
            let ciphertext = openssl_cbc(cipher_key, &[7; 16], plaintext);
            let algorithm = match key.len() {
                32 => ring::hmac::HMAC_SHA256,
                _ => ring::hmac::HMAC_SHA512,
            };
            let bits = (protected.len() as u64 * 8).to_be_bytes();
            let message = [protected.as_bytes(), &[7; 16], &ciphertext, &bits].concat();
            let mac = ring::hmac::sign(&ring::hmac::Key::new(algorithm, mac_key), &message);
            (
                vec![7; 16],
                ciphertext,
                mac.as_ref()[..cipher_key.len()].to_vec(),
            )
        }
    };
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let encrypted_key = text(encrypted_key);
    format!(
        "{protected}.{encrypted_key}.{}.{}.{}",
        text(&iv),
        text(&ciphertext),
        text(&tag)
    )
}

fn openssl_cbc(key: &[u8], iv: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let cipher = if key.len() == 16 {
        "-aes-128-cbc"
    } else {
        "-aes-256-cbc"
    };
    let mut openssl = Command::new("openssl")
        .args(["enc", cipher, "-K", &hex(key), "-iv", &hex(iv)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl encrypts");
    let mut stdin = openssl.stdin.take().unwrap();
    stdin.write_all(plaintext).unwrap();
    drop(stdin);
    openssl.wait_with_output().unwrap().stdout
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn tampering_with_any_part_is_noticed() {
    let key = Seal::rsa().certificate.public_key().clone();
    for encryption in ContentEncryption::ALL {
        let cek = vec![9; encryption.cek_bytes()];
        let good = sealed(encryption, &cek, b"{\"iss\":\"bank\"}");
        let parts: Vec<&str> = good.split('.').collect();
        // The encrypted key is the token's to judge; header, IV, content and tag are ours.
        for part in [0, 2, 3, 4] {
            for position in 0..parts[part].len() {
                let mut changed: Vec<String> = parts.iter().map(ToString::to_string).collect();
                let old = changed[part].remove(position);
                changed[part].insert(position, if old == 'A' { 'B' } else { 'A' });
                let opened = Jwe::parse(&changed.join("."), &key)
                    .map(|jwe| jwe.decrypt(Some(&cek), &RANDOM));
                assert!(
                    !matches!(opened, Ok(Ok(_))),
                    "{encryption:?}: part {part} at {position}"
                );
            }
        }
    }
}

/// A padding that does not fit looks like a tag that does not: both are the one error, and the tag is compared first.
#[test]
fn refuses_a_content_that_is_authentic_and_has_no_padding() {
    let key = Seal::rsa().certificate.public_key().clone();
    let cek = vec![9; 32];
    let good = sealed(ContentEncryption::A128CbcHs256, &cek, &[0x41; 16]);
    let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    // The first block alone, with its own tag: the padding block is gone.
    let ciphertext = URL_SAFE_NO_PAD.decode(&parts[3]).unwrap()[..16].to_vec();
    let bits = (parts[0].len() as u64 * 8).to_be_bytes();
    let message = [parts[0].as_bytes(), &[7; 16], &ciphertext, &bits].concat();
    let mac = ring::hmac::sign(
        &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &cek[..16]),
        &message,
    );
    parts[3] = URL_SAFE_NO_PAD.encode(&ciphertext);
    parts[4] = URL_SAFE_NO_PAD.encode(&mac.as_ref()[..16]);
    let opened = Jwe::parse(&parts.join("."), &key)
        .unwrap()
        .decrypt(Some(&cek), &RANDOM);
    assert_eq!(
        opened.unwrap_err().to_string(),
        "the JWE cannot be decrypted"
    );
}

#[test]
fn the_random_key_is_no_way_in() {
    let key = Seal::rsa().certificate.public_key().clone();
    let mut zero = [0; CEK_BYTES_MAX];
    zero[..32].copy_from_slice(&[9; 32]);
    let jwe = sealed(ContentEncryption::A256Gcm, &[8; 32], b"secret");
    assert!(
        Jwe::parse(&jwe, &key)
            .unwrap()
            .decrypt(None, &zero)
            .is_err()
    );
    assert!(
        Jwe::parse(&jwe, &key)
            .unwrap()
            .decrypt(Some(&[8; 31]), &zero)
            .is_err()
    );
    assert!(
        Jwe::parse(&jwe, &key)
            .unwrap()
            .decrypt(Some(&[8; 32]), &zero)
            .is_ok()
    );
}

#[test]
fn what_is_shown_of_a_jwe_is_its_kind_and_length() {
    let key = Seal::rsa().certificate.public_key().clone();
    let jwe = sealed(ContentEncryption::A256Gcm, &[8; 32], b"secret");
    let shown = format!("{:?}", Jwe::parse(&jwe, &key).unwrap());
    let expected = "Jwe { algorithm: RsaOaep, encryption: A256Gcm, ciphertext_len: 6, .. }";
    assert_eq!(shown, expected);
}

/// A JWE with another header, and an encrypted key of some length.
fn with_header(header: &Value, encrypted_key_bytes: usize) -> String {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = text(header.to_string().as_bytes());
    format!(
        "{header}.{}.{}.AA.{}",
        text(&vec![1; encrypted_key_bytes]),
        text(&[7; 12]),
        text(&[7; 16])
    )
}
