//! The private key's part of a decryption, and the proof that a key can do it.
//!
//! In: an encrypted key or an ephemeral public key, as a JWE brings it. Out: the unwrapped key or the shared secret. Never: a
//! difference that a sender could see between an encrypted key that was malformed and one that was not ours.
//! Serves PKCS#11 v2.40 mechanisms sections 2.1.8 (`CKM_RSA_PKCS_OAEP`) and 2.3.8 (`CKM_ECDH1_DERIVE`).

use std::borrow::Cow;

use cryptoki::error::RvError;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{
    Attribute, AttributeType, KeyType as ObjectType, ObjectClass, ObjectHandle,
};
use cryptoki::session::Session;
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::SystemRandom;
use rsa::pkcs8::DecodePublicKey;
use rsa::rand_core::OsRng;
use rsa::{Oaep, RsaPublicKey};
use sealkeep_profiles::algorithm::{KeyType, PublicKey};
use sealkeep_profiles::format::jwe::{KeyManagement, OaepHash, TokenWork};
use zeroize::Zeroizing;

use super::key_table::KnownKey;
use super::objects::Verdict;
use super::recovery::{Class, Fault};
use crate::backend::{BackendError, Unwrapped};

/// Encrypted to every key before it is used. It never leaves this module.
const SELF_TEST_SECRET: &[u8; 32] = b"Sealkeep self-test: no real key.";

/// What the token decrypts. Crosses threads, as a `Mechanism` may not.
pub(super) enum DecryptInput {
    Oaep {
        hash: OaepHash,
        encrypted_key: Vec<u8>,
    },
    Ecdh {
        /// Uncompressed (SEC 1 section 2.3.3).
        point: Vec<u8>,
        /// The width of the field: what the x coordinate takes.
        secret_bytes: usize,
    },
}

impl DecryptInput {
    /// # Errors
    /// [`BackendError::SchemeUnfit`] unless the work is for a key of this type.
    pub(super) fn new(work: TokenWork<'_>, key: KeyType) -> Result<Self, BackendError> {
        let unfit = |scheme| BackendError::SchemeUnfit {
            key_type: key.to_string(),
            scheme: Cow::Borrowed(scheme),
        };
        match (work, key) {
            (
                TokenWork::RsaOaep {
                    hash,
                    encrypted_key,
                },
                KeyType::Rsa { .. },
            ) => Ok(Self::Oaep {
                hash,
                encrypted_key: encrypted_key.to_vec(),
            }),
            (TokenWork::Ecdh { peer }, _) if peer.key_type() == key => {
                let secret_bytes = field_bytes(key).ok_or_else(|| unfit("ECDH-ES"))?;
                let point = point(peer, secret_bytes);
                Ok(Self::Ecdh {
                    point: point.ok_or_else(|| unfit("ECDH-ES"))?.to_vec(),
                    secret_bytes,
                })
            }
            (TokenWork::RsaOaep { hash, .. }, _) => Err(unfit(oaep_name(hash))),
            (TokenWork::Ecdh { .. }, _) => Err(unfit("ECDH-ES")),
        }
    }

    /// The JWE algorithm, for errors.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Oaep { hash, .. } => oaep_name(*hash),
            Self::Ecdh { .. } => "ECDH-ES",
        }
    }

    /// Lets the token work.
    fn run(&self, session: &Session, key: ObjectHandle) -> Result<Unwrapped, Fault> {
        match self {
            Self::Oaep {
                hash,
                encrypted_key,
            } => {
                let decrypted = session.decrypt(&oaep(*hash), key, encrypted_key);
                match decrypted.map_err(Fault::from) {
                    Ok(plain) => Ok(Some(Zeroizing::new(plain))),
                    Err(fault) if did_not_fit(&fault) => Ok(None),
                    Err(fault) => Err(fault),
                }
            }
            Self::Ecdh {
                point,
                secret_bytes,
            } => derive(session, key, point, *secret_bytes).map(Some),
        }
    }
}

/// The token has no such mechanism, or not with this hash: SoftHSM 2.6 and 2.7 take OAEP with SHA-1 only, and say
/// `CKR_ARGUMENTS_BAD` to all else.
pub(super) fn lacks(fault: &Fault) -> bool {
    let about_parameters = [RvError::ArgumentsBad, RvError::MechanismParamInvalid];
    fault.lacks_mechanism() || fault.rv().is_some_and(|rv| about_parameters.contains(&rv))
}

/// What tokens answer to `C_Decrypt` when the padding is wrong. SoftHSM says `CKR_GENERAL_ERROR`; were that taken for a
/// broken device, whoever sends us nonsense would cost us the connection to the token.
fn did_not_fit(fault: &Fault) -> bool {
    let unfit = [
        RvError::EncryptedDataInvalid,
        RvError::EncryptedDataLenRange,
        RvError::DataInvalid,
        RvError::DataLenRange,
        RvError::GeneralError,
        RvError::FunctionFailed,
    ];
    fault.is_from_decrypt() && fault.rv().is_some_and(|rv| unfit.contains(&rv))
}

/// As [`DecryptInput::run`], for a token that answers to wrong padding as a broken device does (kryoptic:
/// `CKR_DEVICE_ERROR`). If it still decrypts what we encrypt to the key ourselves, it was the sender's fault.
pub(super) fn run(
    input: &DecryptInput,
    session: &Session,
    key: &KnownKey,
) -> Result<Unwrapped, Fault> {
    let outcome = input.run(session, key.handle);
    match &outcome {
        Err(fault) if fault.is_from_decrypt() && fault.class() == Class::Device => {
            match self_test(session, key) {
                Ok(Ok(_)) => Ok(None),
                _ => outcome,
            }
        }
        _ => outcome,
    }
}

fn oaep(hash: OaepHash) -> Mechanism<'static> {
    let (hash, mgf) = match hash {
        OaepHash::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        OaepHash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
    };
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()))
}

const fn oaep_name(hash: OaepHash) -> &'static str {
    match hash {
        OaepHash::Sha1 => KeyManagement::RsaOaep.name(),
        OaepHash::Sha256 => KeyManagement::RsaOaep256.name(),
    }
}

/// The shared secret is a session object for as long as it takes to read it.
fn derive(
    session: &Session,
    key: ObjectHandle,
    point: &[u8],
    secret_bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), point));
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(ObjectType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        // Cannot truncate: a field is at most 48 bytes wide.
        Attribute::ValueLen((secret_bytes as u64).into()),
    ];
    let secret = session.derive_key(&mechanism, key, &template)?;
    let value = session.get_attributes(secret, &[AttributeType::Value]);
    session.destroy_object(secret)?;
    match value?.into_iter().next() {
        Some(Attribute::Value(bytes)) => Ok(Zeroizing::new(bytes)),
        _ => Ok(Zeroizing::default()),
    }
}

const fn field_bytes(key: KeyType) -> Option<usize> {
    match key {
        KeyType::EcP256 => Some(32),
        KeyType::EcP384 => Some(48),
        _ => None,
    }
}

/// The point at the end of a SubjectPublicKeyInfo (RFC 5480 section 2.2).
fn point(key: &PublicKey, field_bytes: usize) -> Option<&[u8]> {
    let spki = key.spki_der();
    spki.get(spki.len().checked_sub(1 + 2 * field_bytes)?..)
}

/// Decrypts what was encrypted to the public key: proves that the private key belongs to it, which `CKA_ID` only claims,
/// and tells which algorithms the token has.
pub(super) fn self_test(
    session: &Session,
    key: &KnownKey,
) -> Result<Verdict<Vec<KeyManagement>>, Fault> {
    match key.public.key_type() {
        KeyType::Rsa { .. } => test_oaep(session, key),
        KeyType::EcP256 => test_ecdh(session, key, &agreement::ECDH_P256),
        KeyType::EcP384 => test_ecdh(session, key, &agreement::ECDH_P384),
        other => Ok(Err(BackendError::SpecUnsupported(other.to_string()))),
    }
}

fn test_oaep(session: &Session, key: &KnownKey) -> Result<Verdict<Vec<KeyManagement>>, Fault> {
    let mismatch = || Ok(Err(BackendError::KeyMismatch(key.id)));
    let Ok(public) = RsaPublicKey::from_public_key_der(key.public.spki_der()) else {
        return mismatch();
    };
    let mut able = Vec::new();
    for (algorithm, hash, padding) in [
        (
            KeyManagement::RsaOaep,
            OaepHash::Sha1,
            Oaep::new::<sha1::Sha1>(),
        ),
        (
            KeyManagement::RsaOaep256,
            OaepHash::Sha256,
            Oaep::new::<rsa::sha2::Sha256>(),
        ),
    ] {
        let Ok(encrypted_key) = public.encrypt(&mut OsRng, padding, SELF_TEST_SECRET) else {
            return mismatch();
        };
        let input = DecryptInput::Oaep {
            hash,
            encrypted_key,
        };
        match input.run(session, key.handle) {
            Ok(Some(secret)) if secret.as_slice() == SELF_TEST_SECRET => able.push(algorithm),
            Ok(_) => return mismatch(),
            Err(fault) if lacks(&fault) => {
                tracing::warn!(%fault, key = %key.id, algorithm = algorithm.name(), "the token does not decrypt so");
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(match able.is_empty() {
        true => Err(BackendError::SchemeUnsupported {
            scheme: KeyManagement::RsaOaep.name().into(),
        }),
        false => Ok(able),
    })
}

fn test_ecdh(
    session: &Session,
    key: &KnownKey,
    curve: &'static agreement::Algorithm,
) -> Result<Verdict<Vec<KeyManagement>>, Fault> {
    let mismatch = || Ok(Err(BackendError::KeyMismatch(key.id)));
    let secret_bytes = field_bytes(key.public.key_type()).unwrap_or_default();
    let Ok(ephemeral) = EphemeralPrivateKey::generate(curve, &SystemRandom::new()) else {
        return mismatch();
    };
    let (Ok(own), Some(theirs)) = (
        ephemeral.compute_public_key(),
        point(&key.public, secret_bytes),
    ) else {
        return mismatch();
    };
    let from_token = match derive(session, key.handle, own.as_ref(), secret_bytes) {
        Ok(secret) => secret,
        Err(fault) if lacks(&fault) => {
            let scheme = KeyManagement::EcdhEs.name().into();
            return Ok(Err(BackendError::SchemeUnsupported { scheme }));
        }
        Err(fault) => return Err(fault),
    };
    let peer = UnparsedPublicKey::new(curve, theirs);
    let agreed = agreement::agree_ephemeral(ephemeral, &peer, |ours| ours == from_token.as_slice());
    match agreed {
        Ok(true) => Ok(Ok(KeyManagement::ALL
            .into_iter()
            .filter(|algorithm| algorithm.oaep_hash().is_none())
            .collect())),
        _ => mismatch(),
    }
}
