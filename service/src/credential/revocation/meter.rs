//! What was asked about revocation, counted.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::ask::Asked;
use crate::domain::RevocationSource;

type Labels = [(&'static str, &'static str); 2];

/// The instruments of this room: cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    questions: Family<Labels, Counter>,
}

impl Meter {
    /// Every outcome shows from the start: absent is not zero.
    pub(super) fn register(&self, registry: &mut Registry) {
        for source in [RevocationSource::Ocsp, RevocationSource::Crl] {
            for outcome in ["good", "revoked", "unknown", "failed"] {
                self.count(source, outcome, 0);
            }
        }
        registry.register(
            "revocation_questions",
            "Questions to responders and lists of revoked certificates, by outcome",
            self.questions.clone(),
        );
    }

    pub(super) fn asked(&self, asked: &Asked) {
        for attempt in &asked.attempts {
            let said = attempt.outcome.as_ref().ok();
            let outcome = said.map_or("failed", |said| said.status.as_str());
            self.count(attempt.source, outcome, 1);
        }
    }

    fn count(&self, source: RevocationSource, outcome: &'static str, by: u64) {
        let labels = [("source", source.as_str()), ("outcome", outcome)];
        self.questions.get_or_create_owned(&labels).inc_by(by);
    }
}
