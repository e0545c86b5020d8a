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

use std::collections::HashMap;
use std::time::Duration;

use sealkeep_profiles::refusal::{Guilty, Refusal};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::access::AccessError;
use crate::approval::{ApprovalError, Undecided};
use crate::audit::AuditError;
use crate::authn::AuthnError;
use crate::authz::{Denied, NotBound};
use crate::backend::BackendError;
use crate::bank::ApplyError;
use crate::bank::rotation::campaign::RotationError;
use crate::credential::{CredentialError, CsrError};
use crate::domain::NameError;
use crate::policy::Unfit;
use crate::registry::ChangeError;
use crate::signing::SigningError;
use crate::store::StoreError;
use crate::trust::ImportError;
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

impl OnWire for ChangeError {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Audit(error) => error.fault(),
            Self::Backend(error) => error.fault(),
            Self::World(error) => error.fault(),
        }
    }
}

impl OnWire for CredentialError {
    fn fault(&self) -> Fault {
        match self {
            Self::Unknown(_) => Fault::new(Code::NotFound, "CREDENTIAL_UNKNOWN"),
            Self::PurposeDiffers { .. } => {
                Fault::new(Code::FailedPrecondition, "PURPOSE_DIFFERS").field("purpose")
            }
            Self::WithoutCertificate(_) => {
                Fault::new(Code::FailedPrecondition, "CREDENTIAL_WITHOUT_CERTIFICATE")
            }
            Self::WithoutRequest(_) => {
                Fault::new(Code::FailedPrecondition, "VERSION_WITHOUT_REQUEST")
            }
            Self::KeyKnown(_) => Fault::new(Code::FailedPrecondition, "KEY_KNOWN"),
            Self::Csr(CsrError::Subject { field, .. }) => {
                let field = format!("subject.{field}");
                Fault::new(Code::InvalidArgument, "SUBJECT_INVALID").field(field)
            }
            Self::Csr(CsrError::Backend(error)) => error.fault(),
            Self::Csr(CsrError::Encoding(_) | CsrError::SelfVerification) => {
                Fault::new(Code::Internal, "CSR_FAILED")
            }
            Self::Unreadable(_) => {
                Fault::new(Code::InvalidArgument, "CERTIFICATE_UNREADABLE").field("certificates")
            }
            Self::Blocked(findings) => {
                let codes: Vec<_> = findings
                    .iter()
                    .filter(|f| f.blocking)
                    .map(|f| f.code.as_str())
                    .collect();
                Fault::new(Code::FailedPrecondition, "CERTIFICATE_BLOCKED")
                    .with("findings", codes.join(","))
            }
            Self::State { .. } => Fault::new(Code::FailedPrecondition, "STATE_FORBIDS"),
            Self::KeyDestroyed(_) => Fault::new(Code::FailedPrecondition, "KEY_DESTROYED"),
            Self::RotationOpen(_) => Fault::new(Code::FailedPrecondition, "ROTATION_OPEN"),
            Self::NotValidNow(_) => {
                Fault::new(Code::FailedPrecondition, "CERTIFICATE_NOT_VALID_NOW")
            }
            Self::NumberMissing(_) => {
                Fault::new(Code::InvalidArgument, "VERSION_NUMBER_MISSING").field("name")
            }
            Self::NotReplicated { lacking, .. } => {
                Fault::new(Code::FailedPrecondition, "KEY_NOT_REPLICATED")
                    .with("tokens", lacking.join(","))
            }
            Self::StillBound { banks, .. } => {
                let banks: Vec<_> = banks.iter().map(crate::domain::Name::as_str).collect();
                Fault::new(Code::FailedPrecondition, "VERSION_STILL_BOUND")
                    .with("banks", banks.join(","))
            }
            Self::EnrollerUnknown { .. } => {
                Fault::new(Code::InvalidArgument, "ENROLLER_UNKNOWN").field("enroller")
            }
            Self::NotRevoked(_) => Fault::new(Code::FailedPrecondition, "NOT_REVOKED"),
            Self::EnrolmentClosed(_) => Fault::new(Code::FailedPrecondition, "ENROLMENT_CLOSED"),
            Self::EnrolmentOpen { .. } => Fault::new(Code::FailedPrecondition, "ENROLMENT_OPEN"),
            Self::Approval(error) => error.fault(),
            Self::Change(error) => error.fault(),
        }
    }
}

impl OnWire for ImportError {
    fn fault(&self) -> Fault {
        match self {
            Self::NoSigners => Fault::new(Code::FailedPrecondition, "LOTL_SIGNERS_MISSING"),
            Self::NoFiles => Fault::new(Code::InvalidArgument, "FILES_MISSING"),
            Self::Refused(problems) => {
                let words: Vec<_> = problems.iter().map(|problem| problem.reason).collect();
                Fault::new(Code::FailedPrecondition, "TRUSTED_LISTS_REFUSED")
                    .with("problems", words.join(","))
            }
            Self::Unknown(_) => Fault::new(Code::NotFound, "TRUSTED_LIST_UNKNOWN"),
            Self::Change(error) => error.fault(),
        }
    }
}

impl OnWire for ApprovalError {
    fn fault(&self) -> Fault {
        match self {
            Self::Unknown(_) => Fault::new(Code::NotFound, "APPROVAL_UNKNOWN"),
            Self::Open { id, .. } => {
                Fault::new(Code::FailedPrecondition, "APPROVAL_OPEN").with("approval", id)
            }
            Self::Full => Fault::new(Code::FailedPrecondition, "APPROVALS_FULL"),
            Self::Reason => Fault::new(Code::InvalidArgument, "REASON_INVALID").field("reason"),
            Self::Undecided { source, .. } => match source {
                Undecided::Own(_) => Fault::new(Code::PermissionDenied, source.reason()),
                _ => Fault::new(Code::FailedPrecondition, source.reason()),
            },
            Self::State { .. } => Fault::new(Code::FailedPrecondition, "STATE_FORBIDS"),
            Self::Change(error) => error.fault(),
        }
    }
}

impl OnWire for RotationError {
    fn fault(&self) -> Fault {
        let not_now = |reason| Fault::new(Code::FailedPrecondition, reason);
        let invalid = |reason, field: &str| Fault::new(Code::InvalidArgument, reason).field(field);
        match self {
            Self::CredentialUnknown(_) => Fault::new(Code::NotFound, "CREDENTIAL_UNKNOWN"),
            Self::NotOpen(_) => Fault::new(Code::NotFound, "ROTATION_NOT_OPEN"),
            Self::Open { .. } => not_now("ROTATION_OPEN"),
            Self::VersionUnfit { .. } => not_now("VERSION_UNFIT").field("version"),
            Self::UnderWay(_) => not_now("ROTATION_UNDER_WAY"),
            Self::Count => invalid("COUNT_OUT_OF_RANGE", "banks"),
            Self::NotMoving(_) => not_now("BANK_NOT_MOVING").field("banks"),
            Self::Environment { .. } => not_now("ENVIRONMENT_MISMATCH").field("banks"),
            Self::CanaryTransport => invalid("CANARY_TRANSPORT", "step"),
            Self::Refused { source, bank } if source.is_invalid() => {
                invalid(source.reason(), "step").with("bank", bank)
            }
            Self::Refused { source, bank } => not_now(source.reason()).with("bank", bank),
            Self::Behind(banks) => {
                let banks: Vec<_> = banks.iter().map(crate::domain::Name::as_str).collect();
                not_now("BANKS_NOT_MOVED").with("banks", banks.join(","))
            }
            Self::VerifyUnconfigured(bank) => not_now("VERIFY_NOT_CONFIGURED").with("bank", bank),
            Self::Unverifiable => not_now("CREDENTIAL_WITHOUT_CERTIFICATE"),
            Self::VerificationEnded => not_now("VERIFICATION_ENDED"),
            Self::Reason => invalid("REASON_INVALID", "reason"),
            Self::Change(error) => error.fault(),
        }
    }
}

impl OnWire for ApplyError {
    fn fault(&self) -> Fault {
        let reason = match self {
            Self::Change(error) => return error.fault(),
            Self::Count => "COUNT_OUT_OF_RANGE",
            Self::Twice(_) => "NAMED_TWICE",
            Self::Malformed { .. } => "BANK_MALFORMED",
            Self::ProfileUnknown { .. } => "PROFILE_UNKNOWN",
            Self::NotOauth { .. } => "PROFILE_WITHOUT_JWT",
            Self::Settings { .. } => "SETTINGS_INVALID",
            Self::CredentialUnknown { .. } => "CREDENTIAL_UNKNOWN",
        };
        Fault::new(Code::InvalidArgument, reason).field(field_of(self))
    }
}

impl OnWire for AccessError {
    fn fault(&self) -> Fault {
        let reason = match self {
            Self::Change(error) => return error.fault(),
            Self::NoOfficerLeft => {
                return Fault::new(Code::FailedPrecondition, "NO_OFFICER_LEFT").field("callers");
            }
            Self::Count => "COUNT_OUT_OF_RANGE",
            Self::Twice(_) => "NAMED_TWICE",
            Self::GrantsWithoutSigner(_) => "GRANTS_WITHOUT_SIGNER",
            Self::Grant { .. } => "GRANT_INVALID",
        };
        Fault::new(Code::InvalidArgument, reason).field(field_of(self))
    }
}

/// The messages of these errors begin with the field they are about.
fn field_of(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.split_once(": ")
        .map_or(text.clone(), |(field, _)| field.to_owned())
}
