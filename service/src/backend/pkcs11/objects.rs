//! Finds key pairs in the token and judges them.
//!
//! In: a session and pinned keys. Out: handles whose public key is the pinned one, and what the token says about
//! their protection. It never takes the first of several matches, and never takes a label for an identity.
//!
//! Two kinds of failure are kept apart: a [`Fault`] is a call that failed and costs the session; a [`Verdict`] is an
//! answer about one key.

use std::collections::HashMap;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};
use sealkeep_profiles::algorithm::{self, PublicKey, SignatureScheme};
use sealkeep_profiles::format::jwe::KeyManagement;

use super::decrypt;
use super::key_table::KnownKey;
use super::mechanism::SignInput;
use super::recovery::Fault;
use super::session::TokenSession;
use super::spki;
use crate::backend::{BackendError, KeyEvidence, KeyId, KeyLimits, KeyRef, KeyUsage};

/// What is found out about one key.
pub(super) type Verdict<T> = Result<T, BackendError>;

/// Signed by every key before it is used. The signature never leaves this module.
const SELF_TEST_MESSAGE: &[u8] =
    b"Sealkeep self-test of a key: no statement, no request, no transcript";
/// How often a key must fail it in turn to be held for another one.
const SELF_TESTS_MAX: u32 = 3;

/// The two objects of a key pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) private: ObjectHandle,
    /// Imported keys may come without one.
    pub(super) public: Option<ObjectHandle>,
}

/// Objects by `CKA_ID`.
#[derive(Default)]
pub(super) struct Inventory {
    private: HashMap<KeyId, Vec<ObjectHandle>>,
    public: HashMap<KeyId, Vec<ObjectHandle>>,
}

impl Inventory {
    /// All key pairs of the token, in two searches: a search by id is as slow as one for everything on tokens that
    /// walk through all objects.
    pub(super) fn of_token(session: &Session) -> Result<Self, Fault> {
        let mut inventory = Self::default();
        for (class, by_id) in [
            (ObjectClass::PRIVATE_KEY, &mut inventory.private),
            (ObjectClass::PUBLIC_KEY, &mut inventory.public),
        ] {
            for object in
                session.find_objects(&[Attribute::Token(true), Attribute::Class(class)])?
            {
                let id = bytes_of(session, object, AttributeType::Id)?.unwrap_or_default();
                if let Ok(id) = <[u8; 16]>::try_from(id) {
                    by_id.entry(KeyId::from_bytes(id)).or_default().push(object);
                }
            }
        }
        Ok(inventory)
    }

    /// What the token has under one id.
    pub(super) fn of_key(session: &Session, id: KeyId) -> Result<Self, Fault> {
        let mut inventory = Self::default();
        for (class, by_id) in [
            (ObjectClass::PRIVATE_KEY, &mut inventory.private),
            (ObjectClass::PUBLIC_KEY, &mut inventory.public),
        ] {
            by_id.insert(
                id,
                session.find_objects(&[
                    Attribute::Token(true),
                    Attribute::Class(class),
                    Attribute::Id(id.as_bytes().to_vec()),
                ])?,
            );
        }
        Ok(inventory)
    }

    /// Whether nothing at all has this id.
    pub(super) fn is_free(&self, id: KeyId) -> bool {
        [&self.private, &self.public]
            .iter()
            .all(|map| map.get(&id).is_none_or(Vec::is_empty))
    }

    /// Whether any of these keys has a private object.
    pub(super) fn has_any(&self, keys: &[KeyRef]) -> bool {
        keys.iter().any(|key| self.private.contains_key(&key.id))
    }

    /// The one pair with this id.
    pub(super) fn pair(&self, id: KeyId) -> Verdict<Pair> {
        let objects = |map: &HashMap<_, Vec<_>>| map.get(&id).cloned().unwrap_or_default();
        match (
            objects(&self.private).as_slice(),
            objects(&self.public).as_slice(),
        ) {
            ([], _) => Err(BackendError::KeyUnknown(id)),
            ([private], []) => Ok(Pair {
                private: *private,
                public: None,
            }),
            ([private], [public]) => Ok(Pair {
                private: *private,
                public: Some(*public),
            }),
            _ => Err(BackendError::KeyAmbiguous(id)),
        }
    }
}

/// Finds one pinned key again.
pub(super) fn find(
    session: &TokenSession,
    key: &KeyRef,
) -> Result<Verdict<(KnownKey, Pair)>, Fault> {
    match Inventory::of_key(session, key.id)?.pair(key.id) {
        Ok(pair) => Ok(pinned(session, key, pair)?.map(|known| (known, pair))),
        Err(error) => {
            logged_in(session)?;
            Ok(Err(error))
        }
    }
}

/// Finds one pinned key among all objects and proves it: its pin, its protection, and a signature.
pub(super) fn adopt(
    session: &TokenSession,
    inventory: &Inventory,
    key: &KeyRef,
) -> Result<Verdict<(KnownKey, KeyEvidence)>, Fault> {
    let known = match inventory.pair(key.id) {
        Ok(pair) => pinned(session, key, pair)?,
        Err(error) => Err(error),
    };
    let known = match known {
        Ok(known) => known,
        Err(error) => return Ok(Err(error)),
    };
    let evidence = evidence(session, known.handle)?;
    if !evidence.is_protected() {
        return Ok(Err(BackendError::KeyUnprotected(key.id)));
    }
    Ok(self_test(session, &known)?.map(|_| (known, evidence)))
}

/// Private objects are invisible without a login (PKCS#11 v2.40 section 4.4): "nothing found" means something only with
/// one.
pub(super) fn logged_in(session: &Session) -> Result<(), Fault> {
    match session.get_session_info()?.session_state() {
        SessionState::RoPublic | SessionState::RwPublic => Err(Fault::logged_out()),
        _ => Ok(()),
    }
}

/// Compares the public key of a pair with the pin.
pub(super) fn pinned(
    session: &TokenSession,
    key: &KeyRef,
    pair: Pair,
) -> Result<Verdict<KnownKey>, Fault> {
    let usage = usage(session, pair.private)?;
    Ok(public_key(session, pair)?.and_then(|public| {
        if public.spki_sha256() == key.spki_sha256 {
            Ok(KnownKey {
                id: key.id,
                public,
                handle: pair.private,
                login: session.login,
                usage,
            })
        } else {
            Err(BackendError::KeyMismatch(key.id))
        }
    }))
}

/// Reads the public key. RSA private keys carry it too; elliptic-curve keys need the public object.
pub(super) fn public_key(session: &Session, pair: Pair) -> Result<Verdict<PublicKey>, Fault> {
    let object = pair.public.unwrap_or(pair.private);
    let read = |attribute| bytes_of(session, object, attribute);
    Ok(match key_type_of(session, object)? {
        Some(KeyType::RSA) => {
            match (
                read(AttributeType::Modulus)?,
                read(AttributeType::PublicExponent)?,
            ) {
                (Some(modulus), Some(exponent)) => spki::of_rsa(&modulus, &exponent),
                _ => Err(BackendError::Malformed(
                    "an RSA key without public part".to_owned(),
                )),
            }
        }
        Some(key_type @ (KeyType::EC | KeyType::EC_EDWARDS)) => {
            match (
                read(AttributeType::EcParams)?,
                read(AttributeType::EcPoint)?,
            ) {
                (Some(params), Some(point)) if key_type == KeyType::EC => {
                    spki::of_ec(&params, &point)
                }
                (Some(params), Some(point)) => spki::of_edwards(&params, &point),
                _ => Err(BackendError::Malformed(
                    "an EC key without public part".to_owned(),
                )),
            }
        }
        _ => Err(BackendError::Malformed(
            "a key that is none of RSA, EC and EC_EDWARDS".to_owned(),
        )),
    })
}

/// Reads back how the token protects a private key.
pub(super) fn evidence(session: &Session, private: ObjectHandle) -> Result<KeyEvidence, Fault> {
    let is = |attribute| flag_of(session, private, attribute);
    Ok(KeyEvidence {
        sensitive: is(AttributeType::Sensitive)?.unwrap_or(false),
        extractable: is(AttributeType::Extractable)?.unwrap_or(true),
        always_sensitive: is(AttributeType::AlwaysSensitive)?.unwrap_or(false),
        never_extractable: is(AttributeType::NeverExtractable)?.unwrap_or(false),
        local: is(AttributeType::Local)?.unwrap_or(false),
        limits: KeyLimits {
            sign: is(AttributeType::Sign)?,
            decrypt: is(AttributeType::Decrypt)?,
            unwrap: is(AttributeType::Unwrap)?,
            derive: is(AttributeType::Derive)?,
            modifiable: is(AttributeType::Modifiable)?,
            copyable: is(AttributeType::Copyable)?,
            // p11-kit's client cannot carry the answer and says CKR_DEVICE_ERROR to it. A device that has really failed
            // fails the self-test too.
            mechanisms: match attribute_of(session, private, AttributeType::AllowedMechanisms) {
                Ok(Some(Attribute::AllowedMechanisms(allowed))) => Some(!allowed.is_empty()),
                _ => None,
            },
        },
    })
}

/// A key that decrypts or derives and does not sign is for decryption; every other one is for signatures.
pub(super) fn usage(session: &Session, private: ObjectHandle) -> Result<KeyUsage, Fault> {
    let is = |attribute| Ok::<_, Fault>(flag_of(session, private, attribute)?.unwrap_or(false));
    let decrypts = is(AttributeType::Decrypt)? || is(AttributeType::Derive)?;
    Ok(match decrypts && !is(AttributeType::Sign)? {
        true => KeyUsage::Decrypt,
        false => KeyUsage::Sign,
    })
}

/// Proves by using it that the private key belongs to the public key. Answers with what it decrypts. A device that
/// spoils one answer has not lost the key: only a failure that stays is a mismatch.
pub(super) fn self_test(
    session: &TokenSession,
    key: &KnownKey,
) -> Result<Verdict<Vec<KeyManagement>>, Fault> {
    let mut attempt = 1;
    loop {
        let verdict = match key.usage {
            KeyUsage::Sign => sign_test(session, key)?.map(|()| Vec::new()),
            KeyUsage::Decrypt => decrypt::self_test(session, key)?,
        };
        match verdict {
            Err(BackendError::KeyMismatch(_)) if attempt < SELF_TESTS_MAX => attempt += 1,
            verdict => return Ok(verdict),
        }
    }
}

/// Signs a fixed message and verifies it: proves that the private key belongs to the public key, which `CKA_ID`
/// only claims.
fn sign_test(session: &TokenSession, key: &KnownKey) -> Result<Verdict<()>, Fault> {
    let scheme = match key.public.key_type() {
        algorithm::KeyType::Rsa { .. } => SignatureScheme::RsaPkcs1Sha256,
        algorithm::KeyType::EcP256 => SignatureScheme::EcdsaP256Sha256,
        algorithm::KeyType::EcP384 => SignatureScheme::EcdsaP384Sha384,
        algorithm::KeyType::EcP521 => SignatureScheme::EcdsaP521Sha512,
        algorithm::KeyType::Ed25519 => SignatureScheme::Ed25519,
        other => return Ok(Err(BackendError::SpecUnsupported(other.to_string()))),
    };
    let input = match SignInput::new(scheme, &scheme.token_input(SELF_TEST_MESSAGE)) {
        Ok(input) => input,
        Err(error) => return Ok(Err(error)),
    };
    let raw = match session.sign_once(key.handle, &input) {
        Ok(raw) => raw,
        Err(fault) => {
            return match fault.lacks_mechanism() {
                true => Ok(Err(BackendError::SchemeUnsupported {
                    scheme: scheme.name().into(),
                })),
                false => Err(fault),
            };
        }
    };
    let verified = key.public.verify(scheme, SELF_TEST_MESSAGE, &raw);
    Ok(verified.map_err(|_| BackendError::KeyMismatch(key.id)))
}

/// One attribute at a time: tokens leave out, or fail the whole call for, what they do not know.
fn attribute_of(
    session: &Session,
    object: ObjectHandle,
    attribute: AttributeType,
) -> Result<Option<Attribute>, Fault> {
    Ok(session
        .get_attributes(object, &[attribute])?
        .into_iter()
        .next())
}

pub(super) fn bytes_of(
    session: &Session,
    object: ObjectHandle,
    attribute: AttributeType,
) -> Result<Option<Vec<u8>>, Fault> {
    Ok(match attribute_of(session, object, attribute)? {
        Some(
            Attribute::Id(bytes)
            | Attribute::Modulus(bytes)
            | Attribute::PublicExponent(bytes)
            | Attribute::EcParams(bytes)
            | Attribute::EcPoint(bytes),
        ) => Some(bytes),
        _ => None,
    })
}

fn flag_of(
    session: &Session,
    object: ObjectHandle,
    attribute: AttributeType,
) -> Result<Option<bool>, Fault> {
    Ok(match attribute_of(session, object, attribute)? {
        Some(
            Attribute::Sensitive(flag)
            | Attribute::Extractable(flag)
            | Attribute::AlwaysSensitive(flag)
            | Attribute::NeverExtractable(flag)
            | Attribute::Local(flag)
            | Attribute::Sign(flag)
            | Attribute::Decrypt(flag)
            | Attribute::Unwrap(flag)
            | Attribute::Derive(flag)
            | Attribute::Modifiable(flag)
            | Attribute::Copyable(flag),
        ) => Some(flag),
        _ => None,
    })
}

fn key_type_of(session: &Session, object: ObjectHandle) -> Result<Option<KeyType>, Fault> {
    Ok(
        match attribute_of(session, object, AttributeType::KeyType)? {
            Some(Attribute::KeyType(key_type)) => Some(key_type),
            _ => None,
        },
    )
}
