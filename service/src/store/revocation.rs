//! Rows of what issuers say about certificates.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, damaged};
use crate::domain::Revocation;

impl Store {
    /// What is known about every certificate that was ever asked about and not forgotten.
    pub async fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        let rows = sqlx::query("SELECT * FROM revocation")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(revocation).collect()
    }

    /// Writes what is known now, all or nothing, and forgets certificates that nobody has asked about since a moment.
    pub async fn put_revocations(
        &self,
        known: &[Revocation],
        forget_before: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // In one order, so that two who write the same rows at once wait for each other and not in a circle.
        let mut known: Vec<_> = known.iter().collect();
        known.sort_by_key(|row| row.certificate);
        for row in known {
            let (statement, fetched) = match &row.statement {
                Some((statement, fetched)) => (Some(json(statement)?), Some(*fetched)),
                None => (None, None),
            };
            sqlx::query(
                "INSERT INTO revocation
                 (certificate, statement, fetched_us, asked_us, attempted_us, failure)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (certificate) DO UPDATE SET
                 statement = $2, fetched_us = $3, asked_us = $4, attempted_us = $5, failure = $6",
            )
            .bind(row.certificate.as_slice())
            .bind(statement)
            .bind(fetched.map(Timestamp::as_microsecond))
            .bind(row.asked_first.as_microsecond())
            .bind(row.attempted.as_microsecond())
            .bind(row.failure.as_ref().map(json).transpose()?)
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query("DELETE FROM revocation WHERE attempted_us < $1")
            .bind(forget_before.as_microsecond())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}

fn revocation(row: &AnyRow) -> Result<Revocation, StoreError> {
    let certificate: Vec<u8> = row.try_get("certificate")?;
    let statement: Option<String> = row.try_get("statement")?;
    let fetched: Option<i64> = row.try_get("fetched_us")?;
    let failure: Option<String> = row.try_get("failure")?;
    let bad = |error| damaged("revocation", error);
    let statement = match (statement, fetched) {
        (Some(text), Some(fetched)) => {
            let statement = serde_json::from_str(&text).map_err(bad)?;
            Some((statement, time(fetched)?))
        }
        _ => None,
    };
    Ok(Revocation {
        certificate: certificate
            .try_into()
            .map_err(|_| damaged("revocation", "not a fingerprint"))?,
        statement,
        asked_first: time(row.try_get("asked_us")?)?,
        attempted: time(row.try_get("attempted_us")?)?,
        failure: failure
            .map(|text| serde_json::from_str(&text).map_err(bad))
            .transpose()?,
    })
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| damaged("revocation", error))
}

fn time(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|error| damaged("revocation", error))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::{Failure, RevocationReason, RevocationSource, RevocationStatus, Statement};
    use crate::store::OpenMode;

    #[tokio::test]
    async fn what_is_known_comes_back_and_is_forgotten_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.db");
        let store = Store::open(&file.into(), OpenMode::Create).await.unwrap();
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let revoked = Statement {
            source: RevocationSource::Crl,
            status: RevocationStatus::Revoked {
                at: now,
                reason: RevocationReason::KeyCompromise,
            },
            this_update: now,
            next_update: Some(now + SignedDuration::from_hours(1)),
        };
        let mut row = Revocation {
            certificate: [7; 32],
            statement: Some((revoked, now)),
            asked_first: now,
            attempted: now,
            failure: None,
        };
        let silent = Revocation {
            certificate: [8; 32],
            statement: None,
            failure: Some(Failure {
                reason: "TIMED_OUT".to_owned(),
                detail: "no answer".to_owned(),
            }),
            ..row.clone()
        };
        let both = [row.clone(), silent];
        store.put_revocations(&both, now).await.unwrap();
        let mut found = store.revocations().await.unwrap();
        found.sort_by_key(|row| row.certificate);
        assert_eq!(found, both);
        row.attempted = now + SignedDuration::from_hours(1);
        let kept_from = now + SignedDuration::from_mins(1);
        store
            .put_revocations(&[row.clone()], kept_from)
            .await
            .unwrap();
        assert_eq!(store.revocations().await.unwrap(), [row]);
    }
}
