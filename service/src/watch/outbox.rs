//! What one sink has still to get.
//!
//! In: a sink, the store, the time. Out: deliveries, remembered once the sink has acknowledged them. At least once: a
//! service that dies between the two delivers again, under the same id.

use std::sync::Arc;

use jiff::Timestamp;

use super::alert::Alert;
use super::meter::Meter;
use super::retry::next_attempt;
use super::sink::{AlertSink, Undelivered};
use crate::store::{DeliveryRow, Store, StoreError};

/// Deliveries taken from the store at a time.
const BATCH_MAX: u32 = 32;

/// One sink with its memory.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    sink: Arc<dyn AlertSink>,
    store: Store,
    meter: Meter,
}

impl Outbox {
    pub(super) fn new(sink: Arc<dyn AlertSink>, store: Store, meter: Meter) -> Self {
        meter.expect_sink(sink.name());
        Self { sink, store, meter }
    }

    pub(super) fn name(&self) -> &str {
        self.sink.name()
    }

    /// Delivers what is due, one after the other; answers when more will be.
    pub(super) async fn deliver_due(
        &self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        loop {
            let due = self
                .store
                .deliveries_due(self.name(), now, BATCH_MAX)
                .await?;
            if due.is_empty() {
                break;
            }
            for delivery in &due {
                self.deliver(delivery, now).await?;
            }
        }
        let pending = self.store.deliveries_pending(self.name()).await?;
        self.meter.pending(self.name(), pending);
        self.store.next_delivery(self.name()).await
    }

    async fn deliver(&self, delivery: &DeliveryRow, now: Timestamp) -> Result<(), StoreError> {
        let (row, sink) = (&delivery.alert, self.name());
        let outcome = match serde_json::from_str::<Alert>(&row.document) {
            Ok(alert) => self.sink.deliver(&alert, now).await,
            Err(error) => Err(Undelivered {
                reason: "ALERT_DAMAGED",
                detail: error.to_string(),
                retry_after: None,
            }),
        };
        let Err(undelivered) = outcome else {
            self.meter.delivered(sink);
            return self.store.delivered(&row.id, sink, now).await;
        };
        let failed_count = delivery.failed_count + 1;
        let next = next_attempt(failed_count, row.raised, undelivered.retry_after, now);
        match next {
            Some(next) => {
                tracing::warn!(sink, alert = row.id, failed_count, %next, reason = undelivered.reason,
                    detail = undelivered.detail, "alert not delivered; it will be tried again");
                self.meter.failed(sink);
            }
            None => {
                tracing::error!(
                    sink,
                    alert = row.id,
                    failed_count,
                    reason = undelivered.reason,
                    detail = undelivered.detail,
                    "alert given up"
                );
                self.meter.given_up(sink);
            }
        }
        self.store.undelivered(&row.id, sink, next).await
    }
}
