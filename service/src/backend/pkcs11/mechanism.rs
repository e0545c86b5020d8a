//! Scheme and digest in, PKCS#11 mechanism and its input out.
//!
//! Hashing happens in the service, so a key needs one mechanism only and the token sees at most 83 bytes:
//! `CKM_RSA_PKCS` over a DigestInfo (RFC 8017 section 9.2), `CKM_RSA_PKCS_PSS` and `CKM_ECDSA` over the digest
//! (PKCS#11 v2.40 mechanisms sections 2.1.10 and 2.3.6). The exception is `CKM_EDDSA` without parameters, pure Ed25519
//! over the whole message (PKCS#11 v3.0 mechanisms section 2.3.14). It never accepts a digest of another length than
//! the hash: tokens truncate or sign what they are given.

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use sealkeep_profiles::algorithm::{HashAlgorithm, SignatureScheme};

use crate::backend::{BackendError, KeySpec, KeyUsage};

/// Longest message that is signed whole (bytes): more than any string to sign, and what a token still takes at once.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Length of a DigestInfo prefix (bytes).
const PREFIX_BYTES: usize = 19;

/// DER of DigestInfo up to the digest (RFC 8017 section 9.2, note 1).
const SHA256_PREFIX: [u8; PREFIX_BYTES] =
    *b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA384_PREFIX: [u8; PREFIX_BYTES] =
    *b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
const SHA512_PREFIX: [u8; PREFIX_BYTES] =
    *b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";

/// What the token signs: a scheme and bytes that fit it. Crosses threads, as a `Mechanism` may not.
pub(super) struct SignInput {
    scheme: SignatureScheme,
    bytes: Vec<u8>,
}

impl SignInput {
    /// `input` is as [`SignatureScheme::token_input`] makes it.
    ///
    /// # Errors
    /// [`BackendError::DigestLength`], [`BackendError::MessageTooLong`].
    pub(super) fn new(scheme: SignatureScheme, input: &[u8]) -> Result<Self, BackendError> {
        let found = input.len();
        let expected = scheme.hash().len();
        match scheme.signs_whole_message() {
            true if found > MESSAGE_BYTES_MAX => {
                return Err(BackendError::MessageTooLong {
                    max: MESSAGE_BYTES_MAX,
                    found,
                });
            }
            false if found != expected => {
                return Err(BackendError::DigestLength { expected, found });
            }
            _ => {}
        }
        let prefix: &[u8] = if is_pkcs1(scheme) {
            digest_info_prefix(scheme.hash())
        } else {
            &[]
        };
        let bytes = [prefix, input].concat();
        Ok(Self { scheme, bytes })
    }

    /// How the token is to sign.
    pub(super) fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    /// The bytes for `C_Sign`.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The mechanism for `C_SignInit`.
    pub(super) fn mechanism(&self) -> Mechanism<'static> {
        match self.scheme {
            SignatureScheme::RsaPkcs1Sha256
            | SignatureScheme::RsaPkcs1Sha384
            | SignatureScheme::RsaPkcs1Sha512 => Mechanism::RsaPkcs,
            SignatureScheme::RsaPssSha256
            | SignatureScheme::RsaPssSha384
            | SignatureScheme::RsaPssSha512 => Mechanism::RsaPkcsPss(pss(self.scheme.hash())),
            SignatureScheme::EcdsaP256Sha256
            | SignatureScheme::EcdsaP384Sha384
            | SignatureScheme::EcdsaP521Sha512 => Mechanism::Ecdsa,
            SignatureScheme::Ed25519 => {
                Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
            }
        }
    }
}

/// The mechanisms a key may be used with, for `CKA_ALLOWED_MECHANISMS`.
pub(super) fn allowed(spec: KeySpec, usage: KeyUsage) -> Vec<MechanismType> {
    match spec {
        KeySpec::Rsa { .. } if usage == KeyUsage::Decrypt => vec![MechanismType::RSA_PKCS_OAEP],
        _ if usage == KeyUsage::Decrypt => vec![MechanismType::ECDH1_DERIVE],
        KeySpec::Rsa { .. } => vec![MechanismType::RSA_PKCS, MechanismType::RSA_PKCS_PSS],
        KeySpec::EcP256 | KeySpec::EcP384 | KeySpec::EcP521 => vec![MechanismType::ECDSA],
        KeySpec::Ed25519 => vec![MechanismType::EDDSA],
    }
}

fn is_pkcs1(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RsaPkcs1Sha256
            | SignatureScheme::RsaPkcs1Sha384
            | SignatureScheme::RsaPkcs1Sha512
    )
}

fn digest_info_prefix(hash: HashAlgorithm) -> &'static [u8] {
    match hash {
        HashAlgorithm::Sha256 => &SHA256_PREFIX,
        HashAlgorithm::Sha384 => &SHA384_PREFIX,
        HashAlgorithm::Sha512 => &SHA512_PREFIX,
    }
}

/// The same hash throughout and a salt as long as it: RFC 8446 section 4.2.3, RFC 7518 section 3.5.
fn pss(hash: HashAlgorithm) -> PkcsPssParams {
    let (hash_alg, mgf, salt_bytes) = match hash {
        HashAlgorithm::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
        HashAlgorithm::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
        HashAlgorithm::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
    };
    PkcsPssParams {
        hash_alg,
        mgf,
        s_len: salt_bytes.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn refuses_digest_of_another_length_than_the_hash() {
        for length in [0, 20, 31, 33, 48, 64] {
            let error = SignInput::new(SignatureScheme::EcdsaP256Sha256, &vec![1; length]).err();
            assert_eq!(
                error,
                Some(BackendError::DigestLength {
                    expected: 32,
                    found: length
                })
            );
        }
    }

    #[test]
    fn ed25519_takes_the_message_whole_up_to_the_limit() {
        let message = vec![7; MESSAGE_BYTES_MAX + 1];
        for whole in [&message[..0], &message[..33], &message[1..]] {
            let input = SignInput::new(SignatureScheme::Ed25519, whole).unwrap();
            assert_eq!(input.bytes(), whole);
        }
        let error = SignInput::new(SignatureScheme::Ed25519, &message).err();
        assert_eq!(
            error,
            Some(BackendError::MessageTooLong {
                max: MESSAGE_BYTES_MAX,
                found: MESSAGE_BYTES_MAX + 1
            })
        );
    }

    #[test]
    fn pkcs1_input_is_a_well_formed_digest_info() {
        for (scheme, length) in [
            (SignatureScheme::RsaPkcs1Sha256, 32),
            (SignatureScheme::RsaPkcs1Sha384, 48),
            (SignatureScheme::RsaPkcs1Sha512, 64),
        ] {
            let digest = vec![0xa5; length];
            let input = SignInput::new(scheme, &digest).unwrap();
            // SEQUENCE { SEQUENCE { OID, NULL }, OCTET STRING }: each length byte counts what follows it.
            let der = input.bytes();
            assert_eq!((der[0], usize::from(der[1])), (0x30, der.len() - 2));
            assert_eq!((der[2], usize::from(der[3])), (0x30, 13));
            assert_eq!((der[17], usize::from(der[18])), (0x04, length));
            assert!(der.ends_with(&digest));
        }
    }

    #[test]
    fn pss_and_ecdsa_sign_the_bare_digest() {
        for scheme in [
            SignatureScheme::RsaPssSha384,
            SignatureScheme::EcdsaP384Sha384,
        ] {
            assert_eq!(SignInput::new(scheme, &[7; 48]).unwrap().bytes(), [7; 48]);
        }
    }
}
