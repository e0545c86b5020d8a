//! `sealkeep bench`: what the service adds to the token, measured in one run.
//!
//! For each credential and each number of requests in flight: first `C_Sign` in a loop by `sealkeepd bench-token` (same
//! module, same token, a throw-away key of the same kind), then `SignHttpRequest` end to end over mutual TLS with its
//! durable record. Both right after each other, because machines that are shared change their speed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use sealkeep_client::clock::monotonic;
use sealkeep_client::{BankHandle, BodySource, Sealkeep};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::report::{Report, table};

/// Most requests in flight.
const IN_FLIGHT_MAX: usize = 1_024;
/// Requests in flight that share one connection.
const IN_FLIGHT_PER_CONNECTION: usize = 16;
/// Most connections.
const CONNECTIONS_MAX: usize = 4;
/// What is digested for the payment that is signed over and over, bytes.
const BODY_BYTES: usize = 512;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The bank to sign for; its profile must sign HTTP requests.
    #[arg(long)]
    bank: String,
    /// Its host, as in the bank's hosts.
    #[arg(long)]
    host: String,
    /// A path of a call that the certificates may make.
    #[arg(long, default_value = "/v1/payments/sepa-credit-transfers")]
    path: String,
    /// A seal credential to measure; several may be given.
    #[arg(long = "credential", required = true)]
    credentials: Vec<String>,
    /// Requests in flight; several may be given.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    concurrency: Vec<usize>,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The service's configuration file, to measure its token without the service.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The process id of the service, to measure its CPU time and that of its token workers.
    #[arg(long)]
    pid: Option<u32>,
    /// The `sealkeepd` program; beside this one when not given.
    #[arg(long)]
    sealkeepd: Option<PathBuf>,
}

/// One row of the result.
#[derive(Debug)]
struct Row {
    algorithm: String,
    concurrency: usize,
    raw: Option<Raw>,
    service_per_s: f64,
    p50: Duration,
    p99: Duration,
    cpu_client: Option<Duration>,
    cpu_service: Option<Duration>,
}

/// What `sealkeepd bench-token` prints.
#[derive(Debug, Deserialize)]
struct Raw {
    per_s: f64,
    p50_us: f64,
    cpu_us: Option<f64>,
}

/// What was signed meanwhile.
struct Measured {
    elapsed: Duration,
    latencies: Vec<Duration>,
}

impl Bench {
    pub(crate) async fn run(self, connection: &Connection) -> Result<Report, Failure> {
        let wanted = self
            .concurrency
            .iter()
            .find(|n| !(1..=IN_FLIGHT_MAX).contains(*n));
        if let Some(wrong) = wanted {
            let rule = format!("--concurrency {wrong}: 1 to {IN_FLIGHT_MAX}");
            return Err(Failure::failed(rule));
        }
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            connections.push(connection.connect()?);
        }
        let mut rows = Vec::new();
        for credential in &self.credentials {
            for concurrency in &self.concurrency {
                rows.push(self.row(&connections, credential, *concurrency).await?);
            }
        }
        let lines = rows.iter().map(Row::cells).collect();
        let text = table(HEAD, lines);
        Ok(Report::new(
            text,
            Value::Array(rows.iter().map(Row::json).collect()),
        ))
    }

    async fn row(
        &self,
        connections: &[Sealkeep],
        credential: &str,
        concurrency: usize,
    ) -> Result<Row, Failure> {
        let used = concurrency
            .div_ceil(IN_FLIGHT_PER_CONNECTION)
            .min(CONNECTIONS_MAX);
        let banks: Vec<_> = connections[..used]
            .iter()
            .map(|sealkeep| sealkeep.bank(&self.bank).credential(credential))
            .collect();
        // Opens the connections, warms the caches, and tells the algorithm.
        let mut algorithm = String::new();
        for bank in &banks {
            algorithm = sign(bank, &self.url()).await?;
        }
        let raw = self.raw(&algorithm, concurrency)?;
        let (client_before, service_before) = (cpu_of("self"), self.service_cpu());
        let measured = self.service(&banks, concurrency).await?;
        let client = since(client_before, cpu_of("self"));
        let service = since(service_before, self.service_cpu());
        let count = measured.latencies.len();
        let each = |cpu: Duration| cpu / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        Ok(Row {
            algorithm,
            concurrency,
            raw,
            service_per_s: count as f64 / measured.elapsed.as_secs_f64(),
            p50: percentile(&measured.latencies, 50),
            p99: percentile(&measured.latencies, 99),
            cpu_client: client.map(each),
            cpu_service: service.map(each),
        })
    }

    async fn service(&self, banks: &[BankHandle], concurrency: usize) -> Result<Measured, Failure> {
        let started = monotonic();
        let end = started + Duration::from_secs(self.seconds);
        let mut callers = tokio::task::JoinSet::new();
        for n in 0..concurrency {
            callers.spawn(sign_until(banks[n % banks.len()].clone(), self.url(), end));
        }
        let mut latencies = Vec::new();
        while let Some(caller) = callers.join_next().await {
            latencies.extend(caller.map_err(|error| Failure::failed(error.to_string()))??);
        }
        let elapsed = started.elapsed();
        latencies.sort_unstable();
        Ok(Measured { elapsed, latencies })
    }

    fn url(&self) -> String {
        format!("https://{}{}", self.host, self.path)
    }

    /// The token without the service.
    fn raw(&self, algorithm: &str, threads: usize) -> Result<Option<Raw>, Failure> {
        let Some(config) = &self.config else {
            return Ok(None);
        };
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("sealkeepd"));
        let program = self.sealkeepd.clone().or_else(beside);
        let program = program.ok_or_else(|| Failure::failed("name --sealkeepd".to_owned()))?;
        let output = std::process::Command::new(&program)
            .arg("bench-token")
            .arg("--config")
            .arg(config)
            .args(["--algorithm", algorithm])
            .args(["--threads", &threads.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .output()
            .map_err(|error| Failure::failed(format!("{}: {error}", program.display())))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Failure::failed(said));
        }
        let raw = serde_json::from_slice(&output.stdout);
        raw.map(Some)
            .map_err(|error| Failure::failed(format!("bench-token: {error}")))
    }

    fn service_cpu(&self) -> Option<Duration> {
        let service = self.pid?.to_string();
        let workers = children_of(&service);
        let workers = workers.iter().filter_map(|pid| cpu_of(pid));
        Some(cpu_of(&service)? + workers.sum::<Duration>())
    }
}

/// One payment; answers the algorithm.
async fn sign(bank: &BankHandle, url: &str) -> Result<String, Failure> {
    let request = http::Request::post(url)
        .header("x-request-id", uuid::Uuid::new_v4().to_string())
        .header("content-type", "application/json")
        .body(())
        .map_err(|error| Failure::failed(error.to_string()))?;
    let (parts, ()) = request.into_parts();
    let signed = bank
        .sign_parts(&parts, BodySource::Bytes(&[b'x'; BODY_BYTES]))
        .await?;
    Ok(signed.algorithm)
}

async fn sign_until(bank: BankHandle, url: String, end: Instant) -> Result<Vec<Duration>, Failure> {
    let mut latencies = Vec::new();
    let mut before = monotonic();
    while before < end {
        sign(&bank, &url).await?;
        let after = monotonic();
        latencies.push(after - before);
        before = after;
    }
    Ok(latencies)
}

/// Nearest rank; zero of nothing.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// User and system time of a process and of the children that it has outlived: fields 14 to 17 of proc(5)'s `stat`,
/// counted after the name in brackets.
fn cpu_of(process: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<f64>());
    let ticks: f64 = ticks.collect::<Result<Vec<_>, _>>().ok()?.iter().sum();
    Some(Duration::from_secs_f64(
        ticks / rustix::param::clock_ticks_per_second() as f64,
    ))
}

/// The children that a process has now.
fn children_of(process: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let lists = threads.into_iter().flatten().flatten();
    let lists =
        lists.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

fn since(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}

const HEAD: [&str; 9] = [
    "ALGORITHM",
    "IN FLIGHT",
    "RAW /S",
    "SERVICE /S",
    "RATIO",
    "P50 µs",
    "P99 µs",
    "CPU µs CLIENT",
    "CPU µs SERVICE",
];

impl Row {
    fn ratio(&self) -> Option<f64> {
        Some(self.service_per_s / self.raw.as_ref()?.per_s)
    }

    fn cells(&self) -> [String; 9] {
        let cpu = |cpu: Option<Duration>| cpu.map_or("-".to_owned(), |c| c.as_micros().to_string());
        [
            self.algorithm.clone(),
            self.concurrency.to_string(),
            self.raw
                .as_ref()
                .map_or("-".to_owned(), |raw| format!("{:.0}", raw.per_s)),
            format!("{:.0}", self.service_per_s),
            self.ratio()
                .map_or("-".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0)),
            self.p50.as_micros().to_string(),
            self.p99.as_micros().to_string(),
            cpu(self.cpu_client),
            cpu(self.cpu_service),
        ]
    }

    fn json(&self) -> Value {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        json!({
            "algorithm": self.algorithm,
            "concurrency": self.concurrency,
            "raw_per_s": self.raw.as_ref().map(|raw| raw.per_s),
            "raw_p50_us": self.raw.as_ref().map(|raw| raw.p50_us),
            "raw_cpu_us": self.raw.as_ref().and_then(|raw| raw.cpu_us),
            "service_per_s": self.service_per_s,
            "ratio": self.ratio(),
            "p50_us": micros(self.p50),
            "p99_us": micros(self.p99),
            "cpu_us_client": self.cpu_client.map(micros),
            "cpu_us_service": self.cpu_service.map(micros),
        })
    }
}
