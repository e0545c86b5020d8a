//! Measures what the token can do by itself: the yardstick for everything the service adds.
//!
//! In: a started backend and one of its keys. Out: signatures per second, latencies and CPU time of `C_Sign` called in
//! a loop. It shares the module and the login with the backend, but no queue and no session. The signatures are
//! thrown away.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use sealkeep_profiles::algorithm::SignatureScheme;

use super::Pkcs11Backend;
use super::link::Link;
use super::mechanism::SignInput;
use super::recovery::Fault;
use crate::backend::{BackendError, KeyRef};
use crate::clock::monotonic;

/// Threads that one measurement may use.
const THREADS_MAX: u16 = 256;
/// Length of the ticks in `/proc/self/stat` (proc(5), `USER_HZ` is 100 on every Linux).
const CPU_TICK: Duration = Duration::from_millis(10);
/// What is signed: a digest of nothing.
const MESSAGE: &[u8] = b"Sealkeep raw signature benchmark";

/// The result of a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawSignReport {
    /// Signatures made.
    pub signatures: u64,
    /// From the first signature to the last.
    pub elapsed: Duration,
    /// CPU time of the whole process meanwhile (10 ms steps); `None` where the system does not tell.
    pub cpu: Option<Duration>,
    /// Median time of one signature.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

impl RawSignReport {
    /// Signatures per second.
    pub fn per_second(&self) -> f64 {
        self.signatures as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Signs in a loop on `threads` sessions for `duration`. Blocks for that long.
///
/// # Errors
/// What [`sign`](crate::backend::KeyBackend::sign) refuses, and the first fault of the token.
pub fn raw_sign_loop(
    backend: &Pkcs11Backend,
    key: &KeyRef,
    scheme: SignatureScheme,
    threads: u16,
    duration: Duration,
) -> Result<RawSignReport, BackendError> {
    if !(1..=THREADS_MAX).contains(&threads) {
        let rule = format!("between 1 and {THREADS_MAX}");
        return Err(BackendError::ConfigInvalid {
            field: "threads".into(),
            rule,
        });
    }
    let input = SignInput::new(scheme, &scheme.token_input(MESSAGE))?;
    let handle = super::requests::usable(&backend.link, key, scheme)?.handle;
    let (start, cpu_start) = (monotonic(), cpu_time());
    let end = start + duration;
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| sign_until(&backend.link, handle, &input, end)))
            .collect();
        workers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let elapsed = monotonic() - start;
    let cpu = cpu_time()
        .zip(cpu_start)
        .map(|(end, start)| end.saturating_sub(start));
    let mut latencies = Vec::new();
    for result in results {
        let worker = result
            .map_err(|_| BackendError::Malformed("a benchmark thread panicked".to_owned()))?;
        latencies.extend(worker?);
    }
    latencies.sort_unstable();
    Ok(RawSignReport {
        signatures: latencies.len() as u64,
        elapsed,
        cpu,
        p50: percentile(&latencies, 50),
        p99: percentile(&latencies, 99),
    })
}

fn sign_until(
    link: &Link,
    handle: cryptoki::object::ObjectHandle,
    input: &SignInput,
    end: Instant,
) -> Result<Vec<Duration>, Fault> {
    let at = link.enter();
    let session = link.open(&at)?;
    let mut latencies = Vec::new();
    let mut before = monotonic();
    while before < end {
        if let Err(fault) = session.sign_once(handle, input) {
            link.discard(session, Some(&fault));
            return Err(fault);
        }
        let after = monotonic();
        latencies.push(after - before);
        before = after;
    }
    link.discard(session, None);
    Ok(latencies)
}

/// Nearest rank; zero of nothing.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// User and system time of this process: fields 14 and 15 of `/proc/self/stat`, counted after the name in brackets.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |field: usize| {
        fields
            .split_whitespace()
            .nth(field - 3)?
            .parse::<u32>()
            .ok()
    };
    Some(CPU_TICK * (ticks(14)?.checked_add(ticks(15)?)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_micros(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_micros(198));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_micros(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu_time().unwrap();
        let end = monotonic() + Duration::from_secs(20);
        while cpu_time().unwrap() <= before {
            assert!(monotonic() < end, "20 s of work and no CPU time");
        }
    }
}
