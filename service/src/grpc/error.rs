//! From the errors of the rooms to `Status`: which family, which reason word, which field.
//!
//! | family | code |
//! |---|---|
//! | no identity | `UNAUTHENTICATED` |
//! | denied | `PERMISSION_DENIED` |
//! | invalid | `INVALID_ARGUMENT` |
//! | not now | `FAILED_PRECONDITION` |
//! | not there (administration only) | `NOT_FOUND` |
//! | too much | `RESOURCE_EXHAUSTED` |
//! | unavailable | `UNAVAILABLE` |
//! | late | `DEADLINE_EXCEEDED` |
//! | broken | `INTERNAL` |

mod administration;

use std::collections::HashMap;
use std::time::Duration;

use sealkeep_profiles::refusal::{Guilty, Refusal};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::audit::AuditError;
use crate::authn::AuthnError;
use crate::authz::{Denied, NotBound};
use crate::backend::BackendError;
use crate::domain::NameError;
use crate::policy::Unfit;
use crate::signing::SigningError;
use crate::store::StoreError;
use crate::world::WorldError;

/// `google.rpc.ErrorInfo.domain`.
pub(super) const DOMAIN: &str = "sealkeep";
/// When to try again after `RESOURCE_EXHAUSTED` and `UNAVAILABLE`, milliseconds.
const RETRY_AFTER_MS: u64 = 200;

/// What the wire says of an error.
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) reason: &'static str,
    pub(super) field: Option<String>,
    pub(super) metadata: HashMap<String, String>,
    /// When to try again, where time alone helps.
    pub(super) retry_after: Option<Duration>,
}

impl Fault {
    pub(super) fn new(code: Code, reason: &'static str) -> Self {
        Self {
            code,
            reason,
            field: None,
            metadata: HashMap::new(),
            retry_after: matches!(code, Code::ResourceExhausted | Code::Unavailable)
                .then_some(Duration::from_millis(RETRY_AFTER_MS)),
        }
    }

    fn again_in(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    pub(super) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// The status with `ErrorInfo`, and `BadRequest` or `RetryInfo` where they belong.
    pub(super) fn status(self, message: String) -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.reason, DOMAIN, self.metadata);
        if let Some(field) = self.field {
            details.add_bad_request_violation(field, message.clone());
        }
        if let Some(retry_after) = self.retry_after {
            details.set_retry_info(Some(retry_after));
        }
        Status::with_error_details(self.code, message, details)
    }
}

/// An error that has a place on the wire.
pub(super) trait OnWire: std::fmt::Display {
    fn fault(&self) -> Fault;
}

/// The status of an error.
pub(super) fn status_of(error: &dyn OnWire) -> Status {
    let fault = error.fault();
    // What went wrong inside is for the log; a caller learns that it did.
    let message = match fault.code {
        Code::Internal => {
            tracing::error!(reason = fault.reason, %error, "internal error");
            "internal error; see the service's log".to_owned()
        }
        _ => error.to_string(),
    };
    fault.status(message)
}

/// A message lacks what it needs, or says it wrongly.
pub(super) fn invalid(field: &str, message: impl ToString) -> Status {
    let fault = Fault::new(Code::InvalidArgument, "FIELD_INVALID").field(field);
    fault.status(message.to_string())
}

impl OnWire for AuthnError {
    fn fault(&self) -> Fault {
        Fault::new(Code::Unauthenticated, self.reason())
    }
}

impl OnWire for Denied {
    fn fault(&self) -> Fault {
        Fault::new(Code::PermissionDenied, self.reason())
    }
}

impl OnWire for NameError {
    fn fault(&self) -> Fault {
        Fault::new(Code::InvalidArgument, "NAME_INVALID")
    }
}

impl OnWire for Refusal {
    fn fault(&self) -> Fault {
        let code = match self.guilty() {
            Guilty::Request => Code::InvalidArgument,
            Guilty::Bank | Guilty::Credential => Code::FailedPrecondition,
        };
        Fault::new(code, self.reason()).field(self.field())
    }
}

impl OnWire for Unfit {
    fn fault(&self) -> Fault {
        let fault = |code| Fault::new(code, self.reason());
        match self {
            Self::Host { host } => fault(Code::PermissionDenied).with("host", host),
            Self::OperationUnknown { .. } | Self::NotHarmless | Self::Tls12 => {
                fault(Code::PermissionDenied)
            }
            Self::Stale { header, .. } | Self::DateMalformed { header } => {
                fault(Code::InvalidArgument).field(format!("headers[{header:?}]"))
            }
            Self::Role { role, held, .. } => fault(Code::FailedPrecondition)
                .with("role", role)
                .with("held", held),
            Self::Expired { not_after, .. } => {
                fault(Code::FailedPrecondition).with("not_after", not_after)
            }
            Self::NotYetValid { not_before, .. } => {
                fault(Code::FailedPrecondition).with("not_before", not_before)
            }
            Self::VersionState { .. } | Self::Purpose { .. } | Self::Environment { .. } => {
                fault(Code::FailedPrecondition)
            }
        }
    }
}

impl OnWire for BackendError {
    fn fault(&self) -> Fault {
        use BackendError as E;
        let code = match self {
            E::Busy | E::Exhausted { .. } => Code::ResourceExhausted,
            E::Deadline => Code::DeadlineExceeded,
            E::Unavailable { .. } => Code::Unavailable,
            E::SpecUnsupported(_) | E::MessageTooLong { .. } => Code::InvalidArgument,
            E::DigestLength { .. } | E::SchemeUnfit { .. } | E::Malformed(_) => Code::Internal,
            E::KeyUnknown(_)
            | E::KeyAmbiguous(_)
            | E::KeyMismatch(_)
            | E::KeyExists(_)
            | E::KeyUnprotected(_)
            | E::KeySuspect(_)
            | E::SetUnknown(_)
            | E::SchemeUnsupported { .. }
            | E::Rejected { .. }
            | E::PinRefused { .. }
            | E::PinFinalTry
            | E::PinLocked
            | E::PinUnavailable(_)
            | E::PinMarker { .. }
            | E::TokenNotFound { .. }
            | E::TokenAmbiguous { .. }
            | E::ModuleMissing(_)
            | E::ModuleInvalid { .. }
            | E::ModuleSpies(_)
            | E::ConfigInvalid { .. } => Code::FailedPrecondition,
        };
        Fault::new(code, self.reason())
    }
}

impl OnWire for AuditError {
    fn fault(&self) -> Fault {
        Fault::new(Code::Unavailable, "AUDIT_UNAVAILABLE")
    }
}

impl OnWire for StoreError {
    fn fault(&self) -> Fault {
        match self {
            Self::Database(_) => Fault::new(Code::Unavailable, "STORE_UNAVAILABLE"),
            Self::ChangedMeanwhile(_) => Fault::new(Code::FailedPrecondition, "CHANGED_MEANWHILE"),
            _ => Fault::new(Code::Internal, "STORE_DAMAGED"),
        }
    }
}

impl OnWire for WorldError {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::ProfileUnknown { .. } | Self::SettingsUnfit { .. } => {
                Fault::new(Code::Internal, "PROFILE_UNKNOWN")
            }
        }
    }
}

impl OnWire for SigningError {
    fn fault(&self) -> Fault {
        match self {
            Self::Denied(error) => error.fault(),
            Self::NotBound(_) => Fault::new(Code::FailedPrecondition, NotBound::REASON),
            Self::Rebound { bound, .. } => {
                Fault::new(Code::FailedPrecondition, self.reason()).with("bound", bound.resource())
            }
            Self::VerificationEnded => Fault::new(Code::FailedPrecondition, self.reason()),
            Self::Held {
                until, retry_after, ..
            } => Fault::new(Code::FailedPrecondition, self.reason())
                .with("until", until)
                .again_in(*retry_after),
            Self::Unfit(error) => error.fault(),
            Self::Refused(error) => error.fault(),
            Self::Backend(error) => error.fault(),
            Self::Audit(error) => error.fault(),
            Self::Jwe(_) | Self::Undecryptable(_) => {
                Fault::new(Code::InvalidArgument, self.reason()).field("jwe")
            }
            Self::OutOfTouch(_) => Fault::new(Code::Unavailable, self.reason()),
            Self::Late => Fault::new(Code::DeadlineExceeded, self.reason()),
            Self::SelfVerification(_) | Self::Broken => Fault::new(Code::Internal, self.reason()),
        }
    }
}
