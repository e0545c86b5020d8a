//! Rows of the audit log. They are only ever appended.

use sqlx::{QueryBuilder, Row, Sqlite};

use super::{Store, StoreError, damaged};

/// One line of the log with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Position, from 0.
    pub seq: u64,
    /// The record as hashed.
    pub line: String,
}

impl Store {
    /// Appends lines in one statement, which is one durable commit: all or none. The primary key refuses a second
    /// record at one position.
    pub async fn append_audit(&self, lines: &[AuditLine]) -> Result<(), StoreError> {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO audit_record (seq, line) ");
        insert.push_values(lines, |mut row, line| {
            row.push_bind(seq_of(line.seq)).push_bind(&line.line);
        });
        insert.build().execute(&self.audit_pool).await?;
        Ok(())
    }

    /// The last line, when there is any.
    pub async fn audit_head(&self) -> Result<Option<AuditLine>, StoreError> {
        let query = "SELECT seq, line FROM audit_record ORDER BY seq DESC LIMIT 1";
        let row = sqlx::query(query).fetch_optional(&self.audit_pool).await?;
        row.map(|row| audit_line(&row)).transpose()
    }

    /// At most `count` lines from position `from` on, in order.
    pub async fn audit_from(&self, from: u64, count: u32) -> Result<Vec<AuditLine>, StoreError> {
        let query = "SELECT seq, line FROM audit_record WHERE seq >= $1 ORDER BY seq LIMIT $2";
        let rows = sqlx::query(query)
            .bind(seq_of(from))
            .bind(i64::from(count))
            .fetch_all(&self.pool);
        rows.await?.iter().map(audit_line).collect()
    }

    /// At most `count` lines below position `below`, newest first.
    pub async fn audit_before(&self, below: u64, count: u32) -> Result<Vec<AuditLine>, StoreError> {
        let query = "SELECT seq, line FROM audit_record WHERE seq < $1 ORDER BY seq DESC LIMIT $2";
        let rows = sqlx::query(query)
            .bind(seq_of(below))
            .bind(i64::from(count))
            .fetch_all(&self.pool);
        rows.await?.iter().map(audit_line).collect()
    }
}

/// Positions beyond `i64::MAX` do not exist.
fn seq_of(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn audit_line(row: &sqlx::sqlite::SqliteRow) -> Result<AuditLine, StoreError> {
    let seq = u64::try_from(row.try_get::<i64, _>(0)?).map_err(|e| damaged("audit_record", e))?;
    Ok(AuditLine {
        seq,
        line: row.try_get(1)?,
    })
}
