//! The embedded database: one file, one service.
//!
//! WAL mode with `synchronous=FULL`: what was committed survives a power cut. With `NORMAL` it does not, and an audit log
//! that forgets acknowledged records is worth nothing; so both settings are read back and asserted.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, Executor, Row};

use super::{OpenMode, StoreError};

/// What each connection begins with. A statement waits for another writer, milliseconds.
const BEGIN: &str = "PRAGMA busy_timeout = 1000; PRAGMA journal_mode = WAL;
                     PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";

/// Where the database is, for sqlx.
pub(super) fn options(file: &Path, mode: OpenMode) -> Result<AnyConnectOptions, StoreError> {
    if mode == OpenMode::Existing && !file.exists() {
        return Err(StoreError::Absent(file.display().to_string()));
    }
    let fault = |source| StoreError::File {
        path: file.to_owned(),
        source,
    };
    let file = std::path::absolute(file).map_err(fault)?;
    let not_utf8 = || fault(std::io::Error::other("the path is not UTF-8"));
    let path = file.to_str().ok_or_else(not_utf8)?;
    let path: String = path.split('/').map(encoded).collect::<Vec<_>>().join("/");
    let mode = match mode {
        OpenMode::Create => "rwc",
        OpenMode::Existing => "rw",
    };
    Ok(format!("sqlite://{path}?mode={mode}").parse()?)
}

/// A segment of a path in a URL (RFC 3986 section 2.1).
fn encoded(segment: &str) -> String {
    segment
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A pool whose connections keep what they acknowledge.
pub(super) async fn pool(
    options: &AnyConnectOptions,
    connections_max: u32,
) -> Result<AnyPool, StoreError> {
    let pool = AnyPoolOptions::new()
        .max_connections(connections_max)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(BEGIN).await.map(|_| ()) })
        });
    Ok(pool.connect_with(options.clone()).await?)
}

/// Asserts that the database keeps what it acknowledges.
pub(super) async fn assert_durable(pool: &AnyPool) -> Result<(), StoreError> {
    assert_pragma(pool, "journal_mode", "PRAGMA journal_mode", "wal").await?;
    // 2 is FULL (sqlite.org/pragma.html#pragma_synchronous).
    assert_pragma(pool, "synchronous", "PRAGMA synchronous", "2").await
}

async fn assert_pragma(
    pool: &AnyPool,
    name: &'static str,
    pragma: &'static str,
    wanted: &'static str,
) -> Result<(), StoreError> {
    let row = sqlx::query(pragma).fetch_one(pool).await?;
    let found = match row.try_get::<String, _>(0) {
        Ok(text) => text,
        Err(_) => row.try_get::<i64, _>(0)?.to_string(),
    };
    match found == wanted {
        true => Ok(()),
        false => Err(StoreError::NotDurable {
            name,
            found,
            wanted,
        }),
    }
}

/// Takes the lock file beside the database. SQLite alone would let two services write one audit log.
pub(super) fn lock(database: &Path) -> Result<File, StoreError> {
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
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(StoreError::InUse(database.display().to_string()))
        }
        Err(errno) => Err(fault(errno.into())),
    }
}
