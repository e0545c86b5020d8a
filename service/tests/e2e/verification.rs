//! The version that a bank moves to, tried at the bank's own door before anything is switched.

use sealkeep_client::v1::rotation_service_client::RotationServiceClient;
use sealkeep_client::v1::step_rotation_request::Step;
use sealkeep_client::v1::{self, KeyAlgorithm, Procedure, Purpose, Stage};
use sealkeep_client::{BodySource, Error, RequestHead};
use sealkeep_sandbox::bank::RunningBank;
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::qtsp::Qtsp;

use crate::house::{House, OFFICER, TPP, bank};
use crate::pretend::{open_bank, roots};
use crate::rotation::{begin, officer, step};

/// A bank that believes one QTSP.
async fn pretend_bank(house: &House, believes: &Qtsp) -> RunningBank {
    open_bank(house, |config| {
        config.roots = vec![believes.root().clone()];
        config.issuing = vec![believes.issuing().clone()];
    })
    .await
}

/// Without an access token this bank is content when it complains of nothing else.
fn at(host: String, credentials: &[&str]) -> v1::Bank {
    let mut bank = bank("bank", credentials);
    bank.hosts = vec![host];
    bank.rotation = Some(v1::RotationTerms {
        procedure: Procedure::Overlap.into(),
        verify: Some(v1::HarmlessRequest {
            method: "GET".to_owned(),
            target: "/v1/accounts".to_owned(),
            headers: [("accept".to_owned(), "application/json".to_owned())].into(),
            statuses: vec![401],
            contains: "TOKEN_UNKNOWN".to_owned(),
            ..v1::HarmlessRequest::default()
        }),
        ..v1::RotationTerms::default()
    });
    bank
}

/// Both certificates with a bank at `host`, granted to the TPP.
async fn with_both(host: String) -> House {
    let house = House::open();
    for (name, purpose) in [("qwac", Purpose::Transport), ("seal", Purpose::Seal)] {
        house.credential(name, purpose, KeyAlgorithm::EcP256).await;
    }
    house.apply_bank(at(host, &["qwac", "seal"])).await.unwrap();
    house.grant("bank", &["qwac", "seal"]).await;
    house
}

async fn verify(house: &House, credential: &str) -> Result<v1::Verification, Error> {
    let bank = house.connect(TPP).bank("bank").credential(credential);
    bank.verify_rotation(roots(&house.qtsp)).await
}

async fn begun(house: &House, credential: &str) -> Result<v1::BeginVerificationResponse, Error> {
    let request = v1::BeginVerificationRequest {
        credential: credential.to_owned(),
        bank: "bank".to_owned(),
    };
    let tpp = house.connect(TPP);
    tpp.call(request, async |channel, request| {
        RotationServiceClient::new(channel)
            .begin_verification(request)
            .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_certificates_are_tried_at_a_real_door_before_the_switch() {
    let mut house = with_both("localhost:1".to_owned()).await;
    let pretend = pretend_bank(&house, &house.qtsp).await;
    let host = format!("localhost:{}", pretend.addr().port());
    house
        .apply_bank(at(host.clone(), &["qwac", "seal"]))
        .await
        .unwrap();
    for (name, purpose) in [("qwac", Purpose::Transport), ("seal", Purpose::Seal)] {
        begin(&house, name, purpose, KeyAlgorithm::EcP256).await;
        let verified = verify(&house, name).await.unwrap();
        assert!(verified.passed, "{verified:?}");
        assert_eq!(verified.version, format!("credentials/{name}/versions/2"));
        let seen = verified.seen.unwrap();
        assert_eq!((seen.stage(), seen.status), (Stage::Done, 401));
        assert_eq!((&*seen.address, &*seen.tls_version), (&*host, "TLSv1.3"));
        assert!(seen.certificate_presented && seen.request_signed);
        assert_eq!(seen.server_certificate_sha256.len(), 64);
    }
    // It changed nothing: the old versions go on.
    let tpp = house.connect(TPP).bank("bank");
    let tls = tpp.tls_config(roots(&house.qtsp)).await.unwrap();
    assert_eq!(tls.version(), "credentials/qwac/versions/1");

    let intents = house.records("sign.intent").await;
    let tried = intents.iter().map(|record| format!("{record:?}"));
    let tried: Vec<_> = tried
        .filter(|record| record.contains("verification"))
        .collect();
    assert_eq!(tried.len(), 4, "a handshake and a request each: {tried:?}");
    for version in ["qwac@2", "seal@2"] {
        assert!(
            tried.iter().any(|record| record.contains(version)),
            "{tried:?}"
        );
    }
    assert_eq!(house.records("rotation.verify").await.len(), 4);

    house.stop().await;
    house.start();
    let request = v1::GetRotationRequest {
        credential: "qwac".to_owned(),
    };
    let kept = officer!(house, get_rotation, request).await.unwrap();
    let kept = kept.rotation.unwrap().banks[0]
        .verification
        .clone()
        .unwrap();
    assert!(kept.passed && kept.caller == TPP, "{kept:?}");
    assert_eq!(house.verify_log().await.faults, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_at_the_bank_has_its_word() {
    let house = with_both("localhost:1".to_owned()).await;
    let now = jiff::Timestamp::now();
    let other = Qtsp::create(KeyKind::EcP256, now).unwrap();
    let knows = pretend_bank(&house, &house.qtsp).await;
    let knows_not = pretend_bank(&house, &other).await;
    let elsewise = open_bank(&house, |config| {
        config.profile = "stet-1.4".to_owned();
        let url = (
            "certificate_url".to_owned(),
            "https://tpp.example/".to_owned(),
        );
        config.settings = [url].into_iter().collect();
    });
    let elsewise = elsewise.await;
    // The port of a bank that has gone.
    let gone = pretend_bank(&house, &house.qtsp).await;
    let gone_at = gone.addr();
    drop(gone);
    begin(&house, "qwac", Purpose::Transport, KeyAlgorithm::EcP256).await;
    let tpp = house.connect(TPP).bank("bank").credential("qwac");
    for (address, trusted, reason, stage) in [
        (
            knows_not.addr(),
            &house.qtsp,
            "HANDSHAKE_FAILED",
            Stage::Handshake,
        ),
        (elsewise.addr(), &house.qtsp, "TEXT_MISSING", Stage::Done),
        (
            knows.addr(),
            &other,
            "SERVER_CERTIFICATE_REFUSED",
            Stage::Server,
        ),
        (gone_at, &house.qtsp, "HOST_UNREACHABLE", Stage::Connect),
        (knows.addr(), &house.qtsp, "", Stage::Done),
    ] {
        let host = format!("localhost:{}", address.port());
        house.apply_bank(at(host, &["qwac", "seal"])).await.unwrap();
        let verified = tpp.verify_rotation(roots(trusted)).await.unwrap();
        let seen = verified.seen.unwrap();
        assert_eq!(verified.reason, reason, "{seen:?}");
        assert_eq!(seen.stage(), stage, "{seen:?}");
        assert_eq!(verified.passed, reason.is_empty());
        assert_eq!(seen.detail.is_empty(), stage == Stage::Done, "{seen:?}");
    }
    // Who wants another answer than the bank gives, hears it.
    let host = format!("localhost:{}", knows.addr().port());
    let mut wants = at(host.clone(), &["qwac", "seal"]);
    let verify = wants.rotation.as_mut().unwrap().verify.as_mut().unwrap();
    verify.statuses = vec![200];
    house.apply_bank(wants).await.unwrap();
    let verified = tpp.verify_rotation(roots(&house.qtsp)).await.unwrap();
    assert_eq!(verified.reason, "STATUS_UNEXPECTED");
    // A frozen version is not tried out.
    house.apply_bank(at(host, &["qwac", "seal"])).await.unwrap();
    let request = v1::FreezeVersionRequest {
        name: "credentials/qwac/versions/2".to_owned(),
        reason: "lost".to_owned(),
    };
    let officer = house.connect(OFFICER);
    let frozen = officer.call(request, async |channel, request| {
        v1::credential_service_client::CredentialServiceClient::new(channel)
            .freeze_version(request)
            .await
    });
    frozen.await.unwrap();
    let verified = tpp.verify_rotation(roots(&house.qtsp)).await.unwrap();
    let seen = verified.seen.unwrap();
    assert_eq!(verified.reason, "HANDSHAKE_FAILED");
    assert!(seen.detail.contains("VERSION_FROZEN"), "{seen:?}");
}

#[tokio::test]
async fn a_verification_opens_one_door_for_one_caller() {
    let house = with_both("api.bank.example".to_owned()).await;
    let without = begun(&house, "seal").await.unwrap_err();
    assert_eq!(without.reason(), "ROTATION_NOT_OPEN");
    begin(&house, "seal", Purpose::Seal, KeyAlgorithm::EcP256).await;
    let officer = house.connect(OFFICER).bank("bank").credential("seal");
    let refused = officer
        .verify_rotation(roots(&house.qtsp))
        .await
        .unwrap_err();
    assert_eq!(
        refused.reason(),
        "NOT_GRANTED",
        "whoever moves banks does not sign"
    );

    let id = begun(&house, "seal").await.unwrap().verification;
    let head = |method: &str, target: &str| v1::SignHttpRequestRequest {
        bank: "bank".to_owned(),
        credential: "seal".to_owned(),
        method: method.to_owned(),
        authority: "api.bank.example".to_owned(),
        target: target.to_owned(),
        headers: vec![v1::Header {
            name: "x-request-id".to_owned(),
            value: b"99391c7e-ad88-49ec-a2ad-99ddcb1f7721".to_vec(),
        }],
        verification: id.clone(),
        ..v1::SignHttpRequestRequest::default()
    };
    let sign = async |request| {
        let tpp = house.connect(TPP);
        tpp.call(request, async |channel, request| {
            v1::signing_service_client::SigningServiceClient::new(channel)
                .sign_http_request(request)
                .await
        })
        .await
    };
    let signed = sign(head("GET", "/v1/accounts")).await.unwrap();
    assert_eq!(signed.version, "credentials/seal/versions/2");
    let mut with_body = head("GET", "/v1/accounts");
    with_body.body = Some(b"{}".to_vec());
    for other in [
        head("GET", "/v1/accounts/1"),
        head("POST", "/v1/payments/sepa-credit-transfers"),
        with_body,
    ] {
        assert_eq!(sign(other).await.unwrap_err().reason(), "NOT_HARMLESS");
    }
    let mut forged = head("GET", "/v1/accounts");
    forged.verification = "0".repeat(32);
    assert_eq!(
        sign(forged).await.unwrap_err().reason(),
        "VERIFICATION_ENDED"
    );

    // A newer one ends it; an aborted rotation ends all.
    let newer = begun(&house, "seal").await.unwrap();
    let ended = sign(head("GET", "/v1/accounts")).await.unwrap_err();
    assert_eq!(ended.reason(), "VERIFICATION_ENDED");
    let request = v1::AbortRotationRequest {
        credential: "seal".to_owned(),
        reason: "no".to_owned(),
    };
    officer!(house, abort_rotation, request).await.unwrap();
    let request = v1::ConcludeVerificationRequest {
        verification: newer.verification,
        seen: Some(v1::Seen {
            stage: Stage::Done.into(),
            ..v1::Seen::default()
        }),
    };
    let tpp = house.connect(TPP);
    let concluded = tpp.call(request, async |channel, request| {
        RotationServiceClient::new(channel)
            .conclude_verification(request)
            .await
    });
    assert_eq!(concluded.await.unwrap_err().reason(), "VERIFICATION_ENDED");
}

#[tokio::test]
async fn a_bank_without_a_harmless_request_is_not_tried() {
    let house = with_both("api.bank.example".to_owned()).await;
    let mut silent = at("api.bank.example".to_owned(), &["qwac", "seal"]);
    silent.rotation.as_mut().unwrap().verify = None;
    house.apply_bank(silent).await.unwrap();
    begin(&house, "seal", Purpose::Seal, KeyAlgorithm::EcP256).await;
    let refused = verify(&house, "seal").await.unwrap_err();
    assert_eq!(refused.reason(), "VERIFY_NOT_CONFIGURED");
    let mut unsafe_one = at("api.bank.example".to_owned(), &["qwac", "seal"]);
    let terms = unsafe_one.rotation.as_mut().unwrap();
    terms.verify.as_mut().unwrap().method = "POST".to_owned();
    let refused = house.apply_bank(unsafe_one).await.unwrap_err();
    assert_eq!(refused.reason(), "FIELD_INVALID");
    // A switch needs no verification; a bank may be known to be content without one.
    for what in [
        Step::Announce(v1::Announce {}),
        Step::Accept(v1::Accept::default()),
        Step::Switch(v1::Switch::default()),
    ] {
        step(&house, "seal", "bank", what).await.unwrap();
    }
    let head = RequestHead {
        method: "GET".to_owned(),
        authority: "api.bank.example".to_owned(),
        target: "/v1/accounts".to_owned(),
        headers: vec![(
            "x-request-id".to_owned(),
            b"99391c7e-ad88-49ec-a2ad-99ddcb1f7721".to_vec(),
        )],
    };
    let tpp = house.connect(TPP).bank("bank");
    let signed = tpp.sign_head(&head, BodySource::Bytes(b"")).await.unwrap();
    assert_eq!(signed.version, "credentials/seal/versions/2");
}
