//! Golden bases that a vector file cannot hold: an Ed25519 key with a digest for the body, and a response.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::Settings;
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};

use crate::support::*;

fn base(prepared: &Prepared) -> &str {
    std::str::from_utf8(prepared.to_be_signed()).unwrap()
}

fn header(prepared: &Prepared, name: &str) -> String {
    let set = prepared.outline().into_iter();
    set.filter(|(n, _)| n == name).map(|(_, v)| v).collect()
}

fn settings(name: &str, value: &str) -> Settings {
    [(name, value)].into_iter().collect()
}

#[test]
fn fapi_request_as_published() {
    let digest = STANDARD.decode("Jl5HXZwH1fbWWV98SdzYdI8lK4inlmkXiXZnHXjRyOA=");
    let digests = [(HashAlgorithm::Sha256, digest.unwrap())];
    let request = HttpRequest::parse(RequestParts {
        method: "POST",
        authority: "bank.example",
        target: "/v1/payments?x=1",
        headers: &lines(&[("Authorization", "Bearer abc"), ("Accept", "*/*")]),
        body: BodyParts {
            bytes: None,
            digests: &digests,
        },
    })
    .unwrap();
    let now = Timestamp::from_second(1_714_393_709).unwrap();
    let prepared = profile("fapi-2-http-signatures")
        .prepare(
            &request,
            &Seal::ed25519().certificate,
            &settings("key_id", "tpp-seal-1"),
            now,
        )
        .unwrap();
    let params = r#"("@method" "@target-uri" "authorization" "content-digest");created=1714393709;keyid="tpp-seal-1";tag="fapi-2-request""#;
    let expected = format!(
        "\"@method\": POST\n\
         \"@target-uri\": https://bank.example/v1/payments?x=1\n\
         \"authorization\": Bearer abc\n\
         \"content-digest\": sha-256=:Jl5HXZwH1fbWWV98SdzYdI8lK4inlmkXiXZnHXjRyOA=:\n\
         \"@signature-params\": {params}"
    );
    assert_eq!(base(&prepared), expected);
    assert_eq!(
        header(&prepared, "Signature-Input"),
        format!("sig1={params}")
    );
    assert_eq!(header(&prepared, "Signature"), "sig1=:<signature>:");
    assert_eq!(
        prepared.signed_fields(),
        ["@method", "@target-uri", "authorization", "content-digest"]
    );
}

#[test]
fn fapi_response_is_bound_to_the_signed_request() {
    let seal = Seal::p256();
    let fapi = profile("fapi-2-http-signatures");
    let asked = request("GET", "/accounts", &[("Authorization", "Bearer abc")], b"");
    let prepared = fapi
        .prepare(
            &asked,
            &seal.certificate,
            &settings("key_id", "tpp"),
            vector_time(),
        )
        .unwrap();
    let signed = seal.finish(prepared);
    let signature = STANDARD.encode(signed.signature());
    let asked = sent(&asked, &signed);

    let body = BodyParts {
        bytes: Some(b"{}"),
        digests: &[],
    };
    let response = HttpResponse::parse(200, &[], body)
        .unwrap()
        .answering(asked);
    let prepared = fapi
        .prepare_response(
            &response,
            &seal.certificate,
            &settings("bank_key_id", "bank"),
            vector_time(),
        )
        .unwrap();
    let input = r#"("@method" "@target-uri" "authorization");created=1537264261;keyid="tpp";tag="fapi-2-request""#;
    let expected = format!(
        "\"@status\": 200\n\
         \"content-digest\": sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\n\
         \"@method\";req: GET\n\
         \"@target-uri\";req: https://bank.example/accounts\n\
         \"signature-input\";req;key=\"sig1\": {input}\n\
         \"signature\";req;key=\"sig1\": :{signature}:\n\
         \"@signature-params\": (\"@status\" \"content-digest\" \"@method\";req \"@target-uri\";req \
         \"signature-input\";req;key=\"sig1\" \"signature\";req;key=\"sig1\")\
         ;created=1537264261;keyid=\"bank\";tag=\"fapi-2-response\""
    );
    assert_eq!(base(&prepared), expected);
}
