//! Keys: what is refused, what verifies, and the two spellings of ECDSA.

use sealkeep_profiles::algorithm::{
    KeyError, KeyType, PublicKey, SignatureScheme, ecdsa_der_to_raw, ecdsa_raw_to_der,
};

use sealkeep_profiles::profile::Profile;

use crate::support::*;

fn spki(seal: &Seal) -> Vec<u8> {
    seal.certificate.public_key().spki_der().to_vec()
}

#[test]
fn every_scheme_signs_and_verifies_and_no_other_takes_its_signature() {
    let seals = Seal::each();
    for scheme in SignatureScheme::ALL {
        for seal in &seals {
            let key = seal.certificate.public_key();
            if !scheme.fits(&key.key_type()) {
                assert!(key.verify(scheme, b"m", &[0; 64]).is_err());
                continue;
            }
            let raw = seal.sign(scheme, b"message");
            key.verify(scheme, b"message", &raw).unwrap();
            assert!(key.verify(scheme, b"massage", &raw).is_err());
            for other in SignatureScheme::ALL
                .into_iter()
                .filter(|other| *other != scheme)
            {
                assert!(
                    key.verify(other, b"message", &raw).is_err(),
                    "{scheme} as {other}"
                );
            }
        }
    }
}

#[test]
fn names_of_schemes_are_the_same_in_profiles_and_records() {
    for scheme in SignatureScheme::ALL {
        let json = serde_json::to_value(scheme).unwrap();
        assert_eq!(json.as_str(), Some(scheme.name()));
        assert_eq!(scheme.to_string(), scheme.name());
    }
}

#[test]
fn key_types_are_read_from_the_key() {
    let types: Vec<String> = Seal::each()
        .iter()
        .map(|seal| seal.certificate.public_key().key_type().to_string())
        .collect();
    assert_eq!(
        types,
        ["rsa-2048", "ec-p256", "ec-p384", "ec-p521", "ed25519"]
    );
}

#[test]
fn ed25519_takes_the_message_whole_and_every_other_scheme_a_digest() {
    for scheme in SignatureScheme::ALL {
        let expected = match scheme {
            SignatureScheme::Ed25519 => b"message".to_vec(),
            other => other.hash().digest(b"message"),
        };
        assert_eq!(scheme.token_input(b"message"), expected, "{scheme}");
    }
    let seal = Seal::ed25519();
    let prepared = custom_ed25519()
        .prepare(
            &request("GET", "/", &[("x-request-id", "1")], b""),
            &seal.certificate,
            &no_settings(),
            vector_time(),
        )
        .unwrap();
    assert_eq!(prepared.token_input(), prepared.to_be_signed());
    assert_eq!(prepared.digest().len(), 64);
    seal.finish(prepared);
}

fn custom_ed25519() -> Profile {
    Profile::from_toml(
        "name = \"ed\"\ntitle = \"t\"\nsource = \"s\"\nconfidence = \"seen\"\n[request.cavage]\n\
         key_id = \"serial-hex\"\nsigned = [\"x-request-id\"]\n[[request.cavage.scheme]]\nscheme = \"ed25519\"\n",
    )
    .unwrap()
}

#[test]
fn the_names_of_jose_and_of_rfc_9421_are_the_registered_ones() {
    let jose = SignatureScheme::ALL.map(SignatureScheme::jws_name);
    assert_eq!(
        jose,
        [
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
            "EdDSA"
        ]
    );
    let registered: Vec<_> = SignatureScheme::ALL
        .into_iter()
        .filter_map(|scheme| Some((scheme.name(), scheme.http_message_name()?)))
        .collect();
    assert_eq!(
        registered,
        [
            ("rsa-pkcs1-sha256", "rsa-v1_5-sha256"),
            ("rsa-pss-sha512", "rsa-pss-sha512"),
            ("ecdsa-p256-sha256", "ecdsa-p256-sha256"),
            ("ecdsa-p384-sha384", "ecdsa-p384-sha384"),
            ("ed25519", "ed25519"),
        ]
    );
}

#[test]
fn refuses_ed25519_keys_in_another_form() {
    let der = spki(&Seal::ed25519());
    assert_eq!(hex::encode(&der[..12]), "302a300506032b6570032100");
    // With NULL parameters, and one byte short.
    let null = [
        &hex::decode("302c300706032b65700500032100").unwrap(),
        &der[12..],
    ]
    .concat();
    let short = [
        &hex::decode("3029300506032b6570032000").unwrap(),
        &der[13..],
    ]
    .concat();
    for (der, what) in [
        (null, "id-Ed25519 parameters are not absent"),
        (short, "Ed25519 key is not 32 bytes long"),
    ] {
        let error = PublicKey::from_spki_der(&der).unwrap_err();
        assert_eq!(error, KeyError::Malformed { what });
    }
}

#[test]
fn refuses_a_p521_point_off_the_curve_and_signatures_out_of_range() {
    let seal = Seal::p521();
    let scheme = SignatureScheme::EcdsaP521Sha512;
    let raw = seal.sign(scheme, b"m");
    assert_eq!(raw.len(), 132);
    let mut der = spki(&seal);
    *der.last_mut().unwrap() ^= 1;
    let off = PublicKey::from_spki_der(&der).unwrap();
    assert!(off.verify(scheme, b"m", &raw).is_err());
    let key = seal.certificate.public_key();
    key.verify(scheme, b"m", &raw).unwrap();
    for wrong in [vec![0; 132], vec![0xff; 132], raw[1..].to_vec(), vec![]] {
        assert!(key.verify(scheme, b"m", &wrong).is_err());
    }
}

#[test]
fn a_key_is_pinned_by_the_hash_of_its_spki() {
    let seal = Seal::p256();
    let key = PublicKey::from_spki_der(&spki(&seal)).unwrap();
    assert_eq!(key, *seal.certificate.public_key());
    assert_eq!(key.spki_sha256().to_vec(), sha256(key.spki_der()));
}

#[test]
fn every_truncation_and_extension_of_a_key_is_refused() {
    for seal in Seal::each() {
        let der = spki(&seal);
        for len in 0..der.len() {
            assert!(PublicKey::from_spki_der(&der[..len]).is_err(), "{len}");
        }
        let longer = [der, vec![0]].concat();
        assert!(PublicKey::from_spki_der(&longer).is_err());
    }
}

/// RSAPublicKey in a SubjectPublicKeyInfo, for keys no library would make.
pub(crate) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| tlv(0x02, &[&[0], bytes].concat());
    let key = tlv(0x30, &[integer(modulus), tlv(0x02, exponent)].concat());
    let algorithm = hex::decode("300d06092a864886f70d0101010500").unwrap();
    tlv(
        0x30,
        &[algorithm, tlv(0x03, &[&[0], key.as_slice()].concat())].concat(),
    )
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap();
    let mut bytes = vec![tag];
    match len {
        0..=127 => bytes.push(u8::try_from(len).unwrap()),
        _ => bytes.extend([&[0x82], len.to_be_bytes().as_slice()].concat()),
    }
    // 0x81 is the only DER form between 128 and 255.
    if (128..256).contains(&len) {
        bytes = vec![tag, 0x81, u8::try_from(len).unwrap()];
    }
    [bytes, content.to_vec()].concat()
}

#[test]
fn refuses_rsa_below_2048_and_above_8192_bits_and_odd_exponents() {
    let exponent = [1, 0, 1];
    let bits = |len: usize, top: u8| {
        let mut modulus = vec![0xff; len];
        modulus[0] = top;
        PublicKey::from_spki_der(&rsa_spki(&modulus, &exponent)).map(|key| key.key_type())
    };
    assert_eq!(bits(128, 0xff), Err(KeyError::RsaLength { bits: 1024 }));
    assert_eq!(
        bits(256, 0x7f).unwrap_err(),
        KeyError::Malformed {
            what: "RSAPublicKey"
        }
    );
    assert_eq!(bits(256, 0x80), Ok(KeyType::Rsa { bits: 2048 }));
    assert_eq!(bits(1025, 0x80), Err(KeyError::RsaLength { bits: 8200 }));
    for exponent in [&[1][..], &[2], &[1, 0, 0]] {
        let key = PublicKey::from_spki_der(&rsa_spki(&[0xff; 256], exponent));
        assert_eq!(
            key.unwrap_err(),
            KeyError::Malformed {
                what: "RSA exponent"
            }
        );
    }
}

#[test]
fn refuses_other_curves_and_algorithms_by_name() {
    let replaced = |from: &str, to: &str| {
        let der = hex::encode(spki(&Seal::p256()));
        assert!(der.contains(from));
        PublicKey::from_spki_der(&hex::decode(der.replacen(from, to, 1)).unwrap()).unwrap_err()
    };
    // prime256v1 -> another OID of the same length.
    assert_eq!(
        replaced("06082a8648ce3d030107", "06082a8648ce3d030101"),
        KeyError::CurveUnsupported {
            oid: "1.2.840.10045.3.1.1".into()
        }
    );
    assert_eq!(
        replaced("06072a8648ce3d0201", "06072a8648ce3d0202"),
        KeyError::AlgorithmUnsupported {
            oid: "1.2.840.10045.2.2".into()
        }
    );
    // A compressed point.
    assert_eq!(
        replaced("03420004", "03420002"),
        KeyError::Malformed {
            what: "EC point is not uncompressed"
        }
    );
}

#[test]
fn ecdsa_signatures_change_their_spelling_and_nothing_else() {
    for (seal, scheme, half) in [
        (Seal::p256(), SignatureScheme::EcdsaP256Sha256, 32),
        (Seal::p384(), SignatureScheme::EcdsaP384Sha384, 48),
        (Seal::p521(), SignatureScheme::EcdsaP521Sha512, 66),
    ] {
        let raw = seal.sign(scheme, b"m");
        let der = ecdsa_raw_to_der(&raw).unwrap();
        assert_eq!(ecdsa_der_to_raw(&der, half).unwrap(), raw);
        for len in 0..der.len() {
            assert!(ecdsa_der_to_raw(&der[..len], half).is_err());
        }
        assert!(ecdsa_der_to_raw(&[der, vec![0]].concat(), half).is_err());
    }
    let small = [vec![0; 31], vec![0x80], vec![0; 31], vec![0x01]].concat();
    assert_eq!(
        hex::encode(ecdsa_raw_to_der(&small).unwrap()),
        "300702020080020101"
    );
}

#[test]
fn refuses_ecdsa_signatures_that_are_not_der() {
    for wrong in [
        "",
        "3006020101",
        "300602018102010100",
        "3006020181020101",
        "300702020001020101",
        "30800201010201010000",
    ] {
        assert!(
            ecdsa_der_to_raw(&hex::decode(wrong).unwrap(), 32).is_err(),
            "{wrong}"
        );
    }
    let wide = tlv(0x30, &[tlv(0x02, &[0x7f; 33]), tlv(0x02, &[1])].concat());
    assert!(ecdsa_der_to_raw(&wide, 32).is_err());
    for len in [0, 63, 65, 128] {
        assert!(ecdsa_raw_to_der(&vec![1; len]).is_err(), "{len}");
    }
}
