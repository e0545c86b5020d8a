//! A module that dies or hangs costs its worker process and the requests it had, nothing else.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sealkeep_client::v1::status_service_client::StatusServiceClient;
use sealkeep_client::v1::{GetStatusRequest, KeyAlgorithm};
use sealkeep_client::{BodySource, Error};
use sealkeep_pkcs11_tests::Kind;

use tokio::sync::watch;

use crate::crash::all_intents;
use crate::house::{House, ISOLATION_ENV, OFFICER, TPP, payment};

/// How often the worker is killed unless the environment says otherwise.
const KILLS: u64 = 20;
const KILLS_ENV: &str = "SEALKEEP_TEST_WORKER_KILLS";
/// Signatures between two kills: the worker has logged in by then.
const SIGNATURES_PER_CYCLE: u64 = 40;
/// Callers at once.
const CALLERS: usize = 8;
/// How long into its life a worker is killed: it signs within the first fifty milliseconds.
const FIRST_MOMENTS_MS: u64 = 60;
/// From the kill to the next signature: usually, and on a machine that has other things to do. Of it a second may be the
/// pause before another start, for these workers never live long.
const RECOVERY_MAX: Duration = Duration::from_secs(2);
const RECOVERY_BUSY_MAX: Duration = Duration::from_secs(8);
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
    // SoftHSM loses its token when a process dies in C_Login: so each worker has signed before it is killed.
    let house = House::with_seal_on(Kind::SoftHsm, KeyAlgorithm::EcP256).await;
    let load = Load::start(&house);
    let mut killed = Killed::default();
    for cycle in 0..kills() {
        load.signs(SIGNATURES_PER_CYCLE).await;
        killed.kill(&house, house.worker_pid());
        // The rest of the house does not notice.
        assert_eq!(house.verify_log().await.faults, [], "cycle {cycle}");
        killed.wait_for_recovery(&load).await;
    }
    killed.check(&house, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_are_replaced_whenever_they_are_killed_on_a_token_that_survives_it() {
    if !has_worker() {
        return;
    }
    let house = House::with_seal_on(Kind::Kryoptic, KeyAlgorithm::EcP256).await;
    let load = Load::start(&house);
    let mut killed = Killed::default();
    for cycle in 0..kills() {
        let worker = killed.next_worker(&house).await;
        // Loading, in C_Login, finding its keys, signing: every millisecond of a worker's first moments comes round.
        let moment = Duration::from_millis(cycle % FIRST_MOMENTS_MS);
        let _ = tokio::time::timeout(moment, load.signs(SIGNATURES_PER_CYCLE)).await;
        killed.kill(&house, worker);
        if cycle % 2 == 1 {
            killed.wait_for_recovery(&load).await;
        }
    }
    killed.wait_for_recovery(&load).await;
    killed.check(&house, load).await;
}

fn kills() -> u64 {
    std::env::var(KILLS_ENV).map_or(KILLS, |kills| kills.parse().unwrap())
}

/// What was killed, and how long it took to recover.
#[derive(Default)]
struct Killed {
    workers: HashSet<u32>,
    recoveries: Vec<Duration>,
}

impl Killed {
    /// A worker that was not killed yet.
    async fn next_worker(&self, house: &House) -> u32 {
        let begun = Instant::now();
        loop {
            let mut workers = house.worker_pids().into_iter();
            if let Some(worker) = workers.find(|worker| !self.workers.contains(worker)) {
                return worker;
            }
            assert!(begun.elapsed() < RECOVERY_BUSY_MAX, "no worker was started");
            tokio::task::yield_now().await;
        }
    }

    fn kill(&mut self, house: &House, worker: u32) {
        assert!(self.workers.insert(worker), "{worker} was killed before");
        assert_eq!(house.worker_pids(), [worker]);
        signal("-KILL", worker);
    }

    /// From the last kill to the next signature.
    async fn wait_for_recovery(&mut self, load: &Load) {
        let recovery = load.signs(1).await;
        let number = self.workers.len();
        assert!(recovery <= RECOVERY_BUSY_MAX, "kill {number}: {recovery:?}");
        self.recoveries.push(recovery);
    }

    /// Nothing was released without a record, every intent has one end, and callers heard of nothing but the outage.
    #[allow(
        clippy::print_stdout,
        reason = "the numbers, for whoever asks with --nocapture"
    )]
    async fn check(mut self, house: &House, load: Load) {
        let (records, failed) = load.end().await;
        self.recoveries.sort_unstable();
        let half = self.recoveries[self.recoveries.len() / 2];
        assert!(half <= RECOVERY_MAX, "{:?}", self.recoveries);
        eprintln!(
            "{} kills, {} signatures, {} errors, recovery: half within {half:?}, all within {:?}",
            self.workers.len(),
            records.len(),
            failed.len(),
            self.recoveries[self.recoveries.len() - 1],
        );
        for error in &failed {
            assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        }
        let (report, intents) = (house.verify_log().await, all_intents(house).await);
        assert_eq!(report.faults, []);
        for record in &records {
            let (_, sequence) = record.split_once('/').unwrap();
            let sequence = sequence.parse().unwrap();
            assert!(intents.contains(&sequence), "{record} has no intent");
        }
        let unknown = report.unknown_sequences.len() as u64;
        let ends = report.released_count + report.failed_count + unknown;
        assert_eq!(ends, intents.len() as u64, "every intent has one end");
    }
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
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let limits = String::from_utf8(read("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");

    let told = protections(&house).await;
    let all = [
        "no-core-dumps",
        "no-new-privileges",
        "files",
        "system-calls",
        "network",
    ];
    assert_eq!(told, all);
    assert_eq!(
        house.log().matches("the token worker is confined").count(),
        1
    );

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

async fn protections(house: &House) -> Vec<String> {
    let officer = house.connect(OFFICER);
    let status = officer.call(GetStatusRequest {}, async |channel, request| {
        StatusServiceClient::new(channel).get_status(request).await
    });
    status.await.unwrap().token.unwrap().protections
}

fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}
