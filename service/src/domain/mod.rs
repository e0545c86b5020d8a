//! The nouns: plain values, checked when they are made.
//!
//! In: text and rows from outside. Out: values whose invariants hold. Never: I/O, time, decisions.

mod access;
mod approval;
mod bank;
mod credential;
mod enrolment;
mod harmless;
mod names;
mod procedure;
mod revocation;

pub use access::{Caller, CallerName, GrantRule, Operation, Role};
pub use approval::{Approval, ApprovalId, Standing, Verb};
pub use bank::{Bank, BankError, Binding, Host};
pub use credential::{Credential, Environment, Issued, KeyOrigin, Purpose, Version, VersionState};
pub use enrolment::{Enrolment, EnrolmentState, Wish};
pub use harmless::{HarmlessError, HarmlessRequest, SafeMethod};
pub use names::{Name, NameError, VersionId};
pub use procedure::{LEAD_TIME_DAYS_MAX, Procedure, RotationTerms};
pub use revocation::{
    Failure, Revocation, RevocationReason, RevocationSource, RevocationStatus, Statement,
};
