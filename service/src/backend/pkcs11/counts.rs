//! Counts what the backend does, for metrics and for the proof that the hot path does nothing else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::recovery::Fault;
use crate::backend::{FaultKind, Tally};

/// A counter that only grows.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Faults by function and return code. There are as many kinds as both have names; calls that fail are rare.
#[derive(Default)]
pub(super) struct FaultCounter(Mutex<BTreeMap<FaultKind, u64>>);

impl FaultCounter {
    pub(super) fn add(&self, fault: &Fault) {
        *self.lock().entry(fault.kind()).or_default() += 1;
    }

    /// No code panics while it holds the lock.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<FaultKind, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) signatures: Counter,
    pub(super) faults: Counter,
    pub(super) retries: Counter,
    pub(super) sessions_opened: Counter,
    pub(super) key_searches: Counter,
    pub(super) refused_busy: Counter,
    pub(super) dropped_late: Counter,
    pub(super) dropped_unwanted: Counter,
    pub(super) logins: Counter,
    pub(super) initialisations: Counter,
    pub(super) recoveries_failed: Counter,
    pub(super) pool_halvings: Counter,
    pub(super) kinds: FaultCounter,
}

/// What a backend has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Signatures that the token made for callers.
    pub signatures: u64,
    /// PKCS#11 calls that failed.
    pub faults: u64,
    /// Signatures that were tried a second time.
    pub retries: u64,
    /// Sessions opened, those of the start included.
    pub sessions_opened: u64,
    /// Searches for keys. Signing makes none.
    pub key_searches: u64,
    /// Requests refused because the queue was full.
    pub refused_busy: u64,
    /// Requests whose deadline passed in the queue; the token was not asked.
    pub dropped_late: u64,
    /// Requests nobody waited for any more; the token was not asked.
    pub dropped_unwanted: u64,
    /// Times the ladder of recovery logged in again.
    pub logins: u64,
    /// Times it finalised and initialised the module.
    pub initialisations: u64,
    /// Times it did not get the token back.
    pub recoveries_failed: u64,
    /// Times the pool of sessions was halved because the token was out of memory or sessions.
    pub pool_halvings: u64,
    /// Worker processes started; zero where the module is in this process. The other counts are those of the last.
    pub workers_started: u64,
    /// Worker processes that crashed, or were ended because they hung.
    pub workers_crashed: u64,
}

impl Counts {
    /// Adds what another process has done.
    pub(in crate::backend) fn add(&mut self, other: &Self) {
        let Self {
            signatures,
            faults,
            retries,
            sessions_opened,
            key_searches,
            refused_busy,
            dropped_late,
            dropped_unwanted,
            logins,
            initialisations,
            recoveries_failed,
            pool_halvings,
            workers_started,
            workers_crashed,
        } = other;
        self.signatures += signatures;
        self.faults += faults;
        self.retries += retries;
        self.sessions_opened += sessions_opened;
        self.key_searches += key_searches;
        self.refused_busy += refused_busy;
        self.dropped_late += dropped_late;
        self.dropped_unwanted += dropped_unwanted;
        self.logins += logins;
        self.initialisations += initialisations;
        self.recoveries_failed += recoveries_failed;
        self.pool_halvings += pool_halvings;
        self.workers_started += workers_started;
        self.workers_crashed += workers_crashed;
    }
}

impl Counters {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            signatures: self.signatures.value(),
            faults: self.faults.value(),
            retries: self.retries.value(),
            sessions_opened: self.sessions_opened.value(),
            key_searches: self.key_searches.value(),
            refused_busy: self.refused_busy.value(),
            dropped_late: self.dropped_late.value(),
            dropped_unwanted: self.dropped_unwanted.value(),
            logins: self.logins.value(),
            initialisations: self.initialisations.value(),
            recoveries_failed: self.recoveries_failed.value(),
            pool_halvings: self.pool_halvings.value(),
            workers_started: 0,
            workers_crashed: 0,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            counts: self.counts(),
            faults: self.kinds.lock().clone(),
        }
    }
}
