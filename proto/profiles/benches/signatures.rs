//! How long the thinking of a signature takes, and how often it allocates; the key operation is not ours.
//!
//! `prepare` is from a parsed request to the bytes to sign. `assemble` is from there to the headers and holds one
//! verification under the certificate's key, so take `primitive` off to see ours; the same for `verify`. Goals for a
//! machine of 2020: a Berlin Group POST prepared and assembled in 15 µs without the primitive, an RFC 9421 base in 20 µs,
//! a detached JWS over 4 KiB in 25 µs, a verification in the primitive and 15 µs.
//!
//! `cargo bench -p sealkeep-profiles`
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[allow(dead_code, unreachable_pub)] // Shared with the tests, which need more of it.
#[path = "../tests/profiles/support.rs"]
mod support;

use divan::{AllocProfiler, Bencher};
use sealkeep_profiles::prepared::{Prepared, Signed};
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::request::HttpRequest;
use sealkeep_profiles::verify;

use support::{Seal, profile, vector_time};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A profile with all it needs to sign one request.
struct Bench {
    profile: &'static Profile,
    settings: Settings,
    seal: Seal,
    request: HttpRequest,
}

impl Bench {
    fn of(name: &str) -> Self {
        let (key, body_bytes) = match name {
            "berlin-group-1.3.4" => (Seal::rsa(), 700),
            "rfc9421" => (Seal::p256(), 700),
            _ => (Seal::rsa(), 4096),
        };
        let profile = profile(name);
        let settings = profile.required_settings().iter();
        Self {
            profile,
            settings: settings
                .map(|name| (name.clone(), "registered-1".to_owned()))
                .collect(),
            seal: key,
            request: payment(body_bytes),
        }
    }

    fn prepare(&self) -> Prepared {
        let certificate = &self.seal.certificate;
        self.profile
            .prepare(&self.request, certificate, &self.settings, vector_time())
            .unwrap()
    }

    fn raw(&self) -> Vec<u8> {
        let prepared = self.prepare();
        self.seal.sign(prepared.scheme(), prepared.to_be_signed())
    }

    fn signed(&self) -> Signed {
        self.prepare().assemble(&self.raw()).unwrap()
    }
}

/// A payment as a payment service sends it.
fn payment(body_bytes: usize) -> HttpRequest {
    let frame = r#"{"remittanceInformationUnstructured":""}"#.len();
    let text = "x".repeat(body_bytes - frame);
    let body = format!(r#"{{"remittanceInformationUnstructured":"{text}"}}"#);
    let headers = [
        ("Host", "bank.example"),
        ("Accept", "application/json"),
        ("Content-Type", "application/json"),
        ("Date", support::VECTOR_DATE),
        ("X-Request-ID", support::REQUEST_ID),
        ("Authorization", "Bearer eyJhbGciOiJub25lIn0.example"),
        ("PSU-ID", "psu-1234"),
        ("PSU-IP-Address", "192.0.2.7"),
        (
            "PSU-User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        ("TPP-Redirect-URI", "https://tpp.example/return"),
        ("TPP-Nok-Redirect-URI", "https://tpp.example/cancelled"),
        ("Consent-ID", "1234-wertiq-983"),
    ];
    let target = "/v1/payments/sepa-credit-transfers";
    support::request("POST", target, &headers, body.as_bytes())
}

const PROFILES: [&str; 3] = ["berlin-group-1.3.4", "rfc9421", "obuk-3.1.4"];

#[divan::bench(args = PROFILES)]
fn prepare(bencher: Bencher<'_, '_>, name: &str) {
    let bench = Bench::of(name);
    bencher.bench_local(|| bench.prepare());
}

#[divan::bench(args = PROFILES)]
fn prepare_and_assemble(bencher: Bencher<'_, '_>, name: &str) {
    let bench = Bench::of(name);
    let raw = bench.raw();
    bencher.bench_local(|| bench.prepare().assemble(&raw).unwrap());
}

#[divan::bench(args = PROFILES)]
fn primitive(bencher: Bencher<'_, '_>, name: &str) {
    let bench = Bench::of(name);
    let (prepared, raw) = (bench.prepare(), bench.raw());
    let key = prepared.public_key();
    bencher.bench_local(|| {
        key.verify(prepared.scheme(), prepared.to_be_signed(), &raw)
            .unwrap()
    });
}

#[divan::bench(args = PROFILES)]
fn verify_request(bencher: Bencher<'_, '_>, name: &str) {
    let bench = Bench::of(name);
    let arrived = support::sent(&bench.request, &bench.signed());
    let certificate = &bench.seal.certificate;
    bencher.bench_local(|| {
        verify::http_request(
            bench.profile,
            &arrived,
            certificate,
            &bench.settings,
            vector_time(),
        )
        .unwrap()
    });
}

#[divan::bench]
fn parse_request(bencher: Bencher<'_, '_>) {
    let request = payment(700);
    let headers: support::Lines = request
        .headers()
        .iter()
        .map(|header| (header.name().to_owned(), header.value().as_bytes().to_vec()))
        .collect();
    let body = request.body().bytes().unwrap();
    bencher.bench_local(|| support::request_of("POST", request.target(), &headers, body).unwrap());
}
