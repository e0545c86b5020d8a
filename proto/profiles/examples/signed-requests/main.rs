//! Random requests, answers and JWTs, signed under every shipped profile, as JSON lines for verifiers that are not ours:
//! `signed-requests COUNT SEED NOW`, with COUNT of each format, any text as seed, and the time in seconds.
//!
//! The keys are of this run, or test keys of RFCs. deploy/interop says which verifiers read the lines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

#[allow(dead_code, unreachable_pub)] // Shared with the tests, which need more of it.
#[path = "../../tests/profiles/support.rs"]
mod support;

mod answers;
mod tokens;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::{Catalog, Profile};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{Header, HttpRequest};
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
    let count: usize = count.parse().unwrap();
    let mut source = Source {
        seals: Seal::each(),
        now,
        runner: TestRunner::new_with_rng(Config::default(), random),
    };
    tokens::print(count, &mut source);
    answers::print(count, &mut source);
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
                let (line, _) = signed(&format, profile, &mut source);
                println!("{line}");
            }
        }
    }
}

/// What everything random is made from.
struct Source {
    seals: [Seal; 5],
    now: Timestamp,
    runner: TestRunner,
}

impl Source {
    fn any<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        strategy.new_tree(&mut self.runner).unwrap().current()
    }
}

/// A signed request as it goes over the wire, with the public key that verifies it; and as it was sent.
fn signed(
    format: &str,
    profile: &Profile,
    source: &mut Source,
) -> (serde_json::Value, HttpRequest) {
    let strategy = (any_draft(source.now), any::<prop::sample::Index>());
    let settings = usable_settings(profile);
    let mut refusals = Vec::new();
    let (mut draft, mut which) = source.any(&strategy);
    for _ in 0..ATTEMPTS_A_REQUEST_MAX {
        let seal = which.get(&source.seals);
        let request = request_of(draft.method, &draft.target, &draft.headers, &draft.body).unwrap();
        let refusal = match profile.prepare(&request, &seal.certificate, &settings, source.now) {
            Ok(prepared) => return line(format, profile, seal, &request, prepared),
            Err(refusal) => refusal,
        };
        refusals.push(refusal.to_string());
        let fresh = source.any(&strategy);
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

fn line(
    format: &str,
    profile: &Profile,
    seal: &Seal,
    request: &HttpRequest,
    prepared: Prepared,
) -> (serde_json::Value, HttpRequest) {
    let mut line = about(format, profile, seal, &prepared);
    let signed = seal.finish(prepared);
    let sent = sent(request, &signed);
    line["method"] = sent.method().as_str().into();
    line["authority"] = sent.authority().into();
    line["target"] = sent.target().into();
    line["headers"] = headers(sent.headers());
    line["body"] = STANDARD.encode(sent.body().bytes().unwrap()).into();
    line["jws"] = signed.jws().into();
    (line, sent)
}

/// What a verifier has to know besides the message.
fn about(format: &str, profile: &Profile, seal: &Seal, prepared: &Prepared) -> serde_json::Value {
    json!({
        "format": format,
        "profile": profile.name(),
        "scheme": prepared.scheme().name(),
        "key": pem(seal.certificate.public_key().spki_der()),
    })
}

fn headers(headers: &[Header]) -> serde_json::Value {
    let pairs = headers
        .iter()
        .map(|header| json!([header.name(), header.value()]));
    pairs.collect()
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
