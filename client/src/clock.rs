//! The only place of this crate that reads a clock.
//!
//! In: nothing. Out: the time of day for certificates and messages, the monotonic time for deadlines. Never: a decision.
#![allow(clippy::disallowed_methods, reason = "this is the clock")]

use jiff::Timestamp;
use std::time::Instant;

/// The time of day, for validity periods and freshness.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The monotonic time, for deadlines.
#[must_use]
pub fn monotonic() -> Instant {
    Instant::now()
}
