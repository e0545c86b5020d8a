//! What is asked for and not fit: request objects, registrations, and kinds that a profile does not sign.

use super::*;

#[test]
fn an_obie_request_object_carries_the_intent() {
    let seal = Seal::rsa();
    let token = token(profile("obuk-oauth"), &object_of(uk_authorization()), &seal);
    let (header, claims) = parts(&token);
    assert_eq!(
        header,
        json!({"alg": "PS256", "kid": "tpp-seal-1", "typ": "JWT"})
    );
    assert_eq!(
        claims["claims"],
        json!({"id_token": {
            "openbanking_intent_id": {"value": "urn:bank:intent:58923", "essential": true},
            "acr": {"essential": true, "values": ["urn:openbanking:psd2:sca"]},
        }})
    );
}

/// One refusal, one line.
#[test]
fn refuses_request_objects_that_are_not_fit() {
    type Change = fn(&mut RequestObject);
    let cases: [(&str, Change, &str, &str); 22] = [
        (
            "fapi-2",
            |r| r.response_type = "code id_token".into(),
            "CLAIM_INVALID",
            "response_type",
        ),
        (
            "fapi-2",
            |r| r.response_type.clear(),
            "CLAIM_INVALID",
            "response_type",
        ),
        (
            "fapi-2",
            |r| r.response_mode = Some("query".into()),
            "CLAIM_INVALID",
            "response_mode",
        ),
        (
            "fapi-2",
            |r| r.redirect_uri = None,
            "CLAIM_MISSING",
            "redirect_uri",
        ),
        (
            "fapi-2",
            |r| r.redirect_uri = Some("http://tpp.example/cb".into()),
            "CLAIM_INVALID",
            "redirect_uri",
        ),
        (
            "fapi-2",
            |r| r.redirect_uri = Some("https://tpp.example/#x".into()),
            "CLAIM_INVALID",
            "redirect_uri",
        ),
        (
            "fapi-2",
            |r| r.redirect_uri = Some("https://".into()),
            "CLAIM_INVALID",
            "redirect_uri",
        ),
        (
            "fapi-2",
            |r| r.code_challenge = None,
            "CLAIM_MISSING",
            "code_challenge",
        ),
        (
            "fapi-2",
            |r| r.code_challenge = Some("verifier".into()),
            "CLAIM_INVALID",
            "code_challenge",
        ),
        (
            "fapi-2",
            |r| r.scope = Some("a  b".into()),
            "CLAIM_INVALID",
            "scope",
        ),
        (
            "fapi-2",
            |r| r.scope = Some("a\"b".into()),
            "CLAIM_INVALID",
            "scope",
        ),
        (
            "fapi-2",
            |r| r.scope = Some("a\\b".into()),
            "CLAIM_INVALID",
            "scope",
        ),
        (
            "fapi-2",
            |r| r.state = Some("a\nb".into()),
            "CLAIM_INVALID",
            "state",
        ),
        (
            "fapi-2",
            |r| r.state = Some("s".repeat(513)),
            "CLAIM_INVALID",
            "state",
        ),
        (
            "fapi-2",
            |r| r.authorization_details = Some("[{}]".into()),
            "CLAIM_INVALID",
            "authorization_details",
        ),
        (
            "fapi-2",
            |r| r.authorization_details = Some("nonsense".into()),
            "CLAIM_INVALID",
            "authorization_details",
        ),
        (
            "fapi-2",
            |r| r.intent_id = Some("x".into()),
            "CLAIM_UNKNOWN",
            "intent_id",
        ),
        (
            "fapi-1-advanced",
            |r| r.response_type = "code id_token".into(),
            "CLAIM_MISSING",
            "nonce",
        ),
        (
            "fapi-1-advanced",
            |r| {
                r.nonce = Some("n".into());
                r.response_mode = None;
            },
            "CLAIM_MISSING",
            "response_mode",
        ),
        (
            "open-finance-brasil",
            |r| {
                r.nonce = Some("n".into());
                r.response_mode = None;
            },
            "CLAIM_MISSING",
            "response_mode",
        ),
        (
            "obuk-oauth",
            |r| r.nonce = Some("n".into()),
            "CLAIM_MISSING",
            "intent_id",
        ),
        (
            "obuk-oauth",
            |r| r.intent_acr = vec!["urn:x".into()],
            "CLAIM_MISSING",
            "intent_id",
        ),
    ];
    for (name, change, reason, field) in cases {
        let mut asked = authorization();
        change(&mut asked);
        let refusal = prepare(profile(name), &object_of(asked), &Seal::rsa()).unwrap_err();
        assert_eq!(
            (refusal.reason(), refusal.field().as_str()),
            (reason, field),
            "{refusal}"
        );
    }
}

#[test]
fn refuses_registrations_that_are_not_fit() {
    type Change = fn(&mut Registration);
    let cases: [(Change, &str); 11] = [
        (
            |r| r.software_statement = "a.b".into(),
            "software_statement",
        ),
        (
            |r| r.software_statement = "!.!.!".into(),
            "software_statement",
        ),
        (
            |r| r.software_statement = software_statement(&json!({"software_id": "other"})),
            "software_statement",
        ),
        (
            |r| r.redirect_uris = vec!["https://evil.example/cb".into()],
            "redirect_uris",
        ),
        (|r| r.redirect_uris.clear(), "redirect_uris"),
        (
            |r| r.token_endpoint_auth_signing_alg = Some("none".into()),
            "token_endpoint_auth_signing_alg",
        ),
        (|r| r.grant_types = vec![String::new()], "grant_types"),
        // The statement has it too, so nothing but its scheme is wrong.
        (
            |r| {
                let url = "http://tpp.example/cb";
                r.redirect_uris = vec![url.into()];
                r.software_statement = software_statement(&json!({
                    "software_id": "AORlKI7oUF85BB2WUr7ZK2",
                    "software_redirect_uris": [url],
                }));
            },
            "redirect_uris",
        ),
        (
            |r| r.token_endpoint_auth_method = Some("private\nkey".into()),
            "token_endpoint_auth_method",
        ),
        (|r| r.scope = Some("a\tb".into()), "scope"),
        (|r| r.scope = Some("a  b".into()), "scope"),
    ];
    for (change, field) in cases {
        let mut asked = registration();
        change(&mut asked);
        let refusal =
            prepare(profile("obuk-oauth"), &registration_of(asked), &Seal::rsa()).unwrap_err();
        assert_eq!(refusal.field(), field, "{refusal}");
        let is_of_words = refusal.to_string().contains("1 to 64 words");
        assert_eq!(is_of_words, field == "grant_types", "{refusal}");
    }
}

#[test]
fn a_profile_signs_only_its_kinds_of_tokens() {
    let seal = Seal::rsa();
    let get = request("GET", "/x", &[], b"");
    let proof = JwtRequest::DpopProof(DpopProof {
        request: &get,
        access_token_sha256: None,
        nonce: None,
    });
    let object = object_of(authorization());
    for (name, asked, what) in [
        ("fapi-1-advanced", &proof, "DPoP proofs"),
        ("fapi-2", &registration_of(registration()), "registrations"),
        (
            "obuk-oauth",
            &JwtRequest::Body(&payment("{}")),
            "bodies as a JWT",
        ),
        ("berlin-group-1.3.4", &assertion(), "JWTs"),
    ] {
        let refusal = prepare(profile(name), asked, &seal).unwrap_err();
        assert_eq!(refusal.reason(), "FORMAT_NOT_ALLOWED", "{name}");
        assert_eq!(
            refusal.to_string(),
            format!("the profile does not sign {what}")
        );
    }
    let proofs_alone =
        custom("[jwt]\nschemes = [\"rsa-pss-sha256\"]\ndpop_proof = true\n").unwrap();
    for (asked, what) in [
        (assertion(), "client assertions"),
        (object, "request objects"),
    ] {
        let refusal = prepare(&proofs_alone, &asked, &seal).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            format!("the profile does not sign {what}")
        );
    }
    let refusal = profile("fapi-2")
        .prepare(
            &get,
            &seal.certificate,
            &settings_of(profile("fapi-2")),
            now(),
        )
        .unwrap_err();
    assert_eq!(
        refusal.reason(),
        "FORMAT_NOT_ALLOWED",
        "no way to sign requests"
    );
    let p384 = prepare(profile("fapi-2"), &assertion(), &Seal::p384()).unwrap_err();
    assert_eq!(p384.reason(), "ALGORITHM_NOT_ALLOWED");
    let jti = prepare_with(
        profile("fapi-2"),
        &assertion(),
        &seal,
        &settings_of(profile("fapi-2")),
        "a b",
    );
    assert_eq!(jti.unwrap_err().field(), "jti");
}
