//! The bracket around the key.
//!
//! In: events. Out: their durable positions. Never: a signature without a durable intent, a body, PSU data.
//!
//! One replica has one log. Each record is one line of JSON that carries the hash of the record before it, so that an
//! edit, a deletion, an insertion or a change of order is found by [`verify`]. The stored bytes are what is hashed;
//! nothing is ever serialised again to check it.
//!
//! A signature has an *intent*, committed before the signature may leave. Its end is written lazily: a success is
//! listed in the closing record that goes with the next commit, a failure gets a record of its own. An intent without
//! an end means that the service died in between: its signature may have been released.
//!
//! One task writes. It takes what has arrived (group commit), so the cost of a durable commit is shared by all that
//! wait for it, and the position of a record is known only to the writer.

mod meter;
mod record;
pub mod verify;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use record::{Event, ParsedRecord, Record, leaf_hash};

use crate::clock::SharedClock;
use crate::policy::Permit;
use crate::store::{Store, StoreError};
use meter::Meter;
use writer::{Command, Writer};

/// Records that may wait for the writer.
const QUEUE_RECORDS_MAX: usize = 4_096;

/// Why a record could not be made durable.
#[derive(Debug, thiserror::Error, Clone)]
pub enum AuditError {
    /// The database did not take it.
    #[error("the audit log cannot be written: {0}")]
    NotWritten(String),
    /// The writer is gone; the service is stopping.
    #[error("the audit log is closed")]
    Closed,
}

/// The log of this replica: cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditLog {
    name: Arc<str>,
    commands: mpsc::Sender<Command>,
    size: Arc<AtomicU64>,
    meter: Meter,
}

/// The writer's task; ends when the last [`AuditLog`] is gone and everything is written.
#[derive(Debug)]
pub struct AuditTask(JoinHandle<()>);

impl AuditLog {
    /// Opens the log of a store: checks its tail, closes what a crash left open, and starts the writer.
    pub async fn open(store: Store, clock: SharedClock) -> Result<(Self, AuditTask), StoreError> {
        let fresh = format!("log-{}", uuid::Uuid::new_v4().simple());
        let key = match store.replica() {
            None => "audit_log".to_owned(),
            Some(replica) => format!("audit_log/{replica}"),
        };
        let name: Arc<str> = store.meta_once(&key, &fresh).await?.into();
        let (commands, queue) = mpsc::channel(QUEUE_RECORDS_MAX);
        let size = Arc::new(AtomicU64::new(0));
        let meter = Meter::new();
        let mut writer =
            Writer::new(store, clock, name.clone(), size.clone(), meter.clone()).await?;
        writer.close_unknown().await?;
        let task = tokio::spawn(writer.run(queue));
        Ok((
            Self {
                name,
                commands,
                size,
                meter,
            },
            AuditTask(task),
        ))
    }

    /// Registers what is counted of the log.
    pub fn register(&self, registry: &mut Registry) {
        self.meter.register(registry);
    }

    /// The name of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many records it has.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Appends an event; returns its position once it is durable.
    pub async fn append(
        &self,
        event: Event,
        who: Option<&str>,
        data: Value,
    ) -> Result<u64, AuditError> {
        let (reply, done) = oneshot::channel();
        let record = Record {
            event,
            who: who.map(str::to_owned),
            data: data.to_string(),
        };
        let command = Command::Append { record, reply };
        self.commands
            .send(command)
            .await
            .map_err(|_| AuditError::Closed)?;
        done.await.map_err(|_| AuditError::Closed)?
    }

    /// Writes the intent of the one signature that `permit` allows.
    pub async fn intend(&self, permit: Permit, about: Value) -> Result<Intent, AuditError> {
        let who = permit.caller().to_string();
        let seq = self.append(Event::SignIntent, Some(&who), about).await?;
        Ok(Intent {
            seq,
            who,
            log: self.clone(),
        })
    }
}

impl AuditTask {
    /// Waits until everything is written. Every clone of the log must be dropped before.
    pub async fn finished(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "audit writer ended abnormally");
        }
    }
}

/// A durable intent to sign, to be concluded once. Dropping it leaves "may have been released" in the log.
///
/// ```compile_fail
/// # async fn twice(intent: sealkeep_service::audit::Intent) {
/// intent.released().await;
/// intent.released().await; // one intent has one end
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an intent that is not concluded stays open in the log"]
pub struct Intent {
    seq: u64,
    who: String,
    log: AuditLog,
}

impl Intent {
    /// The position of the record, `{log}/{sequence}`.
    pub fn record_name(&self) -> String {
        format!("{}/{}", self.log.name, self.seq)
    }

    /// The signature is about to leave. Written with the next commit; nobody waits for it.
    pub async fn released(self) {
        // A closed channel means that the service is stopping; the intent then stays open, which says the truth.
        let _ = self
            .log
            .commands
            .send(Command::Released { seq: self.seq })
            .await;
    }

    /// No signature leaves, for this reason.
    pub async fn failed(self, reason: &str) {
        let data = serde_json::json!({ "intent": self.seq, "reason": reason });
        if let Err(error) = self
            .log
            .append(Event::SignFailed, Some(&self.who), data)
            .await
        {
            tracing::error!(%error, intent = self.seq, "could not record a failed signature");
        }
    }
}

#[cfg(test)]
mod tests;
