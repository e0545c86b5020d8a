//! JAdES over HTTP headers: vectors, both directions, each change on the way named, each refusal.

mod received;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sealkeep_profiles::certificate::{Certificate, Chain};
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse};
use sealkeep_profiles::verify::{self, VerifyError};
use serde_json::{Value, json};

use crate::support::*;

const OBE: &str = "obe-jws";
const CARRIER: &str = "x-jws-signature";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn payment(body: &[u8]) -> HttpRequest {
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Request-ID", REQUEST_ID),
        ("Authorization", "Bearer not-signed"),
    ];
    request("POST", "/v1/payments/sepa-credit-transfers", &headers, body)
}

/// The `jades` table of a request, with the members in `member` and these names in `crit`.
fn jades(more: &str, member: &str, crit: &str) -> String {
    format!(
        "[request.jades]\ncarrier = \"{CARRIER}\"\n{more}member = [{member}]\ncrit = [{crit}]\n\
         [request.jades.digest]\nhash = \"sha256\"\nlabel = \"SHA-256\"\n"
    )
}

const SIGNED: &str =
    "schemes = [\"rsa-pkcs1-sha256\"]\nsigned = [\"(request-target)\", \"digest\"]\n";
const ALG: &str = "{ name = \"alg\", from = \"algorithm\" }, { name = \"crit\", from = \"crit\" },";
const B64: &str = "{ name = \"b64\", from = \"unencoded-payload\" },";
const X5T: &str = "{ name = \"x5t#S256\", from = \"x5t-s256\" },";
const IAT: &str = "{ name = \"iat\", from = \"issued-at\" },";
const SIG_D: &str = "{ name = \"sigD\", from = \"sig-d\" },";

#[test]
fn every_own_vector_is_reproduced_and_verifies() {
    let Some(file) = vectors("jades_http_headers.json") else {
        return;
    };
    let certificates = |name: &str| {
        let pem = file[name].as_str().unwrap();
        Certificate::chain_from_pem(pem.as_bytes()).unwrap()
    };
    let (rsa, ec) = (
        certificates("certificate_pem"),
        certificates("ec_certificate_pem"),
    );
    let issuers = certificates("issuer_certificate_pem");
    let request = payment(file["body"].as_str().unwrap().as_bytes());
    let lines = "signed = [\"(request-target)\", \"content-type\", \"x-request-id\", \"digest\"]\n";
    for case in file["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let (scheme, leaf) = match case["alg"].as_str().unwrap() {
            "RS256" => ("rsa-pkcs1-sha256", &rsa[0]),
            "PS256" => ("rsa-pss-sha256", &rsa[0]),
            "ES256" => ("ecdsa-p256-sha256", &ec[0]),
            other => panic!("no scheme for {other}"),
        };
        // The members stand in the order of the vector's header.
        let header: Value = serde_json::from_str(case["protected_json"].as_str().unwrap()).unwrap();
        let member: String = header
            .as_object()
            .unwrap()
            .keys()
            .map(|name| match name.as_str() {
                "b64" => B64.to_owned(),
                "x5t#S256" => X5T.to_owned(),
                "x5c" => "{ name = \"x5c\", from = \"x5c-chain\" },".to_owned(),
                "crit" => "{ name = \"crit\", from = \"crit\" },".to_owned(),
                "sigT" => "{ name = \"sigT\", from = \"sig-t\" },".to_owned(),
                "iat" => IAT.to_owned(),
                "sigD" => SIG_D.to_owned(),
                "alg" => "{ name = \"alg\", from = \"algorithm\" },".to_owned(),
                other => panic!("no member {other}"),
            })
            .collect();
        let crit = header["crit"].to_string();
        let table = jades(
            &format!("schemes = [\"{scheme}\"]\n{lines}"),
            &member,
            crit.trim_matches(['[', ']']),
        );
        let profile = custom(&table).unwrap();
        let now = at("2024-04-29T12:28:29Z");
        let chain = Chain::new(leaf, &issuers);
        let prepared = profile
            .prepare(&request, chain, &no_settings(), now)
            .unwrap();
        let input = std::str::from_utf8(prepared.to_be_signed()).unwrap();
        assert_eq!(input, case["signing_input"].as_str().unwrap(), "{id}");
        let jws = case["jws_detached"].as_str().unwrap();
        let (_, signature) = jws.rsplit_once('.').unwrap();
        let signed = prepared
            .assemble(&URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        assert_eq!(signed.jws(), Some(jws), "{id}");

        let sent = sent(&request, &signed);
        let verified = verify::http_request(&profile, &sent, leaf, &no_settings(), now).unwrap();
        assert_eq!(verified.issued_at, Some(now), "{id}");
        let carried = verify::certificate_of_request(&profile, &sent).unwrap();
        assert_eq!(carried.as_ref(), header.get("x5c").map(|_| leaf), "{id}");
    }
}

#[test]
fn the_signing_time_changes_its_member_on_the_day_of_the_standard() {
    let seal = Seal::rsa();
    for (now, member, other) in [
        ("2025-07-14T23:59:59Z", "sigT", "iat"),
        ("2025-07-15T00:00:00Z", "iat", "sigT"),
    ] {
        let prepared = profile(OBE)
            .prepare(&payment(b"{}"), &seal.certificate, &no_settings(), at(now))
            .unwrap();
        let header = header_of(&prepared.outline().pop().unwrap().1);
        assert!(
            header.get(member).is_some() && header.get(other).is_none(),
            "{header}"
        );
        let critical = header["crit"].as_array().unwrap().contains(&json!("sigT"));
        assert_eq!(critical, member == "sigT");
        let arrived = sent(&payment(b"{}"), &seal.finish(prepared));
        verify::http_request(
            profile(OBE),
            &arrived,
            &seal.certificate,
            &no_settings(),
            at(now),
        )
        .unwrap();
    }
}

fn header_of(jws: &str) -> Value {
    let protected = jws.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(protected).unwrap()).unwrap()
}

const NOW: &str = "2026-01-15T08:00:00Z";

#[test]
fn what_was_signed_verifies_with_every_key_type_of_the_profile() {
    for seal in [Seal::rsa(), Seal::p256(), Seal::p384()] {
        let prepared = profile(OBE)
            .prepare(&payment(b"{}"), &seal.certificate, &no_settings(), at(NOW))
            .unwrap();
        let fields = [
            "jws.protected",
            "(request-target)",
            "host",
            "content-type",
            "x-request-id",
            "digest",
        ];
        assert_eq!(prepared.signed_fields(), fields);
        let arrived = sent(&payment(b"{}"), &seal.finish(prepared));
        let verified = verify::http_request(
            profile(OBE),
            &arrived,
            &seal.certificate,
            &no_settings(),
            at(NOW),
        )
        .unwrap();
        assert_eq!(verified.signed_fields, fields);
        assert_eq!(verified.issued_at, Some(at(NOW)));
    }
}

#[test]
fn answers_are_signed_and_verified_too() {
    let (seal, issuers) = Seal::below_two_cas();
    let headers = lines(&[
        ("content-type", "application/json"),
        ("x-request-id", REQUEST_ID),
    ]);
    let body = |bytes| BodyParts {
        bytes: Some(bytes),
        digests: &[],
    };
    let response = HttpResponse::parse(201, &headers, body(b"{\"ok\":true}")).unwrap();
    let profile = profile("berlin-group-openfinance-jades");
    let chain = Chain::new(&seal.certificate, &issuers);
    let prepared = profile
        .prepare_response(&response, chain, &no_settings(), at(NOW))
        .unwrap();
    assert_eq!(
        prepared.signed_fields(),
        ["jws.protected", "content-type", "x-request-id", "digest"]
    );
    let signed = seal.finish(prepared);
    let arrived = answered(&response, &signed);
    let carried = verify::certificate_of_response(profile, &arrived)
        .unwrap()
        .unwrap();
    assert_eq!(carried, seal.certificate);
    verify::http_response(profile, &arrived, &carried, &no_settings(), at(NOW)).unwrap();

    let other = HttpResponse::parse(201, &headers, body(b"{\"ok\":null}")).unwrap();
    let error = verify::http_response(
        profile,
        &answered(&other, &signed),
        &carried,
        &no_settings(),
        at(NOW),
    );
    assert_eq!(error.unwrap_err(), VerifyError::DigestMismatch);
}

#[test]
fn refuses_a_digest_of_another_body_and_payloads() {
    let headers = [("X-Request-ID", REQUEST_ID), ("Digest", "SHA-256=AAAA")];
    let request = request("POST", "/v1/payments/x", &headers, b"{}");
    let seal = Seal::rsa();
    let refused = profile(OBE).prepare(&request, &seal.certificate, &no_settings(), at(NOW));
    assert_eq!(refused.unwrap_err().reason(), "DIGEST_MISMATCH");
    let refused = profile(OBE).prepare_jws(b"{}", &seal.certificate, &no_settings(), at(NOW));
    assert_eq!(refused.unwrap_err().reason(), "FORMAT_NOT_ALLOWED");
    assert!(!profile(OBE).needs_body());
}

/// The digest that the signature sets is one of all that is sent, so the body is bound.
#[test]
fn all_that_is_sent_has_the_digest_too() {
    let all = "schemes = [\"rsa-pkcs1-sha256\"]\nsigned = [\"(request-target)\", \"*\"]\n";
    let whole = [ALG, B64, X5T, IAT, SIG_D].concat();
    let profile = custom(&jades(all, &whole, "\"sigD\", \"b64\"")).unwrap();
    let seal = Seal::rsa();
    let prepared = profile
        .prepare(&payment(b"{}"), &seal.certificate, &no_settings(), at(NOW))
        .unwrap();
    assert!(prepared.signed_fields().iter().any(|name| name == "digest"));
    let arrived = sent(&payment(b"{}"), &seal.finish(prepared));
    let certificate = &seal.certificate;
    verify::http_request(&profile, &arrived, certificate, &no_settings(), at(NOW)).unwrap();
}

#[test]
fn refuses_tables_that_the_standard_does_not_allow() {
    let whole = [ALG, B64, X5T, IAT, SIG_D].concat();
    custom(&jades(SIGNED, &whole, "\"sigD\", \"b64\"")).unwrap();
    let cty = format!("{whole}{{ name = \"cty\", literal = \"application/json\" }},");
    for (more, member, crit, expected) in [
        (
            SIGNED,
            [ALG, B64, X5T, IAT].concat(),
            "\"b64\"",
            "`sigD` and `b64` are missing",
        ),
        (
            SIGNED,
            [ALG, X5T, IAT, SIG_D].concat(),
            "\"sigD\"",
            "`sigD` and `b64` are missing",
        ),
        (
            SIGNED,
            whole.clone(),
            "\"b64\"",
            "crit: it has to list `sigD`",
        ),
        (
            SIGNED,
            whole.clone(),
            "\"sigD\"",
            "crit: it has to list `b64`",
        ),
        (
            SIGNED,
            [ALG, B64, IAT, SIG_D].concat(),
            "\"sigD\", \"b64\"",
            "`x5t#S256` or `x5c` is missing",
        ),
        (
            SIGNED,
            [ALG, B64, X5T, SIG_D].concat(),
            "\"sigD\", \"b64\"",
            "`sigT` or `iat` is missing",
        ),
        (SIGNED, cty, "\"sigD\", \"b64\"", "`cty` does not belong"),
        (
            "schemes = [\"rsa-pkcs1-sha256\"]\nsigned = [\"(request-target)\"]\n",
            whole.clone(),
            "\"sigD\", \"b64\"",
            "list `digest`, nothing else binds the body",
        ),
        (
            "schemes = [\"rsa-pkcs1-sha256\"]\nsigned = [\"digest?\", \"x-request-id\"]\n",
            whole.clone(),
            "\"sigD\", \"b64\"",
            "list `digest`, nothing else binds the body",
        ),
        (
            "schemes = [\"rsa-pkcs1-sha256\"]\nsigned = [\"digest\", \"x-jws-signature\"]\n",
            whole.clone(),
            "\"sigD\", \"b64\"",
            "carries the signature",
        ),
        (
            "schemes = [\"rsa-pkcs1-sha256\"]\nsigned = [\"digest\", \"(created)\"]\n",
            whole.clone(),
            "\"sigD\", \"b64\"",
            "the time stands in `sigT` or `iat`",
        ),
        (
            SIGNED,
            format!("{whole}{{ name = \"h\", from = \"head-names\" }},"),
            "\"sigD\", \"b64\"",
            "belongs to `jws`",
        ),
    ] {
        let error = custom(&jades(more, &member, crit)).unwrap_err().to_string();
        assert!(
            error.contains("request.jades.") && error.contains(expected),
            "{error}"
        );
    }
    let table = jades(SIGNED, &whole, "\"sigD\", \"b64\"");
    let response = format!("{table}{}", table.replace("[request", "[response"));
    let error = custom(&response).unwrap_err().to_string();
    assert!(
        error.contains("a response has no request target"),
        "{error}"
    );
    let sig_d = format!(
        "[request.jws]\nserialization = \"detached\"\npayload = \"base64url\"\n\
         schemes = [\"rsa-pkcs1-sha256\"]\nmember = [{{ name = \"alg\", from = \"algorithm\" }}, {SIG_D}]\n"
    );
    let error = custom(&sig_d).unwrap_err().to_string();
    assert!(error.contains("belong to `jades`"), "{error}");
}
