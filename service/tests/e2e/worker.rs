//! A module that dies or hangs costs its worker process and the requests it had, nothing else.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sealkeep_client::v1::KeyAlgorithm;
use sealkeep_client::{BodySource, Error};

use tokio::sync::watch;

use crate::crash::all_intents;
use crate::house::{House, ISOLATION_ENV, TPP, payment};

/// How often the worker is killed unless the environment says otherwise.
const KILLS: u64 = 20;
const KILLS_ENV: &str = "SEALKEEP_TEST_WORKER_KILLS";
/// Signatures between two kills: the worker has logged in by then.
const SIGNATURES_PER_CYCLE: u64 = 40;
/// Callers at once.
const CALLERS: usize = 8;
/// From the kill to the next signature.
const RECOVERY_MAX: Duration = Duration::from_secs(2);
/// A worker that is stopped is found silent, ended and replaced within this time.
const REPLACEMENT_MAX: Duration = Duration::from_secs(15);

pub fn has_worker() -> bool {
    std::env::var(ISOLATION_ENV).map_or(true, |isolation| isolation == "process")
}

pub fn signal(name: &str, pid: u32) {
    let kill = std::process::Command::new("kill")
        .args([name, &pid.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

/// Callers that sign until they are told to stop.
pub struct Load {
    tasks: tokio::task::JoinSet<()>,
    stop: Arc<AtomicBool>,
    signed: watch::Sender<u64>,
    failed: Arc<Mutex<Vec<Error>>>,
    records: Arc<Mutex<Vec<String>>>,
}

impl Load {
    pub fn start(house: &House) -> Self {
        let mut load = Self {
            tasks: tokio::task::JoinSet::new(),
            stop: Arc::default(),
            signed: watch::Sender::default(),
            failed: Arc::default(),
            records: Arc::default(),
        };
        let tpp = house.connect(TPP);
        for _ in 0..CALLERS {
            let (bank, stop) = (tpp.bank("bank"), load.stop.clone());
            let (signed, failed) = (load.signed.clone(), load.failed.clone());
            let records = load.records.clone();
            load.tasks.spawn(async move {
                let (parts, body) = payment().into_parts();
                while !stop.load(Ordering::Relaxed) {
                    let body = BodySource::Bytes(body.as_bytes());
                    match bank.sign_parts(&parts, body).await {
                        Ok(answer) => {
                            records.lock().unwrap().push(answer.audit_record.clone());
                            signed.send_modify(|count| *count += 1);
                        }
                        Err(error) => failed.lock().unwrap().push(error),
                    }
                }
            });
        }
        load
    }

    /// Waits for more signatures.
    pub async fn signs(&self, more: u64) -> Duration {
        let (begun, mut signed) = (Instant::now(), self.signed.subscribe());
        let wanted = *signed.borrow() + more;
        let signed = signed.wait_for(|count| *count >= wanted);
        let in_time = tokio::time::timeout(Duration::from_secs(60), signed).await;
        assert!(in_time.is_ok(), "nothing is signed any more");
        begun.elapsed()
    }

    pub async fn end(self) -> (Vec<String>, Vec<Error>) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        let take = |list: &Mutex<Vec<String>>| std::mem::take(&mut *list.lock().unwrap());
        let failed = std::mem::take(&mut *self.failed.lock().unwrap());
        (take(&self.records), failed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_are_replaced_under_load_without_a_gap_in_the_log() {
    if !has_worker() {
        return;
    }
    let house = House::with_seal(KeyAlgorithm::EcP256).await;
    let kills = std::env::var(KILLS_ENV).map_or(KILLS, |kills| kills.parse().unwrap());
    let load = Load::start(&house);
    let (mut workers, mut slowest) = (HashSet::new(), Duration::ZERO);
    for cycle in 0..kills {
        load.signs(SIGNATURES_PER_CYCLE).await;
        let worker = house.worker_pid();
        assert!(
            workers.insert(worker),
            "cycle {cycle}: worker {worker} was killed before"
        );
        signal("-KILL", worker);
        // The rest of the house does not notice.
        assert_eq!(house.verify_log().await.faults, [], "cycle {cycle}");
        let recovery = load.signs(1).await;
        assert!(recovery <= RECOVERY_MAX, "cycle {cycle}: {recovery:?}");
        slowest = slowest.max(recovery);
    }
    let (records, failed) = load.end().await;
    println!(
        "{kills} kills, {} signatures, {} errors, slowest recovery {slowest:?}",
        records.len(),
        failed.len()
    );

    for error in &failed {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
    let (report, intents) = (house.verify_log().await, all_intents(&house).await);
    assert_eq!(report.faults, []);
    for record in &records {
        let (_, sequence) = record.split_once('/').unwrap();
        assert!(
            intents.contains(&sequence.parse().unwrap()),
            "{record} has no intent"
        );
    }
    let ends = report.released_count + report.failed_count + report.unknown_sequences.len() as u64;
    assert_eq!(ends, intents.len() as u64, "every intent has one end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_is_replaced_and_its_callers_are_answered_in_time() {
    if !has_worker() {
        return;
    }
    let house = House::with_seal(KeyAlgorithm::EcP256).await;
    let (parts, body) = payment().into_parts();
    let stopped = house.worker_pid();
    signal("-STOP", stopped);

    let deadline = Duration::from_secs(1);
    let mut config = house.client_config(&[TPP], &[]);
    config.timeout = deadline;
    let hurried = sealkeep_client::Sealkeep::connect(config).unwrap();
    let begun = Instant::now();
    let body = BodySource::Bytes(body.as_bytes());
    let refused = hurried.bank("bank").sign_parts(&parts, body.clone()).await;
    assert!(refused.is_err());
    assert!(begun.elapsed() < deadline * 2, "{:?}", begun.elapsed());
    assert_eq!(house.verify_log().await.faults, []);

    let patient = house.connect(TPP);
    while patient
        .bank("bank")
        .sign_parts(&parts, body.clone())
        .await
        .is_err()
    {
        assert!(begun.elapsed() < REPLACEMENT_MAX, "{:?}", begun.elapsed());
    }
    assert_ne!(house.worker_pid(), stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_has_no_secret_in_its_environment_and_ends_with_its_service() {
    if !has_worker() {
        return;
    }
    let mut house = House::with_seal(KeyAlgorithm::EcP256).await;
    let worker = house.worker_pid();
    let read = |file: &str| std::fs::read(format!("/proc/{worker}/{file}")).unwrap();
    for file in ["environ", "cmdline"] {
        let text = String::from_utf8_lossy(&read(file)).into_owned();
        assert!(!text.contains(house.hsm.pin()), "{file}: {text}");
        assert!(!text.contains("CARGO"), "{file}: {text}");
    }
    let status = String::from_utf8(read("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let limits = String::from_utf8(read("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");

    house.kill();
    let begun = Instant::now();
    while std::path::Path::new(&format!("/proc/{worker}/status")).exists() && !is_zombie(worker) {
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "the worker outlives its service"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}
