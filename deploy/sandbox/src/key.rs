//! Software keys of the pretend parties: the QTSP, the bank, the internal PKI.
//!
//! In: a kind of key, or PKCS#8 PEM. Out: a key that signs certificates (through rcgen) and messages (through ring).
//! Never a key of the TPP: those live in a token.

mod sign;

use std::fmt;
use std::path::Path;

use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rsa::pkcs8::EncodePrivateKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::files::{self, FileError};

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyKind {
    /// Elliptic curve P-256.
    EcP256,
    /// RSA with a modulus of 2048 bits.
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    #[value(name = "rsa-3072")]
    Rsa3072,
}

/// A private key in memory.
pub struct SoftwareKey {
    pair: rcgen::KeyPair,
    signer: Signer,
}

enum Signer {
    Rsa(RsaKeyPair),
    EcP256(EcdsaKeyPair),
}

/// A key that cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The generator failed, which means that the machine has no randomness or no memory.
    #[error("no key could be generated: {0}")]
    Generate(String),
    /// Not a PKCS#8 key of a kind this crate knows: EC P-256, or RSA of 2048 bits and more.
    #[error("not a usable private key: {0}")]
    Unusable(String),
    /// The scheme does not fit the key.
    #[error("a key of this kind cannot sign with {0}")]
    Scheme(&'static str),
    /// The key file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl SoftwareKey {
    /// Makes a new key. RSA takes up to some seconds in a debug build.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let failed = |error: String| KeyError::Generate(error);
        match kind {
            KeyKind::EcP256 => {
                let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                    .map_err(|error| failed(error.to_string()))?;
                Self::from_pkcs8(&PrivatePkcs8KeyDer::from(pair.serialized_der()))
            }
            KeyKind::Rsa2048 => generate_rsa(2048),
            KeyKind::Rsa3072 => generate_rsa(3072),
        }
    }

    /// Reads PKCS#8 PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|error| KeyError::Unusable(error.to_string()))?;
        Self::from_pkcs8(&der)
    }

    /// Reads PKCS#8 DER.
    pub fn from_pkcs8(der: &PrivatePkcs8KeyDer<'_>) -> Result<Self, KeyError> {
        let bytes = der.secret_pkcs8_der();
        let (algorithm, signer) = match RsaKeyPair::from_pkcs8(bytes) {
            Ok(pair) => (&rcgen::PKCS_RSA_SHA256, Signer::Rsa(pair)),
            Err(_) => {
                let random = SystemRandom::new();
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &random)
                        .map_err(|error| KeyError::Unusable(error.to_string()))?;
                (&rcgen::PKCS_ECDSA_P256_SHA256, Signer::EcP256(pair))
            }
        };
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(der, algorithm)
            .map_err(|error| KeyError::Unusable(error.to_string()))?;
        Ok(Self { pair, signer })
    }

    /// Reads a key file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&files::read(path)?)
    }

    /// Writes a key file for its owner only.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        Ok(files::write_secret(path, &self.pair.serialize_pem())?)
    }

    /// The key as rcgen wants it, for signing certificates.
    pub fn pair(&self) -> &rcgen::KeyPair {
        &self.pair
    }

    /// Whether it is an RSA key.
    pub fn is_rsa(&self) -> bool {
        matches!(self.signer, Signer::Rsa(_))
    }

    /// The key as rustls wants it, for a TLS server of a pretend party.
    pub fn secret_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into()
    }
}

#[allow(
    clippy::disallowed_types,
    reason = "keys of pretend parties are software keys"
)]
fn generate_rsa(bits: usize) -> Result<SoftwareKey, KeyError> {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits)
        .map_err(|error| KeyError::Generate(error.to_string()))?;
    let der = key
        .to_pkcs8_der()
        .map_err(|error| KeyError::Generate(error.to_string()))?;
    SoftwareKey::from_pkcs8(&PrivatePkcs8KeyDer::from(der.as_bytes()))
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.signer {
            Signer::Rsa(pair) => format!("rsa-{}", pair.public().modulus_len() * 8),
            Signer::EcP256(_) => "ec-p256".to_owned(),
        };
        f.debug_tuple("SoftwareKey")
            .field(&kind)
            .finish_non_exhaustive()
    }
}
