//! Rows of trusted lists.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, damaged};
use crate::trust::{Imported, ListId};

impl Store {
    /// Which lists there are, each with the SHA-256 of its file: enough to know whether a list must be read again.
    pub async fn trusted_list_ids(&self) -> Result<Vec<(ListId, [u8; 32])>, StoreError> {
        let sql = "SELECT environment, territory, file_sha256 FROM trusted_list";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| Ok((id(row)?, digest(row)?)))
            .collect()
    }

    /// One list; none when it was removed meanwhile.
    pub async fn trusted_list(&self, id: &ListId) -> Result<Option<Imported>, StoreError> {
        let sql = "SELECT * FROM trusted_list WHERE environment = $1 AND territory = $2";
        let row = sqlx::query(sql)
            .bind(id.environment.as_str())
            .bind(id.territory.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(imported).transpose()
    }

    /// Writes lists, all or nothing; each takes the place of the one before.
    pub async fn put_trusted_lists(&self, lists: &[Imported]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for imported in lists {
            let document = serde_json::to_string(&imported.list)
                .map_err(|error| damaged("trusted_list", error))?;
            sqlx::query(
                "INSERT INTO trusted_list (environment, territory, file_sha256, imported_us, document)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (environment, territory)
                 DO UPDATE SET file_sha256 = $3, imported_us = $4, document = $5",
            )
            .bind(imported.id.environment.as_str())
            .bind(imported.id.territory.as_str())
            .bind(hex::encode(imported.file_sha256))
            .bind(imported.imported.as_microsecond())
            .bind(document)
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Forgets a list.
    pub async fn remove_trusted_list(&self, id: &ListId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM trusted_list WHERE environment = $1 AND territory = $2")
            .bind(id.environment.as_str())
            .bind(id.territory.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

fn imported(row: &AnyRow) -> Result<Imported, StoreError> {
    let document: String = row.try_get("document")?;
    let imported = Timestamp::from_microsecond(row.try_get("imported_us")?);
    Ok(Imported {
        id: id(row)?,
        file_sha256: digest(row)?,
        imported: imported.map_err(|error| damaged("trusted_list", error))?,
        list: serde_json::from_str(&document).map_err(|error| damaged("trusted_list", error))?,
    })
}

fn id(row: &AnyRow) -> Result<ListId, StoreError> {
    let environment: String = row.try_get("environment")?;
    let territory: String = row.try_get("territory")?;
    let text = format!("{environment}/{territory}");
    ListId::try_from(text.as_str()).map_err(|error| damaged("trusted_list", error))
}

fn digest(row: &AnyRow) -> Result<[u8; 32], StoreError> {
    let text: String = row.try_get("file_sha256")?;
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|error| damaged("trusted_list", error))?;
    Ok(digest)
}
