//! The other side: what was signed verifies, and each change on the way is named.

mod answers;
mod values;

use jiff::SignedDuration;
use sealkeep_profiles::profile::Settings;
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse};
use sealkeep_profiles::verify::{self, Verified, VerifyError};

use super::{covering, requests};
use crate::support::*;

const TARGET: &str = "/v1/payments?a=1";
const BODY: &[u8] = br#"{"amount":"1.00"}"#;
const HEADERS: [(&str, &str); 3] = [
    ("Authorization", "Bearer abc"),
    ("Content-Type", "application/json"),
    ("X-Request-ID", REQUEST_ID),
];

fn settings() -> Settings {
    [("key_id", "seal-1"), ("bank_key_id", "bank-1")]
        .into_iter()
        .collect()
}

/// Signs a payment, changes its headers on the way, and asks the bank.
fn bank(seal: &Seal, change: impl FnOnce(&mut Lines)) -> Result<Verified, VerifyError> {
    let arrived = arrived(seal, "POST", TARGET, BODY, change);
    let now = vector_time();
    verify::http_request(
        profile("rfc9421"),
        &arrived,
        &seal.certificate,
        &settings(),
        now,
    )
}

/// Signs a payment and changes all of it.
fn arrived(
    seal: &Seal,
    method: &str,
    target: &str,
    body: &[u8],
    change: impl FnOnce(&mut Lines),
) -> HttpRequest {
    let payment = request("POST", TARGET, &HEADERS, BODY);
    let prepared = profile("rfc9421")
        .prepare(&payment, &seal.certificate, &settings(), vector_time())
        .unwrap();
    let mut headers = Vec::new();
    sent_with(&payment, &seal.finish(prepared), |lines| {
        change(lines);
        headers.clone_from(lines);
    });
    request_of(method, target, &headers, body).unwrap()
}

fn reason(change: impl FnOnce(&mut Lines)) -> &'static str {
    bank(&Seal::p256(), change).unwrap_err().reason()
}

fn in_input(from: &'static str, to: &'static str) -> impl FnOnce(&mut Lines) {
    move |headers| {
        replace(headers, "signature-input", |value| {
            assert!(value.contains(from), "{value}");
            value.replacen(from, to, 1)
        });
    }
}

#[test]
fn what_was_signed_verifies_with_every_key() {
    for seal in [Seal::rsa(), Seal::p256(), Seal::p384(), Seal::ed25519()] {
        let verified = bank(&seal, |_| {}).unwrap();
        assert_eq!(
            verified.signed_fields,
            [
                "@method",
                "@target-uri",
                "authorization",
                "content-digest",
                "content-type",
                "x-request-id"
            ]
        );
        assert_eq!(verified.issued_at, Some(vector_time()));
    }
}

#[test]
fn every_covered_component_is_covered() {
    let seal = Seal::p256();
    let ask = |method: &str, target: &str, body: &[u8], change: fn(&mut Lines)| {
        let arrived = arrived(&seal, method, target, body, change);
        let now = vector_time();
        let answer = verify::http_request(
            profile("rfc9421"),
            &arrived,
            &seal.certificate,
            &settings(),
            now,
        );
        answer.unwrap_err().reason()
    };
    assert_eq!(ask("PUT", TARGET, BODY, |_| {}), "SIGNATURE_INVALID");
    assert_eq!(
        ask("POST", "/v1/payments?a=2", BODY, |_| {}),
        "SIGNATURE_INVALID"
    );
    assert_eq!(
        ask("POST", "/v2/payments?a=1", BODY, |_| {}),
        "SIGNATURE_INVALID"
    );
    assert_eq!(
        ask("POST", TARGET, br#"{"amount":"9.00"}"#, |_| {}),
        "DIGEST_MISMATCH"
    );
    for name in ["authorization", "content-type", "x-request-id"] {
        let changed = move |headers: &mut Lines| replace(headers, name, |v| format!("{v}x"));
        assert_eq!(reason(changed), "SIGNATURE_INVALID", "{name}");
        let gone =
            move |headers: &mut Lines| headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        assert_eq!(reason(gone), "HEADER_MISSING", "{name}");
        let doubled = move |headers: &mut Lines| headers.push((name.into(), b"x".to_vec()));
        assert_eq!(reason(doubled), "SIGNATURE_INVALID", "{name}");
    }
    // Not covered.
    bank(&seal, |headers| {
        headers.push(("accept".into(), b"*/*".to_vec()))
    })
    .unwrap();
}

#[test]
fn names_a_component_that_is_not_covered_or_not_known() {
    let uncovered = |from, to| bank(&Seal::p256(), in_input(from, to)).unwrap_err();
    for (component, name) in [
        ("\"@method\" ", "@method"),
        ("\"content-digest\" ", "content-digest"),
        (" \"x-request-id\"", "x-request-id"),
    ] {
        let name = name.to_owned();
        assert_eq!(
            uncovered(component, ""),
            VerifyError::FieldNotSigned { name }
        );
    }
    // Sent and covered if sent: it came on top.
    let on_top = |headers: &mut Lines| headers.push(("x-idempotency-key".into(), b"1".to_vec()));
    let name = "x-idempotency-key".to_owned();
    let error = bank(&Seal::p256(), on_top).unwrap_err();
    assert_eq!(error, VerifyError::FieldNotSigned { name });

    for (to, name) in [
        ("\"@method\" \"@unknown\"", "\"@unknown\""),
        ("\"@method\" \"x-a\";tr", "\"x-a\";tr"),
        ("\"@method\" \"X-A\"", "\"X-A\""),
        ("\"@method\" method", "method"),
        ("\"@method\" \"@status\";req", "\"@status\";req"),
    ] {
        let name = name.to_owned();
        assert_eq!(
            uncovered("\"@method\"", to),
            VerifyError::FieldUnexpected { name }
        );
    }
    for (to, reason) in [
        ("\"@method\" \"@method\"", "PARAMETER_REPEATED"),
        ("\"@method\" \"@status\"", "COMPONENT_UNAVAILABLE"),
        ("\"@method\" \"@path\";req", "COMPONENT_UNAVAILABLE"),
        ("\"@method\" \"x-none\"", "HEADER_MISSING"),
        ("\"@method\" \"x-request-id\";sf", "HEADER_MALFORMED"),
        ("\"@method\" \"@path\"", "SIGNATURE_INVALID"),
    ] {
        assert_eq!(uncovered("\"@method\"", to).reason(), reason, "{to}");
    }
}

#[test]
fn the_order_of_components_is_the_signers() {
    // The bank's own profile lists them otherwise.
    let seal = Seal::ed25519();
    let sign = requests(&covering("\"@path\", \"@method\", \"@query\""));
    let ask = requests(&covering("\"@method\", \"@path\""));
    let get = request("GET", "/a?b", &[], b"");
    let prepared = sign
        .prepare(&get, &seal.certificate, &no_settings(), vector_time())
        .unwrap();
    let arrived = sent(&get, &seal.finish(prepared));
    let verified = verify::http_request(
        &ask,
        &arrived,
        &seal.certificate,
        &no_settings(),
        vector_time(),
    );
    assert_eq!(
        verified.unwrap().signed_fields,
        ["@path", "@method", "@query"]
    );
}

#[test]
fn names_parameters_that_differ() {
    for (from, to, reason_word) in [
        (";created=1537264261", "", "PARAMETER_MISSING"),
        (";expires=1537264561", "", "PARAMETER_MISSING"),
        (";keyid=\"seal-1\"", "", "PARAMETER_MISSING"),
        (";alg=\"ecdsa-p256-sha256\"", "", "PARAMETER_MISSING"),
        ("created=1537264261", "created=\"1\"", "PARAMETER_MALFORMED"),
        (
            "created=1537264261",
            "created=999999999999999",
            "PARAMETER_MALFORMED",
        ),
        (
            "expires=1537264561",
            "expires=1537264261",
            "PARAMETER_MALFORMED",
        ),
        ("created=1537264261", "created=1537263960", "STALE"),
        ("created=1537264261", "created=1537264562;x=1", "STALE"),
        ("keyid=\"seal-1\"", "keyid=\"seal-2\"", "KEY_ID_MISMATCH"),
        ("keyid=\"seal-1\"", "keyid=seal-1", "PARAMETER_MALFORMED"),
        ("ecdsa-p256-sha256", "ecdsa-p384-sha384", "ALGORITHM_LABEL"),
        ("ecdsa-p256-sha256", "hmac-sha256", "ALGORITHM_LABEL"),
        ("ecdsa-p256-sha256", "ES256", "ALGORITHM_LABEL"),
        (
            "expires=1537264561",
            "expires=1537264560",
            "SIGNATURE_INVALID",
        ),
        (
            "keyid=\"seal-1\"",
            "keyid=\"seal-1\";tag=\"x\"",
            "SIGNATURE_INVALID",
        ),
    ] {
        assert_eq!(reason(in_input(from, to)), reason_word, "{to}");
    }
}

#[test]
fn names_a_signature_that_is_old_or_over() {
    let seal = Seal::p256();
    let arrived = arrived(&seal, "POST", TARGET, BODY, |_| {});
    let at = |seconds: i64| {
        let now = vector_time() + SignedDuration::from_secs(seconds);
        verify::http_request(
            profile("rfc9421"),
            &arrived,
            &seal.certificate,
            &settings(),
            now,
        )
        .map_err(|error| error.reason())
    };
    at(-300).unwrap();
    at(299).unwrap();
    assert_eq!(at(300).unwrap_err(), "EXPIRED");
    assert_eq!(at(301).unwrap_err(), "STALE");
    assert_eq!(at(-301).unwrap_err(), "STALE");
}

#[test]
fn names_fields_that_are_missing_malformed_or_anothers() {
    let without = |name: &'static str| {
        reason(move |headers| headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name)))
    };
    assert_eq!(without("signature-input"), "SIGNATURE_MISSING");
    assert_eq!(without("signature"), "SIGNATURE_MISSING");
    assert_eq!(without("content-digest"), "HEADER_MISSING");
    for (name, value, reason_word) in [
        ("signature-input", "sig1=1", "PARAMETER_MALFORMED"),
        ("signature-input", "sig1", "PARAMETER_MALFORMED"),
        ("signature-input", "sig1=(", "PARAMETER_MALFORMED"),
        ("signature-input", "", "SIGNATURE_MISSING"),
        ("signature", "sig1=\"AAAA\"", "PARAMETER_MALFORMED"),
        ("signature", "sig1=(:AAAA:)", "PARAMETER_MALFORMED"),
        ("signature", "other=:AAAA:", "SIGNATURE_MISSING"),
        ("signature", "sig1=:AAAA:", "SIGNATURE_INVALID"),
        (
            "signature",
            "sig1=:AAAA:, sig1=:AAAA:",
            "PARAMETER_REPEATED",
        ),
        ("content-digest", "sha-512=:AAAA:", "DIGEST_LABEL"),
        ("content-digest", "sha-256=1", "HEADER_MALFORMED"),
        ("content-digest", "sha-256=:AAAA:", "DIGEST_MISMATCH"),
        ("content-digest", "SHA-256=AAAA", "HEADER_MALFORMED"),
        (
            "content-digest",
            "sha-256=:7NS+sH1InNyZm6fEDl2G0uQz48UkirCM82ioXJP7gEA=:, sha-512=:AAAA:",
            "DIGEST_MISMATCH",
        ),
        (
            "content-digest",
            "sha-256=:7NS+sH1InNyZm6fEDl2G0uQz48UkirCM82ioXJP7gEA=:, md5=:AAAA:",
            "SIGNATURE_INVALID",
        ),
        // Both digests are true.
        (
            "content-digest",
            "sha-256=:7NS+sH1InNyZm6fEDl2G0uQz48UkirCM82ioXJP7gEA=:, \
             sha-512=:HYodOAKCwv1JFD59AXtVCGrzwO28gUtqufKyrQka800B8oIbe1z2VvTh9rPoQ5fRryDmchlcNLfYHsBNkJOslA==:",
            "SIGNATURE_INVALID",
        ),
    ] {
        let change = |headers: &mut Lines| replace(headers, name, |_| value.to_owned());
        assert_eq!(reason(change), reason_word, "{name}: {value}");
    }
    let doubled = |headers: &mut Lines| {
        headers.push(("Signature-Input".into(), b"sig1=()".to_vec()));
    };
    assert_eq!(reason(doubled), "PARAMETER_REPEATED");
}

#[test]
fn a_signature_covers_up_to_64_components() {
    // They are read before it is found that the headers are not there.
    let covering = |count: usize| {
        move |headers: &mut Lines| {
            replace(headers, "signature-input", |value| {
                let (list, parameters) = value.split_once(')').unwrap();
                let there = list.matches(' ').count() + 1;
                let more: String = (there..count).map(|n| format!(" \"x-{n}\"")).collect();
                format!("{list}{more}){parameters}")
            });
        }
    };
    assert_eq!(reason(covering(64)), "HEADER_MISSING");
    assert_eq!(reason(covering(65)), "PARAMETER_MALFORMED");
}

#[test]
fn names_another_key() {
    let (seal, other) = (Seal::p256(), Seal::p256());
    let arrived = arrived(&seal, "POST", TARGET, BODY, |_| {});
    let now = vector_time();
    let ask = |certificate| {
        verify::http_request(profile("rfc9421"), &arrived, certificate, &settings(), now)
    };
    assert_eq!(ask(&other.certificate).unwrap_err(), VerifyError::Signature);
    let expected = "rsa-pss-sha512".to_owned();
    assert_eq!(
        ask(&Seal::rsa().certificate).unwrap_err(),
        VerifyError::AlgorithmLabel { expected }
    );
    // What is not set is not compared.
    let unset = verify::http_request(
        profile("rfc9421"),
        &arrived,
        &seal.certificate,
        &no_settings(),
        now,
    );
    unset.unwrap();
}
