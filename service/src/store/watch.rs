//! Rows of alerts and their deliveries.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, damaged};

/// An alert as it is kept: the document is what sinks get.
#[derive(Debug, Clone)]
pub struct AlertRow {
    /// Its lasting id.
    pub id: String,
    /// When it was raised.
    pub raised: Timestamp,
    /// The alert, JSON.
    pub document: String,
}

/// A delivery that is to be tried.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// The alert.
    pub alert: AlertRow,
    /// How often it was tried in vain.
    pub failed_count: u32,
}

impl Store {
    /// Writes alerts with a delivery to each of these sinks, all or nothing. Alerts that are there stay as they are.
    pub async fn raise_alerts(
        &self,
        alerts: &[AlertRow],
        sinks: &[String],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for alert in alerts {
            let raised_us = alert.raised.as_microsecond();
            sqlx::query(
                "INSERT INTO alert (id, raised_us, document) VALUES ($1, $2, $3)
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(&alert.id)
            .bind(raised_us)
            .bind(&alert.document)
            .execute(&mut *tx)
            .await?;
            for sink in sinks {
                sqlx::query(
                    "INSERT INTO delivery (alert, sink, failed_count, next_us) VALUES ($1, $2, 0, $3)
                     ON CONFLICT (alert, sink) DO NOTHING",
                )
                .bind(&alert.id)
                .bind(sink)
                .bind(raised_us)
                .execute(&mut *tx)
                .await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// The ids of all alerts that are kept.
    pub async fn alert_ids(&self) -> Result<HashSet<String>, StoreError> {
        let rows = sqlx::query("SELECT id FROM alert")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// The alerts raised at or after a moment, oldest first.
    pub async fn alerts_since(&self, since: Timestamp) -> Result<Vec<AlertRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, raised_us, document FROM alert WHERE raised_us >= $1 ORDER BY raised_us, id",
        )
        .bind(since.as_microsecond())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(alert_row).collect()
    }

    /// The deliveries to a sink that are due, oldest first.
    pub async fn deliveries_due(
        &self,
        sink: &str,
        now: Timestamp,
        count_max: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.id, a.raised_us, a.document, d.failed_count FROM delivery d
             JOIN alert a ON a.id = d.alert
             WHERE d.sink = $1 AND d.next_us <= $2 ORDER BY d.next_us, a.id LIMIT $3",
        )
        .bind(sink)
        .bind(now.as_microsecond())
        .bind(i64::from(count_max))
        .fetch_all(&self.pool)
        .await?;
        let each = rows.iter().map(|row| {
            let failed: i64 = row.try_get("failed_count")?;
            Ok(DeliveryRow {
                alert: alert_row(row)?,
                failed_count: u32::try_from(failed).map_err(|e| damaged("delivery", e))?,
            })
        });
        each.collect()
    }

    /// When the next delivery to a sink is due; none when there is nothing to deliver.
    pub async fn next_delivery(&self, sink: &str) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT MIN(next_us) FROM delivery WHERE sink = $1")
            .bind(sink)
            .fetch_one(&self.pool)
            .await?;
        let next: Option<i64> = row.try_get(0)?;
        next.map(time).transpose()
    }

    /// How many deliveries to a sink are still to be made.
    pub async fn deliveries_pending(&self, sink: &str) -> Result<u64, StoreError> {
        let row =
            sqlx::query("SELECT COUNT(*) FROM delivery WHERE sink = $1 AND next_us IS NOT NULL")
                .bind(sink)
                .fetch_one(&self.pool)
                .await?;
        let count: i64 = row.try_get(0)?;
        u64::try_from(count).map_err(|e| damaged("delivery", e))
    }

    /// The sink took an alert.
    pub async fn delivered(
        &self,
        alert: &str,
        sink: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE delivery SET next_us = NULL, delivered_us = $3 WHERE alert = $1 AND sink = $2",
        )
        .bind(alert)
        .bind(sink)
        .bind(now.as_microsecond())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The sink did not take an alert; `next` is when to try again, none when never.
    pub async fn undelivered(
        &self,
        alert: &str,
        sink: &str,
        next: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE delivery SET failed_count = failed_count + 1, next_us = $3
             WHERE alert = $1 AND sink = $2",
        )
        .bind(alert)
        .bind(sink)
        .bind(next.map(Timestamp::as_microsecond))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets alerts raised before a moment, with their deliveries.
    pub async fn forget_alerts(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let before_us = before.as_microsecond();
        sqlx::query(
            "DELETE FROM delivery WHERE alert IN (SELECT id FROM alert WHERE raised_us < $1)",
        )
        .bind(before_us)
        .execute(&mut *tx)
        .await?;
        let forgotten = sqlx::query("DELETE FROM alert WHERE raised_us < $1")
            .bind(before_us)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(forgotten.rows_affected())
    }
}

fn alert_row(row: &AnyRow) -> Result<AlertRow, StoreError> {
    Ok(AlertRow {
        id: row.try_get("id")?,
        raised: time(row.try_get("raised_us")?)?,
        document: row.try_get("document")?,
    })
}

fn time(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|error| damaged("alert", error))
}
