//! May this caller do this with that credential?
//!
//! In: a caller, what it asks for, a snapshot. Out: a [`Grant`] that nothing else can make. Never: whether the request
//! is fit (that is [`crate::policy`]), and never a hint whether something unknown or something forbidden was named.

use std::sync::Arc;

use crate::domain::{CallerName, Name, Operation, Purpose, Role};
use crate::world::{Destination, Snapshot};

/// Why a caller may not.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Denied {
    /// The certificate is good, but nobody has given this caller a role.
    #[error("{0} has no role here; an officer can give one with `sealkeep access apply`")]
    CallerUnknown(CallerName),
    /// No grant covers this. The same for what does not exist.
    #[error("{caller} has no grant for {operation} with this credential and bank")]
    NotGranted {
        /// Who asked.
        caller: CallerName,
        /// What was asked for.
        operation: &'static str,
    },
    /// Another role is needed.
    #[error("{caller} is {role}; this takes {needed}")]
    RoleRequired {
        /// Who asked.
        caller: CallerName,
        /// What the caller is.
        role: &'static str,
        /// What the caller would have to be.
        needed: &'static str,
    },
}

impl Denied {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::CallerUnknown(_) => "CALLER_UNKNOWN",
            Self::NotGranted { .. } => "NOT_GRANTED",
            Self::RoleRequired { .. } => "ROLE_REQUIRED",
        }
    }
}

/// A caller may do one operation with one credential for one bank. Used up by the decision it leads to.
///
/// Only [`grant`] makes one; its fields are nobody else's:
/// ```compile_fail,E0451
/// use sealkeep_service::authz::Grant;
///
/// fn forge(another: Grant) -> Grant {
///     Grant { ..another }
/// }
/// ```
#[derive(Debug)]
pub struct Grant {
    caller: CallerName,
    operation: Operation,
    credential: Name,
    destination: Arc<Destination>,
}

/// The bank has no version of the credential that it would accept now.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{bank} has no active version of {credential}; enrol, install and activate one")]
pub struct NotBound {
    bank: Name,
    credential: Name,
}

impl NotBound {
    /// The stable reason word.
    pub const REASON: &'static str = "NO_ACTIVE_VERSION";
}

/// Looks for a grant. An empty credential name means the one that the bank lists first.
pub fn grant(
    snapshot: &Snapshot,
    caller: &CallerName,
    operation: Operation,
    credential: &str,
    bank: &str,
) -> Result<Grant, Denied> {
    let known = snapshot
        .callers
        .get(caller)
        .ok_or_else(|| Denied::CallerUnknown(caller.clone()))?;
    let denied = || Denied::NotGranted {
        caller: caller.clone(),
        operation: operation.as_str(),
    };
    if known.role != Role::Signer {
        return Err(denied());
    }
    let destination = snapshot.banks.get(bank).ok_or_else(denied)?;
    let credential = match credential {
        "" => destination.default_credential(purpose(operation)),
        name => destination
            .bank
            .credentials
            .iter()
            .find(|c| c.as_str() == name),
    };
    let credential = credential.ok_or_else(denied)?;
    let covers = known.grants.iter().any(|rule| {
        rule.operations.contains(&operation)
            && rule.credential == *credential
            && rule.banks.contains(bank)
    });
    if !covers {
        return Err(denied());
    }
    Ok(Grant {
        caller: caller.clone(),
        operation,
        credential: credential.clone(),
        destination: destination.clone(),
    })
}

/// Which purpose a key must have for an operation.
pub fn purpose(operation: Operation) -> Purpose {
    match operation {
        Operation::Tls => Purpose::Transport,
        Operation::DecryptJwe => Purpose::Decryption,
        Operation::SignHttp
        | Operation::SignJws
        | Operation::SignClientAssertion
        | Operation::SignRequestObject
        | Operation::SignDpopProof
        | Operation::SignRegistration
        | Operation::SignJwtBody => Purpose::Seal,
    }
}

/// Whether the caller has one of these roles.
pub fn role(snapshot: &Snapshot, caller: &CallerName, needed: &[Role]) -> Result<(), Denied> {
    let known = snapshot
        .callers
        .get(caller)
        .ok_or_else(|| Denied::CallerUnknown(caller.clone()))?;
    if needed.contains(&known.role) {
        return Ok(());
    }
    Err(Denied::RoleRequired {
        caller: caller.clone(),
        role: known.role.as_str(),
        needed: needed.first().map_or("nobody", |role| role.as_str()),
    })
}

impl Grant {
    /// Who.
    pub fn caller(&self) -> &CallerName {
        &self.caller
    }

    /// What.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// With which credential.
    pub fn credential(&self) -> &Name {
        &self.credential
    }

    /// For which bank.
    pub fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    /// What to say when the bank accepts no version of the credential.
    pub fn not_bound(&self) -> NotBound {
        NotBound {
            bank: self.destination.bank.name.clone(),
            credential: self.credential.clone(),
        }
    }
}
