//! Rows of enrolments.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::credential::{name, word};
use super::{Store, StoreError, damaged};
use crate::domain::{CallerName, Enrolment, VersionId, Wish};

impl Store {
    /// All enrolments, newest first.
    pub async fn enrolments(&self) -> Result<Vec<Enrolment>, StoreError> {
        let sql = "SELECT * FROM enrolment ORDER BY created_us DESC, credential, version";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        rows.iter().map(enrolment).collect()
    }

    /// Those that have not ended with what was asked for, oldest first.
    pub async fn unsettled_enrolments(&self) -> Result<Vec<Enrolment>, StoreError> {
        let sql = "SELECT * FROM enrolment WHERE standing NOT IN ('installed', 'revoked')
             ORDER BY created_us, credential, version";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        rows.iter().map(enrolment).collect()
    }

    /// Writes an enrolment; the one before for the same version is replaced.
    pub async fn put_enrolment(&self, enrolment: &Enrolment) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO enrolment (credential, version, enroller, author, standing, ticket,
             attempts, next_us, detail, created_us, due_us, wish)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             ON CONFLICT (credential, version) DO UPDATE SET enroller = $3, author = $4,
             standing = $5, ticket = $6, attempts = $7, next_us = $8, detail = $9, created_us = $10, due_us = $11,
             wish = $12",
        )
        .bind(enrolment.version.credential.as_str())
        .bind(i64::from(enrolment.version.number))
        .bind(enrolment.enroller.as_str())
        .bind(enrolment.author.as_str())
        .bind(enrolment.state.as_str())
        .bind(&enrolment.ticket)
        .bind(i64::from(enrolment.attempts))
        .bind(enrolment.next.as_microsecond())
        .bind(&enrolment.detail)
        .bind(enrolment.created.as_microsecond())
        .bind(enrolment.due.as_microsecond())
        .bind(enrolment.wish.word())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Writes what a step brought, unless the enrolment is not open any more; says whether it was.
    pub async fn step_enrolment(&self, enrolment: &Enrolment) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE enrolment SET standing = $3, ticket = $4, attempts = $5, next_us = $6, detail = $7
             WHERE credential = $1 AND version = $2 AND created_us = $8 AND standing = 'pending'",
        )
        .bind(enrolment.version.credential.as_str())
        .bind(i64::from(enrolment.version.number))
        .bind(enrolment.state.as_str())
        .bind(&enrolment.ticket)
        .bind(i64::from(enrolment.attempts))
        .bind(enrolment.next.as_microsecond())
        .bind(&enrolment.detail)
        .bind(enrolment.created.as_microsecond())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn enrolment(row: &AnyRow) -> Result<Enrolment, StoreError> {
    let wrong = |e: &dyn std::fmt::Display| damaged("enrolment", e);
    let time = |column| -> Result<Timestamp, StoreError> {
        Timestamp::from_microsecond(row.try_get(column)?).map_err(|e| wrong(&e))
    };
    let number = |column| -> Result<u32, StoreError> {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|e| wrong(&e))
    };
    Ok(Enrolment {
        version: VersionId {
            credential: name(row.try_get("credential")?)?,
            number: number("version")?,
        },
        wish: Wish::from_word(row.try_get("wish")?).ok_or_else(|| wrong(&"wish"))?,
        enroller: name(row.try_get("enroller")?)?,
        author: CallerName::try_from(row.try_get::<String, _>("author")?).map_err(|e| wrong(&e))?,
        state: word(row.try_get("standing")?)?,
        ticket: row.try_get("ticket")?,
        attempts: number("attempts")?,
        next: time("next_us")?,
        detail: row.try_get("detail")?,
        created: time("created_us")?,
        due: time("due_us")?,
    })
}
