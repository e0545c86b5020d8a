//! The only place that reads the time.
//!
//! Wall time decides validity and freshness and is stored; monotonic time decides deadlines. Everything else in the
//! service gets its `now` as an argument, so that tests can put it where they want.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

/// Tells the wall-clock time.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The time now, UTC.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock as the service passes it around.
pub type SharedClock = Arc<dyn Clock>;

/// The monotonic time now: for deadlines and durations only, never stored.
#[allow(clippy::disallowed_methods, reason = "the one place")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Buckets of measured durations, seconds: from an ECDSA signature of a fast token to an RSA-4096 one of a slow HSM.
pub(crate) const DURATION_BUCKETS_S: [f64; 13] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];
