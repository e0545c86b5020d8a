//! Where requests for a bank that changes over wait: a few, and no longer than their callers do.
//!
//! A bank that accepts one certificate at a time accepts none while it changes over. A request whose deadline lies
//! behind the end of that window waits for it and is then decided anew, with the new version, the new time and whatever
//! changed meanwhile; every other one is told at once when to come again. Never: a cost for requests that are not held,
//! nor more of them in memory than [`HELD_PER_BANK_MAX`] for each bank.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::SigningError;
use crate::clock::SharedClock;

/// Requests that wait for one bank at the same time.
const HELD_PER_BANK_MAX: usize = 256;
/// What is left of a deadline for the signature itself when the window ends, milliseconds.
const SIGN_RESERVE_MS: i64 = 250;

/// The waiting room: cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    seats: Arc<Mutex<HashMap<String, usize>>>,
    waiting: Gauge,
}

/// A place in the waiting room, given back when it is dropped.
struct Seat<'a> {
    held: &'a Held,
    bank: String,
}

/// Why, how long and by what somebody waits.
pub(super) struct Patience<'a> {
    pub(super) clock: &'a SharedClock,
    /// Marked after each change of what is known.
    pub(super) changed: watch::Receiver<u64>,
    /// Until the deadline of the caller.
    pub(super) left: Duration,
}

impl Held {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "signing_held_requests",
            "Requests that wait for a bank to change over",
            self.waiting.clone(),
        );
    }

    /// Decides, and as long as the bank changes over and the caller has time, waits and decides again.
    pub(super) async fn wait_out<T>(
        &self,
        patience: Patience<'_>,
        decide: impl Fn() -> Result<T, SigningError>,
    ) -> Result<T, SigningError> {
        let Patience {
            clock,
            mut changed,
            left,
        } = patience;
        let mut give_up = None;
        let mut seat = None;
        loop {
            changed.mark_unchanged();
            let decided = decide();
            let Err(SigningError::Held { bank, until, .. }) = &decided else {
                return decided;
            };
            let now = clock.now();
            let give_up = give_up.get_or_insert_with(|| end_of(now, left));
            if seat.is_none() && *until <= *give_up {
                seat = self.seat(bank);
            }
            if seat.is_none() || *until > *give_up {
                return decided;
            }
            let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // An end of the change-over that came another way, or a moment that was moved.
                change = changed.changed() => if change.is_err() { return decided },
            }
        }
    }

    /// A place, unless all for this bank are taken.
    fn seat(&self, bank: &str) -> Option<Seat<'_>> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(bank.to_owned()).or_default();
        if *taken >= HELD_PER_BANK_MAX {
            return None;
        }
        *taken += 1;
        self.waiting.inc();
        let bank = bank.to_owned();
        Some(Seat { held: self, bank })
    }
}

/// The latest end of a change-over that leaves time for a signature.
fn end_of(now: Timestamp, left: Duration) -> Timestamp {
    let left = SignedDuration::try_from(left).unwrap_or_default();
    let latest = now.checked_add(left - SignedDuration::from_millis(SIGN_RESERVE_MS));
    latest.unwrap_or(now)
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let seats = &self.held.seats;
        let mut seats = seats.lock().unwrap_or_else(PoisonError::into_inner);
        self.held.waiting.dec();
        if let Some(taken) = seats.get_mut(&self.bank) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.bank);
            }
        }
    }
}

#[cfg(test)]
mod tests;
