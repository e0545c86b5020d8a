//! The sink that is always there: the service's own log.

use jiff::Timestamp;

use super::{AlertSink, Delivery};
use crate::watch::alert::Alert;
use crate::watch::threshold::Severity;

/// Writes each alert as one line: errors from critical on, warnings, and the rest as information.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogSink;

impl AlertSink for LogSink {
    fn name(&self) -> &str {
        "log"
    }

    fn deliver<'a>(&'a self, alert: &'a Alert, _now: Timestamp) -> Delivery<'a> {
        let (id, kind, name) = (&alert.id, alert.kind.as_str(), &alert.name);
        let (severity, end) = (alert.severity.as_str(), alert.end_time);
        let banks = alert.banks.join(" ");
        let event = alert.event();
        match alert.severity {
            Severity::Info => {
                tracing::info!(id, kind, name, severity, %end, banks, "{event}");
            }
            Severity::Warning => {
                tracing::warn!(id, kind, name, severity, %end, banks, "{event}");
            }
            Severity::Critical | Severity::Page => {
                tracing::error!(id, kind, name, severity, %end, banks, "{event}");
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
