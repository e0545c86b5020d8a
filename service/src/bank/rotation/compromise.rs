//! A key that somebody else may have: everything that must happen at once, by one officer, in one go.
//!
//! In: a version. Out: it signs nothing any more, before anything else; then its revocation is asked for, and the banks are
//! on their way to a spare. Never: a step that undoes the first because a later one failed: what could not be done is
//! said, and the same command goes on where it stopped.
//!
//! The revocation at the QTSP belongs to the approval that is asked for here: whoever carries an approved
//! [`Verb::Revoke`] out can ask the QTSP too (`carry_out` in [`crate::credential`]).

use super::campaign::{RotationError, moves};
use super::moving::Pick;
use super::progress::REASON_BYTES_MAX;
use crate::approval::ApprovalError;
use crate::credential::{CredentialError, Stopped};
use crate::domain::{
    Approval, CallerName, Name, Procedure, Verb, Version, VersionId, VersionState,
};
use crate::registry::Registry;
use crate::world::Snapshot;

/// What was done about a compromised version.
#[derive(Debug)]
pub struct Compromised {
    /// What stopped.
    pub stopped: Stopped,
    /// The banks that were bound to it, as they are now.
    pub banks: Vec<Affected>,
    /// The revocation that another officer must approve, or why it could not be asked for.
    pub revocation: Result<Approval, CredentialError>,
    /// The version that the banks move to; none without a spare, or why it could not be begun.
    pub rotation: Result<Option<VersionId>, RotationError>,
}

/// A bank that was bound to the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// The bank.
    pub bank: Name,
    /// How it takes new certificates.
    pub procedure: Procedure,
    /// Whom to tell; empty when unknown.
    pub contact: String,
    /// The version that signs for it now; none when nothing does.
    pub signs: Option<VersionId>,
}

impl Registry {
    /// Stops a version, asks for its revocation, and moves the banks to a spare where there is one.
    pub async fn compromise(
        &self,
        who: &CallerName,
        name: &str,
        reason: &str,
    ) -> Result<Compromised, CredentialError> {
        let stopped = self.stop(who, name, reason).await?;
        let revocation = self.ask_revocation(who, &stopped.version, reason).await;
        let rotation = self.move_on(who, &stopped, reason).await;
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let affected = |bank: &Name| {
            let destination = snapshot.banks.get(bank)?;
            let credential = stopped.version.credential.as_str();
            let signs = match destination.pick(credential, now, || u8::MAX) {
                Some(Pick::Version(version)) if version.state.signs() => Some(version.id.clone()),
                _ => None,
            };
            Some(Affected {
                bank: bank.clone(),
                procedure: destination.bank.rotation.procedure,
                contact: destination.bank.rotation.contact.clone(),
                signs,
            })
        };
        Ok(Compromised {
            banks: stopped.banks.iter().filter_map(affected).collect(),
            stopped,
            revocation,
            rotation,
        })
    }

    /// Stops it; one that is stopped already counts.
    async fn stop(
        &self,
        who: &CallerName,
        name: &str,
        reason: &str,
    ) -> Result<Stopped, CredentialError> {
        let version = self.numbered(name)?;
        match version.state {
            VersionState::Frozen => {
                let mut stopped = self.stopped(&version);
                stopped
                    .banks
                    .extend(moved_away(&self.world.load(), &version));
                Ok(stopped)
            }
            _ => self.freeze(who, name, reason).await,
        }
    }

    /// Asks for the revocation; one that was asked for already counts.
    async fn ask_revocation(
        &self,
        who: &CallerName,
        version: &VersionId,
        reason: &str,
    ) -> Result<Approval, CredentialError> {
        let asked = self
            .ask(who, Verb::Revoke, &version.resource(), reason)
            .await;
        if let Err(CredentialError::Approval(ApprovalError::Open { .. })) = &asked {
            let open = self.approvals(true).await?;
            let same =
                |approval: &Approval| approval.version == *version && approval.verb == Verb::Revoke;
            if let Some(earlier) = open.into_iter().find(same) {
                return Ok(earlier);
            }
        }
        asked
    }

    /// Begins a rotation to the spare; one that is open goes on, and takes the spare when it has no version yet.
    async fn move_on(
        &self,
        who: &CallerName,
        stopped: &Stopped,
        reason: &str,
    ) -> Result<Option<VersionId>, RotationError> {
        let credential = &stopped.version.credential;
        let open = self.world.load().rotations.get(credential).cloned();
        let to = open.as_ref().and_then(|rotation| rotation.to);
        if let Some(number) = to.filter(|number| *number != stopped.version.number) {
            let credential = credential.clone();
            return Ok(Some(VersionId { credential, number }));
        }
        let Some(spare) = &stopped.spare else {
            return Ok(None);
        };
        if open.is_none() {
            let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
            self.start_rotation(who, credential.as_str(), reason)
                .await?;
        }
        self.attach_rotation(who, &spare.resource()).await?;
        Ok(Some(spare.clone()))
    }
}

/// The banks that had the version and are on their way from it.
fn moved_away(snapshot: &Snapshot, version: &Version) -> Vec<Name> {
    let moves = moves(snapshot, &version.id.credential);
    let from = moves.into_iter().filter(|(_, m)| m.old.id == version.id);
    let bound = |bank: &Name| {
        let destination = snapshot.banks.get(bank);
        let bound = destination.and_then(|d| d.bound.get(&version.id.credential));
        bound.is_some_and(|bound| bound.id == version.id)
    };
    let gone = from.filter(|(bank, _)| !bound(bank));
    gone.map(|(bank, _)| bank.clone()).collect()
}
