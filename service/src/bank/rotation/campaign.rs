//! The verbs of a rotation.
//!
//! In: wishes of officers, words of banks, the time. Out: a rotation one step further, in the store and the log, then in
//! the snapshot. Never: a decision of its own; [`super::progress`] and [`super::plan`] decide.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::bundle::{self, Bundle};
use super::canary::Outcomes;
use super::moving::Move;
use super::plan::{self, Mover, NewVersion, Step, Subject, Validity};
use super::progress::{self, Event as Happens, Progress, REASON_BYTES_MAX, Refused};
use super::{Ending, Rotation};
use crate::audit::Event;
use crate::credential::state::{self, Happening};
use crate::domain::{CallerName, Credential, Name, Purpose, Version, VersionId, VersionState};
use crate::registry::{ChangeError, Registry};
use crate::store::{StateChange, StepRow};
use crate::world::Snapshot;

/// Most banks in one call.
pub const BANKS_PER_CALL_MAX: usize = 256;
/// How long a bank may verify a signature that it has received, hours. So long an old version is not called retired.
pub const SIGNATURE_AGE_HOURS: i64 = 24;
/// How long a QTSP takes when nothing else is said, days.
pub const QTSP_LEAD_DAYS_DEFAULT: u32 = 14;
/// The longest sleep between two looks at what is due, seconds: wall clocks are set.
const LOOK_INTERVAL_S_MAX: u64 = 60;

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
        let _turn = self.turn().await;
        if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
            return Err(RotationError::Reason);
        }
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
        let _turn = self.turn().await;
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
        let _turn = self.turn().await;
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
        let _turn = self.turn().await;
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
        let _turn = self.turn().await;
        if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
            return Err(RotationError::Reason);
        }
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

    /// Counts what a caller saw a bank answer. When a canary fails clearly more often than the old version, the old
    /// version signs everything again. Reports about anything else change nothing.
    pub async fn report_outcome(
        &self,
        bank: &Name,
        version: &VersionId,
        good: bool,
    ) -> Result<(), ChangeError> {
        let snapshot = self.world.load();
        let destination = snapshot.banks.get(bank);
        let Some(moving) = destination.and_then(|d| d.moves.get(&version.credential)) else {
            return Ok(());
        };
        let Progress::Canary { at, .. } = moving.progress else {
            return Ok(());
        };
        let fall_back = {
            let mut all = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (bank.clone(), version.credential.clone());
            let outcomes = all.entry(key).or_insert(Outcomes::since(at));
            if outcomes.since != at {
                *outcomes = Outcomes::since(at);
            }
            match *version == moving.new.id {
                true => outcomes.new.count(good),
                false if *version == moving.old.id => outcomes.old.count(good),
                false => return Ok(()),
            }
            outcomes.fall_back().then_some(*outcomes)
        };
        match fall_back {
            Some(outcomes) => self.fall_back(bank, &version.credential, outcomes).await,
            None => Ok(()),
        }
    }

    /// Ends a canary that failed, unless somebody was faster.
    async fn fall_back(
        &self,
        bank: &Name,
        credential: &Name,
        outcomes: Outcomes,
    ) -> Result<(), ChangeError> {
        let _turn = self.turn().await;
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let moving = snapshot
            .banks
            .get(bank)
            .and_then(|d| d.moves.get(credential));
        let rotation = snapshot.rotations.get(credential);
        let Some((moving, rotation)) = moving.zip(rotation) else {
            return Ok(());
        };
        if !matches!(moving.progress, Progress::Canary { at, .. } if at == outcomes.since) {
            return Ok(());
        }
        let back = progress::next(&moving.progress, Happens::Rollback, &moving.facts, now);
        let Ok(after) = back else {
            return Ok(());
        };
        let steps = [step_row(bank, moving, after)];
        let mut data = about(rotation, &steps);
        data["canary"] = json!({
            "old": { "good": outcomes.old.good, "bad": outcomes.old.bad },
            "new": { "good": outcomes.new.good, "bad": outcomes.new.bad },
        });
        tracing::warn!(%bank, %credential, "the canary fails more often than the old version; rolled back");
        self.audit.append(Event::RotationStep, None, data).await?;
        let store = self.world.store();
        store
            .put_rotation_steps(credential, rotation.number, &steps)
            .await?;
        Ok(self.world.refresh().await?)
    }

    /// Writes down what time alone has done: due changes, and versions whose last signature has aged out. Answers when
    /// to look again.
    pub async fn settle_rotations(&self) -> Result<Option<Timestamp>, ChangeError> {
        let _turn = self.turn().await;
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let mut changed = false;
        for rotation in snapshot.rotations.values() {
            let moves = moves(&snapshot, &rotation.credential);
            let steps: Vec<_> = moves
                .iter()
                .filter_map(|(bank, moving)| {
                    let after = progress::next(&moving.progress, Happens::Due, &moving.facts, now);
                    let after = after.ok().filter(|after| *after != moving.progress)?;
                    Some(step_row(bank, moving, after))
                })
                .collect();
            if !steps.is_empty() {
                let data = about(rotation, &steps);
                self.audit.append(Event::RotationStep, None, data).await?;
                let store = self.world.store();
                let (credential, number) = (&rotation.credential, rotation.number);
                store.put_rotation_steps(credential, number, &steps).await?;
                changed = true;
            }
        }
        let (aged, next_aged) = self.aged_out(&snapshot, now).await?;
        if !aged.is_empty() {
            let versions: Vec<_> = aged.iter().map(|c| c.id.to_string()).collect();
            let data = json!({ "retired": versions });
            self.audit.append(Event::RotationStep, None, data).await?;
            self.world.store().change_states(&aged).await?;
            changed = true;
        }
        if changed {
            self.world.refresh().await?;
        }
        let moves = snapshot.banks.values().flat_map(|d| d.moves.values());
        let changes = moves.filter_map(|m| progress::next_change(&m.progress, &m.facts, now));
        Ok(changes.chain(next_aged).min())
    }

    async fn aged_out(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(Vec<StateChange>, Option<Timestamp>), ChangeError> {
        let (mut aged, mut next) = (Vec::new(), None);
        for (id, ended) in self.world.store().rotated_out().await? {
            let at = ended + SignedDuration::from_hours(SIGNATURE_AGE_HOURS);
            if at > now {
                next = Some(next.map_or(at, |next: Timestamp| next.min(at)));
                continue;
            }
            let credential = snapshot.credentials.get(&id.credential);
            let version = credential.and_then(|c| c.version(id.number));
            aged.extend(version.and_then(|version| change(version, Happening::Retired)));
        }
        Ok((aged, next))
    }

    /// What must happen when.
    pub async fn plan_rotation(
        &self,
        credential: &str,
        qtsp_lead_days: u32,
    ) -> Result<Vec<Step>, RotationError> {
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let credential = known(&snapshot, credential)?;
        let answers = self.world.store().rotation_answers().await;
        let answers = answers.map_err(ChangeError::from)?;
        let movers = movers(&snapshot, credential);
        let subject = Subject {
            purpose: credential.purpose,
            qtsp_lead_days,
            new: new_version(&snapshot, credential),
        };
        Ok(plan::plan(&subject, &movers, &answers, now))
    }

    /// What a bank is sent.
    pub fn rotation_bundle(&self, credential: &str, bank: &Name) -> Result<Bundle, RotationError> {
        let snapshot = self.world.load();
        let rotation = open(&snapshot, credential)?;
        let moving = moving(&snapshot, &rotation, bank)?;
        let unknown = || RotationError::NotMoving(bank.to_string());
        let destination = snapshot.banks.get(bank).ok_or_else(unknown)?;
        let (old, new) = (moving.old.issued.as_ref(), moving.new.issued.as_ref());
        let (old, new) = old.zip(new).ok_or_else(unknown)?;
        Ok(bundle::bundle(&destination.bank, old, new))
    }
}

/// Settles what is due for as long as the service runs.
pub async fn settle_when_due(registry: Registry) {
    let mut changed = registry.world.subscribe();
    loop {
        let patience = Duration::from_secs(LOOK_INTERVAL_S_MAX);
        let wait = match registry.settle_rotations().await {
            Ok(next) => {
                let until = next.map(|next| next.duration_since(registry.clock.now()));
                let until = until.map(|wait| Duration::try_from(wait).unwrap_or_default());
                until.unwrap_or(patience).min(patience)
            }
            Err(error) => {
                tracing::error!(%error, "due rotation steps are not written; who signs does not depend on it");
                patience
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            change = changed.changed() => if change.is_err() { return },
        }
    }
}

fn known<'a>(
    snapshot: &'a Snapshot,
    credential: &str,
) -> Result<&'a Arc<Credential>, RotationError> {
    let unknown = || RotationError::CredentialUnknown(credential.chars().take(80).collect());
    snapshot.credentials.get(credential).ok_or_else(unknown)
}

fn open(snapshot: &Snapshot, credential: &str) -> Result<Arc<Rotation>, RotationError> {
    let name = &known(snapshot, credential)?.name;
    let open = snapshot.rotations.get(name).cloned();
    open.ok_or_else(|| RotationError::NotOpen(name.clone()))
}

/// The banks of a credential that are between two versions.
fn moves<'a>(snapshot: &'a Snapshot, credential: &Name) -> Vec<(&'a Name, &'a Move)> {
    let banks = snapshot.banks.iter();
    banks
        .filter_map(|(name, destination)| Some((name, destination.moves.get(credential)?)))
        .collect()
}

fn moving<'a>(
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

fn step_row(bank: &Name, moving: &Move, progress: Progress) -> StepRow {
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

fn about(rotation: &Rotation, steps: &[StepRow]) -> serde_json::Value {
    let step = |step: &StepRow| json!({ "bank": step.bank, "progress": step.progress, "bound": step.bound });
    json!({
        "credential": rotation.credential.as_str(),
        "rotation": rotation.number,
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn change(version: &Version, happening: Happening) -> Option<StateChange> {
    let to = state::next(version.state, happening).ok()?;
    Some(StateChange {
        id: version.id.clone(),
        from: version.state,
        to,
    })
}

fn validity(version: &Version) -> Option<Validity> {
    let leaf = version.issued.as_ref()?.leaf();
    let (begins, ends) = (leaf.not_before(), leaf.not_after());
    Some(Validity { begins, ends })
}

fn movers(snapshot: &Snapshot, credential: &Credential) -> Vec<Mover> {
    let banks = snapshot.banks.values();
    let mover = |destination: &Arc<crate::world::Destination>| {
        let moving = destination.moves.get(&credential.name);
        let bound = destination.bound.get(&credential.name);
        let old = moving.map(|moving| &moving.old).or(bound)?;
        Some(Mover {
            bank: destination.bank.name.clone(),
            terms: destination.bank.rotation.clone(),
            old: validity(old)?,
            progress: moving.map_or(Progress::Pending, |moving| moving.progress.clone()),
        })
    };
    banks.filter_map(mover).collect()
}

/// The attached version, or the newest that waits to be used.
fn new_version(snapshot: &Snapshot, credential: &Credential) -> Option<NewVersion> {
    let attached = snapshot.rotations.get(&credential.name).and_then(|r| r.to);
    let waiting = credential
        .newest()
        .filter(|v| v.state == VersionState::Staged);
    let new = attached.and_then(|to| credential.version(to)).or(waiting)?;
    let leaf = new.issued.as_ref()?.leaf();
    let older = credential
        .versions
        .iter()
        .rev()
        .filter(|v| v.id.number < new.id.number);
    let old = older.filter_map(|v| v.issued.as_ref()).next();
    Some(NewVersion {
        validity: validity(new)?,
        issuer_differs: old.is_some_and(|old| old.leaf().issuer() != leaf.issuer()),
        digital_signature: leaf
            .key_usage()
            .is_none_or(|usage| usage.digital_signature()),
    })
}
