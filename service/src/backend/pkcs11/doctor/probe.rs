//! One kind of key: made as the service makes it, used in every way it may be used in, destroyed.
//!
//! In: a visit to a token, a kind of key. Out: facts. Never: an error; what fails is what one wants to know. No key stays
//! behind while the token lets keys be destroyed.

use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::AttributeType;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_profiles::format::jwe::KeyManagement;
use zeroize::Zeroizing;

use super::{AlgorithmFacts, KeyFacts, PointForm, Trial, Visit, since};
use crate::backend::pkcs11::generate::{self, Made};
use crate::backend::pkcs11::import;
use crate::backend::pkcs11::key_table::KnownKey;
use crate::backend::pkcs11::mechanism::SignInput;
use crate::backend::pkcs11::objects::{self, Inventory};
use crate::backend::pkcs11::recovery::Fault;
use crate::backend::pkcs11::spki;
use crate::backend::{BackendError, KeyId, KeySpec, KeyUsage};
use crate::clock::monotonic;

/// What people see of the keys in other tools.
const LABEL: &str = "sealkeep doctor";
/// Signed by each scheme. The signature never leaves this module.
const MESSAGE: &[u8] = b"Sealkeep token doctor: no statement, no request, no transcript";

/// Why something did not work.
enum Trouble {
    Fault(Fault),
    Error(BackendError),
    Wrong(&'static str),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<BackendError> for Trouble {
    fn from(error: BackendError) -> Self {
        Self::Error(error)
    }
}

impl From<Trouble> for Trial {
    fn from(trouble: Trouble) -> Self {
        use BackendError::{SchemeUnsupported, SpecUnsupported};
        match trouble {
            Trouble::Fault(fault) if lacks(&fault) => Self::Lacks {
                said: fault.to_string(),
            },
            Trouble::Fault(fault) => Self::Fails {
                said: fault.to_string(),
            },
            Trouble::Error(error @ (SchemeUnsupported { .. } | SpecUnsupported(_))) => {
                Self::Lacks {
                    said: error.to_string(),
                }
            }
            Trouble::Error(error) => Self::Fails {
                said: error.to_string(),
            },
            Trouble::Wrong(said) => Self::Fails {
                said: said.to_owned(),
            },
        }
    }
}

/// A mechanism that is not there, or not with these parameters.
fn lacks(fault: &Fault) -> bool {
    let parameters = [RvError::MechanismParamInvalid, RvError::ArgumentsBad];
    fault.lacks_mechanism() || fault.rv().is_some_and(|rv| parameters.contains(&rv))
}

pub(super) fn key(visit: &Visit, spec: KeySpec, usage: KeyUsage) -> KeyFacts {
    let mut facts = KeyFacts {
        key: spec.to_string(),
        usage: match usage {
            KeyUsage::Sign => "sign",
            KeyUsage::Decrypt => "decrypt",
        },
        made: Trial::Works { us: 0 },
        evidence: None,
        algorithms: Vec::new(),
        ec_point: None,
        allowed_mechanisms_enforced: None,
    };
    let id = KeyId::random();
    let begun = monotonic();
    match make(visit, id, spec, usage) {
        Ok(made) => {
            facts.made = Trial::Works { us: since(begun) };
            facts.evidence = Some(made.evidence);
            facts.algorithms = match usage {
                KeyUsage::Sign => signatures(visit, &made.key),
                KeyUsage::Decrypt => decryptions(spec, &made),
            };
            facts.ec_point = point_form(visit, id);
            facts.allowed_mechanisms_enforced = enforced(visit, &made);
        }
        Err(trouble) => facts.made = trouble.into(),
    }
    remove(visit, id);
    facts
}

fn make(visit: &Visit, id: KeyId, spec: KeySpec, usage: KeyUsage) -> Result<Made, Trouble> {
    let session = visit.session()?;
    Ok(generate::generate(&session, id, LABEL, spec, usage)??)
}

fn signatures(visit: &Visit, key: &KnownKey) -> Vec<AlgorithmFacts> {
    let fitting = SignatureScheme::ALL
        .into_iter()
        .filter(|scheme| scheme.fits(&key.public.key_type()));
    let tried = |scheme: SignatureScheme| AlgorithmFacts {
        name: scheme.name(),
        tried: sign(visit, key, scheme).unwrap_or_else(Trial::from),
    };
    fitting.map(tried).collect()
}

fn sign(visit: &Visit, key: &KnownKey, scheme: SignatureScheme) -> Result<Trial, Trouble> {
    let session = visit.session()?;
    let input = SignInput::new(scheme, &scheme.token_input(MESSAGE))?;
    let begun = monotonic();
    let raw = session.sign_once(key.handle, &input)?;
    let us = since(begun);
    let verified = key.public.verify(scheme, MESSAGE, &raw);
    verified.map_err(|_| Trouble::Wrong("the signature does not verify"))?;
    Ok(Trial::Works { us })
}

/// What the test of a decryption key found.
fn decryptions(spec: KeySpec, made: &Made) -> Vec<AlgorithmFacts> {
    let is_rsa = matches!(spec, KeySpec::Rsa { .. });
    let fitting = KeyManagement::ALL
        .into_iter()
        .filter(|algorithm| algorithm.oaep_hash().is_some() == is_rsa);
    let tried = |algorithm: KeyManagement| AlgorithmFacts {
        name: algorithm.name(),
        tried: match made.decrypts.contains(&algorithm) {
            true => Trial::Works { us: 0 },
            false => Trial::Lacks {
                said: "the token does not decrypt so".to_owned(),
            },
        },
    };
    fitting.map(tried).collect()
}

fn point_form(visit: &Visit, id: KeyId) -> Option<PointForm> {
    let session = visit.session().ok()?;
    let pair = Inventory::of_key(&session, id).ok()?.pair(id).ok()?;
    let point = objects::bytes_of(&session, pair.public?, AttributeType::EcPoint).ok()??;
    Some(match spki::unwrapped(&point).len() == point.len() {
        true => PointForm::Bare,
        false => PointForm::OctetString,
    })
}

/// Signs by a mechanism that the key's list leaves out. Only where it has a list, and the token has the mechanism.
fn enforced(visit: &Visit, made: &Made) -> Option<bool> {
    if made.evidence.limits.mechanisms != Some(true) || made.key.usage != KeyUsage::Sign {
        return None;
    }
    let left_out = match made.key.public.key_type() {
        sealkeep_profiles::algorithm::KeyType::Rsa { .. } => Mechanism::Sha256RsaPkcs,
        _ => return None,
    };
    let session = visit.session().ok()?;
    Some(session.sign(&left_out, made.key.handle, MESSAGE).is_err())
}

/// A key that was made for this, brought in and destroyed.
pub(super) fn import(visit: &Visit) -> Trial {
    let id = KeyId::random();
    let begun = monotonic();
    let brought = bring(visit, id);
    let us = since(begun);
    // Whatever the answer was: a lost one may have been a yes.
    let swept = visit
        .session()
        .and_then(|session| import::sweep(&session, id));
    if let Err(fault) = swept {
        tracing::error!(%fault, key = %id, label = LABEL, "a test key may stay in the token");
    }
    match brought {
        Ok(()) => Trial::Works { us },
        Err(trouble) => trouble.into(),
    }
}

fn bring(visit: &Visit, id: KeyId) -> Result<(), Trouble> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let made = made.map_err(|_| Trouble::Wrong("the system has no randomness"))?;
    let key = Zeroizing::new(made.as_ref().to_vec());
    let public =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &SystemRandom::new());
    let public = public.map_err(|_| Trouble::Wrong("the test key is none"))?;
    let public = spki::of_ec(spki::P256_OID_DER, public.public_key().as_ref())?;
    import::import(&visit.session()?, id, LABEL, &public, &key)??;
    Ok(())
}

fn remove(visit: &Visit, id: KeyId) {
    let removed = visit.session().and_then(|session| {
        if let Ok(pair) = Inventory::of_key(&session, id)?.pair(id) {
            generate::destroy(&session, pair);
        }
        Ok(())
    });
    if let Err(fault) = removed {
        tracing::error!(%fault, key = %id, label = LABEL, "a test key may stay in the token");
    }
}
