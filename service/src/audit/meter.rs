//! Commits of the log, counted.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::DURATION_BUCKETS_S;

/// The instruments of the log: cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    records: Counter,
    failures: Counter,
    commit: Histogram,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            records: Counter::default(),
            failures: Counter::default(),
            commit: Histogram::new(DURATION_BUCKETS_S),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Records made durable since the start";
        registry.register("audit_records", help, self.records.clone());
        let help = "Commits that the log did not take; nothing is signed meanwhile";
        registry.register("audit_write_failures", help, self.failures.clone());
        let help = "How long commits of the log took";
        registry.register_with_unit(
            "audit_commit_duration",
            help,
            Unit::Seconds,
            self.commit.clone(),
        );
    }

    pub(super) fn committed(&self, records: usize, took: Duration) {
        self.records.inc_by(records as u64);
        self.commit.observe(took.as_secs_f64());
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }
}
