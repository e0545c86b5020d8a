//! Builds SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) from what a token says about a public key.
//!
//! In: attribute values. Out: DER, in the one form that certificates carry too, so that its hash can be the pin.
//! It never trusts a token's encoding: the elliptic-curve point comes as an OCTET STRING, and bare from some.

use cryptoki::object::{Attribute, KeyType as ObjectType};
use der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use sealkeep_profiles::algorithm::{KeyType, PublicKey};

use crate::backend::BackendError;

/// DER of the OID of P-256, `CKA_EC_PARAMS` (RFC 5480 section 2.1.1.1).
pub(super) const P256_OID_DER: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// DER of the OID of P-384.
pub(super) const P384_OID_DER: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";

/// DER of the OID of P-521.
pub(super) const P521_OID_DER: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";
/// `CKA_EC_PARAMS` of Ed25519 keys by name: PrintableString `edwards25519` (PKCS#11 v3.0 mechanisms section 2.3.5).
pub(super) const ED25519_NAME_DER: &[u8] = b"\x13\x0cedwards25519";
/// The same by OID, as newer tokens say it (PKCS#11 v3.1, RFC 8410 section 3).
const ED25519_OID_DER: &[u8] = b"\x06\x03\x2b\x65\x70";
/// Length of an Ed25519 public key (bytes).
const ED25519_KEY_BYTES: usize = 32;

/// DER of the OID id-ecPublicKey (RFC 5480 section 2.1.1).
const EC_PUBLIC_KEY_OID_DER: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
/// DER of rsaEncryption with its NULL parameters (RFC 3279 section 2.3.1).
const RSA_ALGORITHM_DER: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// First byte of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 0x04;

/// RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// RFC 5280 section 4.1.2.7.
#[derive(Sequence)]
struct SpkiRef<'a> {
    _algorithm: AnyRef<'a>,
    key: BitStringRef<'a>,
}

/// From `CKA_MODULUS` and `CKA_PUBLIC_EXPONENT`, both big-endian.
///
/// # Errors
/// [`BackendError::Malformed`]; also for keys that [`PublicKey`] refuses, as RSA below 2048 bits.
pub(super) fn of_rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, BackendError> {
    let encode = || -> der::Result<Vec<u8>> {
        let key = RsaPublicKey {
            modulus: UintRef::new(modulus)?,
            exponent: UintRef::new(exponent)?,
        };
        wrap(RSA_ALGORITHM_DER, &key.to_der()?)
    };
    parse(&encode().map_err(|e| malformed("RSA public key", &e))?)
}

/// From `CKA_EC_PARAMS` and `CKA_EC_POINT`.
///
/// # Errors
/// [`BackendError::Malformed`], for other curves and other forms of the point too.
pub(super) fn of_ec(params: &[u8], point: &[u8]) -> Result<PublicKey, BackendError> {
    let coordinate_bytes = match params {
        P256_OID_DER => 32,
        P384_OID_DER => 48,
        P521_OID_DER => 66,
        _ => {
            return Err(BackendError::Malformed(
                "CKA_EC_PARAMS names another curve".to_owned(),
            ));
        }
    };
    let bare = unwrapped(point);
    if bare.len() != 1 + 2 * coordinate_bytes || bare[0] != UNCOMPRESSED {
        return Err(BackendError::Malformed(format!(
            "CKA_EC_POINT of {} bytes",
            point.len()
        )));
    }
    let algorithm = sequence(&[EC_PUBLIC_KEY_OID_DER, params].concat());
    parse(&wrap(&algorithm, bare).map_err(|e| malformed("EC public key", &e))?)
}

/// From `CKA_EC_PARAMS` and `CKA_EC_POINT` of a key on an Edwards curve.
///
/// # Errors
/// [`BackendError::Malformed`], for other curves too.
pub(super) fn of_edwards(params: &[u8], point: &[u8]) -> Result<PublicKey, BackendError> {
    if ![ED25519_NAME_DER, ED25519_OID_DER].contains(&params) {
        return Err(BackendError::Malformed(
            "CKA_EC_PARAMS names another Edwards curve".to_owned(),
        ));
    }
    let bare = unwrapped(point);
    if bare.len() != ED25519_KEY_BYTES {
        return Err(BackendError::Malformed(format!(
            "CKA_EC_POINT of {} bytes",
            point.len()
        )));
    }
    let algorithm = sequence(ED25519_OID_DER);
    parse(&wrap(&algorithm, bare).map_err(|e| malformed("Ed25519 public key", &e))?)
}

/// The attributes of the public object of a key, the other way round. Empty for other types of keys.
pub(super) fn attributes(public: &PublicKey) -> Vec<Attribute> {
    let spki = public.spki_der();
    let curve = |key_type, params: &[u8], point_bytes: usize| {
        // Cannot fail: such a key ends in its point, and a point is shorter than an OCTET STRING may be.
        let point = spki.get(spki.len().saturating_sub(point_bytes)..);
        let point = OctetStringRef::new(point.unwrap_or_default()).and_then(|point| point.to_der());
        vec![
            Attribute::KeyType(key_type),
            Attribute::EcParams(params.to_vec()),
            Attribute::EcPoint(point.unwrap_or_default()),
        ]
    };
    match public.key_type() {
        KeyType::EcP256 => curve(ObjectType::EC, P256_OID_DER, 65),
        KeyType::EcP384 => curve(ObjectType::EC, P384_OID_DER, 97),
        KeyType::EcP521 => curve(ObjectType::EC, P521_OID_DER, 133),
        KeyType::Ed25519 => curve(ObjectType::EC_EDWARDS, ED25519_NAME_DER, ED25519_KEY_BYTES),
        KeyType::Rsa { .. } => rsa_attributes(spki),
        _ => Vec::new(),
    }
}

fn rsa_attributes(spki: &[u8]) -> Vec<Attribute> {
    let numbers = |key: RsaPublicKey<'_>| {
        vec![
            Attribute::KeyType(ObjectType::RSA),
            Attribute::Modulus(key.modulus.as_bytes().to_vec()),
            Attribute::PublicExponent(key.exponent.as_bytes().to_vec()),
        ]
    };
    let bits = SpkiRef::from_der(spki).map(|spki| spki.key.raw_bytes());
    let key = bits.and_then(RsaPublicKey::from_der);
    key.map(numbers).unwrap_or_default()
}

/// The point without the OCTET STRING around it, if there is one.
pub(super) fn unwrapped(point: &[u8]) -> &[u8] {
    match <&OctetStringRef>::from_der(point) {
        Ok(octets) => octets.as_bytes(),
        Err(_) => point,
    }
}

/// `SEQUENCE { algorithm, BIT STRING key }`.
fn wrap(algorithm: &[u8], key: &[u8]) -> der::Result<Vec<u8>> {
    let bits = BitStringRef::from_bytes(key)?.to_der()?;
    Ok(sequence(&[algorithm, &bits].concat()))
}

/// `SEQUENCE` around content below 64 KiB, which every public key is.
fn sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![0x30];
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        _ => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend_from_slice(content);
    der
}

fn parse(spki: &[u8]) -> Result<PublicKey, BackendError> {
    PublicKey::from_spki_der(spki).map_err(|e| malformed("public key", &e))
}

fn malformed(what: &str, problem: &impl ToString) -> BackendError {
    BackendError::Malformed(format!("{what}: {}", problem.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// The base point of P-256 (SEC 2 section 2.4.2), uncompressed, and its SubjectPublicKeyInfo as openssl writes it.
    fn p256_point() -> (Vec<u8>, Vec<u8>) {
        let point = hex::decode(concat!(
            "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
        ));
        let head = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        let point = point.unwrap();
        let spki = [head, point.clone()].concat();
        (point, spki)
    }

    #[test]
    fn ec_key_is_the_same_from_wrapped_and_bare_point() {
        let (bare, spki) = p256_point();
        let wrapped = [&[0x04, 65], bare.as_slice()].concat();
        for point in [bare, wrapped] {
            assert_eq!(of_ec(P256_OID_DER, &point).unwrap().spki_der(), spki);
        }
    }

    #[test]
    fn refuses_other_curves_and_odd_points() {
        let (point, _) = p256_point();
        let secp256k1 = b"\x06\x05\x2b\x81\x04\x00\x0a";
        for (params, point) in [
            (secp256k1.as_slice(), point.as_slice()),
            (P384_OID_DER, &point),
            (P256_OID_DER, &point[..64]),
            (P256_OID_DER, &[]),
        ] {
            assert_eq!(
                of_ec(params, point).err().unwrap().reason(),
                "TOKEN_MALFORMED_ANSWER"
            );
        }
    }

    #[test]
    fn ed25519_key_is_the_same_by_name_and_by_oid_wrapped_and_bare() {
        // The public key of RFC 8410 section 10.1, and its SubjectPublicKeyInfo there.
        let bare = hex::decode("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
        let bare = bare.unwrap();
        let head = hex::decode("302a300506032b6570032100").unwrap();
        let spki = [head, bare.clone()].concat();
        let wrapped = [&[0x04, 32], bare.as_slice()].concat();
        for params in [ED25519_NAME_DER, ED25519_OID_DER] {
            for point in [&bare, &wrapped] {
                assert_eq!(of_edwards(params, point).unwrap().spki_der(), spki);
            }
        }
        let edwards448 = b"\x13\x0aedwards448".as_slice();
        for (params, point) in [(edwards448, &bare[..]), (ED25519_NAME_DER, &bare[1..])] {
            assert_eq!(
                of_edwards(params, point).err().unwrap().reason(),
                "TOKEN_MALFORMED_ANSWER"
            );
        }
    }

    #[test]
    fn refuses_short_rsa_and_empty_modulus() {
        for modulus in [vec![], vec![0xc1; 128]] {
            assert_eq!(
                of_rsa(&modulus, &[1, 0, 1]).err().unwrap().reason(),
                "TOKEN_MALFORMED_ANSWER"
            );
        }
    }

    #[test]
    fn rsa_key_carries_modulus_and_exponent() {
        let modulus = vec![0xc1; 256];
        let key = of_rsa(&modulus, &[0, 1, 0, 1]).unwrap();
        assert!(key.spki_der().windows(256).any(|window| window == modulus));
        assert!(key.spki_der().ends_with(b"\x02\x03\x01\x00\x01"));
    }
}
