//! The only SQL.
//!
//! In: domain values. Out: domain values, whole. Never: a decision, a clock, a transaction held across anything else.
//!
//! Two databases, one text of SQL: SQLite for one service, PostgreSQL for any number of replicas. Either keeps what it has
//! acknowledged; that is asserted when it is opened.

mod access;
mod approval;
mod audit;
mod bank;
mod cluster;
mod credential;
mod enrolment;
mod postgres;
mod revocation;
mod rotation;
mod sqlite;
mod suspicion;
mod trusted_list;
mod verification;
mod watch;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sqlx::any::AnyConnectOptions;
use sqlx::{Any, AnyPool, Row, Transaction};

use crate::domain::Name;

pub use approval::StateChange;
pub use audit::AuditLine;
pub use cluster::{Changes, Leadership, Turn};
pub use credential::{IssuedRow, NewVersion};
pub use rotation::StepRow;
pub use suspicion::Suspicion;
pub use watch::{AlertRow, DeliveryRow};

/// Connections for reading and administration; the audit writer has one of its own.
const CONNECTIONS_MAX: u32 = 2;

/// Why the store could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database answered with an error (disk full, locked, damaged).
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("database schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Another process holds the store.
    #[error("{0}: in use by another sealkeepd; stop it first")]
    InUse(String),
    /// The store has not been initialised.
    #[error("{0}: no store here; run `sealkeepd init` first")]
    Absent(String),
    /// The database is reached over a network, and need not prove who it is.
    #[error("database at {0}: its URL must say sslmode=verify-full")]
    Unauthenticated(String),
    /// The database does not keep what it acknowledges.
    #[error("database setting {name} is {found}, must be {wanted}")]
    NotDurable {
        /// The setting.
        name: &'static str,
        /// What it says.
        found: String,
        /// What it must say.
        wanted: &'static str,
    },
    /// A row does not parse; it was changed by other hands.
    #[error("damaged row in {table}: {detail}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Somebody else changed the row since it was read; nothing was written.
    #[error("{0} was changed by somebody else meanwhile; look at it again")]
    ChangedMeanwhile(String),
    /// The lock file could not be made.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Where the state of the service is kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file of this machine, for one service.
    Sqlite(PathBuf),
    /// A PostgreSQL database, for any number of replicas.
    Postgres {
        /// `postgres://user:password@host/database?sslmode=verify-full`.
        url: SecretString,
        /// The name of this replica.
        replica: Name,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(file) => file.display().fmt(f),
            Self::Postgres { replica, .. } => write!(f, "PostgreSQL, replica {replica}"),
        }
    }
}

impl From<PathBuf> for Place {
    fn from(file: PathBuf) -> Self {
        Self::Sqlite(file)
    }
}

/// The store: cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    /// One connection for the audit log, so that administration never stands before it in a queue.
    audit_pool: AnyPool,
    /// How a transaction that writes begins.
    begin: &'static str,
    /// The other replicas.
    cluster: Option<cluster::Cluster>,
    /// Holds the advisory lock of the file for as long as the store lives.
    _lock: Option<Arc<File>>,
}

/// Whether [`Store::open`] may make a new database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Make it when absent.
    Create,
    /// Refuse when absent.
    Existing,
}

impl Store {
    /// Opens the database, brings its schema up to date and asserts that it is durable. A file is opened alone, a
    /// PostgreSQL database under the name of the replica.
    pub async fn open(place: &Place, mode: OpenMode) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let store = match place {
            Place::Sqlite(file) => {
                let options = sqlite::options(file, mode)?;
                let lock = sqlite::lock(file)?;
                let pool = sqlite::pool(&options, CONNECTIONS_MAX).await?;
                Self {
                    audit_pool: sqlite::pool(&options, 1).await?,
                    pool,
                    begin: "BEGIN IMMEDIATE",
                    cluster: None,
                    _lock: Some(Arc::new(lock)),
                }
            }
            Place::Postgres { url, replica } => {
                postgres::check_protected(url.expose_secret())?;
                let options: AnyConnectOptions = url.expose_secret().parse()?;
                let pool = postgres::pool(&options, CONNECTIONS_MAX).await?;
                postgres::check_mode(&pool, mode).await?;
                Self {
                    audit_pool: postgres::pool(&options, 1).await?,
                    pool,
                    begin: "BEGIN",
                    cluster: Some(
                        cluster::Cluster::join(url.expose_secret(), replica.clone()).await?,
                    ),
                    _lock: None,
                }
            }
        };
        sqlx::migrate!("src/store/migrations")
            .run(&store.pool)
            .await?;
        for pool in [&store.pool, &store.audit_pool] {
            match place {
                Place::Sqlite(_) => sqlite::assert_durable(pool).await?,
                Place::Postgres { .. } => postgres::assert_durable(pool).await?,
            }
        }
        if store.cluster.is_some() {
            postgres::announce_changes(&store.pool).await?;
        }
        Ok(store)
    }

    /// A transaction that writes.
    async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        Ok(self.pool.begin_with(self.begin).await?)
    }

    /// A value of the installation, for example the name of its audit log.
    pub async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT value FROM meta WHERE key = $1")
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Sets a value of the installation once; an existing value stays and is returned.
    pub async fn meta_once(&self, key: &str, value: &str) -> Result<String, StoreError> {
        let insert = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
        sqlx::query(insert)
            .bind(key)
            .bind(value)
            .execute(&self.pool)
            .await?;
        Ok(self.meta(key).await?.unwrap_or_else(|| value.to_owned()))
    }

    /// Runs a statement of a test, for example one that makes a later statement fail.
    #[cfg(test)]
    pub(crate) async fn execute_for_test(&self, statement: &'static str) {
        #[allow(clippy::unwrap_used, reason = "test only")]
        sqlx::query(statement).execute(&self.pool).await.unwrap();
    }

    /// Closes all connections; what was committed is on disk already.
    pub async fn close(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
        self.audit_pool.close().await;
        self.pool.close().await;
    }
}

/// Shorthand for a row that does not parse.
fn damaged(table: &'static str, detail: impl ToString) -> StoreError {
    StoreError::Damaged {
        table,
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refuses_an_absent_store_unless_it_may_create() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.db");
        let absent = Store::open(&file.clone().into(), OpenMode::Existing).await;
        assert!(matches!(absent, Err(StoreError::Absent(_))));
        assert!(!file.exists(), "a refused open leaves nothing behind");
        Store::open(&file.clone().into(), OpenMode::Create)
            .await
            .unwrap()
            .close()
            .await;
        Store::open(&file.clone().into(), OpenMode::Existing)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn refuses_a_second_service_on_one_store() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.db");
        let first = Store::open(&file.clone().into(), OpenMode::Create)
            .await
            .unwrap();
        let second = Store::open(&file.clone().into(), OpenMode::Existing).await;
        assert!(matches!(second, Err(StoreError::InUse(_))));
        drop(first);
        assert!(
            Store::open(&file.clone().into(), OpenMode::Existing)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn sets_a_meta_value_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("s.db").into(), OpenMode::Create)
            .await
            .unwrap();
        assert_eq!(store.meta("log").await.unwrap(), None);
        assert_eq!(store.meta_once("log", "a").await.unwrap(), "a");
        assert_eq!(store.meta_once("log", "b").await.unwrap(), "a");
    }
}
