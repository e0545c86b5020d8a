//! How versions leave: retired, frozen, revoked, destroyed.
//!
//! In: the wishes of officers. Out: versions in their new states, and which banks are touched. Retiring and freezing
//! take one person; what frees a frozen version or cannot be undone takes two (see [`crate::approval`]). Freezing
//! waits for nobody: it does not take the turn, and whoever changes the same version meanwhile finds it frozen.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::CredentialError;
use super::install::{change_of, next};
use super::state::{self, Happening};
use crate::approval::{self, ApprovalError, DESTROY_TIMEOUT_S};
use crate::audit::Event;
use crate::backend::BackendError;
use crate::clock;
use crate::domain::{Approval, CallerName, Name, Standing, Verb, Version, VersionId, VersionState};
use crate::registry::{ChangeError, Registry};
use crate::store::StoreError;

/// How often freezing tries again when somebody else changes the version at the same moment.
const FREEZE_ATTEMPTS_MAX: u32 = 4;

/// What stops, or begins to stop, signing.
#[derive(Debug)]
pub struct Stopped {
    /// Which version.
    pub version: VersionId,
    /// The banks that are bound to it.
    pub banks: Vec<Name>,
    /// A version of the same credential that could take its place.
    pub spare: Option<VersionId>,
}

impl Registry {
    /// Takes a version out of use: for good when no bank is bound to it, otherwise it is on its way out and goes on
    /// signing until its banks have moved.
    pub async fn retire(&self, who: &CallerName, name: &str) -> Result<Stopped, CredentialError> {
        let _turn = self.turn().await?;
        let version = self.numbered(name)?;
        let stopped = self.stopped(&version);
        let happening = match stopped.banks.is_empty() {
            true => Happening::Retired,
            false if version.state == VersionState::Retiring => {
                let (version, banks) = (stopped.version, stopped.banks);
                return Err(CredentialError::StillBound { version, banks });
            }
            false => Happening::Outgoing,
        };
        let change = change_of(&version, next(&version, happening)?);
        let data = json!({
            "version": version.id.to_string(),
            "state": change.to.as_str(),
            "banks": stopped.banks,
        });
        let write = self.world.store().change_states(from_ref(&change));
        self.change(who, Event::CredentialRetire, data, write)
            .await?;
        Ok(stopped)
    }

    /// Stops a version at once.
    pub async fn freeze(
        &self,
        who: &CallerName,
        name: &str,
        reason: &str,
    ) -> Result<Stopped, CredentialError> {
        approval::check_reason(reason)?;
        for attempt in 1.. {
            let version = self.numbered(name)?;
            let change = change_of(&version, next(&version, Happening::Frozen)?);
            let stopped = self.stopped(&version);
            let data = json!({
                "version": version.id.to_string(),
                "reason": reason,
                "banks": stopped.banks,
            });
            let write = self.world.store().change_states(from_ref(&change));
            match self.change(who, Event::CredentialFreeze, data, write).await {
                Err(ChangeError::Store(StoreError::ChangedMeanwhile(_)))
                    if attempt < FREEZE_ATTEMPTS_MAX =>
                {
                    self.world.refresh().await.map_err(ChangeError::from)?;
                }
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(stopped),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Asks for a change that a second person must confirm.
    pub async fn ask(
        &self,
        who: &CallerName,
        verb: Verb,
        name: &str,
        reason: &str,
    ) -> Result<Approval, CredentialError> {
        let _turn = self.turn().await?;
        let version = self.numbered(name)?;
        next(&version, happening(verb, &version))?;
        Ok(self.propose(who, verb, &version.id, reason).await?)
    }

    /// Whether the state of the version still allows what an approval is for.
    pub(crate) fn check_state(&self, approval: &Approval) -> Result<(), ApprovalError> {
        self.next_state(approval).map(drop)
    }

    fn next_state(
        &self,
        approval: &Approval,
    ) -> Result<(Arc<Version>, VersionState), ApprovalError> {
        let id = &approval.version;
        let snapshot = self.world.load();
        let version = snapshot.credentials.get(&id.credential);
        let version = version.and_then(|credential| credential.version(id.number));
        let version = version.ok_or_else(|| ApprovalError::Unknown(approval.id.to_string()))?;
        let state = state::next(version.state, happening(approval.verb, version));
        let state = state.map_err(|source| ApprovalError::State {
            id: approval.id.clone(),
            version: id.clone(),
            source,
        })?;
        Ok((version.clone(), state))
    }

    /// Makes an approved change. The caller holds the turn and has checked that it is due.
    pub(crate) async fn carry_out(&self, approval: &mut Approval) -> Result<(), ApprovalError> {
        let (version, to) = self.next_state(approval)?;
        let event = match approval.verb {
            Verb::Unfreeze => Event::CredentialUnfreeze,
            Verb::Revoke => Event::CredentialRevoke,
            Verb::Destroy => {
                approval.outcome = self.destroy_key(approval, &version).await?.to_owned();
                Event::KeyDestroy
            }
        };
        let data = json!({
            "approval": approval.id.as_str(),
            "approved_by": approval.decided_by,
            "version": version.id.to_string(),
            "spki_sha256": hex::encode(version.key.spki_sha256),
            "state": to.as_str(),
            "outcome": approval.outcome,
        });
        let from = approval.stored;
        let mut done = approval.clone();
        done.stored = Standing::Done;
        let change = change_of(&version, to);
        let store = self.world.store();
        let write = store.advance_approval(from, &done, Some(&change));
        self.change(&approval.author, event, data, write).await?;
        *approval = done;
        Ok(())
    }

    /// Writes that the destruction has begun, then has the token destroy the key. When the service dies in between, the
    /// next start finds `Executing` and comes here again; a key that is not there then was destroyed before.
    async fn destroy_key(
        &self,
        approval: &mut Approval,
        version: &Version,
    ) -> Result<&'static str, ApprovalError> {
        let again = approval.stored == Standing::Executing;
        if !again {
            let data = json!({
                "approval": approval.id.as_str(),
                "approved_by": approval.decided_by,
                "version": version.id.to_string(),
                "key_id": version.key.id.to_string(),
            });
            let mut begun = approval.clone();
            begun.stored = Standing::Executing;
            let store = self.world.store();
            let write = store.advance_approval(approval.stored, &begun, None);
            self.change(&approval.author, Event::CredentialDestroy, data, write)
                .await?;
            *approval = begun;
        }
        let deadline = clock::monotonic() + Duration::from_secs(DESTROY_TIMEOUT_S);
        match self.tokens.destroy(&version.key, deadline).await {
            Ok(()) => Ok("destroyed"),
            // "Not found" alone proves nothing, a token without connection says the same; tokens that are well do.
            Err(BackendError::KeyUnknown(_))
                if again && self.tokens.has_set(&version.token_set) =>
            {
                Ok("the key was gone when the interrupted destruction was resumed")
            }
            Err(error) => Err(ChangeError::from(error).into()),
        }
    }

    /// The version that a full name means. The newest is not good enough for what cannot be undone.
    pub(crate) fn numbered(&self, name: &str) -> Result<Arc<Version>, CredentialError> {
        let found = self.find(name)?;
        match VersionId::from_resource(name) {
            Ok(_) => Ok(found.version),
            Err(_) => Err(CredentialError::NumberMissing(
                found.credential.name.clone(),
            )),
        }
    }

    /// Who is touched when a version stops, and what could take its place: the newest other version with a
    /// certificate that is in use or waits for it.
    pub(crate) fn stopped(&self, version: &Version) -> Stopped {
        let snapshot = self.world.load();
        let bound = |bank: &&Arc<crate::world::Destination>| {
            let bound = bank.bound.get(&version.id.credential);
            bound.is_some_and(|bound| bound.id == version.id)
        };
        let banks = snapshot.banks.values().filter(bound);
        let fit = |other: &&Arc<Version>| {
            other.id != version.id
                && matches!(other.state, VersionState::Staged | VersionState::Active)
        };
        let credential = snapshot.credentials.get(&version.id.credential);
        let versions = credential.map(|credential| credential.versions.as_slice());
        let spare = versions.unwrap_or_default().iter().rev().find(fit);
        Stopped {
            version: version.id.clone(),
            banks: banks.map(|bank| bank.bank.name.clone()).collect(),
            spare: spare.map(|spare| spare.id.clone()),
        }
    }
}

/// What a verb does to a version. One that was never frozen has no state to go back to and is refused by the table.
fn happening(verb: Verb, version: &Version) -> Happening {
    match verb {
        Verb::Unfreeze => Happening::Unfrozen {
            before: version.frozen_from.unwrap_or(VersionState::Frozen),
        },
        Verb::Revoke => Happening::Revoked,
        Verb::Destroy => Happening::Destroyed,
    }
}
