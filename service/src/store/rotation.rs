//! Rows of rotations.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::approval::{StateChange, exactly_one, set_state};
use super::credential::{bind, name};
use super::{Store, StoreError, damaged};
use crate::bank::rotation::plan::SlowestAnswers;
use crate::bank::rotation::progress::Progress;
use crate::bank::rotation::{BankRow, Ending, Rotation};
use crate::domain::{Name, VersionId, VersionState};

/// A step of one bank as it is written.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// The bank.
    pub bank: Name,
    /// The number of the version it had.
    pub from: u32,
    /// The number of the version it is bound to after the step.
    pub bound: u32,
    /// How far it is.
    pub progress: Progress,
    /// When it was told, if this step told it.
    pub told: Option<Timestamp>,
    /// When it answered, if it did in this step.
    pub answered: Option<Timestamp>,
}

impl Store {
    /// The rotations that have not ended, by credential.
    pub async fn open_rotations(&self) -> Result<Vec<Rotation>, StoreError> {
        let rows = sqlx::query("SELECT * FROM rotation WHERE ended_us IS NULL ORDER BY credential")
            .fetch_all(&self.pool)
            .await?;
        let mut rotations = rows.iter().map(rotation).collect::<Result<Vec<_>, _>>()?;
        let rows = sqlx::query(
            "SELECT b.* FROM rotation_bank b JOIN rotation r
             ON r.credential = b.credential AND r.number = b.number WHERE r.ended_us IS NULL",
        );
        for row in rows.fetch_all(&self.pool).await? {
            let credential: String = row.try_get("credential")?;
            let owner = rotations
                .iter_mut()
                .find(|r| r.credential.as_str() == credential);
            let owner = owner.ok_or_else(|| damaged("rotation_bank", "without rotation"))?;
            owner
                .banks
                .insert(name(row.try_get("bank")?)?, bank_row(&row)?);
        }
        for (bank, verified) in self.last_verified().await? {
            let credential = &verified.version.credential;
            let owner = rotations.iter_mut().find(|r| r.credential == *credential);
            let owner =
                owner.ok_or_else(|| damaged("rotation_verification", "without rotation"))?;
            owner.verified.insert(bank, verified);
        }
        Ok(rotations)
    }

    /// How long banks took to answer at most, over all rotations there were.
    pub async fn slowest_answers(&self) -> Result<SlowestAnswers, StoreError> {
        let rows = sqlx::query(
            "SELECT bank, MAX(answered_us - told_us) AS took_us FROM rotation_bank
             WHERE told_us IS NOT NULL AND answered_us IS NOT NULL GROUP BY bank",
        );
        let answer = |row: &AnyRow| {
            let took = SignedDuration::from_micros(row.try_get("took_us")?);
            Ok((name(row.try_get("bank")?)?, took))
        };
        rows.fetch_all(&self.pool)
            .await?
            .iter()
            .map(answer)
            .collect()
    }

    /// The versions that a completed rotation took out of use, with the time it was completed.
    pub async fn rotated_out(&self) -> Result<Vec<(VersionId, Timestamp)>, StoreError> {
        let rows = sqlx::query(
            "SELECT v.credential, v.number, MAX(r.ended_us) AS ended_us
             FROM version v
             JOIN rotation_bank b ON b.credential = v.credential AND b.from_version = v.number
             JOIN rotation r ON r.credential = b.credential AND r.number = b.number
             WHERE v.state = $1 AND r.ending = $2 AND NOT EXISTS
                 (SELECT 1 FROM binding g WHERE g.credential = v.credential AND g.version = v.number)
             GROUP BY v.credential, v.number",
        )
        .bind(VersionState::Retiring.as_str())
        .bind(Ending::Completed.as_str());
        let version = |row: &AnyRow| {
            let credential = name(row.try_get("credential")?)?;
            let number = number(row, "number")?;
            Ok((VersionId { credential, number }, time(row, "ended_us")?))
        };
        rows.fetch_all(&self.pool)
            .await?
            .iter()
            .map(version)
            .collect()
    }

    /// Writes a new rotation; answers its number. A second open one of a credential is refused by the database.
    pub async fn insert_rotation(
        &self,
        credential: &Name,
        reason: &str,
        started: Timestamp,
    ) -> Result<u32, StoreError> {
        let row = sqlx::query(
            "INSERT INTO rotation (credential, number, reason, started_us)
             SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3 FROM rotation WHERE credential = $1
             RETURNING number",
        )
        .bind(credential.as_str())
        .bind(reason)
        .bind(started.as_microsecond())
        .fetch_one(&self.pool)
        .await?;
        number(&row, "number")
    }

    /// Writes the version that banks move to, and its state.
    pub async fn attach_version(
        &self,
        rotation: u32,
        change: &StateChange,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        set_state(&mut tx, change).await?;
        let written = sqlx::query(
            "UPDATE rotation SET to_version = $3
             WHERE credential = $1 AND number = $2 AND ended_us IS NULL",
        )
        .bind(change.id.credential.as_str())
        .bind(i64::from(rotation))
        .bind(i64::from(change.id.number))
        .execute(&mut *tx)
        .await?;
        exactly_one(written.rows_affected(), &"rotation")?;
        Ok(tx.commit().await?)
    }

    /// Writes steps of banks with their bindings, all or nothing.
    pub async fn put_rotation_steps(
        &self,
        credential: &Name,
        rotation: u32,
        steps: &[StepRow],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for step in steps {
            put_step(&mut tx, credential, rotation, step).await?;
            let id = VersionId {
                credential: credential.clone(),
                number: step.bound,
            };
            bind(&mut tx, &step.bank, &id).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Ends a rotation, with the states of the versions that go out.
    pub async fn end_rotation(
        &self,
        credential: &Name,
        rotation: u32,
        ending: Ending,
        ended: Timestamp,
        changes: &[StateChange],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let written = sqlx::query(
            "UPDATE rotation SET ending = $3, ended_us = $4
             WHERE credential = $1 AND number = $2 AND ended_us IS NULL",
        )
        .bind(credential.as_str())
        .bind(i64::from(rotation))
        .bind(ending.as_str())
        .bind(ended.as_microsecond())
        .execute(&mut *tx)
        .await?;
        exactly_one(written.rows_affected(), &"rotation")?;
        for change in changes {
            set_state(&mut tx, change).await?;
        }
        Ok(tx.commit().await?)
    }
}

async fn put_step(
    tx: &mut Transaction<'_, Any>,
    credential: &Name,
    rotation: u32,
    step: &StepRow,
) -> Result<(), StoreError> {
    let progress =
        serde_json::to_string(&step.progress).map_err(|e| damaged("rotation_bank", e))?;
    sqlx::query(
        "INSERT INTO rotation_bank
         (credential, number, bank, from_version, progress, told_us, answered_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (credential, number, bank) DO UPDATE SET progress = $5,
         told_us = COALESCE($6, rotation_bank.told_us),
         answered_us = COALESCE($7, rotation_bank.answered_us)",
    )
    .bind(credential.as_str())
    .bind(i64::from(rotation))
    .bind(step.bank.as_str())
    .bind(i64::from(step.from))
    .bind(progress)
    .bind(step.told.map(Timestamp::as_microsecond))
    .bind(step.answered.map(Timestamp::as_microsecond))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn rotation(row: &AnyRow) -> Result<Rotation, StoreError> {
    let to: Option<i64> = row.try_get("to_version")?;
    let to = to.map(u32::try_from).transpose();
    Ok(Rotation {
        credential: name(row.try_get("credential")?)?,
        number: number(row, "number")?,
        to: to.map_err(|e| damaged("rotation", e))?,
        reason: row.try_get("reason")?,
        started: time(row, "started_us")?,
        banks: BTreeMap::new(),
        verified: BTreeMap::new(),
    })
}

fn bank_row(row: &AnyRow) -> Result<BankRow, StoreError> {
    let progress: String = row.try_get("progress")?;
    Ok(BankRow {
        from: number(row, "from_version")?,
        progress: serde_json::from_str(&progress).map_err(|e| damaged("rotation_bank", e))?,
    })
}

fn number(row: &AnyRow, column: &str) -> Result<u32, StoreError> {
    let number: i64 = row.try_get(column)?;
    u32::try_from(number).map_err(|e| damaged("rotation", e))
}

fn time(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    let time = Timestamp::from_microsecond(row.try_get(column)?);
    time.map_err(|e| damaged("rotation", e))
}
