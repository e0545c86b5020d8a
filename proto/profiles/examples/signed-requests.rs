//! Random requests, signed under every shipped profile, as JSON lines for verifiers that are not ours:
//! `signed-requests COUNT SEED NOW`, with COUNT requests a format, any text as seed, and the time in seconds.
//!
//! The keys are of this run, or test keys of RFCs. deploy/interop says which verifiers read the lines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

#[allow(dead_code, unreachable_pub)] // Shared with the tests, which need more of it.
#[path = "../tests/profiles/support.rs"]
mod support;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::format::jwt::{ClientAssertion, DpopProof, JwtRequest};
use sealkeep_profiles::prepared::{Prepared, Signed};
use sealkeep_profiles::profile::{Catalog, Profile};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::HttpRequest;
use serde_json::json;

use support::{Lines, Seal, format_of, request_of, sent, usable_settings};

/// How often a profile may refuse a request, missing headers and unsuitable keys included, before it counts as broken.
const ATTEMPTS_A_REQUEST_MAX: usize = 400;

/// Headers that some profile signs when they are there, or wants; the first and the second are always sent.
const NAMES: [&str; 14] = [
    "X-Request-ID",
    "Date",
    "Accept",
    "Authorization",
    "Client-ID",
    "Consent-ID",
    "PSU-Corporate-ID",
    "PSU-ID",
    "PSU-IP-Address",
    "TPP-Redirect-URI",
    "X-Amz-Access-Token",
    "X-EBAY-Signature-Key",
    "X-Idempotency-Key",
    "X-Other",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, seed, now] = arguments.as_slice() else {
        panic!("usage: signed-requests COUNT SEED NOW");
    };
    let now = Timestamp::from_second(now.parse().unwrap()).unwrap();
    let seed = HashAlgorithm::Sha256.digest(seed.as_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let seals = Seal::each();
    let count: usize = count.parse().unwrap();
    let issuers: Vec<&Profile> = Catalog::embedded()
        .iter()
        .filter(|profile| profile.signs_jwt())
        .collect();
    for index in 0..count {
        println!(
            "{}",
            token(issuers[index % issuers.len()], &seals, now, &mut runner)
        );
    }
    let mut formats: BTreeMap<String, Vec<&Profile>> = BTreeMap::new();
    for profile in Catalog::embedded().iter() {
        if let Some(format) = format_of(profile.name()) {
            formats.entry(format).or_default().push(profile);
        }
    }
    for (format, profiles) in formats {
        let each = count.div_ceil(profiles.len());
        for profile in profiles {
            for _ in 0..each {
                println!("{}", signed(&format, profile, &seals, now, &mut runner));
            }
        }
    }
}

/// A signed request as it goes over the wire, with the public key that verifies it.
fn signed(
    format: &str,
    profile: &Profile,
    seals: &[Seal],
    now: Timestamp,
    runner: &mut TestRunner,
) -> serde_json::Value {
    let strategy = (any_draft(now), any::<prop::sample::Index>());
    let settings = usable_settings(profile);
    let mut refusals = Vec::new();
    let (mut draft, mut which) = strategy.new_tree(runner).unwrap().current();
    for _ in 0..ATTEMPTS_A_REQUEST_MAX {
        let seal = which.get(seals);
        let request = request_of(draft.method, &draft.target, &draft.headers, &draft.body).unwrap();
        let refusal = match profile.prepare(&request, &seal.certificate, &settings, now) {
            Ok(prepared) => return line(format, profile, seal, &request, prepared),
            Err(refusal) => refusal,
        };
        refusals.push(refusal.to_string());
        let fresh = strategy.new_tree(runner).unwrap().current();
        match refusal {
            // Whatever a bank wants to see, it gets.
            Refusal::HeaderMissing { name } => {
                let value = if name == "authorization" {
                    "Bearer token-1"
                } else {
                    "value-1"
                };
                draft.headers.push((name, value.into()));
            }
            Refusal::HeaderMalformed { name, .. } if name == "x-request-id" => {
                support::replace(&mut draft.headers, &name, |id| id.replace('-', ""));
            }
            Refusal::HeaderReserved { name } | Refusal::HeaderMalformed { name, .. } => draft
                .headers
                .retain(|(n, _)| !n.eq_ignore_ascii_case(&name)),
            Refusal::AlgorithmNotAllowed { .. } => which = fresh.1,
            _ => draft = fresh.0,
        }
    }
    panic!("{} refuses everything: {refusals:?}", profile.name());
}

/// A client assertion, a DPoP proof or a body that is a JWT, whichever the profile has, with the request it is for.
fn token(
    profile: &Profile,
    seals: &[Seal],
    now: Timestamp,
    runner: &mut TestRunner,
) -> serde_json::Value {
    let strategy = (
        any_draft(now),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
    );
    let settings = usable_settings(profile);
    let mut refusals = Vec::new();
    for _ in 0..ATTEMPTS_A_REQUEST_MAX {
        let (draft, which, kind, jti) = strategy.new_tree(runner).unwrap().current();
        let seal = which.get(seals);
        let request = request_of(
            draft.method,
            &draft.target,
            &draft.headers,
            br#"{"data":{}}"#,
        )
        .unwrap();
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
        let asked = kind.get(&kinds);
        match profile.prepare_jwt(asked, &seal.certificate, &settings, &jti, now) {
            Ok(prepared) => return line("jwt", profile, seal, &request, prepared),
            Err(refusal) => refusals.push(refusal.to_string()),
        }
    }
    panic!("{} refuses everything: {refusals:?}", profile.name());
}

/// The signed request, with the public key that verifies it.
fn line(
    format: &str,
    profile: &Profile,
    seal: &Seal,
    request: &HttpRequest,
    prepared: Prepared,
) -> serde_json::Value {
    let scheme = prepared.scheme();
    let mut line = wire(request, &seal.finish(prepared));
    line["format"] = format.into();
    line["profile"] = profile.name().into();
    line["scheme"] = scheme.name().into();
    line["key"] = pem(seal.certificate.public_key().spki_der()).into();
    line
}

fn wire(request: &HttpRequest, signed: &Signed) -> serde_json::Value {
    let sent = sent(request, signed);
    let headers: Vec<[&str; 2]> = sent
        .headers()
        .iter()
        .map(|header| [header.name(), header.value()])
        .collect();
    json!({
        "method": sent.method().as_str(),
        "authority": sent.authority(),
        "target": sent.target(),
        "headers": headers,
        "body": STANDARD.encode(sent.body().bytes().unwrap()),
        "jws": signed.jws(),
    })
}

fn pem(spki: &[u8]) -> String {
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(spki)
    )
}

/// A request that is not yet what the profile wants.
#[derive(Clone, Debug)]
struct Draft {
    method: &'static str,
    target: String,
    headers: Lines,
    body: Vec<u8>,
}

fn any_draft(now: Timestamp) -> impl Strategy<Value = Draft> {
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let id = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}";
    let names = proptest::sample::subsequence(&NAMES[2..], 0..=NAMES.len() - 2).prop_shuffle();
    let values = proptest::collection::vec("[!-~]([ -~]{0,30}[!-~])?", NAMES.len());
    let target = "(/[a-zA-Z0-9_~.-]{1,8}x){1,4}(\\?[a-z]{1,4}=[a-zA-Z0-9=/?-]{0,12}(&[a-z]{5,6}=[0-9]{1,4})?)?";
    let body = prop_oneof![
        3 => "[a-zA-Z0-9 ,:]{0,80}".prop_map(|text| format!("{{\"text\":\"{text}\"}}").into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 1..300),
    ];
    let method = proptest::sample::select(&["GET", "POST", "PUT", "DELETE"][..]);
    (method, target, id, names, values, body).prop_map(
        move |(method, target, id, names, values, body)| {
            let mut headers: Lines = vec![
                (NAMES[0].to_owned(), id.into_bytes()),
                (NAMES[1].to_owned(), date.clone().into_bytes()),
                ("Content-Type".to_owned(), b"application/json".to_vec()),
                ("Host".to_owned(), b"bank.example".to_vec()),
            ];
            let others = names.into_iter().zip(values);
            headers.extend(others.map(|(name, value)| (name.to_owned(), value.into_bytes())));
            Draft {
                method,
                target,
                headers,
                body,
            }
        },
    )
}
