//! Vectors of others and of the RFCs: tokens, proofs, thumbprints and keys.

use super::*;

/// The certificate of the vectors' keys.
fn vector_certificate(name: &str) -> Option<Certificate> {
    let file = vectors("thumbprints.json")?;
    let list = file["own_certificates"].as_array().unwrap();
    let entry = list.iter().find(|entry| entry["name"] == name).unwrap();
    let der = STANDARD
        .decode(entry["certificate_b64_der"].as_str().unwrap())
        .unwrap();
    Some(Certificate::from_der(&der).unwrap())
}

/// FAPI 2 with the one algorithm of a vector, which may be one that FAPI forbids.
fn vector_profile(algorithm: &str) -> Profile {
    let scheme = match algorithm {
        "RS256" => "rsa-pkcs1-sha256",
        "PS256" => "rsa-pss-sha256",
        _ => "ecdsa-p256-sha256",
    };
    Profile::from_toml(&format!(
        "name = \"case\"\ntitle = \"case\"\nsource = \"vector\"\nconfidence = \"seen\"\n\
         [settings]\nclient_id = \"c\"\nissuer = \"i\"\nkid = \"k\"\ntoken_endpoint = \"t\"\n\
         [jwt]\nschemes = [\"{scheme}\"]\nkey_id = {{ setting = \"kid\" }}\n\
         [jwt.client_assertion]\ntyp = \"JWT\"\naudience = [\"issuer\", \"token_endpoint\"]\n\
         lifetime_seconds = 60\nnot_before = true\n\
         [jwt.request_object]\ntyp = \"oauth-authz-req+jwt\"\naudience = [\"issuer\"]\n\
         lifetime_seconds = 300\nresponse_types = [\"code\"]\nresponse_modes = [\"jwt\"]\n\
         required = [\"redirect_uri\", \"response_mode\"]\noptional = [\"scope\", \"state\", \"code_challenge\"]\n"
    ))
    .unwrap()
}

#[test]
fn every_fapi_vector_verifies_and_is_made_again_byte_for_byte() {
    let (Some(file), Some(rsa)) = (vectors("jwt_fapi.json"), vector_certificate("seal")) else {
        return;
    };
    let ec = vector_certificate("ec").unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap();
        let (id, algorithm) = (text("id"), text("alg"));
        let certificate = if algorithm == "ES256" { &ec } else { &rsa };
        let (profile, settings) = (
            vector_profile(algorithm),
            settings(&["client_id", "issuer", "kid", "token_endpoint"]),
        );
        let claims: Value = serde_json::from_str(text("payload_json")).unwrap();
        let asked = match id.starts_with("jar") {
            true => object_of(authorization()),
            false => JwtRequest::ClientAssertion(ClientAssertion {
                audience: Some(claims["aud"].as_str().unwrap().to_owned()),
            }),
        };
        let prepared = profile
            .prepare_jwt(&asked, certificate, &settings, JTI, now())
            .unwrap();
        let (input, signature) = text("token").rsplit_once('.').unwrap();
        assert_eq!(
            std::str::from_utf8(prepared.to_be_signed()).unwrap(),
            input,
            "{id}"
        );
        let signed = prepared
            .assemble(&URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        assert_eq!(signed.jws(), Some(text("token")), "{id}");
        let kind = asked.kind();
        let found =
            verify::jwt(&profile, kind, text("token"), certificate, &settings, now()).unwrap();
        assert_eq!(Value::from(found.claims), claims, "{id}");
    }
}

#[test]
fn the_proof_of_rfc_9449_verifies() {
    let Some(file) = vectors("rfc9449_dpop.json") else {
        return;
    };
    let text = |name: &str| file[name].as_str().unwrap();
    let request = HttpRequest::parse(RequestParts {
        method: "GET",
        authority: "resource.example.org",
        target: "/protectedresource",
        headers: &[],
        body: BodyParts {
            bytes: None,
            digests: &[],
        },
    })
    .unwrap();
    let access_token_sha256 = sha256(text("access_token").as_bytes()).try_into().unwrap();
    let expected = ExpectedProof {
        request: &request,
        access_token_sha256: Some(access_token_sha256),
        nonce: None,
        age_seconds_max: 60,
    };
    let made = Timestamp::from_second(1_562_262_618).unwrap();
    let found = verify::dpop_proof(text("proof"), expected, made).unwrap();
    assert_eq!(found.jkt, text("jkt"));
    assert_eq!(found.jti, "e1j3V_bKic8-LAEB");
    let other_token = ExpectedProof {
        access_token_sha256: Some([0; 32]),
        ..expected
    };
    let no_token = ExpectedProof {
        access_token_sha256: None,
        ..expected
    };
    let nonce = ExpectedProof {
        nonce: Some("n"),
        ..expected
    };
    for (expected, now, reason) in [
        (other_token, made, "CLAIM_INVALID"),
        (no_token, made, "MEMBER_UNEXPECTED"),
        (nonce, made, "CLAIM_MISSING"),
        (expected, made + SignedDuration::from_secs(61), "STALE"),
        (
            expected,
            made - SignedDuration::from_secs(61),
            "CLAIM_INVALID",
        ),
    ] {
        let error = verify::dpop_proof(text("proof"), expected, now).unwrap_err();
        assert_eq!(error.reason(), reason);
    }
}

#[test]
fn thumbprints_of_keys_and_certificates_are_those_of_the_rfcs() {
    let Some(file) = vectors("thumbprints.json") else {
        return;
    };
    let jwk = file["rfc7638_3_1"]["jwk"].as_object().unwrap();
    let key = PublicKey::from_jwk(jwk).unwrap();
    assert_eq!(
        key.jwk_sha256(),
        file["rfc7638_3_1"]["jwk_thumbprint_sha256"]
            .as_str()
            .unwrap()
    );
    assert_eq!(key.jwk().as_object().unwrap().len(), 3);
    let rfc8705 = &file["rfc8705_appendix_a"];
    let own = file["own_certificates"].as_array().unwrap();
    for case in own.iter().chain([rfc8705]) {
        let der = STANDARD
            .decode(case["certificate_b64_der"].as_str().unwrap())
            .unwrap();
        let certificate = Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.x5t_s256(), case["x5t_S256"].as_str().unwrap());
    }
}

#[test]
fn a_public_key_survives_its_jwk() {
    for seal in [Seal::rsa(), Seal::p256(), Seal::p384()] {
        let key = seal.certificate.public_key();
        let jwk = key.jwk();
        assert_eq!(&PublicKey::from_jwk(jwk.as_object().unwrap()).unwrap(), key);
    }
}

#[test]
fn refuses_jwks_that_are_private_or_malformed() {
    let good = Seal::p256().certificate.public_key().jwk();
    let short = URL_SAFE_NO_PAD.encode([1; 31]);
    for (name, value) in [
        ("d", json!("AA")),
        ("k", json!("AA")),
        ("kty", json!("oct")),
        ("crv", json!("P-521")),
        ("crv", json!("P-384")),
        ("x", json!(short)),
        ("x", json!("=")),
        ("x", json!(1)),
        ("y", json!("A".repeat(2000))),
    ] {
        let mut jwk = good.as_object().unwrap().clone();
        jwk.insert(name.into(), value.clone());
        assert!(PublicKey::from_jwk(&jwk).is_err(), "{name} {value}");
    }
    let weak = json!({"kty": "RSA", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode([0xff; 128])});
    assert!(
        PublicKey::from_jwk(weak.as_object().unwrap()).is_err(),
        "RSA-1024"
    );
}
