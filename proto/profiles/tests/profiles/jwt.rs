//! Tokens of OAuth and FAPI: vectors, what every kind holds, what is refused, what is tampered with.

mod asked;
mod limits;
mod received;
mod tables;
mod vectors;

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
