//! Protection of messages by a shared secret: password-based MAC (RFC 4210 section 5.1.3.1, RFC 9810 section 5.1.3.1).
//!
//! In: the secret that the QTSP gave out, bytes. Out: an AlgorithmIdentifier with its MAC, or whether one is right. We write
//! SHA-256 and HMAC-SHA-256; answers may carry HMAC-SHA-1 too, which OpenSSL writes and which is sound as a MAC.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, SliceReader};
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

use crate::CmpError;
use crate::wire::{integer, null, object, octets, sequence};

const PASSWORD_BASED_MAC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113533.7.66.13");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const HMAC_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
/// RFC 4210 appendix D.2 and RFC 8018 appendix B.1.1 name the same algorithm twice.
const HMAC_SHA_1: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.8.1.2"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.2.7"),
];
/// How often we hash; RFC 9481 section 6.1.1 asks for 10,000 or more.
const ITERATIONS: u32 = 10_000;
/// How often an answer may have us hash.
const ITERATIONS_MAX: u32 = 100_000;

/// The MAC of `protected` with its AlgorithmIdentifier.
pub(crate) struct Protection {
    algorithm: Vec<u8>,
    key: hmac::Key,
}

impl Protection {
    pub(crate) fn new(secret: &SecretString, salt: &[u8; 16]) -> Self {
        let parameters = sequence(&[
            octets(salt),
            sequence(&[object(&SHA_256), null()]),
            integer(i64::from(ITERATIONS)),
            sequence(&[object(&HMAC_SHA_256), null()]),
        ]);
        Self {
            algorithm: sequence(&[object(&PASSWORD_BASED_MAC), parameters]),
            key: hmac::Key::new(
                hmac::HMAC_SHA256,
                base_key(secret, salt, ITERATIONS).as_ref(),
            ),
        }
    }

    /// DER.
    pub(crate) fn algorithm(&self) -> &[u8] {
        &self.algorithm
    }

    pub(crate) fn mac(&self, protected: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, protected)
    }
}

/// Whether a protection is one by a secret at all. `algorithm` is the content of its AlgorithmIdentifier.
pub(crate) fn is_password_based(algorithm: &[u8]) -> bool {
    let oid =
        SliceReader::new(algorithm).and_then(|mut fields| ObjectIdentifier::decode(&mut fields));
    oid.is_ok_and(|oid| oid == PASSWORD_BASED_MAC)
}

/// Whether a message is protected by this secret. `algorithm` is the content of its AlgorithmIdentifier.
pub(crate) fn verify(
    secret: &SecretString,
    algorithm: &[u8],
    protected: &[u8],
    mac: &[u8],
) -> Result<(), CmpError> {
    let malformed = |_| CmpError::Malformed("protection");
    let mut fields = SliceReader::new(algorithm).map_err(malformed)?;
    if ObjectIdentifier::decode(&mut fields).map_err(malformed)? != PASSWORD_BASED_MAC {
        return Err(CmpError::Unprotected);
    }
    let parameters = AnyRef::decode(&mut fields).map_err(malformed)?;
    let mut fields = SliceReader::new(parameters.value()).map_err(malformed)?;
    let salt = <&OctetStringRef>::decode(&mut fields).map_err(malformed)?;
    let hash = identifier(&mut fields)?;
    let iterations = u32::decode(&mut fields).map_err(malformed)?;
    let mac_algorithm = match identifier(&mut fields)? {
        HMAC_SHA_256 => hmac::HMAC_SHA256,
        other if HMAC_SHA_1.contains(&other) => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        _ => return Err(CmpError::Unprotected),
    };
    if hash != SHA_256 || !(1..=ITERATIONS_MAX).contains(&iterations) {
        return Err(CmpError::Unprotected);
    }
    let key = base_key(secret, salt.as_bytes(), iterations);
    let key = hmac::Key::new(mac_algorithm, key.as_ref());
    hmac::verify(&key, protected, mac).map_err(|_| CmpError::Unprotected)
}

/// The first field of an AlgorithmIdentifier.
fn identifier(fields: &mut SliceReader<'_>) -> Result<ObjectIdentifier, CmpError> {
    let malformed = |_| CmpError::Malformed("protection");
    let whole = AnyRef::decode(fields).map_err(malformed)?;
    let mut inner = SliceReader::new(whole.value()).map_err(malformed)?;
    ObjectIdentifier::decode(&mut inner).map_err(malformed)
}

/// The hash of secret and salt, hashed again and again.
fn base_key(secret: &SecretString, salt: &[u8], iterations: u32) -> digest::Digest {
    let mut first = digest::Context::new(&digest::SHA256);
    first.update(secret.expose_secret().as_bytes());
    first.update(salt);
    let mut key = first.finish();
    for _ in 1..iterations {
        key = digest::digest(&digest::SHA256, key.as_ref());
    }
    key
}
