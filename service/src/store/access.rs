//! Rows of callers.

use sqlx::Row;

use super::credential::word;
use super::{Store, StoreError, damaged};
use crate::domain::{Caller, CallerName};

impl Store {
    /// All callers, by name.
    pub async fn callers(&self) -> Result<Vec<Caller>, StoreError> {
        let rows = sqlx::query("SELECT * FROM caller ORDER BY name").fetch_all(&self.pool);
        rows.await?
            .iter()
            .map(|row| {
                let name: String = row.try_get("name")?;
                let grants: String = row.try_get("grants")?;
                Ok(Caller {
                    name: CallerName::try_from(name).map_err(|e| damaged("caller", e))?,
                    role: word(row.try_get("role")?)?,
                    grants: serde_json::from_str(&grants).map_err(|e| damaged("caller", e))?,
                })
            })
            .collect()
    }

    /// Writes callers with their roles and grants, all or nothing; other callers stay.
    pub async fn put_callers(&self, callers: &[Caller]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for caller in callers {
            let grants = serde_json::to_string(&caller.grants).map_err(|e| damaged("caller", e))?;
            sqlx::query(
                "INSERT INTO caller (name, role, grants) VALUES ($1, $2, $3)
                 ON CONFLICT (name) DO UPDATE SET role = $2, grants = $3",
            )
            .bind(caller.name.as_str())
            .bind(caller.role.as_str())
            .bind(grants)
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }
}
