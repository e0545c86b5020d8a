//! What happens to a rotation without an officer: time passes, a canary fails.
//!
//! In: the time, reports of callers. Out: the same rows an officer's step would write, with a record that names nobody.
//! Never: anything the way of a signature waits for; it has decided by the time and the progress already.

use std::sync::PoisonError;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::campaign::{about, change, moves, step_row};
use super::canary::Outcomes;
use super::progress::{self, Event as Happens, Progress};
use crate::audit::Event;
use crate::credential::state::Happening;
use crate::domain::{Name, VersionId};
use crate::registry::{ChangeError, Registry};
use crate::store::StateChange;
use crate::world::Snapshot;

/// How long a bank may verify a signature that it has received, hours. So long an old version is not called retired.
pub const SIGNATURE_AGE_HOURS: i64 = 24;
/// The longest sleep between two looks at what is due, seconds: wall clocks are set.
const LOOK_INTERVAL_S_MAX: u64 = 60;

impl Registry {
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
        let _turn = self.turn().await?;
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
        let _turn = self.turn().await?;
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
