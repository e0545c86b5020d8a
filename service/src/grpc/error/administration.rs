//! What an administrative change stumbled over, on the wire.

use tonic::Code;

use super::{Fault, OnWire};
use crate::access::AccessError;
use crate::approval::{ApprovalError, Undecided};
use crate::bank::ApplyError;
use crate::bank::rotation::campaign::RotationError;
use crate::credential::{CredentialError, CsrError};
use crate::registry::ChangeError;
use crate::trust::ImportError;

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
