//! Random JWTs of every kind, each as the body or the proof of a random request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use sealkeep_profiles::format::jwt::{ClientAssertion, DpopProof, JwtRequest};
use sealkeep_profiles::profile::{Catalog, Profile};
use sealkeep_profiles::refusal::Refusal;
use serde_json::{Map, Value, json};

use super::support::{request_of, usable_settings};
use super::{ATTEMPTS_A_REQUEST_MAX, Source, any_draft, line};

/// As profiles name them.
const KINDS: [&str; 5] = [
    "body",
    "client_assertion",
    "dpop_proof",
    "registration",
    "request_object",
];

pub(super) fn print(count: usize, source: &mut Source) {
    for kind in KINDS {
        let signs = |profile: &&Profile| {
            let names = profile.summary().signed;
            profile.signs_jwt() && names.iter().any(|name| name == kind)
        };
        let profiles: Vec<&Profile> = Catalog::embedded().iter().filter(signs).collect();
        for index in 0..count {
            println!("{}", token(kind, profiles[index % profiles.len()], source));
        }
    }
}

fn token(kind: &str, profile: &Profile, source: &mut Source) -> Value {
    let settings = usable_settings(profile);
    let strategy = (
        any_draft(source.now),
        any::<prop::sample::Index>(),
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
    );
    let mut fields = fields(kind, source);
    let mut refusals = Vec::new();
    for _ in 0..ATTEMPTS_A_REQUEST_MAX {
        let (draft, which, jti) = source.any(&strategy);
        let seal = which.get(&source.seals);
        let body = br#"{"data":{}}"#;
        let request = request_of(draft.method, &draft.target, &draft.headers, body).unwrap();
        let asked = match kind {
            "body" => JwtRequest::Body(&request),
            "client_assertion" => JwtRequest::ClientAssertion(ClientAssertion::default()),
            "dpop_proof" => JwtRequest::DpopProof(DpopProof {
                request: &request,
                access_token_sha256: None,
                nonce: None,
            }),
            "registration" => JwtRequest::Registration(read(&fields)),
            _ => JwtRequest::RequestObject(read(&fields)),
        };
        match profile.prepare_jwt(&asked, &seal.certificate, &settings, &jti, source.now) {
            Ok(prepared) => {
                return line(&format!("jwt {kind}"), profile, seal, &request, prepared).0;
            }
            // What this profile does not have is not asked for.
            Err(Refusal::ClaimUnknown { name }) => {
                fields.remove(&name);
                if name == "claims" {
                    fields.remove("intent_id");
                    fields.remove("intent_acr");
                }
            }
            Err(Refusal::AlgorithmNotAllowed { .. }) => {}
            Err(refusal) => {
                refusals.push(refusal.to_string());
                fields = self::fields(kind, source);
            }
        }
    }
    panic!("{} refuses every {kind}: {refusals:?}", profile.name());
}

fn read<T: serde::de::DeserializeOwned>(fields: &Map<String, Value>) -> T {
    serde_json::from_value(Value::from(fields.clone())).unwrap()
}

/// What is asked for, with all that some profile has.
fn fields(kind: &str, source: &mut Source) -> Map<String, Value> {
    match kind {
        "registration" => registration(source),
        "request_object" => request_object(source),
        _ => Map::new(),
    }
}

/// Those in the first list are always there, of the others half.
fn chosen(
    always: &[(&str, Value)],
    others: &[(&str, Value)],
    source: &mut Source,
) -> Map<String, Value> {
    let there = source.any(&proptest::collection::vec(any::<bool>(), others.len()));
    let others = others.iter().zip(there).filter(|(_, there)| *there);
    let others = others.map(|(field, _)| field);
    let fields = always.iter().chain(others);
    fields
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn request_object(source: &mut Source) -> Map<String, Value> {
    let mut text = |pattern: &'static str| Value::from(source.any(&pattern));
    let details =
        json!([{ "type": text("[a-z_]{1,12}"), "amount": text("[0-9]{1,6}\\.[0-9]{2}") }]);
    let always = [
        ("response_type", text("code( id_token)?")),
        (
            "redirect_uri",
            text("https://tpp\\.example/[a-z]{1,8}(\\?[a-z]=[0-9]{1,3})?"),
        ),
        ("scope", text("[!#-\\[\\]-~]{1,12}( [a-z:]{1,8}){0,2}")),
        ("state", text("[ -~]{1,60}")),
        ("nonce", text("[ -~]{1,60}")),
        ("code_challenge", text("[A-Za-z0-9_-]{43}")),
        ("intent_id", text("[ -~]{1,40}")),
    ];
    let others = [
        ("response_mode", "jwt".into()),
        (
            "max_age",
            text("[1-9][0-9]{0,4}")
                .as_str()
                .unwrap()
                .parse::<u32>()
                .unwrap()
                .into(),
        ),
        ("acr_values", text("[a-z:]{1,12}( [a-z:]{1,12})?")),
        ("prompt", text("login|consent|login consent")),
        ("login_hint", text("[ -~]{1,40}")),
        ("ui_locales", text("de-DE|fr|pl en")),
        ("dpop_jkt", text("[A-Za-z0-9_-]{43}")),
        ("authorization_details", details.to_string().into()),
        (
            "intent_acr",
            json!([text("[a-z:]{1,30}"), text("[a-z:]{1,30}")]),
        ),
    ];
    chosen(&always, &others, source)
}

fn registration(source: &mut Source) -> Map<String, Value> {
    let mut text = |pattern: &'static str| Value::from(source.any(&pattern));
    let statement = [
        json!({ "alg": "PS256", "kid": text("[a-z0-9]{8}") }).to_string(),
        json!({ "software_id": "registered-1", "org": text("[ -~]{1,40}") }).to_string(),
        "signature".to_owned(),
    ];
    let statement = statement.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let url = "https://tpp\\.example/[a-z]{1,8}";
    let always = [
        ("software_statement", statement.into()),
        ("redirect_uris", json!([text(url), text(url)])),
    ];
    let algorithm = "PS256|ES256|RS256";
    let others = [
        (
            "grant_types",
            json!(["authorization_code", "refresh_token"]),
        ),
        ("response_types", json!([text("code( id_token)?")])),
        ("application_type", "web".into()),
        ("client_id", text("[ -~]{1,40}")),
        ("id_token_signed_response_alg", text(algorithm)),
        ("request_object_signing_alg", text(algorithm)),
        ("scope", text("[a-z]{1,8}( [a-z]{1,8})?")),
        ("software_id", text("[a-zA-Z0-9]{1,22}")),
        (
            "tls_client_auth_subject_dn",
            text("CN=[a-zA-Z0-9 äßł]{1,20},C=DE"),
        ),
        (
            "token_endpoint_auth_method",
            text("private_key_jwt|tls_client_auth"),
        ),
        ("token_endpoint_auth_signing_alg", text(algorithm)),
    ];
    chosen(&always, &others, source)
}
