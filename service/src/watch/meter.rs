//! What the watch did, counted.

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

type Labels<const N: usize> = [(&'static str, String); N];

/// The instruments of the watch: cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    deliveries: Family<Labels<2>, Counter>,
    pending: Family<Labels<1>, Gauge>,
    evaluated: Gauge,
}

impl Meter {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "alert_deliveries",
            "Attempts to deliver an alert to a sink, by outcome",
            self.deliveries.clone(),
        );
        registry.register(
            "alert_deliveries_pending",
            "Alerts that a sink has still to get",
            self.pending.clone(),
        );
        registry.register_with_unit(
            "watch_last_evaluation_timestamp",
            "When it was last looked for what ends soon",
            Unit::Seconds,
            self.evaluated.clone(),
        );
    }

    /// Every outcome shows from the start: absent is not zero.
    pub(super) fn expect_sink(&self, sink: &str) {
        for outcome in ["delivered", "failed", "given_up"] {
            self.count(sink, outcome, 0);
        }
        self.pending(sink, 0);
    }

    pub(super) fn delivered(&self, sink: &str) {
        self.count(sink, "delivered", 1);
    }

    pub(super) fn failed(&self, sink: &str) {
        self.count(sink, "failed", 1);
    }

    pub(super) fn given_up(&self, sink: &str) {
        self.count(sink, "given_up", 1);
    }

    pub(super) fn pending(&self, sink: &str, count: u64) {
        let labels = [("sink", sink.to_owned())];
        let gauge = self.pending.get_or_create_owned(&labels);
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn evaluated(&self, now: Timestamp) {
        self.evaluated.set(now.as_second());
    }

    fn count(&self, sink: &str, outcome: &str, by: u64) {
        let labels = [("sink", sink.to_owned()), ("outcome", outcome.to_owned())];
        self.deliveries.get_or_create_owned(&labels).inc_by(by);
    }
}
