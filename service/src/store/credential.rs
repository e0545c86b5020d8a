//! Rows of credentials and versions.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use sealkeep_profiles::certificate::KnownCertificates;
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::approval::{StateChange, exactly_one, set_state};
use super::{Store, StoreError, damaged};
use crate::backend::{KeyEvidence, KeyId, KeyRef};
use crate::domain::{
    Credential, Environment, Issued, KeyOrigin, Name, Purpose, Version, VersionId, VersionState,
};

/// A version as it is first written.
#[derive(Debug)]
pub struct NewVersion {
    /// The credential; made when absent.
    pub credential: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// The set of tokens that holds its key.
    pub token_set: String,
    /// The key in the token.
    pub key_id: KeyId,
    /// SubjectPublicKeyInfo, DER.
    pub spki_der: Vec<u8>,
    /// Where the key comes from.
    pub origin: KeyOrigin,
    /// The kind of key.
    pub key_algorithm: String,
    /// What the token said about the private key.
    pub evidence: KeyEvidence,
    /// The PKCS#10 request, DER; none for decryption.
    pub csr_der: Option<Vec<u8>>,
    /// When.
    pub created: Timestamp,
}

/// A chain as it is written at installation.
#[derive(Debug)]
pub struct IssuedRow {
    /// Leaf first, PEM.
    pub chain_pem: String,
    /// The world of its trust anchor.
    pub environment: Environment,
}

impl Store {
    /// All credentials with their versions, by name and number. Certificates in `known` are not parsed again.
    pub async fn credentials(
        &self,
        known: &mut KnownCertificates,
    ) -> Result<Vec<Credential>, StoreError> {
        let rows = sqlx::query("SELECT name, purpose FROM credential ORDER BY name")
            .fetch_all(&self.pool)
            .await?;
        let mut credentials = Vec::with_capacity(rows.len());
        for row in rows {
            let name = name(row.try_get("name")?)?;
            let purpose = word(row.try_get("purpose")?)?;
            credentials.push(Credential {
                name,
                purpose,
                versions: Vec::new(),
            });
        }
        let places = credentials.iter().enumerate();
        let places: HashMap<Name, usize> = places.map(|(at, c)| (c.name.clone(), at)).collect();
        let rows =
            sqlx::query("SELECT * FROM version ORDER BY credential, number").fetch_all(&self.pool);
        for row in rows.await? {
            let version = version(&row, known)?;
            let place = places.get(&version.id.credential);
            let place = place.ok_or_else(|| damaged("version", "without credential"))?;
            credentials[*place].versions.push(Arc::new(version));
        }
        Ok(credentials)
    }

    /// Writes a new version, and its credential when it is the first; answers its number.
    pub async fn insert_version(&self, new: &NewVersion) -> Result<u32, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO credential (name, purpose, created_us) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(new.credential.as_str())
        .bind(new.purpose.as_str())
        .bind(new.created.as_microsecond())
        .execute(&mut *tx)
        .await?;
        let row =
            sqlx::query("SELECT COALESCE(MAX(number), 0) + 1 FROM version WHERE credential = $1")
                .bind(new.credential.as_str())
                .fetch_one(&mut *tx)
                .await?;
        let number: i64 = row.try_get(0)?;
        sqlx::query(
            "INSERT INTO version
             (credential, number, state, key_id, spki, key_algorithm, evidence, csr, created_us,
              token_set, key_origin)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(new.credential.as_str())
        .bind(number)
        .bind(VersionState::Requested.as_str())
        .bind(new.key_id.as_bytes().as_slice())
        .bind(&new.spki_der)
        .bind(&new.key_algorithm)
        .bind(serde_json::to_string(&new.evidence).map_err(|e| damaged("version", e))?)
        .bind(new.csr_der.as_deref().unwrap_or_default())
        .bind(new.created.as_microsecond())
        .bind(&new.token_set)
        .bind(new.origin.as_str())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        u32::try_from(number).map_err(|e| damaged("version", e))
    }

    /// Writes the issued chain of a version together with its new state.
    pub async fn install(
        &self,
        change: &StateChange,
        issued: &IssuedRow,
    ) -> Result<(), StoreError> {
        let StateChange { id, from, to } = change;
        let written = sqlx::query(
            "UPDATE version SET chain_pem = $3, environment = $4, state = $5
             WHERE credential = $1 AND number = $2 AND state = $6",
        )
        .bind(id.credential.as_str())
        .bind(i64::from(id.number))
        .bind(&issued.chain_pem)
        .bind(issued.environment.as_str())
        .bind(to.as_str())
        .bind(from.as_str())
        .execute(&self.pool)
        .await?;
        exactly_one(written.rows_affected(), id)
    }

    /// Writes the new state of a version and binds it to banks, all or nothing.
    pub async fn set_state_and_bind(
        &self,
        change: &StateChange,
        banks: &[Name],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        set_state(&mut tx, change).await?;
        for bank in banks {
            bind(&mut tx, bank, &change.id).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Points a bank's binding of a credential at a version.
pub(super) async fn bind(
    tx: &mut Transaction<'_, Any>,
    bank: &Name,
    id: &VersionId,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO binding (bank, credential, version) VALUES ($1, $2, $3)
         ON CONFLICT (bank, credential) DO UPDATE SET version = $3",
    )
    .bind(bank.as_str())
    .bind(id.credential.as_str())
    .bind(i64::from(id.number))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn version(row: &AnyRow, known: &mut KnownCertificates) -> Result<Version, StoreError> {
    let spki_der: Vec<u8> = row.try_get("spki")?;
    let key_id: Vec<u8> = row.try_get("key_id")?;
    let key_id = key_id
        .try_into()
        .map_err(|_| damaged("version", "key_id is not 16 bytes"))?;
    let evidence: String = row.try_get("evidence")?;
    let evidence: KeyEvidence =
        serde_json::from_str(&evidence).map_err(|e| damaged("version", e))?;
    let number = u32::try_from(row.try_get::<i64, _>("number")?);
    let frozen_from: Option<String> = row.try_get("frozen_from")?;
    Ok(Version {
        id: VersionId {
            credential: name(row.try_get("credential")?)?,
            number: number.map_err(|e| damaged("version", e))?,
        },
        state: word(row.try_get("state")?)?,
        frozen_from: frozen_from.map(word).transpose()?,
        token_set: row.try_get("token_set")?,
        key: KeyRef {
            id: KeyId::from_bytes(key_id),
            spki_sha256: Sha256::digest(&spki_der).into(),
        },
        origin: word(row.try_get("key_origin")?)?,
        key_algorithm: row.try_get("key_algorithm")?,
        spki_der,
        evidence,
        csr_der: Some(row.try_get("csr")?).filter(|csr: &Vec<u8>| !csr.is_empty()),
        issued: issued(row, known)?,
        created: Timestamp::from_microsecond(row.try_get("created_us")?)
            .map_err(|e| damaged("version", e))?,
    })
}

fn issued(row: &AnyRow, known: &mut KnownCertificates) -> Result<Option<Issued>, StoreError> {
    let pem: Option<String> = row.try_get("chain_pem")?;
    let environment: Option<String> = row.try_get("environment")?;
    let (Some(pem), Some(environment)) = (pem, environment) else {
        return Ok(None);
    };
    let chain = known
        .chain_from_pem(pem.as_bytes())
        .map_err(|e| damaged("version", e))?;
    if chain.is_empty() {
        return Err(damaged("version", "empty chain"));
    }
    Ok(Some(Issued {
        chain: chain.into(),
        environment: word(environment)?,
    }))
}

pub(super) fn name(text: String) -> Result<Name, StoreError> {
    Name::try_from(text).map_err(|e| damaged("name", e))
}

/// A word of one of the domain's small vocabularies, through its serde form.
pub(super) fn word<T: serde::de::DeserializeOwned>(text: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|e| damaged("word", e))
}
