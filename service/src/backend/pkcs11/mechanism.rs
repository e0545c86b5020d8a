//! Scheme and digest in, PKCS#11 mechanism and its input out.
//!
//! Hashing happens in the service, so a key needs one mechanism only and the token sees at most 83 bytes:
//! `CKM_RSA_PKCS` over a DigestInfo (RFC 8017 section 9.2), `CKM_RSA_PKCS_PSS` and `CKM_ECDSA` over the digest
//! (PKCS#11 v2.40 mechanisms sections 2.1.10 and 2.3.6). It never accepts a digest of another length than the hash:
//! tokens truncate or sign what they are given.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use sealkeep_profiles::algorithm::{HashAlgorithm, SignatureScheme};

use crate::backend::{BackendError, KeySpec};

/// Longest digest (bytes): SHA-512.
const DIGEST_BYTES_MAX: usize = 64;
/// Longest DigestInfo prefix (bytes).
const PREFIX_BYTES: usize = 19;

/// DER of DigestInfo up to the digest (RFC 8017 section 9.2, note 1).
const SHA256_PREFIX: [u8; PREFIX_BYTES] =
    *b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA384_PREFIX: [u8; PREFIX_BYTES] =
    *b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
const SHA512_PREFIX: [u8; PREFIX_BYTES] =
    *b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";

/// What the token signs: a scheme and a digest that fits it. Crosses threads, as a `Mechanism` may not.
#[derive(Clone, Copy)]
pub(super) struct SignInput {
    scheme: SignatureScheme,
    bytes: [u8; PREFIX_BYTES + DIGEST_BYTES_MAX],
    length: usize,
}

impl SignInput {
    /// # Errors
    /// [`BackendError::DigestLength`].
    pub(super) fn new(scheme: SignatureScheme, digest: &[u8]) -> Result<Self, BackendError> {
        let expected = scheme.hash().len();
        if digest.len() != expected {
            return Err(BackendError::DigestLength {
                expected,
                found: digest.len(),
            });
        }
        let prefix: &[u8] = if is_pkcs1(scheme) {
            digest_info_prefix(scheme.hash())
        } else {
            &[]
        };
        let length = prefix.len() + digest.len();
        let mut bytes = [0; PREFIX_BYTES + DIGEST_BYTES_MAX];
        bytes[..prefix.len()].copy_from_slice(prefix);
        bytes[prefix.len()..length].copy_from_slice(digest);
        Ok(Self {
            scheme,
            bytes,
            length,
        })
    }

    /// The bytes for `C_Sign`.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
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
            SignatureScheme::EcdsaP256Sha256 | SignatureScheme::EcdsaP384Sha384 => Mechanism::Ecdsa,
        }
    }
}

/// The mechanisms a key may be used with, for `CKA_ALLOWED_MECHANISMS`.
pub(super) fn allowed(spec: KeySpec) -> Vec<MechanismType> {
    match spec {
        KeySpec::Rsa { .. } => vec![MechanismType::RSA_PKCS, MechanismType::RSA_PKCS_PSS],
        KeySpec::EcP256 | KeySpec::EcP384 => vec![MechanismType::ECDSA],
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
