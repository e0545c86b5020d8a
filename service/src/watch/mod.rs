//! Monitoring knows before it hurts: everything that ends is watched, and told of in time.
//!
//! In: the snapshot, the service's own certificates and secrets, open approvals, the time. Out: alerts, once to each sink; everything that ends, for
//! whoever asks. Never: a decision about a signature; the validity rule of [`crate::policy`] makes that.
//!
//! ```text
//! expiries(snapshot, own) -> due(expiries, fired, now) -> store: alert + a delivery a sink   (one transaction)
//!                                                          outbox of each sink: deliver, remember, or try again
//! ```
//!
//! What was told is remembered before anybody is told, so a crash loses nothing; what was delivered is remembered after,
//! so a crash may repeat something, under the same id.

mod alert;
mod deadline;
mod expiry;
mod meter;
mod outbox;
mod retry;
mod revocation;
mod secret;
pub mod sink;
#[cfg(test)]
mod tests;
mod threshold;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use tokio::sync::{Mutex, broadcast, watch};
use tokio::task::JoinSet;

pub use alert::{Alert, due};
pub use expiry::{Expiry, Kind, OwnCertificate, expiries};
pub use retry::{PAUSE_FIRST_S, next_attempt};
pub use revocation::{Revocable, revocables};
pub use secret::{SECRET_DAYS_DEFAULT, SecretFile, SecretFiles};
pub use threshold::{FRACTIONS_LIFETIME_DAYS_MAX, Severity, Step, Threshold, steps};

use crate::clock::SharedClock;
use crate::credential::revocation::RevocationRules;
use crate::store::{AlertRow, Store, StoreError};
use crate::world::World;
use meter::Meter;
use outbox::Outbox;
use sink::AlertSink;

/// How often it is looked for what ends soon, seconds; and after each change.
const EVALUATION_INTERVAL_S: u64 = 60;
/// How long an outbox rests when nothing is due, at most, seconds.
const OUTBOX_REST_MAX_S: u64 = 60;
/// The pause after the store did not answer, seconds.
const STORE_PAUSE_S: u64 = 5;
/// How long alerts are remembered, days: longer than any threshold of a certificate is away from the last.
const ALERTS_KEPT_DAYS: i64 = 400;
/// Alerts that a subscriber may be behind.
const SUBSCRIBER_ALERTS_MAX: usize = 1_024;

/// Lists the certificates that the service uses itself, as they are now.
pub type OwnCertificates = Arc<dyn Fn() -> Vec<OwnCertificate> + Send + Sync>;

/// What is watched beside the snapshot.
#[derive(Clone)]
pub struct Sources {
    /// The certificates that the service uses itself.
    pub certificates: OwnCertificates,
    /// Its shared secrets.
    pub secrets: SecretFiles,
    /// How long what issuers say counts.
    pub revocation: RevocationRules,
}

/// The watch: cheap to clone.
#[derive(Clone)]
pub struct Watch(Arc<Inner>);

struct Inner {
    clock: SharedClock,
    world: Arc<World>,
    sources: Sources,
    store: Store,
    outboxes: Vec<Outbox>,
    /// The ids of what was told; one evaluation at a time.
    fired: Mutex<HashSet<String>>,
    raised: broadcast::Sender<Alert>,
    /// Marked changed when the outboxes have something new.
    posted: watch::Sender<()>,
    meter: Meter,
}

impl Watch {
    /// The watch over these sinks. Reads what was told already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(
        clock: SharedClock,
        world: Arc<World>,
        sources: Sources,
        sinks: Vec<Arc<dyn AlertSink>>,
    ) -> Result<Self, StoreError> {
        let store = world.store().clone();
        let keep_from = clock.now() - SignedDuration::from_hours(24 * ALERTS_KEPT_DAYS);
        store.forget_alerts(keep_from).await?;
        let fired = store.alert_ids().await?;
        let meter = Meter::default();
        let outboxes = sinks
            .into_iter()
            .map(|sink| Outbox::new(sink, store.clone(), meter.clone()));
        Ok(Self(Arc::new(Inner {
            outboxes: outboxes.collect(),
            clock,
            world,
            sources,
            store,
            fired: Mutex::new(fired),
            raised: broadcast::Sender::new(SUBSCRIBER_ALERTS_MAX),
            posted: watch::Sender::new(()),
            meter,
        })))
    }

    /// Everything that ends and has to be renewed, soonest first.
    pub fn expiries(&self) -> Vec<Expiry> {
        let Sources {
            certificates,
            secrets,
            ..
        } = &self.0.sources;
        expiries(&self.0.world.load(), &certificates(), secrets.expiries())
    }

    /// The rules for what issuers say.
    pub fn revocation_rules(&self) -> &RevocationRules {
        &self.0.sources.revocation
    }

    /// Alerts from a moment on, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alerts_since(&self, since: Timestamp) -> Result<Vec<Alert>, StoreError> {
        let rows = self.0.store.alerts_since(since).await?;
        let parsed = rows.iter().filter_map(|row| {
            let parsed = serde_json::from_str(&row.document);
            parsed
                .inspect_err(|error| tracing::error!(alert = row.id, %error, "damaged alert"))
                .ok()
        });
        Ok(parsed.collect())
    }

    /// Every alert from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Alert> {
        self.0.raised.subscribe()
    }

    /// Looks once for what is due, and posts it to the outboxes.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was told then, and it is due still.
    pub async fn evaluate(&self) -> Result<Vec<Alert>, StoreError> {
        let inner = &*self.0;
        let mut fired = inner.fired.lock().await;
        let now = inner.clock.now();
        let snapshot = inner.world.load();
        let revocables = revocables(&snapshot, self.revocation_rules());
        let mut ending = self.expiries();
        ending.extend(deadline::statements(&revocables));
        ending.extend(deadline::approvals(
            &inner.store.approvals(true).await?,
            now,
        ));
        ending.extend(deadline::enrolments(&snapshot.enrolments, now));
        let mut alerts = alert::revoked(&revocables, &fired, now);
        alerts.extend(due(&ending, &fired, now));
        if !alerts.is_empty() {
            let rows: Vec<_> = alerts.iter().map(row).collect();
            let sinks: Vec<_> = inner.outboxes.iter().map(|o| o.name().to_owned()).collect();
            inner.store.raise_alerts(&rows, &sinks).await?;
            fired.extend(alerts.iter().map(|alert| alert.id.clone()));
            for alert in &alerts {
                // Nobody need be listening.
                let _ = inner.raised.send(alert.clone());
            }
            inner.posted.send_replace(());
        }
        inner.meter.evaluated(now);
        Ok(alerts)
    }

    /// Delivers once what is due, to every sink; answers when more will be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliver(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut next = None;
        for outbox in &self.0.outboxes {
            let later = outbox.deliver_due(self.0.clock.now()).await?;
            next = [next, later].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// Registers what the watch counts.
    pub fn register(&self, registry: &mut Registry) {
        self.0.meter.register(registry);
    }

    /// Watches until it is stopped. Every replica does; what one has raised, the others find raised.
    pub fn start(&self) -> Watching {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().keep_evaluating());
        Watching(tasks)
    }

    /// Delivers, for as long as these tasks run.
    pub fn deliver_in(&self, tasks: &mut JoinSet<()>) {
        for outbox in &self.0.outboxes {
            tasks.spawn(self.clone().keep_delivering(outbox.clone()));
        }
    }

    async fn keep_evaluating(self) {
        let mut changed = self.0.world.subscribe();
        loop {
            if let Err(error) = self.evaluate().await {
                tracing::error!(%error, "it cannot be looked for what ends soon");
            }
            let rest = tokio::time::sleep(Duration::from_secs(EVALUATION_INTERVAL_S));
            tokio::select! {
                () = rest => {}
                change = changed.changed() => if change.is_err() { return },
            }
        }
    }

    async fn keep_delivering(self, outbox: Outbox) {
        let mut posted = self.0.posted.subscribe();
        loop {
            let now = self.0.clock.now();
            let rest_s = match outbox.deliver_due(now).await {
                Ok(next) => rest_s(next, self.0.clock.now()),
                Err(error) => {
                    tracing::error!(%error, sink = outbox.name(), "alerts cannot be delivered");
                    STORE_PAUSE_S
                }
            };
            let rest = tokio::time::sleep(Duration::from_secs(rest_s));
            tokio::select! {
                () = rest => {}
                change = posted.changed() => if change.is_err() { return },
            }
        }
    }
}

/// How long to rest until then, at least a second and at most [`OUTBOX_REST_MAX_S`].
fn rest_s(next: Option<Timestamp>, now: Timestamp) -> u64 {
    let left_s = next.map_or(i64::MAX, |next| next.as_second() - now.as_second() + 1);
    u64::try_from(left_s)
        .unwrap_or(0)
        .clamp(1, OUTBOX_REST_MAX_S)
}

fn row(alert: &Alert) -> AlertRow {
    AlertRow {
        id: alert.id.clone(),
        raised: alert.raise_time,
        // Cannot fail: an alert is strings, lists of strings and times.
        document: serde_json::to_string(alert).unwrap_or_else(|e| unreachable!("alert: {e}")),
    }
}

/// The running watch. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Watching(JoinSet<()>);

impl Watching {
    /// Stops. What was under way is delivered again after the next start.
    pub async fn stop(mut self) {
        self.0.shutdown().await;
    }
}
