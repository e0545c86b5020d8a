//! The same of JWS, in answers and alone.

use super::*;

fn obuk_bank_settings() -> Settings {
    let settings = [
        ("aspsp_kid", "bank"),
        ("aspsp_iss", "0015800001ZZZZZAAA"),
        ("aspsp_tan", "openbanking.org.uk"),
    ];
    settings.into_iter().collect()
}

#[test]
fn the_answer_of_a_uk_bank_is_signed_and_verifies() {
    let bank = Seal::rsa();
    for name in ["obuk-3.1.3", "obuk-3.1.4"] {
        let profile = profile(name);
        let body = BodyParts {
            bytes: Some(br#"{"Data":{}}"#),
            digests: &[],
        };
        let response = HttpResponse::parse(201, &[], body).unwrap();
        let settings = obuk_bank_settings();
        let prepared = profile
            .prepare_response(&response, &bank.certificate, &settings, vector_time())
            .unwrap();
        let arrived = answered(&response, &bank.finish(prepared));
        let verify = |settings: &Settings| {
            verify::http_response(
                profile,
                &arrived,
                &bank.certificate,
                settings,
                vector_time(),
            )
        };
        verify(&settings).unwrap();
        // What is not set is not compared.
        verify(&no_settings()).unwrap();
        let mut other = settings.clone();
        other.insert("aspsp_iss", "another");
        let name = "http://openbanking.org.uk/iss".to_owned();
        assert_eq!(
            verify(&other).unwrap_err(),
            VerifyError::MemberMismatch { name }
        );
    }
}

/// A JWS of the 3.1.4 profile whose protected header was changed by the signer before signing.
fn jws_with(change: impl Fn(String) -> String) -> Result<verify::Verified, VerifyError> {
    let seal = Seal::rsa();
    let profile = profile("obuk-3.1.4");
    let body = br#"{"Data":{}}"#;
    let settings = obuk_settings();
    let prepared = profile
        .prepare_jws(body, &seal.certificate, &settings, vector_time())
        .unwrap();
    let input = std::str::from_utf8(prepared.to_be_signed()).unwrap();
    let (protected, payload) = input.split_once('.').unwrap();
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(protected).unwrap()).unwrap();
    let protected = URL_SAFE_NO_PAD.encode(change(json));
    let raw = seal.sign(
        prepared.scheme(),
        format!("{protected}.{payload}").as_bytes(),
    );
    let jws = format!("{protected}..{}", URL_SAFE_NO_PAD.encode(raw));
    verify::jws(
        profile,
        &jws,
        Some(body),
        &seal.certificate,
        &settings,
        vector_time(),
    )
}

fn jws_replaced(from: &str, to: &str) -> &'static str {
    let changed = jws_with(|json| {
        assert!(json.contains(from), "{json}");
        json.replacen(from, to, 1)
    });
    changed.unwrap_err().reason()
}

#[test]
fn a_jws_is_verified_member_by_member() {
    let verified = jws_with(|json| json).unwrap();
    assert_eq!(verified.signed_fields, ["jws.protected", "body"]);
    assert_eq!(
        verified.issued_at,
        Some(vector_time() - SignedDuration::from_secs(2))
    );
    // Banks escape slashes, send fractions, leave out what is optional, and order as they like.
    jws_with(|json| json.replace("http://", "http:\\/\\/")).unwrap();
    jws_with(|json| json.replace("1537264259", "1537264259.582")).unwrap();
    jws_with(|json| json.replace("\"typ\":\"JOSE\",", "")).unwrap();
    jws_with(|json| {
        json.replace(
            r#"{"alg":"PS256","kid":"90210ABAD""#,
            r#"{ "kid":"90210ABAD","alg":"PS256""#,
        )
    })
    .unwrap();

    assert_eq!(jws_replaced("PS256", "RS256"), "ALGORITHM_LABEL");
    assert_eq!(jws_replaced("PS256", "none"), "ALGORITHM_LABEL");
    assert_eq!(jws_replaced("\"PS256\"", "1"), "ALGORITHM_LABEL");
    assert_eq!(jws_replaced("90210ABAD", "90210ABAE"), "MEMBER_MISMATCH");
    assert_eq!(jws_replaced("\"90210ABAD\"", "7"), "MEMBER_MISMATCH");
    assert_eq!(jws_replaced("\"kid\":\"90210ABAD\",", ""), "MEMBER_MISSING");
    assert_eq!(jws_replaced("\"JOSE\"", "\"JWT\""), "MEMBER_MISMATCH");
    assert_eq!(jws_replaced("{", "{\"b64\":true,"), "MEMBER_UNEXPECTED");
    assert_eq!(
        jws_replaced("{", "{\"jku\":\"https://evil.example\","),
        "MEMBER_UNEXPECTED"
    );
    assert_eq!(jws_replaced("{", "{\"kid\":\"x\","), "PARAMETER_REPEATED");
    assert_eq!(
        jws_replaced("\"crit\":[", "\"crit\":[\"b64\","),
        "MEMBER_MISMATCH"
    );
    assert_eq!(
        jws_replaced("\"http://openbanking.org.uk/tan\"]", "\"x\"]"),
        "MEMBER_MISMATCH"
    );
    assert_eq!(jws_replaced("1537264259", "1537264272"), "STALE");
    assert_eq!(
        jws_replaced("1537264259", "\"1537264259\""),
        "MEMBER_MISMATCH"
    );
    assert_eq!(jws_replaced("1537264259", "1e300"), "MEMBER_MISMATCH");
    assert_eq!(jws_replaced("{", "["), "PARAMETER_MALFORMED");
    assert_eq!(jws_replaced("{", "{{"), "PARAMETER_MALFORMED");
}

#[test]
fn a_jws_has_three_parts_and_its_payload_where_the_profile_has_it() {
    let seal = Seal::rsa();
    let profile = profile("obuk-3.1.4");
    let settings = obuk_settings();
    let prepared = profile
        .prepare_jws(b"{}", &seal.certificate, &settings, vector_time())
        .unwrap();
    let jws = seal.finish(prepared).jws().unwrap().to_owned();
    let verify = |jws: &str, payload| {
        verify::jws(
            profile,
            jws,
            payload,
            &seal.certificate,
            &settings,
            vector_time(),
        )
        .map_err(|error| error.reason())
    };
    verify(&jws, Some(b"{}")).unwrap();
    assert_eq!(verify(&jws, None).unwrap_err(), "PAYLOAD_PLACE");
    let attached = jws.replace("..", ".e30.");
    assert_eq!(verify(&attached, Some(b"{}")).unwrap_err(), "PAYLOAD_PLACE");
    for malformed in [
        "",
        "a",
        "a.b",
        &format!("{jws}.x"),
        &format!("{jws}="),
        &jws.replace("..", "=.."),
        "...",
    ] {
        assert_eq!(
            verify(malformed, Some(b"{}")).unwrap_err(),
            "PARAMETER_MALFORMED",
            "{malformed}"
        );
    }
}

#[test]
fn a_certificate_inside_a_jws_is_the_signers() {
    let profile = Profile::from_toml(
        "name = \"x5c\"\ntitle = \"t\"\nsource = \"s\"\nconfidence = \"seen\"\n[request.jws]\n\
         carrier = \"X-JWS-Signature\"\nserialization = \"compact\"\npayload = \"base64url\"\n\
         empty_body = \"sign\"\nschemes = [\"ecdsa-p256-sha256\", \"rsa-pkcs1-sha256\"]\nmember = [\n\
         { name = \"alg\", from = \"algorithm\" },\n{ name = \"x5c\", from = \"x5c-leaf\" },\n\
         { name = \"x5t#S256\", from = \"x5t-s256\" },\n{ name = \"kid\", key_id = \"serial-dec\" },\n]\n",
    )
    .unwrap();
    let seal = Seal::p256();
    let get = request("GET", "/", &[], b"");
    let prepared = profile
        .prepare(&get, &seal.certificate, &no_settings(), vector_time())
        .unwrap();
    let arrived = sent(&get, &seal.finish(prepared));
    let carried = verify::certificate_of_request(&profile, &arrived)
        .unwrap()
        .unwrap();
    assert_eq!(carried.der(), seal.certificate.der());
    let now: Timestamp = vector_time();
    verify::http_request(&profile, &arrived, &carried, &no_settings(), now).unwrap();
    let other = verify::http_request(
        &profile,
        &arrived,
        &Seal::p256().certificate,
        &no_settings(),
        now,
    );
    assert_eq!(other.unwrap_err().reason(), "MEMBER_MISMATCH");
    let other = verify::http_request(
        &profile,
        &arrived,
        &Seal::rsa().certificate,
        &no_settings(),
        now,
    );
    assert_eq!(other.unwrap_err().reason(), "ALGORITHM_LABEL");
}
