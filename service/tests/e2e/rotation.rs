//! Banks move from one version to the next while callers sign and connect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sealkeep_client::v1::rotation_service_client::RotationServiceClient;
use sealkeep_client::v1::step_rotation_request::Step;
use sealkeep_client::v1::{self, KeyAlgorithm, Procedure, ProgressState, Purpose};
use sealkeep_client::{BodySource, Error, rustls};

use crate::house::{House, OFFICER, TPP, bank, payment};

/// One call of the officer.
macro_rules! officer {
    ($house:expr, $method:ident, $request:expr) => {
        $house
            .connect(OFFICER)
            .call($request, async |channel, request| {
                RotationServiceClient::new(channel).$method(request).await
            })
    };
}
pub(crate) use officer;

pub async fn step(
    house: &House,
    credential: &str,
    bank: &str,
    step: Step,
) -> Result<v1::Rotation, Error> {
    let request = v1::StepRotationRequest {
        credential: credential.to_owned(),
        banks: vec![bank.to_owned()],
        step: Some(step),
    };
    let answer = officer!(house, step_rotation, request).await?;
    Ok(answer.rotation.unwrap())
}

/// The next version, installed and attached to a new rotation.
pub async fn begin(
    house: &House,
    credential: &str,
    purpose: Purpose,
    key: KeyAlgorithm,
) -> v1::Rotation {
    let request = v1::StartRotationRequest {
        credential: credential.to_owned(),
        reason: "renewal".to_owned(),
    };
    officer!(house, start_rotation, request).await.unwrap();
    let enrolled = house.enrol(credential, purpose, key).await.unwrap();
    let chain = house.issue(&enrolled.csr_pem, purpose, |_| ());
    house.install(credential, chain).await.unwrap();
    let version = enrolled.version.unwrap().name;
    let request = v1::AttachVersionRequest { version };
    officer!(house, attach_version, request)
        .await
        .unwrap()
        .rotation
        .unwrap()
}

fn with_procedure(name: &str, credentials: &[&str], procedure: Procedure) -> v1::Bank {
    let mut bank = bank(name, credentials);
    bank.rotation = Some(v1::RotationTerms {
        procedure: procedure.into(),
        contact: "psd2@bank.example".to_owned(),
        ..v1::RotationTerms::default()
    });
    bank
}

/// The same number is the same request.
fn request_id(n: u32) -> http::HeaderValue {
    let id = format!("99391c7e-ad88-49ec-a2ad-{n:012}");
    http::HeaderValue::from_str(&id).unwrap()
}

async fn signs_with(house: &House, n: u32) -> Result<String, Error> {
    let mut request = payment();
    request.headers_mut().insert("x-request-id", request_id(n));
    let (parts, body) = request.into_parts();
    let signed = house
        .connect(TPP)
        .bank("bank")
        .sign_parts(&parts, BodySource::Bytes(body.as_bytes()))
        .await?;
    Ok(signed.version)
}

const V1: &str = "credentials/seal/versions/1";
const V2: &str = "credentials/seal/versions/2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_moves_under_live_traffic_and_back_and_forth() {
    let mut house = House::with_seal(KeyAlgorithm::EcP256).await;
    house
        .apply_bank(with_procedure("bank", &["seal"], Procedure::Overlap))
        .await
        .unwrap();
    let rotation = begin(&house, "seal", Purpose::Seal, KeyAlgorithm::EcP256).await;
    assert_eq!(rotation.banks[0].state(), ProgressState::Pending);
    assert_eq!(
        signs_with(&house, 7).await.unwrap(),
        V1,
        "attached is not switched"
    );

    let stop = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn({
        let (stop, tpp) = (stop.clone(), house.connect(TPP).bank("bank"));
        async move {
            let mut versions: BTreeMap<String, u32> = BTreeMap::new();
            for n in 0u32.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let mut request = payment();
                request.headers_mut().insert("x-request-id", request_id(n));
                let (parts, body) = request.into_parts();
                let signed = tpp
                    .sign_parts(&parts, BodySource::Bytes(body.as_bytes()))
                    .await;
                *versions
                    .entry(signed.expect("nothing is refused").version)
                    .or_default() += 1;
            }
            versions
        }
    });

    let early = step(&house, "seal", "bank", Step::Switch(v1::Switch::default()))
        .await
        .unwrap_err();
    assert_eq!(early.reason(), "NOT_ANNOUNCED");
    step(&house, "seal", "bank", Step::Announce(v1::Announce {}))
        .await
        .unwrap();
    let request = v1::GetRotationBundleRequest {
        credential: "seal".to_owned(),
        bank: "bank".to_owned(),
    };
    let bundle = officer!(house, get_rotation_bundle, request).await.unwrap();
    assert_eq!(bundle.contact, "psd2@bank.example");
    assert!(
        bundle
            .certificate_chain_pem
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    assert!(
        bundle
            .changes
            .iter()
            .any(|change| change.what == "serial number")
    );
    assert!(
        bundle
            .unchanged
            .iter()
            .any(|what| what == "organisation identifier")
    );
    step(&house, "seal", "bank", Step::Accept(v1::Accept::default()))
        .await
        .unwrap();
    step(
        &house,
        "seal",
        "bank",
        Step::Canary(v1::Canary { percent: 50 }),
    )
    .await
    .unwrap();
    let mut seen = BTreeMap::new();
    for n in 0..40 {
        let version = signs_with(&house, n).await.unwrap();
        assert_eq!(
            signs_with(&house, n).await.unwrap(),
            version,
            "a repetition gets the same version"
        );
        *seen.entry(version).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    step(&house, "seal", "bank", Step::Switch(v1::Switch::default()))
        .await
        .unwrap();
    assert_eq!(signs_with(&house, 7).await.unwrap(), V2);
    step(&house, "seal", "bank", Step::Rollback(v1::Rollback {}))
        .await
        .unwrap();
    assert_eq!(signs_with(&house, 7).await.unwrap(), V1);
    step(&house, "seal", "bank", Step::Switch(v1::Switch::default()))
        .await
        .unwrap();
    stop.store(true, Ordering::SeqCst);
    let versions = traffic.await.unwrap();
    assert!(versions[V1] > 0 && versions[V2] > 0, "{versions:?}");

    house.stop().await;
    house.start();
    assert_eq!(
        signs_with(&house, 7).await.unwrap(),
        V2,
        "a restart forgets nothing"
    );
    let complete = || v1::CompleteRotationRequest {
        credential: "seal".to_owned(),
    };
    officer!(house, complete_rotation, complete())
        .await
        .unwrap();
    let again = officer!(house, complete_rotation, complete())
        .await
        .unwrap_err();
    assert_eq!(again.reason(), "ROTATION_NOT_OPEN");
    let report = house.verify_log().await;
    assert_eq!(report.faults, []);
    let steps = house.records("rotation.").await;
    assert_eq!(steps.len(), 9, "start, attach, six steps, end");
}

#[tokio::test]
async fn a_canary_that_fails_more_often_is_rolled_back() {
    let house = House::with_seal(KeyAlgorithm::EcP256).await;
    house
        .apply_bank(with_procedure("bank", &["seal"], Procedure::None))
        .await
        .unwrap();
    begin(&house, "seal", Purpose::Seal, KeyAlgorithm::EcP256).await;
    let rotation = step(
        &house,
        "seal",
        "bank",
        Step::Canary(v1::Canary { percent: 50 }),
    );
    assert_eq!(
        rotation.await.unwrap().banks[0].state(),
        ProgressState::Canary
    );
    let tpp = house.connect(TPP).bank("bank");
    for _ in 0..20 {
        tpp.report(V1, true).await.unwrap();
    }
    for _ in 0..4 {
        tpp.report(V2, false).await.unwrap();
    }
    let get = || v1::GetRotationRequest {
        credential: "seal".to_owned(),
    };
    let state = async || {
        let answer = officer!(house, get_rotation, get()).await.unwrap();
        answer.rotation.unwrap().banks[0].state()
    };
    assert_eq!(state().await, ProgressState::Canary, "four may be bad luck");
    let foreign = house.connect(OFFICER).bank("bank").report(V2, false).await;
    assert_eq!(foreign.unwrap_err().reason(), "NOT_GRANTED");
    tpp.report(V2, false).await.unwrap();
    assert_eq!(state().await, ProgressState::Accepted);
    for n in 0..20 {
        let version = signs_with(&house, n).await.unwrap();
        assert_eq!(version, V1);
    }
    let records = house.records("rotation.step").await;
    assert!(
        records
            .iter()
            .any(|record| format!("{record:?}").contains("canary"))
    );
}

#[tokio::test]
async fn a_bank_that_changes_over_is_held_and_refusals_say_the_way_out() {
    // The shortest window is a minute; this test lasts as long.
    let house = House::with_seal(KeyAlgorithm::EcP256).await;
    house
        .apply_bank(with_procedure("bank", &["seal"], Procedure::SwapAt))
        .await
        .unwrap();
    let none = step(&house, "seal", "bank", Step::Announce(v1::Announce {}))
        .await
        .unwrap_err();
    assert_eq!(none.reason(), "ROTATION_NOT_OPEN");
    begin(&house, "seal", Purpose::Seal, KeyAlgorithm::EcP256).await;
    let rebind = house.activate("seal", true).await.unwrap_err();
    assert_eq!(rebind.reason(), "ROTATION_OPEN");
    step(&house, "seal", "bank", Step::Announce(v1::Announce {}))
        .await
        .unwrap();
    let accept = |at: i64, window_minutes| {
        let at_time = Some(prost_types::Timestamp {
            seconds: at,
            nanos: 0,
        });
        Step::Accept(v1::Accept {
            replaces_old: true,
            at_time,
            window_minutes,
        })
    };
    let now = jiff::Timestamp::now().as_second();
    for (reason, bad) in [
        ("MOMENT_MISSING", Step::Accept(v1::Accept::default())),
        ("MOMENT_PASSED", accept(now - 60, 0)),
        ("WINDOW_INVALID", accept(now + 60, 10_000)),
        ("PERCENT_INVALID", Step::Canary(v1::Canary { percent: 100 })),
        ("NOT_ACCEPTED", Step::Switch(v1::Switch::default())),
        ("NOT_SWITCHED", Step::Confirm(v1::Confirm {})),
    ] {
        let error = step(&house, "seal", "bank", bad).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error:?}");
    }
    let soon = jiff::Timestamp::now().as_second() + 5;
    step(&house, "seal", "bank", accept(soon, 1)).await.unwrap();
    let held = loop {
        match signs_with(&house, 7).await {
            Ok(version) => assert_eq!(version, V1),
            Err(error) => break error,
        }
    };
    assert_eq!(held.reason(), "CUTOVER_IN_PROGRESS");
    assert!(
        jiff::Timestamp::now().as_second() >= soon,
        "not before the agreed moment"
    );
    let back = step(&house, "seal", "bank", Step::Rollback(v1::Rollback {}))
        .await
        .unwrap_err();
    assert_eq!(back.reason(), "NO_WAY_BACK");

    // Who comes as late as the service says is not refused again: the end of the window is waited for.
    let wait = held.retry_after().unwrap();
    assert!((50..=60).contains(&wait.as_secs()), "{wait:?}");
    tokio::time::sleep(wait.saturating_sub(Duration::from_secs(5))).await;
    let waits = |n| signs_with(&house, n);
    let (one, two, three, four) = tokio::join!(waits(1), waits(2), waits(3), waits(4));
    for signed in [one, two, three, four] {
        assert_eq!(signed.unwrap(), V2);
    }
    assert!(jiff::Timestamp::now().as_second() >= soon + 60);
    let refused = house.records("sign.refused").await;
    assert_eq!(refused.len(), 1, "waiting is not a refusal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_transport_identity_follows_the_bank() {
    let house = House::open();
    house
        .credential("qwac", Purpose::Transport, KeyAlgorithm::EcP256)
        .await;
    house
        .apply_bank(with_procedure("bank", &["qwac"], Procedure::None))
        .await
        .unwrap();
    house.grant("bank", &["qwac"]).await;
    let tls = house
        .connect(TPP)
        .bank("bank")
        .tls_config(rustls::RootCertStore::empty())
        .await
        .unwrap();
    assert_eq!(tls.version(), "credentials/qwac/versions/1");
    begin(&house, "qwac", Purpose::Transport, KeyAlgorithm::EcP256).await;
    let canary = step(
        &house,
        "qwac",
        "bank",
        Step::Canary(v1::Canary { percent: 10 }),
    )
    .await
    .unwrap_err();
    assert_eq!(canary.reason(), "CANARY_TRANSPORT");
    // Nobody does anything at the moment itself.
    let at = jiff::Timestamp::now().as_second() + 5;
    let at_time = Some(prost_types::Timestamp {
        seconds: at,
        nanos: 0,
    });
    step(&house, "qwac", "bank", Step::Switch(v1::Switch { at_time }))
        .await
        .unwrap();
    let follows = async {
        while tls.version() != "credentials/qwac/versions/2" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), follows)
        .await
        .unwrap();
    assert!(jiff::Timestamp::now().as_second() >= at);
}
