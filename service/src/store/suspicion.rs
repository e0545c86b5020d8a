//! Rows of suspicions: tokens whose signatures by a key did not verify. And which set of tokens holds which key.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, damaged};
use crate::backend::KeyId;

/// A token that is not asked to use a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// The token's name in the configuration.
    pub token: String,
    /// The key.
    pub key: KeyId,
    /// Since when.
    pub since: Timestamp,
}

impl Store {
    /// All suspicions, the oldest first.
    pub async fn suspicions(&self) -> Result<Vec<Suspicion>, StoreError> {
        let rows = sqlx::query("SELECT token, key_id, since_us FROM suspicion ORDER BY since_us")
            .fetch_all(&self.pool)
            .await?;
        let suspicion = |row: &sqlx::any::AnyRow| {
            let key: Vec<u8> = row.try_get("key_id")?;
            let key = key.try_into();
            let since = Timestamp::from_microsecond(row.try_get("since_us")?);
            Ok(Suspicion {
                token: row.try_get("token")?,
                key: KeyId::from_bytes(
                    key.map_err(|_| damaged("suspicion", "key_id is not 16 bytes"))?,
                ),
                since: since.map_err(|e| damaged("suspicion", e))?,
            })
        };
        rows.iter().map(suspicion).collect()
    }

    /// Writes a suspicion; one that is there stays as it is.
    pub async fn put_suspicion(&self, suspicion: &Suspicion) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO suspicion (token, key_id, since_us) VALUES ($1, $2, $3)
             ON CONFLICT (token, key_id) DO NOTHING",
        )
        .bind(&suspicion.token)
        .bind(suspicion.key.as_bytes().as_slice())
        .bind(suspicion.since.as_microsecond())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes suspicions of a key back: those of these tokens.
    pub async fn end_suspicions(&self, key: KeyId, tokens: &[String]) -> Result<(), StoreError> {
        for token in tokens {
            sqlx::query("DELETE FROM suspicion WHERE token = $1 AND key_id = $2")
                .bind(token)
                .bind(key.as_bytes().as_slice())
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// Names the set of versions that were written when there was one token without a name.
    pub async fn name_token_sets(&self, set: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE version SET token_set = $1 WHERE token_set = ''")
            .bind(set)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
