//! Tokens of OAuth and FAPI: vectors, what every kind holds, what is refused, what is tampered with.

mod limits;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::algorithm::PublicKey;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::format::jwt::{
    ClientAssertion, DpopProof, ExpectedProof, JwtKind, JwtRequest, Registration, RequestObject,
};
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use sealkeep_profiles::verify;
use serde_json::{Map, Value, json};

use crate::support::*;

const JTI: &str = "3f2f2c1e-9a0b-4a4c-8a4e-0f1d2c3b4a59";
const ISSUER: &str = "https://auth.bank.example";
const TOKEN_ENDPOINT: &str = "https://auth.bank.example/token";
const CHALLENGE: &str = "K2-ltc83acc4h0c9w6ESC_rEMTJ3bww-uCHaoeK1t8U";

fn now() -> Timestamp {
    Timestamp::from_second(1_714_393_709).unwrap()
}

fn settings(names: &[&str]) -> Settings {
    let all = [
        ("client_id", "PSDDE-BAFIN-123456"),
        ("issuer", ISSUER),
        ("token_endpoint", TOKEN_ENDPOINT),
        ("kid", "tpp-seal-1"),
        ("software_id", "AORlKI7oUF85BB2WUr7ZK2"),
        ("organisation_id", "4b75db2e-a0c0-4359-a077-684e88fa695c"),
        (
            "aspsp_organisation_id",
            "0b4a0f1e-6a4c-4a3e-9a3e-2f1e6a4b0c5d",
        ),
    ];
    all.into_iter()
        .filter(|(name, _)| names.contains(name))
        .collect()
}

/// The settings a shipped profile asks for.
fn settings_of(profile: &Profile) -> Settings {
    let names: Vec<&str> = profile.settings().map(|(name, _)| name).collect();
    settings(&names)
}

fn assertion() -> JwtRequest<'static> {
    JwtRequest::ClientAssertion(ClientAssertion::default())
}

fn authorization() -> RequestObject {
    RequestObject {
        response_type: "code".into(),
        response_mode: Some("jwt".into()),
        redirect_uri: Some("https://tpp.example/cb".into()),
        scope: Some("accounts".into()),
        state: Some("af0ifjsldkj".into()),
        code_challenge: Some(CHALLENGE.into()),
        ..RequestObject::default()
    }
}

fn uk_authorization() -> RequestObject {
    RequestObject {
        response_type: "code id_token".into(),
        response_mode: None,
        scope: Some("openid payments".into()),
        nonce: Some("n-0S6_WzA2Mj".into()),
        code_challenge: None,
        intent_id: Some("urn:bank:intent:58923".into()),
        intent_acr: vec!["urn:openbanking:psd2:sca".into()],
        ..authorization()
    }
}

fn object_of(asked: RequestObject) -> JwtRequest<'static> {
    JwtRequest::RequestObject(Box::new(asked))
}

fn software_statement(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "PS256"})), part(claims))
}

fn registration() -> Registration {
    Registration {
        software_statement: software_statement(&json!({
            "software_id": "AORlKI7oUF85BB2WUr7ZK2",
            "software_redirect_uris": ["https://tpp.example/cb", "https://tpp.example/cb2"],
        })),
        redirect_uris: vec!["https://tpp.example/cb".into()],
        grant_types: vec!["authorization_code".into(), "client_credentials".into()],
        response_types: vec!["code id_token".into()],
        token_endpoint_auth_method: Some("private_key_jwt".into()),
        token_endpoint_auth_signing_alg: Some("PS256".into()),
        scope: Some("openid accounts".into()),
        ..Registration::default()
    }
}

fn registration_of(asked: Registration) -> JwtRequest<'static> {
    JwtRequest::Registration(Box::new(asked))
}

fn payment(body: &str) -> HttpRequest {
    request(
        "POST",
        "/open-banking/payments/v4/consents",
        &[],
        body.as_bytes(),
    )
}

fn prepare(profile: &Profile, asked: &JwtRequest<'_>, seal: &Seal) -> Result<Prepared, Refusal> {
    prepare_with(profile, asked, seal, &settings_of(profile), JTI)
}

fn prepare_with(
    profile: &Profile,
    asked: &JwtRequest<'_>,
    seal: &Seal,
    settings: &Settings,
    jti: &str,
) -> Result<Prepared, Refusal> {
    profile.prepare_jwt(asked, &seal.certificate, settings, jti, now())
}

fn token(profile: &Profile, asked: &JwtRequest<'_>, seal: &Seal) -> String {
    let signed = seal.finish(prepare(profile, asked, seal).unwrap());
    signed.jws().unwrap().to_owned()
}

fn parts(token: &str) -> (Value, Map<String, Value>) {
    let mut parts = token
        .split('.')
        .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let header = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (
        header,
        serde_json::from_slice(&parts.next().unwrap()).unwrap(),
    )
}

/// The token with other claims or another header, signed again by its maker.
fn resigned(
    token: &str,
    seal: &Seal,
    change: impl FnOnce(&mut Value, &mut Map<String, Value>),
) -> String {
    let (mut header, mut claims) = parts(token);
    change(&mut header, &mut claims);
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    signed_text(&part(header), &part(claims.into()), seal)
}

fn signed_text(protected: &str, payload: &str, seal: &Seal) -> String {
    let input = format!("{protected}.{payload}");
    let scheme = match seal.certificate.public_key().key_type() {
        sealkeep_profiles::algorithm::KeyType::Rsa { .. } => {
            sealkeep_profiles::algorithm::SignatureScheme::RsaPssSha256
        }
        _ => sealkeep_profiles::algorithm::SignatureScheme::EcdsaP256Sha256,
    };
    let raw = seal.sign(scheme, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(raw))
}

fn verdict(
    profile: &Profile,
    kind: JwtKind,
    token: &str,
    seal: &Seal,
) -> Result<Map<String, Value>, String> {
    let settings = settings_of(profile);
    verify::jwt(profile, kind, token, &seal.certificate, &settings, now())
        .map(|found| found.claims)
        .map_err(|error| format!("{} {error}", error.reason()))
}

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

/// Each shipped profile with each kind of token it has.
#[test]
fn every_shipped_kind_of_token_is_made_and_verifies() {
    let cases = [
        ("fapi-1-advanced", assertion()),
        (
            "fapi-1-advanced",
            object_of(RequestObject {
                nonce: Some("n".into()),
                ..authorization()
            }),
        ),
        ("fapi-2", assertion()),
        ("fapi-2", object_of(authorization())),
        ("obuk-oauth", assertion()),
        ("obuk-oauth", object_of(uk_authorization())),
        ("obuk-oauth", registration_of(registration())),
        ("open-finance-brasil", assertion()),
        (
            "open-finance-brasil",
            object_of(RequestObject {
                nonce: Some("n".into()),
                ..authorization()
            }),
        ),
    ];
    for (name, asked) in cases {
        let (profile, seal) = (profile(name), Seal::rsa());
        let token = token(profile, &asked, &seal);
        let (header, _) = parts(&token);
        assert_eq!(header["alg"], "PS256");
        let claims = verdict(profile, asked.kind(), &token, &seal).unwrap();
        assert_eq!(
            claims.contains_key("sub"),
            asked.kind() == JwtKind::ClientAssertion,
            "{name}"
        );
        let prepared = prepare(profile, &asked, &seal).unwrap();
        let fields = prepared.signed_fields();
        assert_eq!(fields.len(), claims.len() + 1, "{fields:?}");
    }
}

#[test]
fn fapi_1_and_2_differ_in_their_audience() {
    let seal = Seal::p256();
    let audience = |name: &str, asked: Option<&str>, names: &[&str]| {
        let asked = JwtRequest::ClientAssertion(ClientAssertion {
            audience: asked.map(str::to_owned),
        });
        let prepared = prepare_with(profile(name), &asked, &seal, &settings(names), JTI)?;
        let input = String::from_utf8(prepared.to_be_signed().to_vec()).unwrap();
        Ok::<_, Refusal>(parts(&input).1["aud"].clone())
    };
    let all = ["client_id", "kid", "issuer", "token_endpoint"];
    let without = ["client_id", "kid", "issuer"];
    assert_eq!(
        audience("fapi-1-advanced", None, &all).unwrap(),
        TOKEN_ENDPOINT
    );
    assert_eq!(audience("fapi-1-advanced", None, &without).unwrap(), ISSUER);
    assert_eq!(
        audience("fapi-1-advanced", Some(ISSUER), &all).unwrap(),
        ISSUER
    );
    assert_eq!(audience("fapi-2", None, &all).unwrap(), ISSUER);
    for (name, asked, names) in [
        ("fapi-2", TOKEN_ENDPOINT, &all[..]),
        ("fapi-1-advanced", TOKEN_ENDPOINT, &without[..]),
        ("fapi-1-advanced", "https://evil.example", &all[..]),
    ] {
        let refusal = audience(name, Some(asked), names).unwrap_err();
        assert_eq!(
            (refusal.reason(), refusal.field()),
            ("CLAIM_INVALID", "audience".into())
        );
    }
    let refusal = audience("fapi-2", None, &["client_id", "kid"]).unwrap_err();
    assert_eq!(
        (refusal.reason(), refusal.field()),
        ("SETTING_MISSING", "settings[\"issuer\"]".into())
    );
}

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
    let cases: [(&str, Change, &str, &str); 20] = [
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
    let cases: [(Change, &str); 8] = [
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
        (|r| r.scope = Some("a\tb".into()), "scope"),
    ];
    for (change, field) in cases {
        let mut asked = registration();
        change(&mut asked);
        let refusal =
            prepare(profile("obuk-oauth"), &registration_of(asked), &Seal::rsa()).unwrap_err();
        assert_eq!(refusal.field(), field, "{refusal}");
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

#[test]
fn a_dpop_proof_covers_method_and_url_without_query() {
    let seal = Seal::p256();
    let get = request("GET", "/accounts?from=1", &[], b"");
    let asked = JwtRequest::DpopProof(DpopProof {
        request: &get,
        access_token_sha256: Some([7; 32]),
        nonce: Some("eyJ7S_zG"),
    });
    let proof = token(profile("fapi-2"), &asked, &seal);
    let (header, claims) = parts(&proof);
    assert_eq!(header["typ"], "dpop+jwt");
    assert_eq!(header["jwk"], seal.certificate.public_key().jwk());
    assert_eq!(
        header.as_object().unwrap().len(),
        3,
        "the key is in it, its name is not"
    );
    assert_eq!(claims["htu"], "https://bank.example/accounts");
    let expected = ExpectedProof {
        request: &get,
        access_token_sha256: Some([7; 32]),
        nonce: Some("eyJ7S_zG"),
        age_seconds_max: 30,
    };
    let found = verify::dpop_proof(&proof, expected, now()).unwrap();
    assert_eq!(found.jkt, seal.certificate.public_key().jwk_sha256());
    let post = request("POST", "/accounts", &[], b"");
    let other = request("GET", "/accounts/1", &[], b"");
    for request in [&post, &other] {
        let expected = ExpectedProof {
            request,
            ..expected
        };
        assert_eq!(
            verify::dpop_proof(&proof, expected, now())
                .unwrap_err()
                .reason(),
            "CLAIM_INVALID"
        );
    }
    // Another key cannot stand in the proof of the first.
    let swapped = resigned(&proof, &seal, |header, _| {
        header["jwk"] = Seal::p256().certificate.public_key().jwk();
    });
    assert_eq!(
        verify::dpop_proof(&swapped, expected, now())
            .unwrap_err()
            .reason(),
        "SIGNATURE_INVALID"
    );
    for (member, value) in [
        ("typ", json!("JWT")),
        ("alg", json!("none")),
        ("jwk", json!({"kty": "oct"})),
        ("kid", json!("x")),
    ] {
        let changed = resigned(&proof, &seal, |header, _| header[member] = value);
        assert!(
            verify::dpop_proof(&changed, expected, now()).is_err(),
            "{member}"
        );
    }
}

#[test]
fn a_body_becomes_a_token_and_keeps_its_spelling() {
    let (profile, seal) = (profile("open-finance-brasil"), Seal::rsa());
    let body = "{ \"data\": {\"amount\": 1.10, \"id\": 123456789012345678901} }";
    let asked = payment(body);
    let token = token(profile, &JwtRequest::Body(&asked), &seal);
    let payload = token.split('.').nth(1).unwrap();
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(
        payload,
        "{\"aud\":\"https://bank.example/open-banking/payments/v4/consents\",\
         \"iss\":\"4b75db2e-a0c0-4359-a077-684e88fa695c\",\"jti\":\"3f2f2c1e-9a0b-4a4c-8a4e-0f1d2c3b4a59\",\
         \"iat\":1714393709,\"data\": {\"amount\": 1.10, \"id\": 123456789012345678901} }"
    );
    let settings = settings_of(profile);
    let check = |url: &str| {
        verify::jwt_request_body(profile, &token, url, &seal.certificate, &settings, now())
    };
    let found = check("https://bank.example/open-banking/payments/v4/consents").unwrap();
    assert_eq!(found.claims["data"]["amount"], 1.10);
    assert_eq!(
        check("https://bank.example/other").unwrap_err().reason(),
        "CLAIM_INVALID"
    );
    for (body, reason) in [
        ("", "NOTHING_TO_SIGN"),
        ("[]", "CLAIM_INVALID"),
        ("{\"data\":1,\"data\":2}", "CLAIM_INVALID"),
        ("{\"aud\":\"https://evil.example\"}", "CLAIM_UNKNOWN"),
        ("{\"sub\":\"x\"}", "CLAIM_UNKNOWN"),
        ("{\"exp\":1}", "CLAIM_UNKNOWN"),
    ] {
        let refusal = prepare(profile, &JwtRequest::Body(&payment(body)), &seal).unwrap_err();
        assert_eq!(refusal.reason(), reason, "{body}");
    }
    assert!(prepare(profile, &JwtRequest::Body(&payment(" {\n} ")), &seal).is_ok());
}

#[test]
fn an_answer_is_for_us_and_from_the_bank() {
    let (profile, bank) = (profile("open-finance-brasil"), Seal::rsa());
    let settings = settings_of(profile);
    let answer = |aud: &str, iss: &str| {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "PS256", "kid": "of the bank", "typ": "JWT"}));
        let claims = json!({"aud": aud, "iss": iss, "jti": "1", "iat": 1_714_393_709, "data": {}});
        let token = signed_text(&header, &part(claims), &bank);
        verify::jwt_answer_body(profile, &token, &bank.certificate, &settings, now())
    };
    let (us, them) = (
        settings.get("organisation_id").unwrap(),
        settings.get("aspsp_organisation_id").unwrap(),
    );
    assert!(answer(us, them).is_ok());
    assert!(answer(them, them).is_err());
    assert!(answer(us, us).is_err());
}

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

/// What makes no sense is refused when the profile is loaded, with what to write instead.
#[test]
fn refuses_senseless_jwt_tables() {
    let head = "name = \"x\"\ntitle = \"x\"\nsource = \"x\"\nconfidence = \"seen\"\n\
        [settings]\nclient_id = \"c\"\nissuer = \"i\"\n";
    let jwt = "[jwt]\nschemes = [\"rsa-pss-sha256\"]\n";
    let assertion = "[jwt.client_assertion]\naudience = [\"issuer\"]\nlifetime_seconds = 60\n";
    let object = "[jwt.request_object]\naudience = [\"issuer\"]\nlifetime_seconds = 60\n\
        response_types = [\"code\"]\nrequired = [\"scope\"]\n";
    assert!(Profile::from_toml(&format!("{head}{jwt}{assertion}{object}")).is_ok());
    for (text, what) in [
        (format!("{head}{jwt}"), "name a kind of JWT"),
        (head.to_owned(), "say what is signed"),
        (
            format!("{head}[jwt]\nschemes = []\n{assertion}"),
            "jwt.schemes",
        ),
        (
            format!("{head}{jwt}iat_offset_seconds = 61\n{assertion}"),
            "iat_offset_seconds",
        ),
        (
            format!("{head}{jwt}skew_seconds_max = 61\n{assertion}"),
            "skew_seconds_max",
        ),
        (
            format!("{head}{jwt}{}", assertion.replace("60", "601")),
            "client_assertion.lifetime_seconds",
        ),
        (
            format!("{head}{jwt}{}", assertion.replace("60", "0")),
            "client_assertion.lifetime_seconds",
        ),
        (
            format!("{head}{jwt}{}", object.replace("60", "3601")),
            "request_object.lifetime_seconds",
        ),
        (
            format!("{head}{jwt}{}", assertion.replace("[\"issuer\"]", "[]")),
            "audience",
        ),
        (
            format!("{head}{jwt}{assertion}typ = \"dpop+jwt\"\n"),
            "another kind of JWT",
        ),
        (
            format!("{head}{jwt}{assertion}typ = \"x+jwt\"\n{object}typ = \"x+jwt\"\n"),
            "another kind of JWT",
        ),
        (
            format!("{head}{jwt}{assertion}typ = \"a b\"\n"),
            "media subtype",
        ),
        (
            format!("{head}{jwt}{object}optional = [\"scope\"]\n"),
            "listed twice",
        ),
        (
            format!("{head}{jwt}{object}optional = [\"response_mode\"]\n"),
            "response_modes",
        ),
        (
            format!("{head}{jwt}{object}response_modes = [\"jwt\"]\n"),
            "response_modes",
        ),
        (
            format!("{head}{jwt}{object}response_mode_of = {{ code = \"jwt\" }}\n"),
            "response_mode_of",
        ),
        (
            format!("{head}{jwt}{object}optional = [\"request\"]\n"),
            "unknown variant",
        ),
        (
            format!("{head}{jwt}{assertion}nbf = true\n"),
            "unknown field",
        ),
        (
            format!("{head}kid = \"k\"\n{jwt}{assertion}"),
            "nothing reads `kid`",
        ),
        (
            format!("{head}{jwt}key_id = {{ setting = \"kid\" }}\n{assertion}"),
            "say what `kid` is",
        ),
    ] {
        let error = Profile::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}
