//! No two languages that keys sign in have a sentence in common: whatever a format encodes, from requests made to confuse,
//! is recognised as its own language and hence as no other.
//!
//! `SEALKEEP_DISJOINT_CASES` says how many encodings there are at least; without it, [`CASES`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use sealkeep_profiles::format::certificate_verify::prepare_tls13;
use sealkeep_profiles::format::jwt::{ClientAssertion, DpopProof, JwtRequest};
use sealkeep_profiles::format::language::Language;
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::{Catalog, Profile, Settings};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::HttpRequest;

use crate::support::*;

/// How many encodings there are at least.
const CASES: u32 = 100_000;
/// How many profiles are to encode one request; making requests is what takes the time.
const PROFILES_A_REQUEST: usize = 20;
/// How many do at least, on average; the others refuse the request, or the key.
const ENCODINGS_A_REQUEST: u32 = 5;

static SEALS: LazyLock<[Seal; 5]> = LazyLock::new(Seal::each);

/// Beginnings that belong to some language.
const BEGINNINGS: [&str; 7] = [
    "eyJhbGciOiJub25lIn0.",
    "\"@method\": POST\n",
    "(request-target): post /\n",
    "                                                                TLS 1.3, client CertificateVerify\0",
    "\u{1}\0\0\u{10}",
    "0\u{81}",
    "digest: SHA-256=",
];

/// The language a shipped profile signs requests in, as its file says.
fn said(name: &str) -> Option<Language> {
    Some(match format_of(name)?.as_str() {
        "cavage" => Language::Cavage,
        "http_message" => Language::HttpMessage,
        "jws" | "jades" => Language::Jws,
        other => panic!("{name}: which language is {other} in?"),
    })
}

prop_compose! {
    fn hostile_text()(
        beginning in proptest::sample::select(&BEGINNINGS[..]),
        rest in "[ -~]{0,20}",
        plain in any::<bool>(),
    ) -> String {
        let text = if plain { rest } else { beginning.to_owned() + &rest };
        text.chars().filter(|c| (' '..='~').contains(c)).collect()
    }
}

prop_compose! {
    /// A request with what profiles ask for, and with names, values and a body that begin like other languages.
    fn hostile_request()(
        names in proptest::collection::btree_set("(eyJ|0|q|tpp-|psu-)[!#$%&'*+.^_`|~0-9A-Za-z-]{0,6}", 0..4),
        values in proptest::collection::vec(hostile_text(), 8),
        body in proptest::collection::vec(any::<u8>(), 0..40),
        beginning in proptest::sample::select(&BEGINNINGS[..]),
        method in proptest::sample::select(&["GET", "POST", "PUT"][..]),
    ) -> HttpRequest {
        let known = ["X-Request-ID", "Date", "Content-Type", "PSU-ID", "TPP-Redirect-URI", "Client-ID"];
        let fixed = [REQUEST_ID, VECTOR_DATE, "application/json"];
        let fixed = fixed.map(str::to_owned).into_iter().chain(values.iter().cloned());
        let known = known.map(str::to_owned).into_iter().zip(fixed);
        let headers: Lines = names
            .into_iter()
            .zip(values.iter().rev().cloned())
            .chain(known)
            .map(|(name, value)| (name, value.into_bytes()))
            .collect();
        let body = [beginning.as_bytes(), &body].concat();
        request_of(method, "/v1/payments?a=%22", &headers, &body).unwrap()
    }
}

/// How many encodings there were, by language.
#[derive(Default)]
struct Tally(RefCell<BTreeMap<Language, u32>>);

impl Tally {
    fn check(
        &self,
        name: &str,
        said: Language,
        prepared: Result<Prepared, Refusal>,
    ) -> Result<(), TestCaseError> {
        let prepared = match prepared {
            Ok(prepared) => prepared,
            // Not fit for this profile, or for its algorithms; that it begins like something else must not happen where
            // the profile chooses the first bytes.
            Err(refusal) => {
                let by_design = said == Language::Cavage;
                prop_assert!(
                    by_design || refusal.reason() != "FORMAT_CONFUSION",
                    "{name}"
                );
                return Ok(());
            }
        };
        let found = Language::of(prepared.to_be_signed());
        prop_assert_eq!(
            found,
            Some(said),
            "{}: {:?}",
            name,
            String::from_utf8_lossy(prepared.to_be_signed())
        );
        *self.0.borrow_mut().entry(said).or_default() += 1;
        Ok(())
    }
}

fn cases() -> u32 {
    let from_outside = std::env::var("SEALKEEP_DISJOINT_CASES");
    from_outside.map_or(CASES, |text| {
        text.parse().expect("SEALKEEP_DISJOINT_CASES is a number")
    })
}

#[test]
fn what_one_format_encodes_no_other_recognises() {
    let every: Vec<(&Profile, Language, Settings)> = Catalog::embedded()
        .iter()
        .filter_map(|profile| Some((profile, said(profile.name())?, usable_settings(profile))))
        .collect();
    let issuers: Vec<(&Profile, Settings)> = Catalog::embedded()
        .iter()
        .filter(|profile| profile.signs_jwt())
        .map(|profile| (profile, usable_settings(profile)))
        .collect();
    // As many profiles of each language, however many banks there are of one.
    let mut languages: BTreeMap<Language, Vec<usize>> = BTreeMap::new();
    for (index, (_, said, _)) in every.iter().enumerate() {
        languages.entry(*said).or_default().push(index);
    }
    let languages: Vec<&Vec<usize>> = languages.values().collect();
    let tally = Tally::default();
    let config = Config {
        cases: cases() / ENCODINGS_A_REQUEST,
        failure_persistence: None,
        ..Config::default()
    };
    let picks = proptest::collection::vec((any::<Index>(), any::<Index>()), PROFILES_A_REQUEST);
    let strategy = (
        hostile_request(),
        picks,
        proptest::collection::vec(any::<u8>(), 48),
    );
    let law = |(request, picks, hash): (HttpRequest, Vec<(Index, Index)>, Vec<u8>)| {
        for (position, (which, seal)) in picks.iter().enumerate() {
            let (profile, said, settings) =
                &every[*which.get(languages[position % languages.len()])];
            let certificate = &seal.get(&*SEALS).certificate;
            tally.check(
                profile.name(),
                *said,
                profile.prepare(&request, certificate, settings, vector_time()),
            )?;
            if *said == Language::Jws {
                let body = request.body().bytes().unwrap();
                let prepared = profile.prepare_jws(body, certificate, settings, vector_time());
                tally.check(profile.name(), *said, prepared)?;
            }
        }
        for (profile, settings) in &issuers {
            let certificate = &picks[0].1.get(&*SEALS).certificate;
            let proof = DpopProof {
                request: &request,
                access_token_sha256: None,
                nonce: None,
            };
            let kinds = [
                JwtRequest::ClientAssertion(ClientAssertion::default()),
                JwtRequest::DpopProof(proof),
                JwtRequest::Body(&request),
            ];
            for asked in &kinds {
                let prepared =
                    profile.prepare_jwt(asked, certificate, settings, REQUEST_ID, vector_time());
                tally.check(profile.name(), Language::Jws, prepared)?;
            }
        }
        let tls = prepare_tls13(0x0804, &hash, &SEALS[0].certificate);
        tally.check("TLS 1.3", Language::CertificateVerify, tls)
    };
    TestRunner::new(config).run(&strategy, law).unwrap();
    let counts = tally.0.into_inner();
    assert!(counts.values().sum::<u32>() >= cases(), "{counts:?}");
    assert!(
        counts.len() == 4 && counts.values().all(|count| *count >= cases() / 20),
        "{counts:?}"
    );
}

#[test]
fn a_certification_request_is_in_no_language_of_seals() {
    let keys = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ];
    for key in keys.map(|algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap()) {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "Example TPP GmbH");
        let request = params.serialize_request(&key).unwrap();
        // The information follows the outer tag and length: one byte, and one that says how many more.
        let outer = request.der().as_ref();
        let more = if outer[1] & 0x80 == 0 {
            0
        } else {
            outer[1] & 0x7f
        };
        let information = &outer[2 + usize::from(more)..];
        assert_eq!(
            Language::of(information),
            Some(Language::CertificationRequest)
        );
    }
}

#[test]
fn every_language_is_told_by_its_beginning_and_the_rest_is_none() {
    let spaces = " ".repeat(64);
    let table: [(&[u8], Option<Language>); 15] = [
        (b"digest: SHA-256=", Some(Language::Cavage)),
        (b"(request-target): post /", Some(Language::Cavage)),
        (b"0: a header may be called so", Some(Language::Cavage)),
        (b"0", Some(Language::Cavage)),
        (b"eyi: ", Some(Language::Cavage)),
        (b"\"@method\": POST", Some(Language::HttpMessage)),
        (b"eyJ", Some(Language::Jws)),
        (spaces.as_bytes(), Some(Language::CertificateVerify)),
        (&[1], Some(Language::CertificateVerify)),
        (&[0x30, 0x81], Some(Language::CertificationRequest)),
        (&[0x30, 0x7f, 0x02], Some(Language::CertificationRequest)),
        (b"", None),
        (&spaces.as_bytes()[1..], None),
        (b"{\"typ\"", None),
        (&[0xc3, 0xa9], None),
    ];
    for (bytes, expected) in table {
        assert_eq!(
            Language::of(bytes),
            expected,
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
}
