//! Brings a private key from outside into the token.
//!
//! In: an id, a label, the public key and the private key as PKCS#8. Out: a key pair, proven and protected like one that
//! was made here, but for what the token remembers: `CKA_LOCAL`, `CKA_ALWAYS_SENSITIVE` and `CKA_NEVER_EXTRACTABLE` stay
//! false. Never: a private key in the clear in a call of the module, nor an object that stays when something failed.
//!
//! What `CKM_RSA_AES_KEY_WRAP` does (PKCS#11 v3.0 mechanisms section 2.1.21), in the steps that more tokens have: the token
//! makes an RSA key for this import alone; a random AES key goes in under it with OAEP; the private key goes in under the
//! AES key. RFC 5649 is what `CKM_AES_KEY_WRAP_PAD` meant first, RFC 3394 with PKCS#7 padding is what PKCS#11 v3.0 made of
//! it: both are tried, since only the token knows.

use aes_kw::{KeyInit, KwAes256, KwpAes256};
use cryptoki::error::RvError;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use ring::rand::{SecureRandom, SystemRandom};
use rsa::rand_core::OsRng;
use rsa::{BigUint, Oaep, RsaPublicKey};
use sealkeep_profiles::algorithm::{self, PublicKey};
use zeroize::Zeroizing;

use super::generate::{self, Made};
use super::objects::{self, Inventory, Pair, Verdict};
use super::recovery::Fault;
use super::session::TokenSession;
use super::spki;
use crate::backend::{BackendError, KeyId, KeySpec, KeyUsage};

/// Length of the RSA key of one import (bits): it protects for as long as a call takes.
const TRANSPORT_BITS: u64 = 3072;
/// Length of the AES key of one import (bytes).
const WRAPPING_KEY_BYTES: usize = 32;
/// Block of RFC 3394 (bytes).
const BLOCK_BYTES: usize = 8;

/// Brings a key in under an id that nothing else has.
pub(super) fn import(
    session: &TokenSession,
    id: KeyId,
    label: &str,
    public: &PublicKey,
    private_key_info: &[u8],
) -> Result<Verdict<Made>, Fault> {
    if !Inventory::of_key(session, id)?.is_free(id) {
        return Ok(Err(BackendError::KeyExists(id)));
    }
    let spec = match spec_of(public.key_type()) {
        Ok(spec) => spec,
        Err(error) => return Ok(Err(error)),
    };
    let wrapping = match WrappingKey::bring_in(session)? {
        Ok(wrapping) => wrapping,
        Err(error) => return Ok(Err(error)),
    };
    let template = Template::new(session, id, label, spec);
    let unwrapped = wrapping.unwrap(session, private_key_info, &template);
    wrapping.destroy(session);
    let private = match unwrapped? {
        Ok(private) => private,
        Err(error) => return Ok(Err(error)),
    };
    let mut pair = Pair {
        private,
        public: None,
    };
    let judged = publish(session, id, label, public).and_then(|object| {
        pair.public = Some(object);
        generate::judge(session, id, spec, KeyUsage::Sign, pair)
    });
    let judged = judged.map(|verdict| {
        verdict.and_then(
            |made| match made.key.public.spki_der() == public.spki_der() {
                true => Ok(made),
                false => Err(BackendError::KeyMismatch(id)),
            },
        )
    });
    if !matches!(judged, Ok(Ok(_))) {
        generate::destroy(session, pair);
    }
    judged
}

/// Destroys whatever has an id that nothing had before.
pub(super) fn sweep(session: &TokenSession, id: KeyId) -> Result<(), Fault> {
    objects::logged_in(session)?;
    for object in session.find_objects(&[
        Attribute::Token(true),
        Attribute::Id(id.as_bytes().to_vec()),
    ])? {
        session.destroy_object(object)?;
    }
    Ok(())
}

fn spec_of(key_type: algorithm::KeyType) -> Result<KeySpec, BackendError> {
    let spec = match key_type {
        algorithm::KeyType::Rsa { bits } => KeySpec::Rsa { bits },
        algorithm::KeyType::EcP256 => KeySpec::EcP256,
        algorithm::KeyType::EcP384 => KeySpec::EcP384,
        algorithm::KeyType::EcP521 => KeySpec::EcP521,
        algorithm::KeyType::Ed25519 => KeySpec::Ed25519,
        other => return Err(BackendError::SpecUnsupported(other.to_string())),
    };
    spec.check().map(|()| spec)
}

/// An AES key that is here and in the token, for one import.
struct WrappingKey {
    value: Zeroizing<[u8; WRAPPING_KEY_BYTES]>,
    handle: ObjectHandle,
}

impl WrappingKey {
    fn bring_in(session: &TokenSession) -> Result<Verdict<Self>, Fault> {
        let mut value = Zeroizing::new([0; WRAPPING_KEY_BYTES]);
        if SystemRandom::new().fill(&mut *value).is_err() {
            let problem = "the system has no randomness".to_owned();
            return Ok(Err(BackendError::Malformed(problem)));
        }
        let (public, private) = transport_pair(session)?;
        let handle = carried(session, public, private, &*value);
        for object in [public, private] {
            discard(session, object);
        }
        Ok(handle?.map(|handle| Self { value, handle }))
    }

    /// Tries both meanings of the mechanism.
    fn unwrap(
        &self,
        session: &TokenSession,
        key: &[u8],
        template: &Template,
    ) -> Result<Verdict<ObjectHandle>, Fault> {
        let mut refused: Option<Fault> = None;
        for wrapped in [self.wrapped(key), self.wrapped_padded(key)] {
            let Some(wrapped) = wrapped else {
                let problem = "a private key too long to wrap".to_owned();
                return Ok(Err(BackendError::Malformed(problem)));
            };
            match template.unwrap(session, self.handle, &wrapped) {
                Ok(handle) => return Ok(Ok(handle)),
                // The second meaning is nonsense to a token that knows the first: its own answer counts.
                Err(fault) => drop(refused.get_or_insert(fault)),
            }
        }
        Ok(Err(refused.map_or_else(unsupported, |fault| cannot(&fault))))
    }

    /// RFC 5649.
    fn wrapped(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut room = vec![0; key.len() + 2 * BLOCK_BYTES];
        let cipher = KwpAes256::new(&(*self.value).into());
        let length = cipher.wrap_key(key, &mut room).ok()?.len();
        room.truncate(length);
        Some(room)
    }

    /// RFC 3394 over the key with PKCS#7 padding.
    fn wrapped_padded(&self, key: &[u8]) -> Option<Vec<u8>> {
        let padding = BLOCK_BYTES - key.len() % BLOCK_BYTES;
        let mut padded = Zeroizing::new(Vec::with_capacity(key.len() + padding));
        padded.extend_from_slice(key);
        // Cannot truncate: at most a block.
        padded.resize(key.len() + padding, padding as u8);
        let mut room = vec![0; padded.len() + BLOCK_BYTES];
        let cipher = KwAes256::new(&(*self.value).into());
        let length = cipher.wrap_key(&padded, &mut room).ok()?.len();
        room.truncate(length);
        Some(room)
    }

    fn destroy(self, session: &TokenSession) {
        discard(session, self.handle);
    }
}

/// The token cannot do what an import takes.
fn unsupported() -> BackendError {
    BackendError::SchemeUnsupported {
        scheme: "an import: RSA-OAEP and CKM_AES_KEY_WRAP_PAD".into(),
    }
}

/// A refusal about this key, whatever class its code has elsewhere: tokens answer `CKR_GENERAL_ERROR` to a wrapping that
/// they do not understand.
fn cannot(fault: &Fault) -> BackendError {
    match fault.lacks_mechanism() {
        true => unsupported(),
        false => BackendError::Rejected {
            function: "C_UnwrapKey".to_owned(),
            rv: fault.rv_name(),
        },
    }
}

/// Session objects: they end with the session at the latest.
fn transport_pair(session: &TokenSession) -> Result<(ObjectHandle, ObjectHandle), Fault> {
    let public = [
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Wrap(true),
        Attribute::ModulusBits(TRANSPORT_BITS.into()),
        Attribute::PublicExponent(generate::RSA_EXPONENT.to_vec()),
    ];
    let private = [
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(true),
    ];
    Ok(session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)?)
}

/// Brings the AES key in under the RSA key: OAEP with SHA-256, or with SHA-1 where there is no other. OAEP does not lean
/// on the collision resistance of its hash (RFC 8017 section 7.1).
fn carried(
    session: &TokenSession,
    public: ObjectHandle,
    private: ObjectHandle,
    value: &[u8],
) -> Result<Verdict<ObjectHandle>, Fault> {
    let Some(public) = rsa_public_key(session, public)? else {
        let problem = "an RSA key without public part".to_owned();
        return Ok(Err(BackendError::Malformed(problem)));
    };
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(true),
    ];
    let mut refused = None;
    for (hash, mgf, padding) in [
        (
            MechanismType::SHA256,
            PkcsMgfType::MGF1_SHA256,
            Oaep::new::<rsa::sha2::Sha256>(),
        ),
        (
            MechanismType::SHA1,
            PkcsMgfType::MGF1_SHA1,
            Oaep::new::<sha1::Sha1>(),
        ),
    ] {
        let Ok(encrypted) = public.encrypt(&mut OsRng, padding, value) else {
            return Ok(Err(unsupported()));
        };
        let parameters = PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty());
        let mechanism = Mechanism::RsaPkcsOaep(parameters);
        match session.unwrap_key(&mechanism, private, &encrypted, &template) {
            Ok(handle) => return Ok(Ok(handle)),
            Err(error) => refused = Some(Fault::from(error)),
        }
    }
    Ok(Err(refused.map_or_else(unsupported, |fault| {
        tracing::warn!(%fault, "the token does not unwrap by RSA-OAEP");
        unsupported()
    })))
}

fn rsa_public_key(
    session: &TokenSession,
    object: ObjectHandle,
) -> Result<Option<RsaPublicKey>, Fault> {
    let number = |attribute| {
        let bytes = objects::bytes_of(session, object, attribute)?;
        Ok::<_, Fault>(BigUint::from_bytes_be(&bytes.unwrap_or_default()))
    };
    let (modulus, exponent) = (
        number(AttributeType::Modulus)?,
        number(AttributeType::PublicExponent)?,
    );
    Ok(RsaPublicKey::new(modulus, exponent).ok())
}

/// What the key is to be: protected like one that is made here.
struct Template {
    attributes: Vec<Attribute>,
    /// How many of them a key cannot be without.
    necessary: usize,
}

impl Template {
    fn new(session: &TokenSession, id: KeyId, label: &str, spec: KeySpec) -> Self {
        let key_type = match spec {
            KeySpec::Rsa { .. } => KeyType::RSA,
            KeySpec::EcP256 | KeySpec::EcP384 | KeySpec::EcP521 => KeyType::EC,
            KeySpec::Ed25519 => KeyType::EC_EDWARDS,
        };
        let mut attributes = vec![
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(key_type),
        ];
        attributes.extend(generate::private_template(id, label, spec, KeyUsage::Sign));
        let necessary = attributes.len();
        attributes.extend(generate::finer_attributes(session, spec, KeyUsage::Sign));
        Self {
            attributes,
            necessary,
        }
    }

    /// With everything; for tokens that do not know the finer attributes with what is necessary.
    fn unwrap(
        &self,
        session: &TokenSession,
        wrapping: ObjectHandle,
        wrapped: &[u8],
    ) -> Result<ObjectHandle, Fault> {
        let unwrap = |attributes: &[Attribute]| {
            let mechanism = Mechanism::AesKeyWrapPad;
            let unwrapped = session.unwrap_key(&mechanism, wrapping, wrapped, attributes);
            unwrapped.map_err(Fault::from)
        };
        match unwrap(&self.attributes) {
            Err(fault) if generate::is_about_the_template(&fault) => {
                tracing::warn!(%fault, "the token does not know the finer protection attributes; importing without");
                unwrap(&self.attributes[..self.necessary])
            }
            outcome => outcome,
        }
    }
}

/// The public object: tokens have the point of an elliptic-curve key nowhere else.
fn publish(
    session: &TokenSession,
    id: KeyId,
    label: &str,
    public: &PublicKey,
) -> Result<ObjectHandle, Fault> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.as_bytes().to_vec()),
    ];
    template.extend(spki::attributes(public));
    Ok(session.create_object(&template)?)
}

fn discard(session: &TokenSession, object: ObjectHandle) {
    if let Err(error) = session.destroy_object(object) {
        let fault = Fault::from(error);
        let expected = fault.rv() == Some(RvError::ObjectHandleInvalid);
        tracing::debug!(%fault, expected, "a session object stays until its session ends");
    }
}
