//! Rows of approvals, and changes of a version's state.
//!
//! Every write names the state it starts from and does nothing when that is not the state any more: whoever changed it
//! meanwhile, for example by freezing the version, is not overwritten.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::credential::{name, word};
use super::{Store, StoreError, damaged};
use crate::domain::{Approval, ApprovalId, CallerName, Standing, VersionId, VersionState};

/// A version goes from one state to another.
#[derive(Debug, Clone)]
pub struct StateChange {
    /// Which version.
    pub id: VersionId,
    /// The state it is in.
    pub from: VersionState,
    /// The state it gets.
    pub to: VersionState,
}

impl Store {
    /// Approvals, newest first: all, or those that something may still come of.
    pub async fn approvals(&self, open_only: bool) -> Result<Vec<Approval>, StoreError> {
        let sql = match open_only {
            true => {
                "SELECT * FROM approval WHERE standing IN ('pending', 'approved', 'executing')
                 ORDER BY created_us DESC, id"
            }
            false => "SELECT * FROM approval ORDER BY created_us DESC, id",
        };
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        rows.iter().map(approval).collect()
    }

    /// One approval.
    pub async fn approval(&self, id: &ApprovalId) -> Result<Option<Approval>, StoreError> {
        let row = sqlx::query("SELECT * FROM approval WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(approval).transpose()
    }

    /// Writes a new approval.
    pub async fn insert_approval(&self, new: &Approval) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO approval (id, verb, credential, version, author, reason, created_us,
             expires_us, standing, outcome) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(new.id.as_str())
        .bind(new.verb.as_str())
        .bind(new.version.credential.as_str())
        .bind(i64::from(new.version.number))
        .bind(new.author.as_str())
        .bind(&new.reason)
        .bind(new.created.as_microsecond())
        .bind(new.expires.as_microsecond())
        .bind(new.stored.as_str())
        .bind(&new.outcome)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Writes where an approval stands now, and with it what happened to its version, all or nothing.
    pub async fn advance_approval(
        &self,
        from: Standing,
        now: &Approval,
        change: Option<&StateChange>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let written = sqlx::query(
            "UPDATE approval SET standing = $3, decided_by = $4, due_us = $5, outcome = $6
             WHERE id = $1 AND standing = $2",
        )
        .bind(now.id.as_str())
        .bind(from.as_str())
        .bind(now.stored.as_str())
        .bind(now.decided_by.as_ref().map(CallerName::as_str))
        .bind(now.due.map(Timestamp::as_microsecond))
        .bind(&now.outcome)
        .execute(&mut *tx)
        .await?;
        exactly_one(written.rows_affected(), &now.id)?;
        if let Some(change) = change {
            set_state(&mut tx, change).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Writes states of versions, all or nothing.
    pub async fn change_states(&self, changes: &[StateChange]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for change in changes {
            set_state(&mut tx, change).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Sets the state; a frozen version keeps where it came from.
pub(super) async fn set_state(
    tx: &mut Transaction<'_, Any>,
    change: &StateChange,
) -> Result<(), StoreError> {
    let StateChange { id, from, to } = change;
    let frozen_from = (*to == VersionState::Frozen).then_some(from.as_str());
    let written = sqlx::query(
        "UPDATE version SET state = $4, frozen_from = $5
         WHERE credential = $1 AND number = $2 AND state = $3",
    )
    .bind(id.credential.as_str())
    .bind(i64::from(id.number))
    .bind(from.as_str())
    .bind(to.as_str())
    .bind(frozen_from)
    .execute(&mut **tx)
    .await?;
    exactly_one(written.rows_affected(), id)
}

/// A row that is not in the expected state was changed by somebody else.
pub(super) fn exactly_one(rows: u64, what: &impl ToString) -> Result<(), StoreError> {
    match rows {
        1 => Ok(()),
        _ => Err(StoreError::ChangedMeanwhile(what.to_string())),
    }
}

fn approval(row: &AnyRow) -> Result<Approval, StoreError> {
    let wrong = |e: &dyn std::fmt::Display| damaged("approval", e);
    let time = |column| -> Result<Timestamp, StoreError> {
        Timestamp::from_microsecond(row.try_get(column)?).map_err(|e| wrong(&e))
    };
    let person = |text: String| CallerName::try_from(text).map_err(|e| wrong(&e));
    let due: Option<i64> = row.try_get("due_us")?;
    let decided_by: Option<String> = row.try_get("decided_by")?;
    let id: String = row.try_get("id")?;
    let number = u32::try_from(row.try_get::<i64, _>("version")?);
    Ok(Approval {
        id: ApprovalId::parse(&id).ok_or_else(|| wrong(&"id"))?,
        verb: word(row.try_get("verb")?)?,
        version: VersionId {
            credential: name(row.try_get("credential")?)?,
            number: number.map_err(|e| wrong(&e))?,
        },
        author: person(row.try_get("author")?)?,
        reason: row.try_get("reason")?,
        created: time("created_us")?,
        expires: time("expires_us")?,
        stored: word(row.try_get("standing")?)?,
        decided_by: decided_by.map(person).transpose()?,
        due: due
            .map(Timestamp::from_microsecond)
            .transpose()
            .map_err(|e| wrong(&e))?,
        outcome: row.try_get("outcome")?,
    })
}
