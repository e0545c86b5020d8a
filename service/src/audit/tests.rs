//! The log bites: every single change of it is found.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::verify::{verify, verify_lines};
use super::*;
use crate::clock::Clock;
use crate::store::{AuditLine, OpenMode};

#[derive(Debug)]
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn clock() -> SharedClock {
    Arc::new(At(Timestamp::from_second(1_790_000_000).unwrap()))
}

async fn open(dir: &tempfile::TempDir) -> (Store, AuditLog, AuditTask) {
    let store = Store::open(&dir.path().join("s.db").into(), OpenMode::Create)
        .await
        .unwrap();
    let (log, task) = AuditLog::open(store.clone(), clock()).await.unwrap();
    (store, log, task)
}

async fn intend(log: &AuditLog) -> Intent {
    log.intend(Permit::for_test("spiffe://t/tpp"), json!({"bank": "b"}))
        .await
        .unwrap()
}

/// A log with released, failed and refused signatures.
async fn sample() -> (String, Vec<AuditLine>) {
    let dir = tempfile::tempdir().unwrap();
    let (store, log, task) = open(&dir).await;
    log.append(Event::Start, None, json!({})).await.unwrap();
    for n in 0..6 {
        let intent = intend(&log).await;
        if n % 3 == 2 {
            intent.failed("TOKEN_UNAVAILABLE").await
        } else {
            intent.released().await
        }
        log.append(Event::SignRefused, Some("x"), json!({"reason": "R\n\"'"}))
            .await
            .unwrap();
    }
    let name = log.name().to_owned();
    drop(log);
    task.finished().await;
    let lines = store.audit_from(&name, 0, 1_000).await.unwrap();
    (name, lines)
}

#[tokio::test]
async fn a_whole_log_verifies_and_counts_its_ends() {
    let (name, lines) = sample().await;
    let report = verify_lines(&name, &lines);
    assert_eq!(report.faults, []);
    assert_eq!((report.ends.released, report.ends.failed), (4, 2));
    assert_eq!(report.ends.open().count(), 0);
    assert_eq!(report.record_count, lines.len() as u64);
}

#[tokio::test]
async fn finds_every_flipped_byte() {
    let (name, lines) = sample().await;
    for at in 0..lines.len() {
        for byte in 0..lines[at].line.len() {
            let mut bad = lines.clone();
            let mut bytes = bad[at].line.clone().into_bytes();
            bytes[byte] ^= 0x01;
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            bad[at].line = text;
            let faults = verify_lines(&name, &bad).faults;
            let last = at + 1 == lines.len();
            // The last record has no successor that would betray it; only a checkpoint elsewhere can.
            assert!(last || !faults.is_empty(), "record {at} byte {byte}");
            assert!(faults.iter().all(|f| f.seq >= at as u64));
        }
    }
}

#[tokio::test]
async fn finds_missing_inserted_and_moved_records() {
    let (name, lines) = sample().await;
    for at in 0..lines.len() - 1 {
        let mut missing = lines.clone();
        missing.remove(at);
        assert_eq!(verify_lines(&name, &missing).faults[0].code, "gap", "{at}");

        // The same, with the positions of the rows mended: the links still tell.
        for (seq, line) in missing.iter_mut().enumerate() {
            line.seq = seq as u64;
        }
        assert!(!verify_lines(&name, &missing).faults.is_empty(), "{at}");

        let mut moved = lines.clone();
        moved.swap(at, at + 1);
        assert!(!verify_lines(&name, &moved).faults.is_empty(), "{at}");
    }
}

#[tokio::test]
async fn a_log_of_another_name_is_refused() {
    let (_, lines) = sample().await;
    assert!(!verify_lines("log-other", &lines).faults.is_empty());
}

#[tokio::test]
async fn an_intent_left_open_is_closed_as_unknown_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log, task) = open(&dir).await;
    let kept = intend(&log).await;
    drop(kept); // as if the process had died here
    let name = log.name().to_owned();
    drop(log);
    task.finished().await;
    assert_eq!(
        verify(&store, &name)
            .await
            .unwrap()
            .ends
            .open()
            .collect::<Vec<_>>(),
        [0]
    );

    let (again, task) = AuditLog::open(store.clone(), clock()).await.unwrap();
    assert_eq!(again.name(), name, "a restart continues the log");
    drop(again);
    task.finished().await;
    let report = verify(&store, &name).await.unwrap();
    assert_eq!((report.faults, report.ends.unknown), (vec![], vec![0]));
}

#[tokio::test]
async fn a_commit_that_fails_refuses_everybody_in_it_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log, task) = open(&dir).await;
    log.append(Event::Start, None, json!({})).await.unwrap();
    // A trigger stands in for a full disk: the statement fails as a whole, at a moment the test chooses.
    store
        .execute_for_test(
            "CREATE TRIGGER full BEFORE INSERT ON audit_line
             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
        )
        .await;
    let refused = log
        .intend(Permit::for_test("spiffe://t/tpp"), json!({}))
        .await;
    assert!(matches!(refused, Err(AuditError::NotWritten(_))));
    store.execute_for_test("DROP TRIGGER full").await;
    intend(&log).await.released().await;
    let name = log.name().to_owned();
    drop(log);
    task.finished().await;
    let report = verify(&store, &name).await.unwrap();
    assert_eq!((report.faults, report.ends.released), (vec![], 1));
}

#[tokio::test]
async fn a_thousand_concurrent_intents_share_commits_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log, task) = open(&dir).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let log = log.clone();
        tasks.spawn(async move { intend(&log).await.released().await });
    }
    tasks.join_all().await;
    let name = log.name().to_owned();
    drop(log);
    task.finished().await;
    let report = verify(&store, &name).await.unwrap();
    assert_eq!((report.faults, report.ends.released), (vec![], 1_000));
    assert!(
        report.record_count < 1_300,
        "closings are shared: {}",
        report.record_count
    );
}
