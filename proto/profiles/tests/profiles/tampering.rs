//! The other side: what was signed verifies, and each change on the way is named.

mod jws;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse};
use sealkeep_profiles::verify::{self, VerifyError};

use crate::support::*;

const BG: &str = "berlin-group-1.3.4";

fn payment() -> HttpRequest {
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Request-ID", REQUEST_ID),
        ("PSU-ID", "PSU-1234"),
    ];
    request(
        "POST",
        "/v1/payments/sepa-credit-transfers",
        &headers,
        br#"{"amount":"1.00"}"#,
    )
}

/// Signs the payment, changes it on the way, and asks the bank.
fn bank(seal: &Seal, change: impl FnOnce(&mut Lines)) -> Result<verify::Verified, VerifyError> {
    let profile = profile(BG);
    let request = payment();
    let prepared = profile
        .prepare(&request, &seal.certificate, &no_settings(), vector_time())
        .unwrap();
    let arrived = sent_with(&request, &seal.finish(prepared), change);
    verify::http_request(
        profile,
        &arrived,
        &seal.certificate,
        &no_settings(),
        vector_time(),
    )
}

fn reason(change: impl FnOnce(&mut Lines)) -> &'static str {
    bank(&Seal::rsa(), change).unwrap_err().reason()
}

fn in_signature(from: &'static str, to: &'static str) -> impl FnOnce(&mut Lines) {
    move |headers| {
        replace(headers, "signature", |value| {
            assert!(value.contains(from), "{value}");
            value.replacen(from, to, 1)
        });
    }
}

#[test]
fn what_was_signed_verifies_with_rsa_and_p256() {
    for seal in [Seal::rsa(), Seal::p256()] {
        let verified = bank(&seal, |_| {}).unwrap();
        assert_eq!(verified.signed_fields, ["digest", "x-request-id", "psu-id"]);
        assert_eq!(verified.issued_at, None);
    }
}

#[test]
fn headers_that_are_not_signed_may_change_and_signed_ones_may_not() {
    bank(&Seal::rsa(), |headers| {
        replace(headers, "content-type", |_| "text/plain".into())
    })
    .unwrap();
    assert_eq!(
        reason(|headers| replace(headers, "psu-id", |_| "PSU-1235".into())),
        "SIGNATURE_INVALID"
    );
}

#[test]
fn names_a_body_that_was_changed() {
    let seal = Seal::rsa();
    let prepared = profile(BG)
        .prepare(&payment(), &seal.certificate, &no_settings(), vector_time())
        .unwrap();
    let signed = seal.finish(prepared);
    let dearer = request(
        "POST",
        "/v1/payments/sepa-credit-transfers",
        &[("X-Request-ID", REQUEST_ID), ("PSU-ID", "PSU-1234")],
        br#"{"amount":"9.00"}"#,
    );
    let arrived = sent(&dearer, &signed);
    let error = verify::http_request(
        profile(BG),
        &arrived,
        &seal.certificate,
        &no_settings(),
        vector_time(),
    );
    assert_eq!(error.unwrap_err(), VerifyError::DigestMismatch);
}

#[test]
fn names_a_digest_in_another_spelling() {
    let lower =
        |headers: &mut Lines| replace(headers, "digest", |v| v.replace("SHA-256", "sha-256"));
    assert_eq!(reason(lower), "DIGEST_LABEL");
    let bare = |headers: &mut Lines| replace(headers, "digest", |v| v.replace("SHA-256=", ""));
    assert_eq!(reason(bare), "DIGEST_LABEL");
}

#[test]
fn names_a_header_that_is_missing() {
    let without = |name: &'static str| {
        reason(move |headers| headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name)))
    };
    assert_eq!(without("signature"), "SIGNATURE_MISSING");
    assert_eq!(without("digest"), "HEADER_MISSING");
    assert_eq!(without("x-request-id"), "HEADER_MISSING");
    assert_eq!(without("tpp-signature-certificate"), "CERTIFICATE_MISSING");
    // The profile signs it only when it is sent. The list says that it was, and it is gone.
    assert_eq!(without("psu-id"), "HEADER_MISSING");
}

#[test]
fn names_a_header_that_came_on_top() {
    let with = |name: &'static str, value: &'static str| {
        reason(move |headers| headers.push((name.into(), value.into())))
    };
    assert_eq!(
        with("tpp-redirect-uri", "https://evil.example"),
        "FIELD_NOT_SIGNED"
    );
    assert_eq!(with("PSU-ID", "other"), "HEADER_REPEATED");
    assert_eq!(with("signature", "keyId=\"x\""), "HEADER_REPEATED");
    assert_eq!(with("Digest", "SHA-256=x"), "HEADER_REPEATED");
    assert_eq!(with("tpp-signature-certificate", "x"), "HEADER_REPEATED");
}

#[test]
fn names_a_list_of_headers_that_is_not_the_profiles() {
    let list = "\"digest x-request-id psu-id\"";
    assert_eq!(
        reason(in_signature(list, "\"digest psu-id\"")),
        "FIELD_NOT_SIGNED"
    );
    assert_eq!(
        reason(in_signature(list, "\"digest x-request-id psu-id date\"")),
        "FIELD_UNEXPECTED"
    );
    assert_eq!(
        reason(in_signature(list, "\"x-request-id digest psu-id\"")),
        "FIELD_ORDER"
    );
    assert_eq!(
        reason(in_signature(list, "\"digest x-request-id psu-id digest\"")),
        "PARAMETER_REPEATED"
    );
    assert_eq!(
        reason(in_signature(list, "\"digest  x-request-id psu-id\"")),
        "FIELD_UNEXPECTED"
    );
    assert_eq!(
        reason(in_signature(list, "\"Digest x-request-id psu-id\"")),
        "FIELD_NOT_SIGNED"
    );
    assert_eq!(reason(in_signature(list, "\"\"")), "FIELD_NOT_SIGNED");
}

#[test]
fn names_parameters_that_are_doubled_missing_or_malformed() {
    assert_eq!(
        reason(in_signature("keyId=", "keyId=\"x\",keyId=")),
        "PARAMETER_REPEATED"
    );
    assert_eq!(
        reason(in_signature("signature=", "Signature=\"x\",signature=")),
        "PARAMETER_REPEATED"
    );
    assert_eq!(reason(in_signature("keyId=", "key=")), "PARAMETER_MISSING");
    assert_eq!(
        reason(in_signature("headers=", "header=")),
        "PARAMETER_MISSING"
    );
    assert_eq!(
        reason(in_signature("signature=", "sig=")),
        "PARAMETER_MISSING"
    );
    assert_eq!(
        reason(in_signature("\",signature=", ",signature=")),
        "PARAMETER_MALFORMED"
    );
    assert_eq!(
        reason(in_signature("signature=\"", "signature=\"*")),
        "PARAMETER_MALFORMED"
    );
    bank(&Seal::rsa(), in_signature("keyId=", "unknown=\"x\",keyId=")).unwrap();
}

#[test]
fn names_an_algorithm_label_that_is_not_the_profiles() {
    for label in [
        "\"rsa-sha512\"",
        "\"hs2019\"",
        "\"RSA-SHA256\"",
        "\"none\"",
        "\"hmac-sha256\"",
    ] {
        assert_eq!(
            reason(in_signature("\"rsa-sha256\"", label)),
            "ALGORITHM_LABEL",
            "{label}"
        );
    }
    assert_eq!(
        reason(in_signature("algorithm=\"rsa-sha256\",", "")),
        "ALGORITHM_LABEL"
    );
}

#[test]
fn names_another_key() {
    assert_eq!(
        reason(in_signature("SN=a9fa1c,", "SN=a9fa1d,")),
        "KEY_ID_MISMATCH"
    );
    // The certificate of another key of the same names, in the header or as the expected one.
    let other = Seal::p256();
    let swap = |headers: &mut Lines| {
        replace(headers, "tpp-signature-certificate", |_| {
            STANDARD.encode(other.certificate.der())
        });
    };
    assert_eq!(reason(swap), "CERTIFICATE_MISMATCH");
    let garbage = |headers: &mut Lines| {
        replace(headers, "tpp-signature-certificate", |_| "MIIB".into());
    };
    assert_eq!(reason(garbage), "CERTIFICATE_MALFORMED");

    let signer = Seal::p256();
    let prepared = profile(BG)
        .prepare(
            &payment(),
            &signer.certificate,
            &no_settings(),
            vector_time(),
        )
        .unwrap();
    let arrived = sent_with(&payment(), &signer.finish(prepared), |headers| {
        replace(headers, "tpp-signature-certificate", |_| {
            STANDARD.encode(other.certificate.der())
        });
    });
    let claimed = verify::certificate_of_request(profile(BG), &arrived)
        .unwrap()
        .unwrap();
    let error = verify::http_request(
        profile(BG),
        &arrived,
        &claimed,
        &no_settings(),
        vector_time(),
    );
    assert_eq!(error.unwrap_err(), VerifyError::Signature);
}

#[test]
fn names_a_stale_date() {
    let seal = Seal::rsa();
    let stet = profile("stet-1.4");
    let request = request("GET", "/accounts", &[("x-request-id", "1")], b"");
    let prepared = stet
        .prepare(&request, &seal.certificate, &stet_settings(), vector_time())
        .unwrap();
    let arrived = sent(&request, &seal.finish(prepared));
    let at = |seconds: i64| {
        let now = vector_time() + SignedDuration::from_secs(seconds);
        verify::http_request(stet, &arrived, &seal.certificate, &stet_settings(), now)
    };
    assert_eq!(at(300).unwrap().issued_at, Some(vector_time()));
    at(-300).unwrap();
    for seconds in [301, -301, 86_400] {
        assert_eq!(at(seconds).unwrap_err().reason(), "STALE");
    }
}

#[test]
fn the_target_is_covered_where_the_profile_covers_it() {
    let seal = Seal::rsa();
    let stet = profile("stet-1.4");
    let headers = [("x-request-id", "1"), ("content-type", "application/json")];
    let request = request("POST", "/payment-requests?a=1", &headers, b"{}");
    let prepared = stet
        .prepare(&request, &seal.certificate, &stet_settings(), vector_time())
        .unwrap();
    assert_eq!(
        prepared.signed_fields(),
        [
            "(request-target)",
            "date",
            "content-type",
            "digest",
            "x-request-id"
        ]
    );
    let signed = seal.finish(prepared);
    for (method, target) in [
        ("PUT", "/payment-requests?a=1"),
        ("POST", "/payment-requests?a=2"),
    ] {
        let other = crate::support::request(method, target, &headers, b"{}");
        let arrived = sent(&other, &signed);
        let error = verify::http_request(
            stet,
            &arrived,
            &seal.certificate,
            &stet_settings(),
            vector_time(),
        );
        assert_eq!(error.unwrap_err().reason(), "SIGNATURE_INVALID");
    }
}

#[test]
fn the_answer_of_a_bank_is_signed_and_verifies() {
    let bank = Seal::rsa();
    let headers = lines(&[
        ("X-Request-ID", REQUEST_ID),
        ("Content-Type", "application/json"),
    ]);
    let body = BodyParts {
        bytes: Some(br#"{"paymentId":"1"}"#),
        digests: &[],
    };
    let response = HttpResponse::parse(201, &headers, body).unwrap();
    let profile = profile(BG);
    assert!(profile.signs_responses());
    let prepared = profile
        .prepare_response(&response, &bank.certificate, &no_settings(), vector_time())
        .unwrap();
    assert_eq!(prepared.signed_fields(), ["digest", "x-request-id"]);
    let arrived = answered(&response, &bank.finish(prepared));
    let carried = verify::certificate_of_response(profile, &arrived)
        .unwrap()
        .unwrap();
    assert_eq!(carried.der(), bank.certificate.der());
    let verified =
        verify::http_response(profile, &arrived, &carried, &no_settings(), vector_time()).unwrap();
    assert_eq!(verified.signed_fields, ["digest", "x-request-id"]);
    let unsigned =
        verify::http_response(profile, &response, &carried, &no_settings(), vector_time());
    assert_eq!(unsigned.unwrap_err().reason(), "SIGNATURE_MISSING");
}
