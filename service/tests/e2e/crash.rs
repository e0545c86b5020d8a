//! kill -9 under load: no released signature without a record.

use std::sync::{Arc, Mutex};

use sealkeep_client::BodySource;
use sealkeep_client::v1::KeyAlgorithm;

use crate::house::{House, TPP, payment};

/// How often the service is killed.
const CYCLES: usize = 20;
/// How many signatures a cycle lets out before the kill.
const SIGNATURES_PER_CYCLE: usize = 40;
/// Callers at once.
const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_service_has_a_record_of_every_signature_it_released() {
    let mut house = House::with_seal(KeyAlgorithm::EcP256).await;
    let released = Arc::new(Mutex::new(Vec::<String>::new()));
    // SoftHSM rewrites its token object at each login and loses it when killed in between; the token is not what is
    // tested here.
    let snapshot = house.dir().join("tokens.snapshot");
    copy_dir(&house.hsm.token_dir(), &snapshot);
    for cycle in 0..CYCLES {
        let enough = Arc::new(tokio::sync::Notify::new());
        let before = released.lock().unwrap().len();
        let tpp = house.connect(TPP);
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            let (bank, released) = (tpp.bank("bank"), released.clone());
            let enough = enough.clone();
            callers.spawn(async move {
                let (parts, body) = payment().into_parts();
                let body = BodySource::Bytes(body.as_bytes());
                // Until the service is gone.
                while let Ok(signed) = bank.sign_parts(&parts, body.clone()).await {
                    let mut released = released.lock().unwrap();
                    released.push(signed.audit_record.clone());
                    if released.len() >= before + SIGNATURES_PER_CYCLE {
                        enough.notify_one();
                    }
                }
            });
        }
        enough.notified().await;
        house.kill();
        callers.join_all().await;
        std::fs::remove_dir_all(house.hsm.token_dir()).unwrap();
        copy_dir(&snapshot, &house.hsm.token_dir());
        house.start();
        let report = house.verify_log().await;
        assert_eq!(report.faults, [], "cycle {cycle}");
    }

    let released = std::mem::take(&mut *released.lock().unwrap());
    assert!(released.len() >= CYCLES * SIGNATURES_PER_CYCLE);
    let report = house.verify_log().await;
    let intents = all_intents(&house).await;
    for record in released.iter() {
        let (log, seq) = record.split_once('/').unwrap();
        assert_eq!(log, report.log);
        assert!(
            intents.contains(&seq.parse().unwrap()),
            "{record} has no intent"
        );
    }
    let ends = report.released_count + report.failed_count + report.unknown_sequences.len() as u64;
    assert_eq!(ends, intents.len() as u64, "every intent has one end");
    assert!(report.released_count + report.unknown_sequences.len() as u64 >= released.len() as u64);
}

pub async fn all_intents(house: &House) -> std::collections::HashSet<u64> {
    use sealkeep_client::v1::ListAuditRecordsRequest;
    use sealkeep_client::v1::audit_service_client::AuditServiceClient;
    let officer = house.connect(crate::house::OFFICER);
    let mut found = std::collections::HashSet::new();
    let mut page_token = String::new();
    loop {
        let request = ListAuditRecordsRequest {
            page_size: 1000,
            page_token,
            event_prefix: "sign.intent".to_owned(),
            ..Default::default()
        };
        let page = officer
            .call(request, async |channel, request| {
                AuditServiceClient::new(channel)
                    .list_audit_records(request)
                    .await
            })
            .await
            .unwrap();
        found.extend(page.records.iter().map(|record| record.sequence));
        if page.next_page_token.is_empty() {
            return found;
        }
        page_token = page.next_page_token;
    }
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
