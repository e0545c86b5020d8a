//! What is not fit to be signed by a profile, one test a refusal. (Structure: `request`'s own tests.)

use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::prepared::AssembleError;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::refusal::{Guilty, Refusal};
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};

use crate::support::*;

const BG: &str = "berlin-group-1.3.4";

fn refusal(name: &str, settings: &Settings, request: &HttpRequest) -> Refusal {
    profile(name)
        .prepare(request, &example_tpp(), settings, vector_time())
        .unwrap_err()
}

fn bg(headers: &[(&str, &str)]) -> Refusal {
    refusal(
        BG,
        &no_settings(),
        &request("POST", "/v1/consents", headers, b"{}"),
    )
}

fn named(refusal: &Refusal) -> (&'static str, String) {
    (refusal.reason(), refusal.field())
}

#[test]
fn refuses_missing_mandatory_header() {
    let id = ("HEADER_MISSING", "headers[\"x-request-id\"]".to_owned());
    assert_eq!(named(&bg(&[])), id);
    let without_id = request("GET", "/accounts", &[("date", VECTOR_DATE)], b"");
    assert_eq!(
        named(&refusal("stet-1.4", &stet_settings(), &without_id)),
        id
    );
}

#[test]
fn refuses_doubled_signed_header_and_leaves_unsigned_ones_alone() {
    let doubled = bg(&[("x-request-id", REQUEST_ID), ("X-Request-ID", REQUEST_ID)]);
    assert_eq!(
        named(&doubled),
        ("HEADER_REPEATED", "headers[\"x-request-id\"]".into())
    );
    let doubled = bg(&[
        ("x-request-id", REQUEST_ID),
        ("psu-id", "a"),
        ("PSU-ID", "b"),
    ]);
    assert_eq!(
        named(&doubled),
        ("HEADER_REPEATED", "headers[\"psu-id\"]".into())
    );
    let stet = request(
        "GET",
        "/accounts",
        &[
            ("x-request-id", "1"),
            ("psu-accept", "a"),
            ("PSU-Accept", "b"),
        ],
        b"",
    );
    let doubled = refusal("stet-1.4", &stet_settings(), &stet);
    assert_eq!(
        named(&doubled),
        ("HEADER_REPEATED", "headers[\"psu-accept\"]".into())
    );

    let unsigned = [
        ("x-request-id", REQUEST_ID),
        ("accept", "a"),
        ("accept", "b"),
    ];
    let request = request("GET", "/v1/accounts", &unsigned, b"");
    profile(BG)
        .prepare(&request, &example_tpp(), &no_settings(), vector_time())
        .unwrap();
}

#[test]
fn refuses_request_id_that_is_no_uuid() {
    for id in [
        "",
        "1",
        "99391c7ead8849eca2ad99ddcb1f7721",
        "99391c7e-ad88-49ec-a2ad-99ddcb1f772g",
        "----",
    ] {
        let refusal = bg(&[("x-request-id", id)]);
        assert_eq!(
            named(&refusal),
            ("HEADER_MALFORMED", "headers[\"x-request-id\"]".into()),
            "{id}"
        );
    }
    let long = "a".repeat(41);
    let request = request("POST", "/pisp/x", &[("x-idempotency-key", &long)], b"{}");
    assert_eq!(
        refusal("obuk-3.1.4", &obuk_settings(), &request).reason(),
        "HEADER_MALFORMED"
    );
}

#[test]
fn refuses_digest_of_something_else() {
    let id = ("x-request-id", REQUEST_ID);
    for digest in [
        // Of nothing, lower-case label, other hash, two digests, no label.
        "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "sha-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=",
        "SHA-512=J8dGcK23UHX61KjVc0Eb8gKdH5+bGxr5xEpJj5bLVvg=",
        "SHA-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=,SHA-512=x",
        "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=",
    ] {
        let refusal = bg(&[id, ("Digest", digest)]);
        assert_eq!(
            named(&refusal),
            ("DIGEST_MISMATCH", "headers[\"digest\"]".into()),
            "{digest}"
        );
    }
    let right = [
        id,
        (
            "Digest",
            "SHA-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=",
        ),
    ];
    let request = request("POST", "/v1/consents", &right, b"{}");
    profile(BG)
        .prepare(&request, &example_tpp(), &no_settings(), vector_time())
        .unwrap();
    assert_eq!(bg(&[id, right[1], right[1]]).reason(), "HEADER_REPEATED");
}

fn with_digests(digests: &[(HashAlgorithm, Vec<u8>)]) -> HttpRequest {
    HttpRequest::parse(RequestParts {
        method: "POST",
        authority: "bank.example",
        target: "/v1/consents",
        headers: &lines(&[("x-request-id", REQUEST_ID)]),
        body: BodyParts {
            bytes: None,
            digests,
        },
    })
    .unwrap()
}

#[test]
fn a_digest_is_enough_where_the_profile_signs_a_digest() {
    let request = with_digests(&[(HashAlgorithm::Sha256, sha256(b"{}"))]);
    let prepare = |request: &HttpRequest| {
        profile(BG).prepare(request, &example_tpp(), &no_settings(), vector_time())
    };
    let of_digest = prepare(&request).unwrap();
    let whole = crate::support::request(
        "POST",
        "/v1/consents",
        &[("x-request-id", REQUEST_ID)],
        b"{}",
    );
    assert_eq!(
        of_digest.to_be_signed(),
        prepare(&whole).unwrap().to_be_signed()
    );

    let other_hash = with_digests(&[(HashAlgorithm::Sha512, HashAlgorithm::Sha512.digest(b"{}"))]);
    let refusal = prepare(&other_hash).unwrap_err();
    assert_eq!(named(&refusal), ("DIGEST_REQUIRED", "body_digests".into()));
}

#[test]
fn refuses_a_digest_where_the_profile_signs_the_body() {
    assert!(profile("obuk-3.1.4").needs_body());
    assert!(!profile(BG).needs_body());
    let request = with_digests(&[(HashAlgorithm::Sha256, sha256(b"{}"))]);
    let refusal = refusal("obuk-3.1.4", &obuk_settings(), &request);
    assert_eq!(named(&refusal), ("BODY_REQUIRED", "body".into()));
}

#[test]
fn refuses_to_sign_nothing_where_the_profile_signs_bodies() {
    let get = request("GET", "/aisp/accounts", &[], b"");
    let refusal = refusal("obuk-3.1.4", &obuk_settings(), &get);
    assert_eq!(named(&refusal), ("NOTHING_TO_SIGN", "method".into()));
}

#[test]
fn refuses_a_date_in_another_form() {
    let headers = [("x-request-id", "1"), ("date", "2018-09-18T09:51:01Z")];
    let refusal = refusal(
        "stet-1.4",
        &stet_settings(),
        &request("GET", "/accounts", &headers, b""),
    );
    assert_eq!(
        named(&refusal),
        ("HEADER_MALFORMED", "headers[\"date\"]".into())
    );
}

#[test]
fn refuses_settings_that_are_missing_unknown_or_unusable() {
    let stet = profile("stet-1.4");
    assert_eq!(stet.required_settings(), ["certificate_url"]);
    assert_eq!(
        profile("obuk-3.1.4").required_settings(),
        ["kid", "iss", "tan"]
    );
    assert!(profile(BG).required_settings().is_empty());

    let missing = stet.check_settings(&no_settings()).unwrap_err();
    assert_eq!(
        named(&missing),
        ("SETTING_MISSING", "settings[\"certificate_url\"]".into())
    );
    assert_eq!(missing.guilty(), Guilty::Bank);
    let get = request("GET", "/accounts", &[("x-request-id", "1")], b"");
    assert_eq!(refusal("stet-1.4", &no_settings(), &get), missing);

    let mut typo = stet_settings();
    typo.insert("certificate_uri", "x");
    assert_eq!(
        stet.check_settings(&typo).unwrap_err().reason(),
        "SETTING_UNKNOWN"
    );

    for unusable in ["", "a\"b", "a\nb", "caf\u{e9}", &"a".repeat(1025)] {
        let mut settings = obuk_settings();
        settings.insert("kid", unusable);
        let refused = profile("obuk-3.1.4").check_settings(&settings).unwrap_err();
        assert_eq!(refused.reason(), "SETTING_INVALID", "{unusable:?}");
        let post = request("POST", "/pisp/x", &[], b"{}");
        assert_eq!(refusal("obuk-3.1.4", &settings, &post), refused);
    }
    stet.check_settings(&stet_settings()).unwrap();
    profile("obuk-3.1.4")
        .check_settings(&obuk_settings())
        .unwrap();
}

#[test]
fn refuses_a_certificate_url_that_names_another_certificate() {
    let get = request("GET", "/accounts", &[("x-request-id", "1")], b"");
    for url in [
        "http://tpp.example/qseal_{sha256}",
        "https://tpp.example/qseal.pem",
        "https://tpp.example/qseal_{sha256}?x=1",
        "https://tpp.example/qseal_{sha256}.pem",
        "https://tpp.example/qseal_e690f956e690f956e690f956e690f956e690f956e690f956e690f956e690f956",
        "https://",
    ] {
        let settings: Settings = [("certificate_url", url)].into_iter().collect();
        assert_eq!(
            refusal("stet-1.4", &settings, &get).reason(),
            "SETTING_INVALID",
            "{url}"
        );
    }
}

#[test]
fn refuses_a_key_the_profile_has_no_scheme_for() {
    let request = request("POST", "/pisp/x", &[], b"{}");
    let seal = Seal::p256();
    let refusal = profile("obuk-3.1.4")
        .prepare(&request, &seal.certificate, &obuk_settings(), vector_time())
        .unwrap_err();
    assert_eq!(
        named(&refusal),
        ("ALGORITHM_NOT_ALLOWED", "credential".into())
    );
    assert_eq!(refusal.guilty(), Guilty::Credential);
}

#[test]
fn refuses_what_the_profile_does_not_sign() {
    let response = HttpResponse::parse(200, &[], BodyParts::default()).unwrap();
    let refused = profile("stet-1.4").prepare_response(
        &response,
        &example_tpp(),
        &stet_settings(),
        vector_time(),
    );
    assert_eq!(refused.unwrap_err().reason(), "FORMAT_NOT_ALLOWED");
    let refused = profile(BG).prepare_jws(b"{}", &example_tpp(), &no_settings(), vector_time());
    assert_eq!(refused.unwrap_err().reason(), "FORMAT_NOT_ALLOWED");
    let long = vec![b'a'; sealkeep_profiles::request::BODY_BYTES_MAX + 1];
    let refused =
        profile("obuk-3.1.4").prepare_jws(&long, &example_tpp(), &obuk_settings(), vector_time());
    assert_eq!(refused.unwrap_err().reason(), "BODY_TOO_LONG");
}

#[test]
fn refuses_bytes_that_another_format_would_take_for_its_own() {
    let profile = Profile::from_toml(
        "name = \"as-sent\"\ntitle = \"t\"\nsource = \"s\"\nconfidence = \"unconfirmed\"\n\
         [request.cavage]\nkey_id = \"serial-hex\"\nnames = \"as-sent\"\nsigned = [\"*\"]\n\
         [[request.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\n",
    )
    .unwrap();
    let prepare = |name: &str| {
        let request = request("GET", "/", &[(name, "x")], b"");
        profile.prepare(&request, &example_tpp(), &no_settings(), vector_time())
    };
    let refused = prepare("eyJhbGciOiJSUzI1NiJ9.e30").unwrap_err();
    assert_eq!(refused.reason(), "FORMAT_CONFUSION");
    let said = "the bytes to sign could be taken for a JWS signing input";
    assert_eq!(refused.to_string(), said);
    prepare("EyJhbGciOiJSUzI1NiJ9").unwrap();
}

#[test]
fn refuses_an_authorization_header_where_the_signature_is_one() {
    let profile = Profile::from_toml(
        "name = \"token\"\ntitle = \"t\"\nsource = \"s\"\nconfidence = \"seen\"\n\
         [request.cavage]\nkey_id = \"sn-hex-only\"\ncarrier = \"authorization\"\nsigned = [\"(request-target)\"]\n\
         [[request.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\n",
    )
    .unwrap();
    let prepare = |headers: &[(&str, &str)]| {
        let request = request("POST", "/oauth2/token", headers, b"");
        profile.prepare(&request, &example_tpp(), &no_settings(), vector_time())
    };
    let refusal = prepare(&[("Authorization", "Bearer x")]).unwrap_err();
    assert_eq!(
        named(&refusal),
        ("HEADER_RESERVED", "headers[\"authorization\"]".into())
    );
    let (name, value) = prepare(&[]).unwrap().outline().pop().unwrap();
    assert_eq!(name, "Authorization");
    assert!(
        value.starts_with("Signature keyId=\"SN=A9FA1C3D0E\",headers="),
        "{value}"
    );
}

#[test]
fn releases_no_signature_that_does_not_verify() {
    let seal = Seal::rsa();
    let request = request("GET", "/v1/accounts", &[("x-request-id", REQUEST_ID)], b"");
    let prepare = |certificate: &Certificate| {
        profile(BG)
            .prepare(&request, certificate, &no_settings(), vector_time())
            .unwrap()
    };
    let prepared = prepare(&seal.certificate);
    let raw = seal.sign(prepared.scheme(), prepared.to_be_signed());
    // A faulty token: one bit, a short answer, no answer.
    let mut flipped = raw.clone();
    flipped[100] ^= 1;
    for wrong in [flipped, raw[1..].to_vec(), vec![]] {
        let refused = prepare(&seal.certificate).assemble(&wrong).unwrap_err();
        assert!(matches!(refused, AssembleError::Unverified(_)));
    }
    // A key that is not the certificate's.
    assert!(prepare(&example_tpp()).assemble(&raw).is_err());
    prepare(&seal.certificate).assemble(&raw).unwrap();
}
