//! Signatures, counted.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::SigningError;
use crate::clock::DURATION_BUCKETS_S;
use crate::domain::Operation;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The instruments of signing: cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    signatures: Family<Labels<2>, Counter>,
    refusals: Family<Labels<2>, Counter>,
    duration: Family<Labels<1>, Histogram, fn() -> Histogram>,
}

impl Meter {
    /// Every operation and outcome shows from the start: absent is not zero.
    pub(super) fn new() -> Self {
        let meter = Self {
            signatures: Family::default(),
            refusals: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_S)),
        };
        // Decryptions are no signatures.
        let signs = |operation: &Operation| *operation != Operation::DecryptJwe;
        for operation in Operation::ALL.into_iter().filter(signs) {
            for outcome in OUTCOMES {
                meter
                    .signatures
                    .get_or_create_owned(&labels(operation, outcome));
            }
            meter
                .duration
                .get_or_create_owned(&[("operation", operation.as_str())]);
        }
        meter
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Requests for a signature, by what became of them";
        registry.register("signatures", help, self.signatures.clone());
        let help = "Requests for a signature that were not met, by the reason the caller was told";
        registry.register("signature_refusals", help, self.refusals.clone());
        let help = "How long signatures that were released took, record and verification included";
        registry.register_with_unit(
            "signature_duration",
            help,
            Unit::Seconds,
            self.duration.clone(),
        );
    }

    pub(super) fn count<T>(
        &self,
        operation: Operation,
        result: &Result<T, SigningError>,
        took: Duration,
    ) {
        let outcome = outcome(result);
        self.signatures
            .get_or_create_owned(&labels(operation, outcome))
            .inc();
        match result {
            Ok(_) => {
                let duration = self
                    .duration
                    .get_or_create_owned(&[("operation", operation.as_str())]);
                duration.observe(took.as_secs_f64());
            }
            Err(error) => {
                let labels = [
                    ("operation", operation.as_str()),
                    ("reason", error.reason()),
                ];
                self.refusals.get_or_create_owned(&labels).inc();
            }
        }
    }
}

fn labels(operation: Operation, outcome: &'static str) -> Labels<2> {
    [("operation", operation.as_str()), ("outcome", outcome)]
}

/// What a request for a signature can become.
const OUTCOMES: [&str; 6] = [
    "released",
    "denied",
    "refused",
    "unavailable",
    "late",
    "failed",
];

/// `released`; whose fault it was otherwise: who may not (`denied`), what cannot be signed so or now (`refused`), token
/// or log (`unavailable`), time (`late`), or we (`failed`).
fn outcome<T>(result: &Result<T, SigningError>) -> &'static str {
    use crate::backend::BackendError as B;
    match result {
        Ok(_) => "released",
        Err(SigningError::Denied(_)) => "denied",
        Err(
            SigningError::NotBound(_)
            | SigningError::Rebound { .. }
            | SigningError::VerificationEnded
            | SigningError::Held { .. }
            | SigningError::Unfit(_)
            | SigningError::Jwe(_)
            | SigningError::Undecryptable(_)
            | SigningError::Refused(_),
        ) => "refused",
        Err(SigningError::Late | SigningError::Backend(B::Deadline)) => "late",
        Err(SigningError::Backend(_) | SigningError::Audit(_) | SigningError::OutOfTouch(_)) => {
            "unavailable"
        }
        Err(SigningError::SelfVerification(_) | SigningError::Broken) => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendError;

    #[test]
    fn every_outcome_is_there_before_it_happens() {
        for (error, wanted) in [
            (SigningError::Late, "late"),
            (SigningError::Broken, "failed"),
            (SigningError::Backend(BackendError::Deadline), "late"),
            (SigningError::Backend(BackendError::Busy), "unavailable"),
        ] {
            let outcome = outcome::<()>(&Err(error));
            assert_eq!(outcome, wanted);
            assert!(OUTCOMES.contains(&outcome));
        }
        assert_eq!(outcome(&Ok(())), OUTCOMES[0]);
    }
}
