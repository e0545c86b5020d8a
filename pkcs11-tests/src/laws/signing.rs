//! Laws 30 to 39: signatures as the rest of the world verifies them. The verifier is not the token's.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{AttributeType, ObjectHandle};
use cryptoki::session::Session;
use ring::digest::{SHA256, SHA384, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::bench::{Bench, Kind, bytes, with_key};
use super::{Finding, Subject, Verdict, hold};

/// Signatures until one of them begins with a zero byte, as good as surely: (255/256)^(2 * 600) < 1 %.
const ENOUGH_FOR_A_LEADING_ZERO: u32 = 600;
/// Length of `r || s` over P-256 and over P-384 (bytes).
const P256_BYTES: usize = 64;
const P384_BYTES: usize = 96;
/// DER of a DigestInfo for SHA-256 up to the digest (RFC 8017 section 9.2).
const SHA256_PREFIX: &[u8] =
    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

/// The point of an EC public key: an OCTET STRING, or as some modules have it, bare.
pub(super) fn point(session: &Session, public: ObjectHandle) -> Result<Vec<u8>, Finding> {
    let value = bytes(session, public, AttributeType::EcPoint)?;
    Ok(unwrapped(&value).unwrap_or(&value).to_vec())
}

/// The content of a DER OCTET STRING shorter than 128 bytes: points over P-256 and P-384 are.
fn unwrapped(der: &[u8]) -> Option<&[u8]> {
    match der {
        [0x04, length @ 0..=0x7f, content @ ..] if content.len() == usize::from(*length) => {
            Some(content)
        }
        _ => None,
    }
}

fn message(number: u32) -> Vec<u8> {
    format!("law test {number}").into_bytes()
}

/// One signature, verified.
pub(super) fn sign_p256(
    session: &Session,
    key: ObjectHandle,
    point: &[u8],
    number: u32,
) -> Verdict {
    let message = message(number);
    let signature = session.sign(&Mechanism::Ecdsa, key, digest(&SHA256, &message).as_ref())?;
    hold(signature.len() == P256_BYTES, || {
        format!("signature {number} has {} bytes", signature.len())
    })?;
    let verified =
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(&message, &signature);
    hold(verified.is_ok(), || {
        format!("signature {number} does not verify under its key")
    })
}

pub(super) fn p256_signs_r_and_s_of_fixed_width(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECDSA)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        let point = point(&session, pair.public)?;
        (0..ENOUGH_FOR_A_LEADING_ZERO)
            .try_for_each(|n| sign_p256(&session, pair.private, &point, n))
    })
}

pub(super) fn p384_signs_r_and_s_of_fixed_width(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECDSA)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P384, &[], |pair| {
        let point = point(&session, pair.public)?;
        let message = message(0);
        let signature = session.sign(
            &Mechanism::Ecdsa,
            pair.private,
            digest(&SHA384, &message).as_ref(),
        )?;
        hold(signature.len() == P384_BYTES, || {
            format!("a signature of {} bytes", signature.len())
        })?;
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &point);
        hold(key.verify(&message, &signature).is_ok(), || {
            "it does not verify".to_owned()
        })
    })
}

pub(super) fn ec_point_is_a_der_octet_string(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECC_KEY_PAIR_GEN)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        let value = bytes(&session, pair.public, AttributeType::EcPoint)?;
        let point = unwrapped(&value)
            .ok_or_else(|| Finding::Broken(format!("{} bare bytes", value.len())))?;
        hold(point.len() == 65 && point[0] == 4, || {
            "the point is not uncompressed".to_owned()
        })
    })
}

/// Signs with an RSA key and lets somebody else verify.
fn rsa(
    subject: &Subject,
    mechanism: (MechanismType, Mechanism<'_>),
    input: impl Fn(&[u8]) -> Vec<u8>,
    verify: &'static ring::signature::RsaParameters,
) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(mechanism.0)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::Rsa, &[], |pair| {
        let message = message(0);
        let hash = digest(&SHA256, &message);
        let signature = session.sign(&mechanism.1, pair.private, &input(hash.as_ref()))?;
        let public = RsaPublicKeyComponents {
            n: bytes(&session, pair.public, AttributeType::Modulus)?,
            e: bytes(&session, pair.public, AttributeType::PublicExponent)?,
        };
        let verified = public.verify(verify, &message, &signature);
        hold(verified.is_ok(), || {
            format!("a signature of {} bytes does not verify", signature.len())
        })
    })
}

pub(super) fn rsa_pkcs1_signs_a_digest_info(subject: &Subject) -> Verdict {
    let mechanism = (MechanismType::RSA_PKCS, Mechanism::RsaPkcs);
    rsa(
        subject,
        mechanism,
        |hash| [SHA256_PREFIX, hash].concat(),
        &RSA_PKCS1_2048_8192_SHA256,
    )
}

pub(super) fn rsa_pss_signs_a_digest(subject: &Subject) -> Verdict {
    let parameters = PkcsPssParams {
        hash_alg: MechanismType::SHA256,
        mgf: PkcsMgfType::MGF1_SHA256,
        s_len: 32.into(),
    };
    let mechanism = (
        MechanismType::RSA_PKCS_PSS,
        Mechanism::RsaPkcsPss(parameters),
    );
    rsa(
        subject,
        mechanism,
        <[u8]>::to_vec,
        &RSA_PSS_2048_8192_SHA256,
    )
}

pub(super) fn handle_is_good_in_every_session(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECDSA)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        let point = point(&session, pair.public)?;
        let read_only = bench.context.open_ro_session(bench.slot)?;
        for (number, other) in [read_only, bench.session()?].into_iter().enumerate() {
            sign_p256(&other, pair.private, &point, number as u32)?;
        }
        Ok(())
    })
}
