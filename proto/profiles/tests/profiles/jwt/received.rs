//! What comes from outside: what differs is named, and no change goes unnoticed.

use super::*;

/// What a bank must notice, also when whoever holds the key signs it.
#[test]
fn verifying_names_what_is_wrong_with_a_token() {
    type Change = fn(&mut Value, &mut Map<String, Value>);
    let cases: [(Change, &str); 19] = [
        (|h, _| h["alg"] = json!("none"), "ALGORITHM_LABEL"),
        (|h, _| h["alg"] = json!("RS256"), "ALGORITHM_LABEL"),
        (|h, _| h["kid"] = json!("other"), "MEMBER_MISMATCH"),
        (
            |h, _| h["typ"] = json!("oauth-authz-req+jwt"),
            "MEMBER_MISMATCH",
        ),
        (
            |h, _| {
                h.as_object_mut().unwrap().remove("typ");
            },
            "MEMBER_MISSING",
        ),
        (|h, _| h["crit"] = json!(["x"]), "MEMBER_UNEXPECTED"),
        (
            |h, _| h["jku"] = json!("https://evil.example"),
            "MEMBER_UNEXPECTED",
        ),
        (|_, c| c["iss"] = json!("other"), "CLAIM_INVALID"),
        (|_, c| c["sub"] = json!("other"), "CLAIM_INVALID"),
        (
            |_, c| c["aud"] = json!("https://evil.example"),
            "CLAIM_INVALID",
        ),
        (
            |_, c| c["aud"] = json!(["https://auth.bank.example"]),
            "CLAIM_INVALID",
        ),
        (|_, c| c["jti"] = json!(1), "CLAIM_INVALID"),
        (
            |_, c| {
                c.remove("jti");
            },
            "CLAIM_MISSING",
        ),
        (|_, c| c["exp"] = json!(1_714_393_699), "CLAIM_INVALID"),
        (
            |_, c| c["exp"] = json!(1_714_393_709 + 3601),
            "CLAIM_INVALID",
        ),
        (|_, c| c["exp"] = json!("1714393769"), "CLAIM_INVALID"),
        (|_, c| c["iat"] = json!(1_714_393_720), "CLAIM_INVALID"),
        (|_, c| c["nbf"] = json!(1_714_393_720), "CLAIM_INVALID"),
        (
            |_, c| {
                c.insert("scope".into(), json!("x"));
            },
            "CLAIM_UNKNOWN",
        ),
    ];
    let (profile, seal) = (profile("fapi-2"), Seal::rsa());
    let good = token(profile, &assertion(), &seal);
    assert!(verdict(profile, JwtKind::ClientAssertion, &good, &seal).is_ok());
    for (index, (change, reason)) in cases.into_iter().enumerate() {
        let changed = resigned(&good, &seal, change);
        let error = verdict(profile, JwtKind::ClientAssertion, &changed, &seal).unwrap_err();
        assert!(error.starts_with(reason), "{index}: {error}");
    }
}

#[test]
fn a_token_of_one_kind_is_none_of_another() {
    let seal = Seal::rsa();
    for name in ["fapi-1-advanced", "obuk-oauth"] {
        let profile = profile(name);
        let object = match name {
            "obuk-oauth" => object_of(uk_authorization()),
            _ => object_of(RequestObject {
                nonce: Some("n".into()),
                ..authorization()
            }),
        };
        let object = token(profile, &object, &seal);
        let assertion = token(profile, &assertion(), &seal);
        assert!(
            verdict(profile, JwtKind::ClientAssertion, &object, &seal).is_err(),
            "{name}"
        );
        assert!(
            verdict(profile, JwtKind::RequestObject, &assertion, &seal).is_err(),
            "{name}"
        );
        assert!(
            verdict(profile, JwtKind::DpopProof, &assertion, &seal).is_err(),
            "{name}"
        );
    }
}

#[test]
fn tampering_with_any_character_of_a_token_is_noticed() {
    let (profile, seal) = (profile("fapi-2"), Seal::p256());
    let good = token(profile, &assertion(), &seal);
    for position in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(
            verdict(profile, JwtKind::ClientAssertion, &changed, &seal).is_err(),
            "{position}"
        );
    }
    let other = Seal::p256();
    let error = verdict(profile, JwtKind::ClientAssertion, &good, &other).unwrap_err();
    assert!(error.starts_with("SIGNATURE_INVALID"), "{error}");
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        &format!("{good}="),
        &format!("{good}."),
    ] {
        assert!(
            verdict(profile, JwtKind::ClientAssertion, text, &seal).is_err(),
            "{text}"
        );
    }
}

#[test]
fn doubled_claims_are_refused() {
    let (profile, seal) = (profile("fapi-2"), Seal::p256());
    let good = token(profile, &assertion(), &seal);
    let (protected, payload) = good.split_once('.').unwrap();
    let payload = payload.split('.').next().unwrap();
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let doubled = payload.replacen('{', "{\"aud\":\"https://auth.bank.example\",", 1);
    let token = signed_text(protected, &URL_SAFE_NO_PAD.encode(doubled), &seal);
    let error = verdict(profile, JwtKind::ClientAssertion, &token, &seal).unwrap_err();
    assert!(error.starts_with("PARAMETER_MALFORMED"), "{error}");
}

/// What comes beside the intent in `claims` would ask the bank for more than the service was asked for.
#[test]
fn the_claims_of_an_obie_request_object_are_the_intent_and_nothing_else() {
    let (profile, seal) = (profile("obuk-oauth"), Seal::rsa());
    let made = token(profile, &object_of(uk_authorization()), &seal);
    let with = |change: &dyn Fn(&mut Value)| {
        let changed = resigned(&made, &seal, |_, claims| change(&mut claims["claims"]));
        verdict(profile, JwtKind::RequestObject, &changed, &seal).map(drop)
    };
    assert_eq!(with(&|_| {}), Ok(()));
    let without_acr = |claims: &mut Value| {
        claims["id_token"].as_object_mut().unwrap().remove("acr");
    };
    assert_eq!(with(&without_acr), Ok(()));
    let refused =
        "CLAIM_INVALID claim claims is not an openbanking_intent_id and at most 8 acr values";
    let changes: [&dyn Fn(&mut Value); 9] = [
        &|claims| claims["userinfo"] = json!({ "email": null }),
        &|claims| claims["id_token"]["email"] = json!(null),
        &|claims| claims["id_token"]["openbanking_intent_id"]["essential"] = json!(false),
        &|claims| claims["id_token"]["openbanking_intent_id"]["value"] = json!(1),
        &|claims| claims["id_token"]["openbanking_intent_id"]["value"] = json!(""),
        &|claims| claims["id_token"]["acr"]["values"] = json!(["a", 1]),
        &|claims| claims["id_token"]["acr"]["values"] = json!([""]),
        &|claims| claims["id_token"]["acr"]["values"] = json!([]),
        &|claims| *claims = json!("openbanking_intent_id"),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(with(change), Err(refused.to_owned()), "{index}");
    }
}

/// RFC 7636 section 4.3: neither means anything without the other.
#[test]
fn a_challenge_and_its_method_come_together() {
    let (profile, seal) = (profile("obuk-oauth"), Seal::rsa());
    let object = RequestObject {
        code_challenge: Some(CHALLENGE.into()),
        ..uk_authorization()
    };
    let made = token(profile, &object_of(object), &seal);
    let with = |change: &dyn Fn(&mut Map<String, Value>)| {
        let changed = resigned(&made, &seal, |_, claims| change(claims));
        verdict(profile, JwtKind::RequestObject, &changed, &seal).map(drop)
    };
    let missing = |name: &str| Err(format!("CLAIM_MISSING claim {name} is missing"));
    assert_eq!(with(&|_| {}), Ok(()));
    for name in ["code_challenge", "code_challenge_method"] {
        let found = with(&|claims| drop(claims.remove(name)));
        assert_eq!(found, missing(name));
    }
    let plain = with(&|claims| claims["code_challenge_method"] = json!("plain"));
    assert!(plain.unwrap_err().starts_with("CLAIM_INVALID"));
}

/// A parameter that the profile has not is unknown, and so is what comes with it.
#[test]
fn a_method_without_a_challenge_in_the_profile_is_unknown() {
    let profile = Profile::from_toml(
        "name = \"x\"\ntitle = \"x\"\nsource = \"x\"\nconfidence = \"seen\"\n\
         [settings]\nclient_id = \"c\"\nissuer = \"i\"\n\
         [jwt]\nschemes = [\"rsa-pss-sha256\"]\n\
         [jwt.request_object]\naudience = [\"issuer\"]\nlifetime_seconds = 60\n\
         response_types = [\"code\"]\nrequired = [\"scope\"]\n",
    );
    let (profile, seal) = (profile.unwrap(), Seal::rsa());
    let object = RequestObject {
        response_type: "code".into(),
        scope: Some("accounts".into()),
        ..RequestObject::default()
    };
    let made = token(&profile, &object_of(object), &seal);
    let changed = resigned(&made, &seal, |_, claims| {
        claims.insert("code_challenge_method".into(), json!("S256"));
    });
    let error = verdict(&profile, JwtKind::RequestObject, &changed, &seal).unwrap_err();
    assert!(error.starts_with("CLAIM_UNKNOWN"), "{error}");
}

/// RFC 9449 section 4.2: told before it is compared with the request.
#[test]
fn the_url_of_a_proof_is_https_without_query() {
    let seal = Seal::p256();
    let get = request("GET", "/accounts", &[], b"");
    let asked = JwtRequest::DpopProof(DpopProof {
        request: &get,
        access_token_sha256: None,
        nonce: None,
    });
    let proof = token(profile("fapi-2"), &asked, &seal);
    for url in [
        "http://bank.example/accounts",
        "https://bank.example/accounts?a=1",
        "https://bank.example/accounts#a",
    ] {
        let changed = resigned(&proof, &seal, |_, claims| claims["htu"] = json!(url));
        let expected = ExpectedProof {
            request: &get,
            access_token_sha256: None,
            nonce: None,
            age_seconds_max: 30,
        };
        let error = verify::dpop_proof(&changed, expected, now()).unwrap_err();
        let expected = "claim htu is not an https URL without query and fragment";
        assert_eq!(error.to_string(), expected, "{url}");
    }
}
