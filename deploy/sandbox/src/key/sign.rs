//! Signing of messages with a software key, through ring.
//!
//! In: a scheme and the whole message. Out: the raw signature as sealkeep-profiles takes it. Never a digest in: ring
//! hashes by itself.

use ring::rand::SystemRandom;
use ring::signature::{self, RsaEncoding};
use sealkeep_profiles::algorithm::SignatureScheme;

use super::{KeyError, Signer, SoftwareKey};

impl SoftwareKey {
    /// Signs a message. RSA: the signature as is; ECDSA: r||s (RFC 7518 §3.4).
    pub fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Scheme(scheme.name());
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Rsa(pair) => {
                let encoding = rsa_encoding(scheme).ok_or(KeyError::Scheme(scheme.name()))?;
                let mut raw = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut raw)
                    .map_err(failed)?;
                Ok(raw)
            }
            Signer::EcP256(pair) if scheme == SignatureScheme::EcdsaP256Sha256 => Ok(pair
                .sign(&random, message)
                .map_err(failed)?
                .as_ref()
                .to_vec()),
            Signer::EcP256(_) => Err(KeyError::Scheme(scheme.name())),
        }
    }
}

fn rsa_encoding(scheme: SignatureScheme) -> Option<&'static dyn RsaEncoding> {
    match scheme {
        SignatureScheme::RsaPkcs1Sha256 => Some(&signature::RSA_PKCS1_SHA256),
        SignatureScheme::RsaPkcs1Sha384 => Some(&signature::RSA_PKCS1_SHA384),
        SignatureScheme::RsaPkcs1Sha512 => Some(&signature::RSA_PKCS1_SHA512),
        SignatureScheme::RsaPssSha256 => Some(&signature::RSA_PSS_SHA256),
        SignatureScheme::RsaPssSha384 => Some(&signature::RSA_PSS_SHA384),
        SignatureScheme::RsaPssSha512 => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}
