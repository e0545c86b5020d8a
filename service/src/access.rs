//! Callers, roles and grants.
//!
//! In: callers as an officer describes them. Out: callers in the store. Never: a grant for what does not exist, a
//! service without an officer, a caller who both manages keys and signs with them.

use serde_json::json;

use crate::audit::Event;
use crate::domain::{Caller, CallerName, Role};
use crate::registry::{ChangeError, Registry};
use crate::world::Snapshot;

/// Most callers in one call.
pub const CALLERS_PER_CALL_MAX: usize = 256;
/// Most grants of one caller.
pub const GRANTS_PER_CALLER_MAX: usize = 256;

/// Why access did not change.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Nothing, or too much, in one call.
    #[error("callers: 1 to {CALLERS_PER_CALL_MAX} in one call")]
    Count,
    /// The same name twice in one call.
    #[error("callers[{0}]: named twice")]
    Twice(CallerName),
    /// Only signers have grants.
    #[error("callers[{0}].grants: only a signer has grants")]
    GrantsWithoutSigner(CallerName),
    /// Too many grants, or a grant without operation or bank.
    #[error("callers[{caller}].grants[{at}]: {problem}")]
    Grant {
        /// Which caller.
        caller: CallerName,
        /// Which grant, from 0.
        at: usize,
        /// What is wrong.
        problem: String,
    },
    /// Nobody could administer the service any more.
    #[error("callers: no officer would be left")]
    NoOfficerLeft,
    /// Store or log.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Registry {
    /// Replaces the roles and grants of the named callers, all or none.
    pub async fn apply_callers(
        &self,
        who: &CallerName,
        callers: Vec<Caller>,
        validate_only: bool,
    ) -> Result<(), AccessError> {
        let _turn = self.turn().await?;
        check(&callers, &self.world.load())?;
        if validate_only {
            return Ok(());
        }
        let data = json!({
            "callers": callers
                .iter()
                .map(|c| json!({"name": c.name, "role": c.role, "grants": c.grants}))
                .collect::<Vec<_>>(),
        });
        let write = self.world.store().put_callers(&callers);
        Ok(self.change(who, Event::AccessApply, data, write).await?)
    }
}

fn check(callers: &[Caller], snapshot: &Snapshot) -> Result<(), AccessError> {
    if callers.is_empty() || callers.len() > CALLERS_PER_CALL_MAX {
        return Err(AccessError::Count);
    }
    for (at, caller) in callers.iter().enumerate() {
        if callers[..at].iter().any(|other| other.name == caller.name) {
            return Err(AccessError::Twice(caller.name.clone()));
        }
        if caller.role != Role::Signer && !caller.grants.is_empty() {
            return Err(AccessError::GrantsWithoutSigner(caller.name.clone()));
        }
        check_grants(caller, snapshot)?;
    }
    let named = |name: &CallerName| callers.iter().any(|caller| caller.name == *name);
    let stay = snapshot
        .callers
        .values()
        .filter(|caller| !named(&caller.name));
    if callers
        .iter()
        .chain(stay)
        .any(|caller| caller.role == Role::Officer)
    {
        Ok(())
    } else {
        Err(AccessError::NoOfficerLeft)
    }
}

fn check_grants(caller: &Caller, snapshot: &Snapshot) -> Result<(), AccessError> {
    for (at, grant) in caller.grants.iter().enumerate() {
        let refuse = |problem: String| {
            Err(AccessError::Grant {
                caller: caller.name.clone(),
                at,
                problem,
            })
        };
        if at >= GRANTS_PER_CALLER_MAX {
            return refuse(format!("more than {GRANTS_PER_CALLER_MAX}"));
        }
        if grant.operations.is_empty() {
            return refuse("operations: at least one".to_owned());
        }
        if grant.banks.is_empty() {
            return refuse("banks: at least one".to_owned());
        }
        if !snapshot.credentials.contains_key(&grant.credential) {
            return refuse(format!("credential: {} does not exist", grant.credential));
        }
        for bank in &grant.banks {
            let lists = snapshot.banks.get(bank).map(|d| &d.bank.credentials);
            match lists {
                None => return refuse(format!("banks: {bank} does not exist")),
                Some(credentials) if !credentials.contains(&grant.credential) => {
                    return refuse(format!("banks: {bank} does not list {}", grant.credential));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}
