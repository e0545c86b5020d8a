//! Signing through the service: what is told about bodies, what errors mean, what is tried again.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use sealkeep_client::v1::ListCredentialsRequest;
use sealkeep_client::v1::VersionState;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::{BodyDigests, BodySource, Config, Error, RequestHead, Sealkeep};
use sha2::{Digest, Sha256};
use std::time::Duration;
use support::pki::{Authority, ec_key};
use support::service::{Fake, Version, refusal, unavailable};
use tonic::Code;

const BODY: &[u8] = br#"{"instructedAmount":{"currency":"EUR","amount":"12.00"}}"#;

fn fake() -> Fake {
    let leaf = Authority::new("QTSP").client("acme", ec_key());
    Fake::start(Version {
        name: "credentials/transport/versions/1".into(),
        leaf: leaf.into(),
        schemes: vec![0x0403],
        state: VersionState::Active,
    })
}

fn payment() -> http::Request<Vec<u8>> {
    http::Request::post("https://bank.example:8443/v1/payments/sepa-credit-transfers?x=%20")
        .header("X-Request-ID", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721")
        .header("Digest", "to be replaced")
        .body(BODY.to_vec())
        .unwrap()
}

#[tokio::test]
async fn sends_digests_instead_of_the_body_and_sets_the_headers() {
    let fake = fake();
    let bank = Sealkeep::connect(fake.config.clone())
        .unwrap()
        .bank("demo-bank");
    let signed = bank.sign(payment()).await.unwrap();
    assert_eq!(signed.headers()["signature"], "keyId=\"y\"");
    assert_eq!(signed.headers().get_all("digest").iter().count(), 1);
    assert_eq!(signed.body(), BODY);

    let saw = fake.script().signed.pop().unwrap();
    assert_eq!(saw.body, None);
    assert_eq!(saw.body_digests[0].value, Sha256::digest(BODY).to_vec());
    assert_eq!(saw.body_digests[1].value.len(), 64);
    assert_eq!(
        (saw.method.as_str(), saw.authority.as_str()),
        ("POST", "bank.example:8443")
    );
    assert_eq!(saw.target, "/v1/payments/sepa-credit-transfers?x=%20");
    assert_eq!(
        (saw.bank.as_str(), saw.credential.as_str()),
        ("demo-bank", "")
    );
    assert!(
        saw.headers
            .iter()
            .any(|header| header.name == "x-request-id")
    );
}

#[tokio::test]
async fn says_nothing_of_an_empty_body() {
    let fake = fake();
    let bank = Sealkeep::connect(fake.config.clone())
        .unwrap()
        .bank("demo-bank");
    let request = http::Request::get("https://bank.example/v1/accounts")
        .body("")
        .unwrap();
    bank.credential("other-seal").sign(request).await.unwrap();
    let saw = fake.script().signed.pop().unwrap();
    assert!(saw.body.is_none() && saw.body_digests.is_empty());
    assert_eq!(saw.credential, "other-seal");
}

#[tokio::test]
async fn sends_the_body_only_when_asked_and_remembers_it_per_bank() {
    let fake = fake();
    fake.script().wants_body = true;
    let sealkeep = Sealkeep::connect(fake.config.clone()).unwrap();
    sealkeep.bank("jws-bank").sign(payment()).await.unwrap();
    sealkeep
        .clone()
        .bank("jws-bank")
        .sign(payment())
        .await
        .unwrap();
    let bodies = |fake: &Fake| -> Vec<bool> {
        fake.script()
            .signed
            .iter()
            .map(|request| request.body.is_some())
            .collect()
    };
    assert_eq!(bodies(&fake), [false, true, true]);
    assert!(fake.script().signed[1].body_digests.is_empty());

    fake.script().wants_body = false;
    sealkeep.bank("other-bank").sign(payment()).await.unwrap();
    assert_eq!(bodies(&fake), [false, true, true, false]);
}

#[tokio::test]
async fn explains_what_would_be_signed_with_the_body_only_when_asked() {
    let fake = fake();
    let bank = Sealkeep::connect(fake.config.clone())
        .unwrap()
        .bank("demo-bank");
    fake.script().wants_body = true;
    let (parts, _) = payment().into_parts();
    let head = RequestHead::from_parts(&parts).unwrap();
    let body = BodySource::Bytes(BODY);
    let explanation = bank.explain_head(&head, body).await.unwrap();
    assert_eq!(explanation.to_be_signed, b"digest: x");
    assert_eq!(explanation.confidence, "seen");
    let script = fake.script();
    assert_eq!(script.explained.len(), 1);
    assert_eq!(script.explained[0].body.as_deref(), Some(BODY));
    assert!(script.signed.is_empty());
}

#[tokio::test]
async fn explains_a_jws_without_asking_for_one() {
    let fake = fake();
    let sealkeep = Sealkeep::connect(fake.config.clone()).unwrap();
    let explanation = sealkeep.bank("demo-bank").explain_jws(BODY).await.unwrap();
    assert_eq!(explanation.jws, "a..<signature>");
    let script = fake.script();
    assert_eq!(script.explained_payloads[0].payload, BODY);
    assert!(script.payloads.is_empty());
}

#[tokio::test]
async fn says_that_a_streamed_body_is_required() {
    let fake = fake();
    fake.script().wants_body = true;
    let bank = Sealkeep::connect(fake.config.clone())
        .unwrap()
        .bank("jws-bank");
    let (parts, _) = payment().into_parts();
    let digests = BodySource::Digests(BodyDigests::of(BODY));
    let error = bank.sign_parts(&parts, digests).await.unwrap_err();
    assert_eq!(error.reason(), "BODY_REQUIRED");
    assert_eq!(fake.script().signed.len(), 1);
}

#[tokio::test]
async fn signs_payloads() {
    let fake = fake();
    let bank = Sealkeep::connect(fake.config.clone())
        .unwrap()
        .bank("jws-bank");
    assert_eq!(bank.jws(b"payload").await.unwrap().jws, "a..b");
    assert_eq!(fake.script().payloads[0].payload, b"payload");
}

#[tokio::test]
async fn tells_reason_field_and_facts_of_a_refusal() {
    let fake = fake();
    let bank = Sealkeep::connect(fake.config.clone())
        .unwrap()
        .bank("demo-bank");
    fake.script()
        .failures
        .push_back(refusal(Code::PermissionDenied, "NO_GRANT", ""));
    match bank.sign(payment()).await.unwrap_err() {
        Error::Denied { reason, facts, .. } => {
            assert_eq!(
                (reason.as_str(), facts["bank"].as_str()),
                ("NO_GRANT", "demo-bank")
            );
        }
        other => panic!("{other}"),
    }
    let line_feed = refusal(Code::InvalidArgument, "HEADER_LINE_BREAK", "headers[\"x\"]");
    fake.script().failures.push_back(line_feed);
    match bank.sign(payment()).await.unwrap_err() {
        Error::Invalid { field, .. } => assert_eq!(field, "headers[\"x\"]"),
        other => panic!("{other}"),
    }
    assert_eq!(
        fake.script().timeouts.len(),
        2,
        "refusals are not tried again"
    );
}

#[tokio::test]
async fn tries_again_once_when_unavailable() {
    let fake = fake();
    let bank = Sealkeep::connect(fake.config.clone())
        .unwrap()
        .bank("demo-bank");
    fake.script()
        .failures
        .push_back(unavailable(Duration::from_millis(1)));
    bank.sign(payment()).await.unwrap();
    for _ in 0..2 {
        fake.script()
            .failures
            .push_back(unavailable(Duration::from_millis(1)));
    }
    let error = bank.sign(payment()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unavailable {
                retry_after: Some(_),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fake.script().timeouts.len(), 4);
}

#[tokio::test]
async fn does_not_wait_beyond_the_deadline_for_another_try() {
    let fake = fake();
    let bank = Sealkeep::connect(fake.config.clone())
        .unwrap()
        .bank("demo-bank");
    fake.script()
        .failures
        .push_back(unavailable(Duration::from_secs(3_600)));
    let error = bank.sign(payment()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3_600)));
}

#[tokio::test]
async fn does_not_repeat_what_may_change_something() {
    let fake = fake();
    let sealkeep = Sealkeep::connect(fake.config.clone()).unwrap();
    fake.script()
        .failures
        .push_back(unavailable(Duration::from_millis(1)));
    let answer = sealkeep.call(
        ListCredentialsRequest::default(),
        async |channel, request| {
            CredentialServiceClient::new(channel)
                .list_credentials(request)
                .await
        },
    );
    assert_eq!(answer.await.unwrap_err().reason(), "TOKEN_UNAVAILABLE");
    assert_eq!(fake.script().timeouts.len(), 1);
}

#[tokio::test]
async fn gives_up_at_the_deadline_and_tells_the_service_of_it() {
    let fake = fake();
    fake.script().hangs = true;
    let mut config = fake.config.clone();
    config.timeout = Duration::from_millis(200);
    let bank = Sealkeep::connect(config).unwrap().bank("demo-bank");
    assert!(matches!(
        bank.sign(payment()).await.unwrap_err(),
        Error::Timeout
    ));
    let told = fake.script().timeouts[0].clone();
    let micros: u64 = told.strip_suffix('u').expect(&told).parse().unwrap();
    assert!(micros <= 200_000, "{told}");
}

#[tokio::test]
async fn says_when_nobody_is_there() {
    let fake = fake();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = Config {
        addr: format!("localhost:{}", free.port()),
        ..fake.config.clone()
    };
    let error = Sealkeep::connect(config)
        .unwrap()
        .bank("b")
        .sign(payment())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { detail } if detail.contains("refused")),
        "{error}"
    );
}

#[tokio::test]
async fn does_not_talk_to_a_service_of_another_authority() {
    let fake = fake();
    let ca_pem = Authority::new("somebody else").pem.into();
    let config = Config {
        ca_pem,
        ..fake.config.clone()
    };
    let error = Sealkeep::connect(config)
        .unwrap()
        .bank("b")
        .sign(payment())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { detail } if detail.contains("UnknownIssuer")),
        "{error}"
    );
}

#[test]
fn refuses_to_connect_outside_a_runtime() {
    let fake = fake();
    let error = Sealkeep::connect(fake.config.clone()).unwrap_err();
    assert!(error.to_string().contains("tokio"), "{error}");
}
