//! What enrolments did, counted; what they are is read from the snapshot at each scrape.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::domain::Name;

/// The instruments of enrolment: cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    step_failures: Family<[(&'static str, String); 1], Counter>,
}

impl Meter {
    /// Registers what is counted.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "enrolment_step_failures",
            "Steps towards a QTSP that failed and are tried again",
            self.step_failures.clone(),
        );
    }

    /// Every way shows from the start: absent is not zero.
    pub(crate) fn expect<'a>(&self, enrollers: impl Iterator<Item = &'a Name>) {
        enrollers.for_each(|enroller| self.count(enroller, 0));
    }

    pub(super) fn step_failed(&self, enroller: &Name) {
        self.count(enroller, 1);
    }

    fn count(&self, enroller: &Name, by: u64) {
        let labels = [("enroller", enroller.to_string())];
        self.step_failures.get_or_create_owned(&labels).inc_by(by);
    }
}
