//! Is THIS request fit to be signed now?
//!
//! In: a grant, the version the bank accepts, facts of the request, the time. Out: a [`Permit`] for exactly one
//! signature. One pure rule a file; the first that objects decides. Never: who may (that is [`crate::authz`]), how the
//! bytes look (that is the profile, which also refuses missing, doubled and malformed fields).

mod environment;
mod freshness;
pub(crate) mod harmless;
mod host;
mod role;
mod validity;

use std::sync::Arc;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::request::HttpRequest;

use crate::authz::{self, Grant};
use crate::domain::{CallerName, Issued, Operation, Purpose, Version, VersionId, VersionState};
use crate::world::Destination;

/// What the rules may look at.
#[derive(Debug, Clone, Copy)]
pub enum Facts<'a> {
    /// An HTTP request to be sealed.
    Http(&'a HttpRequest),
    /// A payload to be made a JWS.
    Jws,
    /// A JWT for the authorisation server.
    Jwt,
    /// A DPoP proof for a request; what the request does is not asked, for tokens are fetched with one too.
    DpopProof(&'a HttpRequest),
    /// A TLS 1.3 handshake; its destination cannot be proven.
    Tls13,
    /// A TLS 1.2 handshake with the server name its transcript proves.
    Tls12 {
        /// From the ClientHello.
        server_name: &'a str,
    },
}

/// Why a request is not fit.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    /// The version does not sign in its state.
    #[error("{version} is {}; its key is not used", .state.as_str())]
    VersionState {
        /// Which version.
        version: VersionId,
        /// Its state.
        state: VersionState,
    },
    /// The key is for other work.
    #[error("{version} is a {purpose} key and cannot do {operation}")]
    Purpose {
        /// Which version.
        version: VersionId,
        /// What it is for.
        purpose: &'static str,
        /// What was asked.
        operation: &'static str,
    },
    /// The certificate has ended.
    #[error("the certificate of {version} ended at {not_after}")]
    Expired {
        /// Which version.
        version: VersionId,
        /// When.
        not_after: Timestamp,
    },
    /// The certificate has not begun.
    #[error("the certificate of {version} begins at {not_before}")]
    NotYetValid {
        /// Which version.
        version: VersionId,
        /// When.
        not_before: Timestamp,
    },
    /// A sandbox key for a production bank, or the reverse.
    #[error("{version} is a {key} key, the bank is {bank}")]
    Environment {
        /// Which version.
        version: VersionId,
        /// The world of its trust anchor.
        key: &'static str,
        /// The world of the bank.
        bank: &'static str,
    },
    /// The request goes elsewhere.
    #[error("{host:?} is not a host of this bank")]
    Host {
        /// Where it goes.
        host: String,
    },
    /// The profile has no such call.
    #[error("{method} {path} is not an operation of profile {profile}")]
    OperationUnknown {
        /// The method.
        method: &'static str,
        /// The path, without query.
        path: String,
        /// The profile.
        profile: String,
    },
    /// The certificate lacks the PSD2 role that the call takes.
    #[error("{operation} takes role {role}; the certificate of {version} has {held}")]
    Role {
        /// Which version.
        version: VersionId,
        /// The call.
        operation: String,
        /// The role it takes.
        role: String,
        /// The roles the certificate has.
        held: String,
    },
    /// A date header is too far from now.
    #[error("{header} is {off_by_seconds} s away from now; the bank takes at most {max_seconds} s")]
    Stale {
        /// Which header.
        header: String,
        /// How far.
        off_by_seconds: u64,
        /// The limit.
        max_seconds: u32,
    },
    /// A date header is not an IMF-fixdate (RFC 9110 section 5.6.7).
    #[error("{header} is not a date like `Tue, 24 Nov 2026 10:00:00 GMT`")]
    DateMalformed {
        /// Which header.
        header: String,
    },
    /// A verification asks for another request than the bank's harmless one.
    #[error("a verification signs the harmless request of the bank and nothing else")]
    NotHarmless,
    /// The bank has not been cleared for TLS 1.2.
    #[error("TLS 1.2 is not allowed for this bank; set tls12_allowed if it must be")]
    Tls12,
}

impl Unfit {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::VersionState { state, .. } => match state {
                VersionState::Frozen => "VERSION_FROZEN",
                VersionState::Revoked => "VERSION_REVOKED",
                _ => "VERSION_NOT_ACTIVE",
            },
            Self::Purpose { .. } => "KEY_PURPOSE_MISMATCH",
            Self::Expired { .. } => "CERTIFICATE_EXPIRED",
            Self::NotYetValid { .. } => "CERTIFICATE_NOT_YET_VALID",
            Self::Environment { .. } => "ENVIRONMENT_MISMATCH",
            Self::Host { .. } => "HOST_NOT_ALLOWED",
            Self::OperationUnknown { .. } => "OPERATION_UNKNOWN",
            Self::Role { .. } => "ROLE_NOT_IN_CERTIFICATE",
            Self::Stale { .. } => "REQUEST_NOT_FRESH",
            Self::DateMalformed { .. } => "DATE_MALFORMED",
            Self::NotHarmless => "NOT_HARMLESS",
            Self::Tls12 => "TLS12_NOT_ALLOWED",
        }
    }
}

/// One request may be signed once, with one version, now.
///
/// Only [`decide`] makes one, and the audit log takes it away: one permit cannot serve two signatures.
/// ```compile_fail
/// # async fn twice(log: sealkeep_service::audit::AuditLog, permit: sealkeep_service::policy::Permit) {
/// let first = log.intend(permit, serde_json::json!({})).await;
/// let second = log.intend(permit, serde_json::json!({})).await; // value used after move
/// # }
/// ```
/// ```compile_fail
/// fn copy(permit: &sealkeep_service::policy::Permit) -> sealkeep_service::policy::Permit {
///     permit.clone() // a permit is not Clone
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    caller: CallerName,
    operation: Operation,
    destination: Option<Arc<Destination>>,
    /// The PSD2 operation of the profile, when the request has one.
    bank_operation: Option<String>,
}

/// Applies every rule.
pub fn decide(
    grant: Grant,
    version: &Version,
    issued: &Issued,
    purpose: Purpose,
    facts: Facts<'_>,
    now: Timestamp,
) -> Result<Permit, Unfit> {
    let destination = grant.destination();
    let bank = &destination.bank;
    let case = Case {
        version,
        certificate: issued.leaf(),
        destination,
        facts,
        now,
    };
    usable(&grant, version, purpose)?;
    environment::check(&case, issued.environment, bank.environment)?;
    validity::check(&case)?;
    host::check(&case)?;
    let bank_operation = role::check(&case)?;
    freshness::check(&case)?;
    Ok(Permit {
        caller: grant.caller().clone(),
        operation: grant.operation(),
        destination: Some(destination.clone()),
        bank_operation,
    })
}

/// Whether something may be decrypted. A decryption key has no certificate: it has no end, no world and no role, and the
/// binding alone says which bank it is for.
pub fn decide_decryption(
    grant: Grant,
    version: &Version,
    purpose: Purpose,
) -> Result<Permit, Unfit> {
    usable(&grant, version, purpose)?;
    Ok(Permit {
        caller: grant.caller().clone(),
        operation: grant.operation(),
        destination: Some(grant.destination().clone()),
        bank_operation: None,
    })
}

/// A key does what it is for, while its version is in use.
pub(crate) fn usable(grant: &Grant, version: &Version, purpose: Purpose) -> Result<(), Unfit> {
    if !version.state.signs() {
        let (version, state) = (version.id.clone(), version.state);
        return Err(Unfit::VersionState { version, state });
    }
    if purpose != authz::purpose(grant.operation()) {
        return Err(Unfit::Purpose {
            version: version.id.clone(),
            purpose: purpose.as_str(),
            operation: grant.operation().as_str(),
        });
    }
    Ok(())
}

/// What every rule gets.
struct Case<'a> {
    version: &'a Version,
    certificate: &'a Certificate,
    destination: &'a Destination,
    facts: Facts<'a>,
    now: Timestamp,
}

impl Permit {
    /// Who may.
    pub fn caller(&self) -> &CallerName {
        &self.caller
    }

    /// What.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The name of the bank.
    pub fn bank(&self) -> &str {
        self.destination
            .as_ref()
            .map_or("", |d| d.bank.name.as_str())
    }

    /// The call of the bank's API, for example `payment-initiation`.
    pub fn bank_operation(&self) -> Option<&str> {
        self.bank_operation.as_deref()
    }

    /// A permit for tests of what comes after the decision.
    #[cfg(test)]
    pub(crate) fn for_test(caller: &str) -> Self {
        #[allow(clippy::unwrap_used, reason = "test only")]
        let caller = CallerName::try_from(caller.to_owned()).unwrap();
        Self {
            caller,
            operation: Operation::SignHttp,
            destination: None,
            bank_operation: None,
        }
    }
}

#[cfg(test)]
mod tests;
