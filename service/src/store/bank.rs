//! Rows of banks and bindings.

use sqlx::Row;

use super::credential::{bind, name};
use super::{Store, StoreError, damaged};
use crate::domain::{Bank, Binding, Name, VersionId};

impl Store {
    /// All banks, by name.
    pub async fn banks(&self) -> Result<Vec<Bank>, StoreError> {
        let rows = sqlx::query("SELECT document FROM bank ORDER BY name").fetch_all(&self.pool);
        rows.await?
            .iter()
            .map(|row| {
                let document: String = row.try_get(0)?;
                serde_json::from_str(&document).map_err(|e| damaged("bank", e))
            })
            .collect()
    }

    /// All bindings, by bank and credential.
    pub async fn bindings(&self) -> Result<Vec<Binding>, StoreError> {
        let rows = sqlx::query("SELECT * FROM binding ORDER BY bank, credential");
        rows.fetch_all(&self.pool)
            .await?
            .iter()
            .map(|row| {
                let version = u32::try_from(row.try_get::<i64, _>("version")?);
                Ok(Binding {
                    bank: name(row.try_get("bank")?)?,
                    credential: name(row.try_get("credential")?)?,
                    version: version.map_err(|e| damaged("binding", e))?,
                })
            })
            .collect()
    }

    /// Writes banks and new bindings, all or nothing. A binding to a credential the bank no longer lists goes away.
    pub async fn put_banks(
        &self,
        banks: &[Bank],
        bindings: &[(Name, VersionId)],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for bank in banks {
            let document = serde_json::to_string(bank).map_err(|e| damaged("bank", e))?;
            sqlx::query(
                "INSERT INTO bank (name, document) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET document = $2",
            )
            .bind(bank.name.as_str())
            .bind(document)
            .execute(&mut *tx)
            .await?;
            let held = sqlx::query("SELECT credential FROM binding WHERE bank = $1")
                .bind(bank.name.as_str())
                .fetch_all(&mut *tx)
                .await?;
            for row in held {
                let credential = name(row.try_get(0)?)?;
                if !bank.credentials.contains(&credential) {
                    sqlx::query("DELETE FROM binding WHERE bank = $1 AND credential = $2")
                        .bind(bank.name.as_str())
                        .bind(credential.as_str())
                        .execute(&mut *tx)
                        .await?;
                }
            }
        }
        for (bank, version) in bindings {
            bind(&mut tx, bank, version).await?;
        }
        Ok(tx.commit().await?)
    }
}
