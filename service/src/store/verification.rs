//! Rows of verifications.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::approval::exactly_one;
use super::credential::name;
use super::{Store, StoreError, damaged};
use crate::bank::rotation::verification::{Verification, Verified};
use crate::domain::{CallerName, Name, VersionId};

impl Store {
    /// The verifications of open rotations that were begun and not concluded.
    pub async fn open_verifications(&self) -> Result<Vec<Verification>, StoreError> {
        let rows = sqlx::query(
            "SELECT v.* FROM rotation_verification v JOIN rotation r
             ON r.credential = v.credential AND r.number = v.number
             WHERE r.ended_us IS NULL AND v.concluded_us IS NULL",
        );
        let rows = rows.fetch_all(&self.pool).await?;
        rows.iter().map(verification).collect()
    }

    /// The last conclusion of each bank in the open rotations, with the credential it is about.
    pub async fn last_verified(&self) -> Result<Vec<(Name, Verified)>, StoreError> {
        let rows = sqlx::query(
            "SELECT v.* FROM rotation_verification v JOIN rotation r
             ON r.credential = v.credential AND r.number = v.number
             WHERE r.ended_us IS NULL AND v.concluded_us =
                 (SELECT MAX(w.concluded_us) FROM rotation_verification w WHERE
                  w.credential = v.credential AND w.number = v.number AND w.bank = v.bank)",
        );
        let rows = rows.fetch_all(&self.pool).await?;
        rows.iter().map(verified).collect()
    }

    /// Writes a new verification in the place of one for the same bank that came to no conclusion.
    pub async fn begin_verification(&self, new: &Verification) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let rotation = i64::from(new.rotation);
        sqlx::query(
            "DELETE FROM rotation_verification
             WHERE credential = $1 AND number = $2 AND bank = $3 AND concluded_us IS NULL",
        )
        .bind(new.version.credential.as_str())
        .bind(rotation)
        .bind(new.bank.as_str())
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO rotation_verification
             (id, credential, number, bank, version, caller, expires_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&new.id)
        .bind(new.version.credential.as_str())
        .bind(rotation)
        .bind(new.bank.as_str())
        .bind(i64::from(new.version.number))
        .bind(new.caller.as_str())
        .bind(new.expires.as_microsecond())
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Writes what came of a verification.
    pub async fn conclude_verification(
        &self,
        id: &str,
        verified: &Verified,
    ) -> Result<(), StoreError> {
        let seen = serde_json::to_string(&verified.seen).map_err(wrong)?;
        let written = sqlx::query(
            "UPDATE rotation_verification SET concluded_us = $2, reason = $3, seen = $4
             WHERE id = $1 AND concluded_us IS NULL",
        )
        .bind(id)
        .bind(verified.at.as_microsecond())
        .bind(&verified.reason)
        .bind(seen)
        .execute(&self.pool)
        .await?;
        exactly_one(written.rows_affected(), &"verification")
    }
}

fn verification(row: &AnyRow) -> Result<Verification, StoreError> {
    let rotation = u32::try_from(row.try_get::<i64, _>("number")?);
    Ok(Verification {
        id: row.try_get("id")?,
        rotation: rotation.map_err(wrong)?,
        bank: name(row.try_get("bank")?)?,
        version: version(row)?,
        caller: caller(row)?,
        expires: time(row, "expires_us")?,
    })
}

fn verified(row: &AnyRow) -> Result<(Name, Verified), StoreError> {
    let seen: String = row.try_get("seen")?;
    let verified = Verified {
        at: time(row, "concluded_us")?,
        caller: caller(row)?,
        version: version(row)?,
        reason: row.try_get("reason")?,
        seen: serde_json::from_str(&seen).map_err(wrong)?,
    };
    Ok((name(row.try_get("bank")?)?, verified))
}

fn version(row: &AnyRow) -> Result<VersionId, StoreError> {
    let number = u32::try_from(row.try_get::<i64, _>("version")?);
    Ok(VersionId {
        credential: name(row.try_get("credential")?)?,
        number: number.map_err(wrong)?,
    })
}

fn caller(row: &AnyRow) -> Result<CallerName, StoreError> {
    CallerName::try_from(row.try_get::<String, _>("caller")?).map_err(wrong)
}

fn time(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(wrong)
}

fn wrong(error: impl std::fmt::Display) -> StoreError {
    damaged("rotation_verification", error.to_string())
}
