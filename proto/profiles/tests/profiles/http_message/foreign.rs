//! A verifier that is not ours: crate `httpsig-hyper` rebuilds the signature base from what goes over the wire.
//!
//! Where it differs from RFC 9421, what is sent here keeps away from it:
//! - It writes the parameters in an order of its own (`created`, `expires`, `nonce`, `alg`, `keyid`, `tag`), not as they
//!   stand in `Signature-Input` (§2.3): profiles with another order are extended by one with this order.
//! - It writes `keyid`, `nonce` and `tag` without escapes: there are no quotation marks in ours.
//! - It compares the names of query parameters as they are sent, undecoded (§2.2.8): ours need no encoding. It knows no `bs`
//!   and no `tr`.
//! - It leaves a default port in `@authority` (§2.2.3): there is none.
//! - It holds `expires` against the clock of the machine: here it is the year 2100.
//! - It has no P-521, and RSA only with a release candidate of crate `rsa`: for such keys its base is compared with ours, and
//!   that the signature is one over ours was verified when it was assembled.

use std::sync::LazyLock;

use httpsig_hyper::prelude::{AlgorithmName, HttpSignatureBase, HttpSignatureHeaders, PublicKey};
use httpsig_hyper::{MessageSignatureReq, MessageSignatureRes};
use jiff::Timestamp;
use proptest::prelude::*;
use sealkeep_profiles::algorithm::KeyType;
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::{Catalog, Profile, Source};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, Header, HttpRequest, HttpResponse};

use crate::support::*;

/// The first of January 2100.
const NOW_SECONDS: i64 = 4_102_444_800;

static SEALS: LazyLock<[Seal; 5]> = LazyLock::new(Seal::each);

/// Every shipped profile of RFC 9421, in the order of parameters that the other side takes, and one that covers all it knows.
static PROFILES: LazyLock<Catalog> = LazyLock::new(|| {
    let extended = |name: &str, parameters: &str| {
        format!(
            "name = \"{name}-reordered\"\ntitle = \"case\"\nsource = \"test\"\nconfidence = \"seen\"\n\
             extends = \"{name}\"\n[request.http_message]\nparameters = [{parameters}]\n"
        )
    };
    let files = [
        (
            "rfc9421-reordered.toml",
            extended("rfc9421", r#""created", "expires", "alg", "keyid""#),
        ),
        (
            "amazon-sp-api-reordered.toml",
            extended("amazon-sp-api", r#""created", "alg", "keyid""#),
        ),
        ("all.toml", ALL.to_owned()),
    ];
    let files = files.iter();
    Catalog::beside_shipped(files.map(|(file, text)| Source { file, text })).unwrap()
});

const NAMES: [&str; 5] = [
    "all",
    "amazon-sp-api-reordered",
    "ebay",
    "fapi-2-http-signatures",
    "rfc9421-reordered",
];

const ALL: &str = r#"
name = "all"
title = "case"
source = "test"
confidence = "seen"
[settings]
kid = "the key id"
[request.http_message]
label = "all"
covered = [
    "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", '@query-param;name="q"?',
    "content-type", "x-other?", "dict;sf?", 'dict;key="a"?', "content-digest",
]
parameters = ["created", "expires", "nonce", "alg", "keyid", "tag"]
schemes = ["rsa-pss-sha512", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519"]
key_id = { setting = "kid" }
nonce_from = "x-request-id"
tag = "all"
lifetime_seconds = 60
age_seconds_max = 300
[request.http_message.structured]
dict = "dictionary"
[request.http_message.digest]
hash = "sha512"
[response.http_message]
label = "all"
covered = [
    "@status", "content-type", "x-other?", "content-digest", "@method;req", "@authority;req", "@path;req", "@query;req",
    '@query-param;name="q";req?', "x-request-id;req", 'dict;key="a";req?',
]
parameters = ["created", "keyid", "tag"]
schemes = ["rsa-pss-sha256", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ecdsa-p521-sha512", "ed25519"]
key_id = { setting = "kid" }
tag = "answers"
age_seconds_max = 300
[response.http_message.digest]
hash = "sha256"
"#;

prop_compose! {
    /// With all that some profile wants, and lines that repeat.
    fn any_request()(
        method in proptest::sample::select(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"][..]),
        target in "(/[a-zA-Z0-9_.~-]{1,8}x){1,4}(\\?q=[a-z0-9]{0,5}(&[a-z]{2,4}=[a-zA-Z0-9=/?%-]{0,9})?)?",
        id in any::<u128>(),
        token in "[a-zA-Z0-9._~+/-]{1,40}",
        others in proptest::collection::vec("[!-~]([ -~]{0,30}[!-~])?", 0..3),
        dict in proptest::option::of("a=[0-9]{1,9}, *b;x=\"[a-z ]{0,4}\",  c=\\([0-9]  1\\.50\\)"),
        body in proptest::collection::vec(any::<u8>(), 0..64),
        shuffled in Just((0..10_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) -> HttpRequest {
        let target = target.replace('%', "%25");
        let id = format!("{id:032x}");
        let mut headers = lines(&[
            ("X-Request-ID", &id),
            ("Content-Type", "application/json"),
            ("Authorization", &format!("Bearer {token}")),
            ("X-Amz-Access-Token", &token),
            ("Host", "bank.example"),
        ]);
        headers.extend(others.into_iter().map(|value| ("X-Other".to_owned(), value.into_bytes())));
        headers.extend(dict.map(|value| ("Dict".to_owned(), value.into_bytes())));
        let mut order = shuffled.into_iter();
        headers.sort_by_cached_key(|(name, _)| (name != "X-Other").then(|| order.next()));
        request_of(method, &target, &headers, &body).unwrap()
    }
}

prop_compose! {
    fn any_response()(
        status in 100_u16..600,
        others in proptest::collection::vec("[!-~]([ -~]{0,30}[!-~])?", 0..3),
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) -> HttpResponse {
        let mut headers = lines(&[("Content-Type", "application/json")]);
        headers.extend(others.into_iter().map(|value| ("X-Other".to_owned(), value.into_bytes())));
        let body = BodyParts { bytes: Some(&body), digests: &[] };
        HttpResponse::parse(status, &headers, body).unwrap()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW_SECONDS).unwrap()
}

/// The first seal, from one on, whose key the profile takes.
fn prepared(
    from: usize,
    prepare: impl Fn(&Seal) -> Result<Prepared, Refusal>,
) -> (&'static Seal, Prepared) {
    let seals = SEALS.iter().cycle().skip(from).take(SEALS.len());
    let mut refusals = Vec::new();
    for seal in seals {
        match prepare(seal) {
            Ok(prepared) => return (seal, prepared),
            Err(refusal) => refusals.push(refusal.to_string()),
        }
    }
    panic!("{refusals:?}");
}

fn signed_request(
    profile: &Profile,
    from: usize,
    request: &HttpRequest,
) -> (&'static Seal, Vec<u8>, HttpRequest) {
    let settings = usable_settings(profile);
    let (seal, prepared) = prepared(from, |seal| {
        profile.prepare(request, &seal.certificate, &settings, now())
    });
    let base = prepared.to_be_signed().to_vec();
    (seal, base, sent(request, &seal.finish(prepared)))
}

fn foreign_request(request: &HttpRequest) -> http::Request<String> {
    let uri = format!("https://{}{}", request.authority(), request.target());
    let mut foreign = http::Request::builder()
        .method(request.method().as_str())
        .uri(uri)
        .body(String::new())
        .unwrap();
    set(foreign.headers_mut(), request.headers());
    foreign
}

fn set(foreign: &mut http::HeaderMap, headers: &[Header]) {
    for header in headers {
        let name = http::HeaderName::from_bytes(header.name().as_bytes()).unwrap();
        foreign.append(name, header.value().parse().unwrap());
    }
}

/// The key of the other side, where it has such keys.
fn foreign_key(seal: &Seal) -> Option<PublicKey> {
    let key = seal.certificate.public_key();
    let (algorithm, bytes) = match key.key_type() {
        KeyType::EcP256 => (AlgorithmName::EcdsaP256Sha256, 65),
        KeyType::EcP384 => (AlgorithmName::EcdsaP384Sha384, 97),
        KeyType::Ed25519 => (AlgorithmName::Ed25519, 32),
        _ => return None,
    };
    let (_, bits) = key.spki_der().split_at(key.spki_der().len() - bytes);
    Some(PublicKey::from_bytes(&algorithm, bits).unwrap())
}

fn agrees(
    seal: &Seal,
    base: &[u8],
    found: Option<&(HttpSignatureBase, HttpSignatureHeaders)>,
) -> Result<(), TestCaseError> {
    let (foreign, headers) = found.expect("it has a base");
    prop_assert_eq!(foreign.to_string(), String::from_utf8_lossy(base));
    if let Some(key) = foreign_key(seal) {
        let verdict = foreign.verify_signature_headers(&key, headers);
        prop_assert!(verdict.is_ok(), "{verdict:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn another_implementation_verifies_our_requests(
        request in any_request(),
        name in proptest::sample::select(&NAMES[..]),
        from in 0..5_usize,
    ) {
        let (seal, base, sent) = signed_request(PROFILES.get(name).unwrap(), from, &request);
        let found = foreign_request(&sent).extract_signatures().unwrap();
        prop_assert_eq!(found.len(), 1);
        agrees(seal, &base, found.values().next())?;
    }

    #[test]
    fn another_implementation_verifies_answers_bound_to_our_requests(
        request in any_request(),
        response in any_response(),
        name in proptest::sample::select(&["all", "fapi-2-http-signatures", "rfc9421"][..]),
        from in 0..5_usize,
    ) {
        let profile = PROFILES.get(name).unwrap();
        let (_, _, sent) = signed_request(profile, from, &request);
        let foreign_sent = foreign_request(&sent);
        let response = response.answering(sent);
        let settings: sealkeep_profiles::profile::Settings = profile.settings().map(|(name, _)| (name, "registered-1")).collect();
        let (seal, prepared) = prepared(from + 1, |seal| {
            profile.prepare_response(&response, &seal.certificate, &settings, now())
        });
        let base = prepared.to_be_signed().to_vec();
        let answered = answered(&response, &seal.finish(prepared));
        let mut foreign = http::Response::builder().status(answered.status()).body(String::new()).unwrap();
        set(foreign.headers_mut(), answered.headers());
        let found = foreign.extract_signatures(Some(&foreign_sent)).unwrap();
        agrees(seal, &base, found.values().next())?;
    }
}
