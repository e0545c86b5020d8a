//! Rows of the audit logs. They are only ever appended.

use std::fmt::Write;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

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
    pub async fn append_audit(&self, log: &str, lines: &[AuditLine]) -> Result<(), StoreError> {
        let mut insert = String::from("INSERT INTO audit_line (log, seq, line) VALUES ");
        for at in 0..lines.len() {
            let comma = if at == 0 { "" } else { ", " };
            // Only numbers of parameters are put into the text. Writing to a string cannot fail.
            let _ = write!(insert, "{comma}($1, ${}, ${})", 2 * at + 2, 2 * at + 3);
        }
        let mut query = sqlx::query(AssertSqlSafe(insert)).bind(log);
        for line in lines {
            query = query.bind(seq_of(line.seq)).bind(&line.line);
        }
        query.execute(&self.audit_pool).await?;
        Ok(())
    }

    /// The last line, when there is any.
    pub async fn audit_head(&self, log: &str) -> Result<Option<AuditLine>, StoreError> {
        let query = "SELECT seq, line FROM audit_line WHERE log = $1 ORDER BY seq DESC LIMIT 1";
        let row = sqlx::query(query).bind(log);
        let row = row.fetch_optional(&self.audit_pool).await?;
        row.map(|row| audit_line(&row)).transpose()
    }

    /// At most `count` lines from position `from` on, in order.
    pub async fn audit_from(
        &self,
        log: &str,
        from: u64,
        count: u32,
    ) -> Result<Vec<AuditLine>, StoreError> {
        let query = "SELECT seq, line FROM audit_line WHERE log = $1 AND seq >= $2
                     ORDER BY seq LIMIT $3";
        self.audit_lines(query, log, from, count).await
    }

    /// At most `count` lines below position `below`, newest first.
    pub async fn audit_before(
        &self,
        log: &str,
        below: u64,
        count: u32,
    ) -> Result<Vec<AuditLine>, StoreError> {
        let query = "SELECT seq, line FROM audit_line WHERE log = $1 AND seq < $2
                     ORDER BY seq DESC LIMIT $3";
        self.audit_lines(query, log, below, count).await
    }

    async fn audit_lines(
        &self,
        query: &'static str,
        log: &str,
        at: u64,
        count: u32,
    ) -> Result<Vec<AuditLine>, StoreError> {
        let rows = sqlx::query(query)
            .bind(log)
            .bind(seq_of(at))
            .bind(i64::from(count))
            .fetch_all(&self.pool);
        rows.await?.iter().map(audit_line).collect()
    }

    /// The names of the logs of all replicas.
    pub async fn audit_logs(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT value FROM meta WHERE key LIKE 'audit_log%' ORDER BY key");
        let rows = rows.fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// Positions beyond `i64::MAX` do not exist.
fn seq_of(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn audit_line(row: &AnyRow) -> Result<AuditLine, StoreError> {
    let seq = u64::try_from(row.try_get::<i64, _>(0)?).map_err(|e| damaged("audit_record", e))?;
    Ok(AuditLine {
        seq,
        line: row.try_get(1)?,
    })
}
