//! What monitoring sees.
//!
//! In: the instruments of the rooms, and what the service knows when it is asked. Out: `/metrics`, as OpenMetrics or as
//! the text format of Prometheus. Never: a caller, a request id, a path or anything else that grows with traffic as a
//! label; labels are configured names and words of this code.
//!
//! Each room owns its instruments and hands them to the registry once (`register`); what is state rather than events is
//! read at each scrape by `state`.

mod enrolments;
mod listener;
mod revocation;
mod rotations;
mod state;
mod text;
mod tokens;
mod trusted_lists;

use std::sync::Arc;

use prometheus_client::registry::Registry;

pub use listener::MetricsListener;
pub use state::State;

/// How the exposition is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus.
    Text,
}

/// Everything that is exposed: cheap to clone.
#[derive(Debug, Clone)]
pub struct Exposition(Arc<Registry>);

impl Exposition {
    /// The state, and what the rooms register.
    pub fn new(state: State, register: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::with_prefix("sealkeep");
        register(&mut registry);
        registry.register_collector(Box::new(state));
        Self(Arc::new(registry))
    }

    /// The exposition now.
    pub(crate) fn encode(&self, format: Format) -> Result<String, std::fmt::Error> {
        let mut written = String::new();
        prometheus_client::encoding::text::encode(&mut written, &self.0)?;
        Ok(match format {
            Format::OpenMetrics => written,
            Format::Text => text::from_open_metrics(&written),
        })
    }
}
