//! Two replicas over one PostgreSQL database and one token: what one changes, the other obeys.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sealkeep_client::v1::audit_service_client::AuditServiceClient;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{self, KeyAlgorithm, Purpose};
use sealkeep_client::{BodySource, Error, Sealkeep};

use sealkeep_pkcs11_tests::Kind as TokenKind;
use sealkeep_sandbox::postgres::Postgres;

use crate::house::{House, OFFICER, Running, TPP, bank, payment, write_pin};

/// From the officer's call at one replica to the last signature of another.
const FREEZE_MS_MAX: u128 = 1_000;
/// How long anything else that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(30);

async fn house() -> (House, Running) {
    let house = House::replicated();
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await;
    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    let other = house.replica("b");
    (house, other)
}

async fn sign(tpp: &Sealkeep) -> Result<String, Error> {
    sign_for(tpp, "bank").await
}

async fn sign_for(tpp: &Sealkeep, bank: &str) -> Result<String, Error> {
    let (parts, body) = payment().into_parts();
    let body = BodySource::Bytes(body.as_bytes());
    Ok(tpp.bank(bank).sign_parts(&parts, body).await?.audit_record)
}

async fn freeze(house: &House, version: &str) {
    let request = v1::FreezeVersionRequest {
        name: version.to_owned(),
        reason: "laptop stolen".to_owned(),
    };
    let officer = house.connect(OFFICER);
    let frozen = officer.call(request, async |channel, request| {
        CredentialServiceClient::new(channel)
            .freeze_version(request)
            .await
    });
    frozen.await.unwrap();
}

async fn verify(officer: &Sealkeep, log: &str) -> v1::VerifyAuditLogResponse {
    let request = v1::VerifyAuditLogRequest {
        log: log.to_owned(),
    };
    let verified = officer.call(request, async |channel, request| {
        AuditServiceClient::new(channel)
            .verify_audit_log(request)
            .await
    });
    verified.await.unwrap()
}

#[tokio::test]
async fn both_sign_each_into_its_own_log() {
    let (house, other) = house().await;
    let (here, there) = (house.connect(TPP), house.connect_to(&other, TPP));
    let mut logs = HashSet::new();
    for tpp in [&here, &there] {
        let record = sign(tpp).await.unwrap();
        logs.insert(record.split_once('/').unwrap().0.to_owned());
    }
    assert_eq!(logs.len(), 2, "{logs:?}");
    let officer = house.connect(OFFICER);
    for log in &logs {
        let begun = Instant::now();
        // The end of a signature is written with the next commit.
        let verdict = loop {
            let verdict = verify(&officer, log).await;
            assert_eq!((&verdict.log, verdict.faults.len()), (log, 0));
            if verdict.released_count == 1 {
                break verdict;
            }
            assert!(begun.elapsed() < PATIENCE, "{verdict:?}");
        };
        assert_eq!(verdict.logs.iter().cloned().collect::<HashSet<_>>(), logs);
    }
}

#[tokio::test]
async fn a_freeze_at_one_stops_the_other_within_a_second() {
    let (house, other) = house().await;
    let there = house.connect_to(&other, TPP);
    sign(&there).await.unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let signing = tokio::spawn(async move {
        let mut last = Instant::now();
        while stopped.try_recv().is_err() {
            match sign(&there).await {
                Ok(_) => last = Instant::now(),
                Err(error) => assert_eq!(error.reason(), "VERSION_FROZEN", "{error}"),
            }
        }
        (last, there)
    });
    let frozen = Instant::now();
    freeze(&house, "credentials/seal/versions/1").await;
    tokio::time::sleep(Duration::from_millis(FREEZE_MS_MAX as u64 + 200)).await;
    stop.send(()).unwrap();
    let (last, there) = signing.await.unwrap();
    let late_ms = last.saturating_duration_since(frozen).as_millis();
    eprintln!("the last signature of the other replica came {late_ms} ms after the call to freeze");
    assert!(late_ms < FREEZE_MS_MAX);
    assert!(sign(&there).await.is_err());
}

#[tokio::test]
async fn a_key_made_at_one_signs_at_the_other() {
    let (house, other) = house().await;
    house
        .credential("second", Purpose::Seal, KeyAlgorithm::EcP256)
        .await;
    let mut wanted = bank("other-bank", &["second"]);
    wanted.hosts = vec!["api.bank.example".to_owned()];
    house.apply_bank(wanted).await.unwrap();
    house.grant("other-bank", &["second"]).await;
    let there = house.connect_to(&other, TPP);
    let begun = Instant::now();
    loop {
        match sign_for(&there, "other-bank").await {
            Ok(_) => break,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_replica_that_hears_nothing_does_not_sign() {
    let (house, other) = house().await;
    // One that tries again would wait for the database.
    let there = house.connect_impatiently(&other, TPP);
    sign(&there).await.unwrap();
    let postgres = house.postgres.as_ref().unwrap();
    postgres.signal("-STOP").unwrap();
    let begun = Instant::now();
    // What was under way when the database stopped ends at its deadline; what comes later is told why at once.
    loop {
        match sign(&there).await {
            Err(error) if error.reason() == "STATE_STALE" => break,
            other => assert!(begun.elapsed() < PATIENCE, "{other:?}"),
        }
    }
    postgres.signal("-CONT").unwrap();
    let begun = Instant::now();
    while let Err(error) = sign(&there).await {
        assert!(begun.elapsed() < PATIENCE, "does not recover: {error}");
    }
}

#[tokio::test]
async fn changes_at_both_at_once_are_made_one_after_the_other() {
    let (house, other) = house().await;
    let changes = (0..12).map(|n| {
        let officer = match n % 2 {
            0 => house.connect(OFFICER),
            _ => house.connect_to(&other, OFFICER),
        };
        let request = house.enrol_request(
            "",
            &format!("many-{}", n / 4),
            Purpose::Seal,
            KeyAlgorithm::EcP256,
        );
        tokio::spawn(async move {
            let enrolled = officer.call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .enrol_credential(request)
                    .await
            });
            enrolled.await.unwrap().version.unwrap().name
        })
    });
    let changes: Vec<_> = changes.collect();
    let mut names = HashSet::new();
    for change in changes {
        assert!(names.insert(change.await.unwrap()));
    }
    // Three credentials, four versions each, no number twice and none left out.
    let wanted =
        (0..3).flat_map(|c| (1..=4).map(move |v| format!("credentials/many-{c}/versions/{v}")));
    assert_eq!(names, wanted.collect());
}

#[tokio::test]
async fn the_other_leads_when_the_leader_dies() {
    let (mut house, other) = house().await;
    let first = || std::fs::read_to_string(house.dir().join("sealkeepd.log")).unwrap();
    assert!(first().contains("this replica leads"));
    let log = house.dir().join("replica-b.log");
    let second = move || std::fs::read_to_string(&log).unwrap();
    assert!(!second().contains("this replica leads"), "two leaders");
    house.kill();
    let begun = Instant::now();
    while !second().contains("this replica leads") {
        assert!(begun.elapsed() < PATIENCE, "nobody leads");
        tokio::task::yield_now().await;
    }
    sign(&house.connect_to(&other, TPP)).await.unwrap();
    // The name of a dead replica is free again; that of a running one is not.
    house.start();
    sign(&house.connect(TPP)).await.unwrap();
    let twice = house.sealkeepd(&["run"]);
    assert!(!twice.status.success());
    let said = String::from_utf8_lossy(&twice.stderr);
    assert!(said.contains("STORE_IN_USE"), "{said}");
}

#[tokio::test]
async fn refuses_a_database_that_forgets_or_was_never_made() {
    let house = House::build_on(TokenKind::from_env(), Some(Postgres::start().unwrap()));
    let refused = |reason: &str| {
        let output = house.sealkeepd(&["run"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(reason), "{said}");
    };
    refused("STORE_ABSENT");
    house.init();
    let postgres = house.postgres.as_ref().unwrap();
    postgres
        .execute("ALTER DATABASE postgres SET synchronous_commit = off")
        .unwrap();
    refused("STORE_NOT_DURABLE");
}

#[tokio::test]
async fn over_a_network_the_database_proves_who_it_is() {
    let mut house = House::build_on(TokenKind::from_env(), None);
    let dir = house.dir().to_owned();
    let (certificate, key) = (dir.join("server.pem"), dir.join("server.key"));
    // The certificate names the first of them.
    let postgres = Postgres::start_with_tls(&certificate, &key, "127.0.0.1,127.0.0.2").unwrap();
    let port = postgres.port();
    house.postgres = Some(postgres);
    std::fs::write(house.config_file(), house.config()).unwrap();
    let reach = |host: &str, mode: &str, ca: &str| {
        let ca = dir.join(ca);
        let query = format!("sslmode={mode}&sslrootcert={}", ca.display());
        let url = format!("postgres://sealkeep@{host}:{port}/postgres?{query}");
        write_pin(&dir.join("postgres.url"), &url);
    };
    reach("127.0.0.1", "verify-full", "pki/ca.pem");
    house.init();
    for (host, mode, ca, reason) in [
        (
            "127.0.0.1",
            "require",
            "pki/ca.pem",
            "STORE_UNAUTHENTICATED",
        ),
        (
            "127.0.0.1",
            "disable",
            "pki/ca.pem",
            "STORE_UNAUTHENTICATED",
        ),
        (
            "127.0.0.2",
            "verify-full",
            "pki/ca.pem",
            "not valid for name",
        ),
        ("127.0.0.1", "verify-full", "qtsp/root.pem", "UnknownIssuer"),
    ] {
        reach(host, mode, ca);
        let output = house.sealkeepd(&["run"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{said}");
    }
    reach("127.0.0.1", "verify-full", "pki/ca.pem");
    house.start();
    let seal = house.credential("seal", Purpose::Seal, KeyAlgorithm::EcP256);
    seal.await;
}
