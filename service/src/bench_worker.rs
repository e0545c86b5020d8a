//! What the worker process costs: the same token, the same key, in this process and behind a worker.
//!
//! In: a configuration, how many requests are in flight, a duration. Out: a line of JSON with signatures per second,
//! CPU time and context switches of both ways. Works beside a running service: it opens the token, not the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealkeep_profiles::algorithm::SignatureScheme;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::backend::pkcs11::Pkcs11Backend;
use crate::backend::worker::TokenWorker;
use crate::backend::{BackendError, KeyBackend, KeyId, KeyRef, KeySpec, KeyUsage};
use crate::config::{Config, TokenConfig};
use crate::run::{RunError, pin_source};
use crate::{clock, process};

/// What is signed: a P-256 signature is the cheapest, so the hop weighs most.
const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// How long one request may take, seconds.
const TIMEOUT_S: u64 = 60;
/// Most requests in flight.
const IN_FLIGHT_MAX: usize = 1_024;
/// Each way is measured in so many turns, one after the other: machines that are shared change their speed.
const TURNS: u32 = 4;

/// Measures and reports.
pub async fn run(
    config: &Config,
    token: Option<&str>,
    in_flight: usize,
    duration: Duration,
) -> Result<String, RunError> {
    if !(1..=IN_FLIGHT_MAX).contains(&in_flight) {
        return Err(RunError::from(BackendError::ConfigInvalid {
            field: "in_flight".into(),
            rule: format!("between 1 and {IN_FLIGHT_MAX}"),
        }));
    }
    let token = config.token(token)?;
    let pin = pin_source(token, None);
    let inside = Pkcs11Backend::start(config.pkcs11(token), pin()?, config.pin_marker(token))?;
    let key = inside
        .generate(
            KeyId::random(),
            "bench-worker",
            KeySpec::EcP256,
            KeyUsage::Sign,
            deadline(),
        )
        .await?
        .key;
    let inside = Arc::new(inside);
    let measured = compare(
        config,
        token,
        Arc::clone(&inside) as _,
        &key,
        in_flight,
        duration,
    )
    .await;
    inside.destroy(&key, deadline()).await?;
    Ok(measured?.to_string())
}

async fn compare(
    config: &Config,
    token: &TokenConfig,
    inside: Arc<dyn KeyBackend>,
    key: &KeyRef,
    in_flight: usize,
    duration: Duration,
) -> Result<Value, RunError> {
    let worker = TokenWorker::start(config.worker(token), pin_source(token, None))?;
    let pid = worker.worker_pid();
    let worker: Arc<dyn KeyBackend> = Arc::new(worker);
    worker.adopt(&[*key], deadline()).await?;
    let (mut thread, mut process) = (Measured::default(), Measured::default());
    for _ in 0..TURNS {
        thread.add(measure(&inside, key, in_flight, duration / TURNS, None).await?);
        process.add(measure(&worker, key, in_flight, duration / TURNS, pid).await?);
    }
    Ok(json!({
        "in_flight": in_flight,
        "thread": thread.json(),
        "process": process.json(),
        "throughput_percent": 100.0 * process.per_second() / thread.per_second(),
        "hop_cpu_us": process.cpu_us() - thread.cpu_us(),
    }))
}

fn deadline() -> Instant {
    clock::monotonic() + Duration::from_secs(TIMEOUT_S)
}

/// What one way took.
#[derive(Debug, Default)]
struct Measured {
    signatures: u64,
    elapsed: Duration,
    cpu_seconds: f64,
    switches: u64,
}

impl Measured {
    fn add(&mut self, turn: Self) {
        self.signatures += turn.signatures;
        self.elapsed += turn.elapsed;
        self.cpu_seconds += turn.cpu_seconds;
        self.switches += turn.switches;
    }

    fn per_second(&self) -> f64 {
        self.signatures as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.signatures.max(1) as f64
    }

    fn json(&self) -> Value {
        json!({
            "per_s": self.per_second(),
            "cpu_us": self.cpu_us(),
            "switches": self.switches as f64 / self.signatures.max(1) as f64,
        })
    }
}

/// Keeps `in_flight` requests under way for a while.
async fn measure(
    backend: &Arc<dyn KeyBackend>,
    key: &KeyRef,
    in_flight: usize,
    duration: Duration,
    worker: Option<u32>,
) -> Result<Measured, BackendError> {
    let usage = || {
        let own = process::usage_of("self");
        let of_worker = worker.map(|pid| process::usage_of(&pid.to_string()));
        let worker = of_worker.unwrap_or_default();
        (
            own.cpu_seconds + worker.cpu_seconds,
            own.switches + worker.switches,
        )
    };
    let (begun, (cpu_before, switches_before)) = (clock::monotonic(), usage());
    let end = begun + duration;
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let (backend, key) = (Arc::clone(backend), *key);
        callers.spawn(async move {
            let input = SCHEME.token_input(b"Sealkeep worker benchmark");
            let mut signed = 0;
            while clock::monotonic() < end {
                backend.sign(&key, SCHEME, &input, deadline()).await?;
                signed += 1;
            }
            Ok::<u64, BackendError>(signed)
        });
    }
    let mut signatures = 0;
    for caller in callers.join_all().await {
        signatures += caller?;
    }
    let (elapsed, (cpu, switches)) = (clock::monotonic() - begun, usage());
    Ok(Measured {
        signatures,
        elapsed,
        cpu_seconds: cpu - cpu_before,
        switches: switches.saturating_sub(switches_before),
    })
}
