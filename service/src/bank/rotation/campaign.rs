//! The verbs of a rotation.
//!
//! In: wishes of officers, words of banks, the time. Out: a rotation one step further, in the store and the log, then in
//! the snapshot. Never: a decision of its own; [`super::progress`] and [`super::plan`] decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::moving::Move;
use super::progress::{self, Event as Happens, Progress, REASON_BYTES_MAX, Refused};
use super::{Ending, Rotation};
use crate::audit::Event;
use crate::credential::state::{self, Happening};
use crate::domain::{CallerName, Credential, Name, Purpose, Version, VersionId};
use crate::registry::{ChangeError, Registry};
use crate::store::{StateChange, StepRow};
use crate::world::Snapshot;

/// Most banks in one call.
pub const BANKS_PER_CALL_MAX: usize = 256;

/// Why a rotation did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// There is no such credential.
    #[error("credential {0} does not exist")]
    CredentialUnknown(String),
    /// No rotation of it is open.
    #[error("no rotation of {0} is open; begin one with start")]
    NotOpen(Name),
    /// One is open already.
    #[error("rotation {number} of {credential} is open; complete or abort it first")]
    Open {
        /// The credential.
        credential: Name,
        /// Its open rotation.
        number: u32,
    },
    /// The version cannot be the new one.
    #[error("{version} cannot be the new version: {why}")]
    VersionUnfit {
        /// Which one.
        version: String,
        /// Why not.
        why: String,
    },
    /// Banks have been told of another version.
    #[error("banks have been told of {0}; abort this rotation and begin another one")]
    UnderWay(VersionId),
    /// No banks, or too many.
    #[error("banks: 1 to {BANKS_PER_CALL_MAX} in one call")]
    Count,
    /// The bank has no part in it.
    #[error("bank {0} has no older version of this credential")]
    NotMoving(String),
    /// The bank is of the other world.
    #[error("bank {bank} is {is}; the new version is {version}")]
    Environment {
        /// The bank.
        bank: Name,
        /// Its world.
        is: &'static str,
        /// That of the certificate.
        version: &'static str,
    },
    /// Handshakes name their version; a share of them cannot be told from the rest.
    #[error("a transport credential has no canary; switch one bank first instead")]
    CanaryTransport,
    /// The table says no.
    #[error("bank {bank}: {source}")]
    Refused {
        /// Which bank.
        bank: Name,
        /// Why.
        source: Refused,
    },
    /// Banks have not moved yet.
    #[error("not moved yet: {}", names(.0))]
    Behind(Vec<Name>),
    /// Nobody has said what is harmless at this bank.
    #[error("{0} has no [bank.rotation.verify]; say which request changes nothing there")]
    VerifyUnconfigured(Name),
    /// No bank ever sees a certificate of it.
    #[error("a decryption credential has no certificate that a bank could take")]
    Unverifiable,
    /// The verification is unknown, of another caller, or concluded.
    #[error("this verification has ended; begin another one")]
    VerificationEnded,
    /// No reason, or too much of one.
    #[error("reason: 1 to {REASON_BYTES_MAX} bytes")]
    Reason,
    /// Store or log.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

fn names(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

impl Registry {
    /// Begins a rotation. Nothing changes for any bank.
    pub async fn start_rotation(
        &self,
        who: &CallerName,
        credential: &str,
        reason: &str,
    ) -> Result<Name, RotationError> {
        let _turn = self.turn().await?;
        check_reason(reason)?;
        let snapshot = self.world.load();
        let credential = known(&snapshot, credential)?.name.clone();
        if let Some(open) = snapshot.rotations.get(&credential) {
            let number = open.number;
            return Err(RotationError::Open { credential, number });
        }
        let data = json!({ "credential": credential.as_str(), "reason": reason });
        let store = self.world.store();
        let write = store.insert_rotation(&credential, reason, self.clock.now());
        self.change(who, Event::RotationStart, data, write).await?;
        Ok(credential)
    }

    /// Says which version the banks move to, and puts it to use without binding any bank to it.
    pub async fn attach_rotation(
        &self,
        who: &CallerName,
        version: &str,
    ) -> Result<Name, RotationError> {
        let _turn = self.turn().await?;
        let unfit = |why: &str| RotationError::VersionUnfit {
            version: version.chars().take(200).collect(),
            why: why.to_owned(),
        };
        let id = VersionId::from_resource(version).map_err(|e| unfit(&e.to_string()))?;
        let snapshot = self.world.load();
        let rotation = open(&snapshot, id.credential.as_str())?;
        let credential = known(&snapshot, id.credential.as_str())?;
        if let Some(other) = rotation.to.filter(|_| !rotation.banks.is_empty()) {
            let credential = id.credential;
            return Err(RotationError::UnderWay(VersionId {
                credential,
                number: other,
            }));
        }
        let found = credential.version(id.number);
        let found = found.ok_or_else(|| unfit("it does not exist"))?;
        let issued = found.issued.as_ref();
        let issued = issued.ok_or_else(|| unfit("its certificate is not installed"))?;
        if issued.leaf().not_after() <= self.clock.now() {
            return Err(unfit("its certificate has ended"));
        }
        let to =
            state::next(found.state, Happening::Activated).map_err(|e| unfit(&e.to_string()))?;
        let change = StateChange {
            id: id.clone(),
            from: found.state,
            to,
        };
        let data = json!({ "rotation": rotation.number, "version": id.to_string() });
        let write = self.world.store().attach_version(rotation.number, &change);
        self.change(who, Event::RotationAttach, data, write).await?;
        Ok(id.credential)
    }

    /// Takes a step with banks, all or none.
    pub async fn step_rotation(
        &self,
        who: &CallerName,
        credential: &str,
        banks: &BTreeSet<Name>,
        happens: &Happens,
    ) -> Result<Name, RotationError> {
        let _turn = self.turn().await?;
        if banks.is_empty() || banks.len() > BANKS_PER_CALL_MAX {
            return Err(RotationError::Count);
        }
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let rotation = open(&snapshot, credential)?;
        let purpose = known(&snapshot, credential)?.purpose;
        if matches!(happens, Happens::Canary { .. }) && purpose == Purpose::Transport {
            return Err(RotationError::CanaryTransport);
        }
        let mut steps = Vec::with_capacity(banks.len());
        for bank in banks {
            let moving = moving(&snapshot, &rotation, bank)?;
            let after = progress::next(&moving.progress, happens.clone(), &moving.facts, now);
            let after = after.map_err(|source| RotationError::Refused {
                bank: bank.clone(),
                source,
            })?;
            let mut step = step_row(bank, moving, after);
            step.told = matches!(happens, Happens::Announce).then_some(now);
            step.answered = matches!(happens, Happens::Accept(_)).then_some(now);
            steps.push(step);
        }
        let data = about(&rotation, &steps);
        let store = self.world.store();
        let write = store.put_rotation_steps(&rotation.credential, rotation.number, &steps);
        self.change(who, Event::RotationStep, data, write).await?;
        Ok(rotation.credential.clone())
    }

    /// Ends a rotation whose banks all have the new version. The old versions go out.
    pub async fn complete_rotation(
        &self,
        who: &CallerName,
        credential: &str,
    ) -> Result<Name, RotationError> {
        let _turn = self.turn().await?;
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let rotation = open(&snapshot, credential)?;
        let moves = moves(&snapshot, &rotation.credential);
        let behind = moves.iter().filter(|(_, m)| !moved(&m.progress));
        let behind: Vec<_> = behind.map(|(bank, _)| (*bank).clone()).collect();
        if rotation.to.is_none() || !behind.is_empty() {
            return Err(RotationError::Behind(behind));
        }
        let outgoing: BTreeSet<_> = moves.iter().map(|(_, m)| m.old.id.number).collect();
        let versions = known(&snapshot, credential)?.versions.iter();
        let changes: Vec<_> = versions
            .filter(|version| outgoing.contains(&version.id.number))
            .filter_map(|version| change(version, Happening::Outgoing))
            .collect();
        self.end(who, &rotation, Ending::Completed, now, &changes, "")
            .await
    }

    /// Gives a rotation up. Every bank stays where it is; what was only scheduled does not happen.
    pub async fn abort_rotation(
        &self,
        who: &CallerName,
        credential: &str,
        reason: &str,
    ) -> Result<Name, RotationError> {
        let _turn = self.turn().await?;
        check_reason(reason)?;
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let rotation = open(&snapshot, credential)?;
        for (bank, moving) in moves(&snapshot, &rotation.credential) {
            if let Progress::Scheduled {
                from,
                old: progress::OldVersion::Replaced,
                ..
            } = moving.progress
            {
                let (bank, source) = (bank.clone(), Refused::Agreed { at: from });
                return Err(RotationError::Refused { bank, source });
            }
        }
        self.end(who, &rotation, Ending::Aborted, now, &[], reason)
            .await
    }

    async fn end(
        &self,
        who: &CallerName,
        rotation: &Rotation,
        ending: Ending,
        now: Timestamp,
        changes: &[StateChange],
        reason: &str,
    ) -> Result<Name, RotationError> {
        let data = json!({
            "credential": rotation.credential.as_str(),
            "rotation": rotation.number,
            "ending": ending.as_str(),
            "reason": reason,
            "outgoing": changes.iter().map(|c| c.id.to_string()).collect::<Vec<_>>(),
        });
        let (credential, number) = (&rotation.credential, rotation.number);
        let store = self.world.store();
        let write = store.end_rotation(credential, number, ending, now, changes);
        self.change(who, Event::RotationEnd, data, write).await?;
        Ok(credential.clone())
    }
}

fn check_reason(reason: &str) -> Result<(), RotationError> {
    match reason.len() {
        1..=REASON_BYTES_MAX => Ok(()),
        _ => Err(RotationError::Reason),
    }
}

pub(super) fn known<'a>(
    snapshot: &'a Snapshot,
    credential: &str,
) -> Result<&'a Arc<Credential>, RotationError> {
    let unknown = || RotationError::CredentialUnknown(credential.chars().take(80).collect());
    snapshot.credentials.get(credential).ok_or_else(unknown)
}

pub(super) fn open(snapshot: &Snapshot, credential: &str) -> Result<Arc<Rotation>, RotationError> {
    let name = &known(snapshot, credential)?.name;
    let open = snapshot.rotations.get(name).cloned();
    open.ok_or_else(|| RotationError::NotOpen(name.clone()))
}

/// The banks of a credential that are between two versions.
pub(crate) fn moves<'a>(snapshot: &'a Snapshot, credential: &Name) -> Vec<(&'a Name, &'a Move)> {
    let banks = snapshot.banks_of(credential);
    banks
        .filter_map(|bank| Some((&bank.bank.name, bank.moves.get(credential)?)))
        .collect()
}

pub(super) fn moving<'a>(
    snapshot: &'a Snapshot,
    rotation: &Rotation,
    bank: &Name,
) -> Result<&'a Move, RotationError> {
    let destination = snapshot.banks.get(bank);
    let destination = destination.ok_or_else(|| RotationError::NotMoving(bank.to_string()))?;
    if rotation.to.is_none() {
        let (bank, source) = (bank.clone(), Refused::NoNewVersion);
        return Err(RotationError::Refused { bank, source });
    }
    let moving = destination.moves.get(&rotation.credential);
    let moving = moving.ok_or_else(|| RotationError::NotMoving(bank.to_string()))?;
    let is = destination.bank.environment;
    match moving.new.issued.as_ref().map(|issued| issued.environment) {
        Some(version) if version != is => Err(RotationError::Environment {
            bank: bank.clone(),
            is: is.as_str(),
            version: version.as_str(),
        }),
        _ => Ok(moving),
    }
}

fn moved(progress: &Progress) -> bool {
    matches!(
        progress,
        Progress::Switched { .. } | Progress::Confirmed { .. }
    )
}

pub(super) fn step_row(bank: &Name, moving: &Move, progress: Progress) -> StepRow {
    let bound = if moved(&progress) {
        &moving.new
    } else {
        &moving.old
    };
    StepRow {
        bank: bank.clone(),
        from: moving.old.id.number,
        bound: bound.id.number,
        progress,
        told: None,
        answered: None,
    }
}

pub(super) fn about(rotation: &Rotation, steps: &[StepRow]) -> serde_json::Value {
    let step = |step: &StepRow| json!({ "bank": step.bank, "progress": step.progress, "bound": step.bound });
    json!({
        "credential": rotation.credential.as_str(),
        "rotation": rotation.number,
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

pub(super) fn change(version: &Version, happening: Happening) -> Option<StateChange> {
    let to = state::next(version.state, happening).ok()?;
    Some(StateChange {
        id: version.id.clone(),
        from: version.state,
        to,
    })
}
