//! Makes key pairs that cannot leave the token.
//!
//! In: an id, a label and a spec. Out: a key pair with evidence read back from the token. A key that turns out to be
//! readable, of the wrong type or unable to sign is destroyed before anybody learns of it.

use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;

use sealkeep_profiles::format::jwe::KeyManagement;

use super::key_table::KnownKey;
use super::mechanism;
use super::objects::{self, Inventory, Pair, Verdict};
use super::recovery::Fault;
use super::session::TokenSession;
use super::spki::{ED25519_NAME_DER, P256_OID_DER, P384_OID_DER, P521_OID_DER};
use crate::backend::{BackendError, KeyEvidence, KeyId, KeySpec, KeyUsage};

/// 65537, big-endian.
pub(super) const RSA_EXPONENT: &[u8] = &[1, 0, 1];

/// A pair as it was made.
pub(super) struct Made {
    pub(super) key: KnownKey,
    pub(super) evidence: KeyEvidence,
    pub(super) decrypts: Vec<KeyManagement>,
}

/// Makes a pair under an id that nothing else has.
pub(super) fn generate(
    session: &TokenSession,
    id: KeyId,
    label: &str,
    spec: KeySpec,
    usage: KeyUsage,
) -> Result<Verdict<Made>, Fault> {
    if !Inventory::of_key(session, id)?.is_free(id) {
        return Ok(Err(BackendError::KeyExists(id)));
    }
    let pair = match make(session, id, label, spec, usage) {
        Ok(pair) => pair,
        Err(fault) if fault.lacks_mechanism() => {
            tracing::warn!(%fault, %spec, "the token does not make such keys");
            return Ok(Err(BackendError::SpecUnsupported(spec.to_string())));
        }
        Err(fault) => return Err(fault),
    };
    let judged = judge(session, id, spec, usage, pair);
    if !matches!(judged, Ok(Ok(_))) {
        destroy(session, pair);
    }
    judged
}

/// Removes a pair that must not stay. Best effort: whoever chose the id can find what is left.
pub(super) fn destroy(session: &TokenSession, pair: Pair) {
    for object in [Some(pair.private), pair.public].into_iter().flatten() {
        if let Err(error) = session.destroy_object(object) {
            tracing::error!(fault = %Fault::from(error), "a key object that must not stay could not be destroyed");
        }
    }
}

/// Whether a pair is what was asked for, protected, and of one piece.
pub(super) fn judge(
    session: &TokenSession,
    id: KeyId,
    spec: KeySpec,
    usage: KeyUsage,
    pair: Pair,
) -> Result<Verdict<Made>, Fault> {
    let public = match objects::public_key(session, pair)? {
        Ok(public) => public,
        Err(error) => return Ok(Err(error)),
    };
    if public.key_type() != spec.key_type() {
        let problem = format!("a key of type {} for {spec}", public.key_type());
        return Ok(Err(BackendError::Malformed(problem)));
    }
    let evidence = objects::evidence(session, pair.private)?;
    if !evidence.is_protected() {
        return Ok(Err(BackendError::KeyUnprotected(id)));
    }
    let key = KnownKey {
        id,
        public,
        handle: pair.private,
        login: session.login,
        usage,
    };
    Ok(objects::self_test(session, &key)?.map(|decrypts| Made {
        key,
        evidence,
        decrypts,
    }))
}

/// Asks for everything first; tokens that do not know the finer attributes get the necessary ones.
fn make(
    session: &TokenSession,
    id: KeyId,
    label: &str,
    spec: KeySpec,
    usage: KeyUsage,
) -> Result<Pair, Fault> {
    let mechanism = match spec {
        KeySpec::Rsa { .. } => Mechanism::RsaPkcsKeyPairGen,
        KeySpec::EcP256 | KeySpec::EcP384 | KeySpec::EcP521 => Mechanism::EccKeyPairGen,
        KeySpec::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
    };
    let public = public_template(id, label, spec, usage);
    let mut private = private_template(id, label, spec, usage);
    let necessary = private.len();
    private.extend(finer_attributes(session, spec, usage));
    let made = session.generate_key_pair(&mechanism, &public, &private).or_else(|error| {
        let fault = Fault::from(error);
        if !is_about_the_template(&fault) {
            return Err(fault);
        }
        tracing::warn!(%fault, "the token does not know the finer protection attributes; generating without");
        private.truncate(necessary);
        Ok(session.generate_key_pair(&mechanism, &public, &private)?)
    });
    made.map(|(public, private)| Pair {
        private,
        public: Some(public),
    })
}

fn public_template(id: KeyId, label: &str, spec: KeySpec, usage: KeyUsage) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(usage == KeyUsage::Sign),
        // NSS tests a new pair by encrypting and decrypting with it.
        Attribute::Encrypt(usage == KeyUsage::Decrypt && matches!(spec, KeySpec::Rsa { .. })),
        Attribute::Wrap(false),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.as_bytes().to_vec()),
    ];
    match spec {
        KeySpec::Rsa { bits } => template.extend([
            Attribute::ModulusBits(u64::from(bits).into()),
            Attribute::PublicExponent(RSA_EXPONENT.to_vec()),
        ]),
        KeySpec::EcP256 => template.push(Attribute::EcParams(P256_OID_DER.to_vec())),
        KeySpec::EcP384 => template.push(Attribute::EcParams(P384_OID_DER.to_vec())),
        KeySpec::EcP521 => template.push(Attribute::EcParams(P521_OID_DER.to_vec())),
        KeySpec::Ed25519 => template.push(Attribute::EcParams(ED25519_NAME_DER.to_vec())),
    }
    template
}

/// A key that signs, or decrypts, and does nothing else: one that does both, or unwraps, is an oracle for other keys.
pub(super) fn private_template(
    id: KeyId,
    label: &str,
    spec: KeySpec,
    usage: KeyUsage,
) -> Vec<Attribute> {
    let (decrypts, is_rsa) = (
        usage == KeyUsage::Decrypt,
        matches!(spec, KeySpec::Rsa { .. }),
    );
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(!decrypts),
        Attribute::Decrypt(decrypts && is_rsa),
        Attribute::Unwrap(false),
        Attribute::Derive(decrypts && !is_rsa),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.as_bytes().to_vec()),
    ]
}

/// Optional in PKCS#11 v2.40 (sections 4.4 and 4.8): not every token has them.
pub(super) fn finer_attributes(
    session: &TokenSession,
    spec: KeySpec,
    usage: KeyUsage,
) -> Vec<Attribute> {
    let mut finer = vec![Attribute::SignRecover(false)];
    if !session.omits_copyable {
        finer.push(Attribute::Copyable(false));
    }
    if !session.omits_allowed_mechanisms {
        let allowed = mechanism::allowed(spec, usage);
        finer.push(Attribute::AllowedMechanisms(allowed));
    }
    // Last: SoftHSM sets what it unwraps attribute by attribute, and this one ends that.
    finer.push(Attribute::Modifiable(false));
    finer
}

pub(super) fn is_about_the_template(fault: &Fault) -> bool {
    matches!(
        fault.rv(),
        Some(
            RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::AttributeReadOnly
                | RvError::TemplateInconsistent
        )
    )
}
