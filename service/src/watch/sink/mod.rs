//! Where alerts go.
//!
//! In: an [`Alert`] and the time. Out: delivered or not, and why. Never: a retry; that is the outbox's work. A trait
//! because strangers plug in here: what a firm uses to call its people is its own.

mod log;
mod signature;
mod webhook;

use std::future::Future;
use std::pin::Pin;

use jiff::{SignedDuration, Timestamp};

pub use log::LogSink;
pub use signature::{Secrets, SecretsError};
pub use webhook::{WebhookConfig, WebhookError, WebhookSink};

use super::alert::Alert;

/// Why an alert did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Undelivered {
    /// The stable reason word.
    pub reason: &'static str,
    /// What the other side said or did.
    pub detail: String,
    /// When it wants to be asked again.
    pub retry_after: Option<SignedDuration>,
}

/// What [`AlertSink::deliver`] returns.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<(), Undelivered>> + Send + 'a>>;

/// Something that takes alerts. It may be given the same one twice, never one that it has acknowledged and that the
/// store remembers as such.
pub trait AlertSink: std::fmt::Debug + Send + Sync + 'static {
    /// Its name: lasting, for what was delivered is remembered by it.
    fn name(&self) -> &str;

    /// Delivers an alert. Ends by itself within a bounded time.
    fn deliver<'a>(&'a self, alert: &'a Alert, now: Timestamp) -> Delivery<'a>;
}
