//! The only SQL.
//!
//! In: domain values. Out: domain values, whole. Never: a decision, a clock, a transaction held across anything else.
//!
//! SQLite in WAL mode with `synchronous=FULL`: what was committed survives a power cut. With `NORMAL` it does not, and
//! an audit log that forgets acknowledged records is worth nothing; so both settings are read back and asserted.

mod access;
mod approval;
mod audit;
mod bank;
mod credential;
mod enrolment;
mod revocation;
mod rotation;
mod suspicion;
mod verification;
mod watch;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlitePool};

pub use approval::StateChange;
pub use audit::AuditLine;
pub use credential::{IssuedRow, NewVersion};
pub use rotation::StepRow;
pub use suspicion::Suspicion;
pub use watch::{AlertRow, DeliveryRow};

/// How long a statement waits for another writer, milliseconds.
const BUSY_TIMEOUT_MS: u64 = 1_000;
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
    InUse(PathBuf),
    /// The store has not been initialised.
    #[error("{0}: no store here; run `sealkeepd init` first")]
    Absent(PathBuf),
    /// The database does not keep what it acknowledges.
    #[error("database setting {name} is {found}, must be {wanted}")]
    NotDurable {
        /// The PRAGMA.
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

/// The store: cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
    /// One connection for the audit log, so that administration never stands before it in a queue.
    audit_pool: SqlitePool,
    /// Holds the advisory lock for as long as the store lives.
    _lock: Arc<File>,
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
    /// Opens the database, alone, brings its schema up to date and asserts that it is durable.
    pub async fn open(file: &Path, mode: OpenMode) -> Result<Self, StoreError> {
        if mode == OpenMode::Existing && !file.exists() {
            return Err(StoreError::Absent(file.to_owned()));
        }
        let lock = lock(file)?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(mode == OpenMode::Create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS));
        let audit_pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .connect_with(options)
            .await?;
        sqlx::migrate!("src/store/migrations").run(&pool).await?;
        for pool in [&pool, &audit_pool] {
            assert_pragma(pool, "journal_mode", "PRAGMA journal_mode", "wal").await?;
            // 2 is FULL (sqlite.org/pragma.html#pragma_synchronous).
            assert_pragma(pool, "synchronous", "PRAGMA synchronous", "2").await?;
        }
        Ok(Self {
            pool,
            audit_pool,
            _lock: Arc::new(lock),
        })
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
        self.audit_pool.close().await;
        self.pool.close().await;
    }
}

async fn assert_pragma(
    pool: &SqlitePool,
    name: &'static str,
    pragma: &'static str,
    wanted: &'static str,
) -> Result<(), StoreError> {
    let row = sqlx::query(pragma).fetch_one(pool).await?;
    let found = match row.try_get::<String, _>(0) {
        Ok(text) => text,
        Err(_) => row.try_get::<i64, _>(0)?.to_string(),
    };
    if found == wanted {
        Ok(())
    } else {
        Err(StoreError::NotDurable {
            name,
            found,
            wanted,
        })
    }
}

/// Takes the lock file beside the database. SQLite alone would let two services write one audit log.
fn lock(database: &Path) -> Result<File, StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let fault = |source| StoreError::File {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(fault)?;
    let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse(database.to_owned())),
        Err(errno) => Err(fault(errno.into())),
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
        let absent = Store::open(&file, OpenMode::Existing).await;
        assert!(matches!(absent, Err(StoreError::Absent(_))));
        assert!(!file.exists(), "a refused open leaves nothing behind");
        Store::open(&file, OpenMode::Create)
            .await
            .unwrap()
            .close()
            .await;
        Store::open(&file, OpenMode::Existing).await.unwrap();
    }

    #[tokio::test]
    async fn refuses_a_second_service_on_one_store() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.db");
        let first = Store::open(&file, OpenMode::Create).await.unwrap();
        let second = Store::open(&file, OpenMode::Existing).await;
        assert!(matches!(second, Err(StoreError::InUse(_))));
        drop(first);
        assert!(Store::open(&file, OpenMode::Existing).await.is_ok());
    }

    #[tokio::test]
    async fn sets_a_meta_value_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("s.db"), OpenMode::Create)
            .await
            .unwrap();
        assert_eq!(store.meta("log").await.unwrap(), None);
        assert_eq!(store.meta_once("log", "a").await.unwrap(), "a");
        assert_eq!(store.meta_once("log", "b").await.unwrap(), "a");
    }
}
