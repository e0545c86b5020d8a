//! What an officer sees before anything changes: the plan, and what a bank is sent.
//!
//! In: the snapshot. Out: what [`super::plan`] and [`super::bundle`] make of it. Never: a change.

use std::sync::Arc;

use jiff::Timestamp;

use super::bundle::{self, Bundle};
use super::campaign::{RotationError, known, moving, open};
use super::plan::{self, Mover, NewVersion, Step, Subject, Validity};
use super::progress::Progress;
use crate::domain::{Credential, Name, Version, VersionState};
use crate::registry::Registry;
use crate::world::{Destination, Snapshot};

/// How long a QTSP takes when nothing else is said, days.
pub const QTSP_LEAD_DAYS_DEFAULT: u32 = 14;

impl Registry {
    /// What must happen when.
    pub fn plan_rotation(
        &self,
        credential: &str,
        qtsp_lead_days: u32,
    ) -> Result<Vec<Step>, RotationError> {
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let credential = known(&snapshot, credential)?;
        Ok(steps(&snapshot, credential, qtsp_lead_days, now))
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

/// What must happen when with a credential.
pub fn steps(
    snapshot: &Snapshot,
    credential: &Credential,
    qtsp_lead_days: u32,
    now: Timestamp,
) -> Vec<Step> {
    let subject = Subject {
        purpose: credential.purpose,
        qtsp_lead_days,
        new: new_version(snapshot, credential),
    };
    let movers = movers(snapshot, credential);
    plan::plan(&subject, &movers, &snapshot.answers, now)
}

fn validity(version: &Version) -> Option<Validity> {
    let leaf = version.issued.as_ref()?.leaf();
    let (begins, ends) = (leaf.not_before(), leaf.not_after());
    Some(Validity { begins, ends })
}

fn movers(snapshot: &Snapshot, credential: &Credential) -> Vec<Mover> {
    let banks = snapshot.banks_of(&credential.name);
    let mover = |destination: &Arc<Destination>| {
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
