//! What replicas over one PostgreSQL database owe each other: one changes something at a time, all hear of it, one leads.
//!
//! Advisory locks belong to a session of the database, so a replica that dies lets go of all of them. Word of a change is
//! a `NOTIFY` from triggers (`postgres.sql`), with the change's own commit; a counter in `meta` is polled besides, for a
//! listener that lost its connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgAdvisoryLock, PgAdvisoryLockGuard, PgListener, PgPoolOptions};
use sqlx::{Connection, PgPool, Postgres, Row};

use super::{Store, StoreError, damaged};
use crate::domain::Name;

/// Sessions for locks (the log's, the leader's, the turn of a change), to listen and to look; and one to spare.
const CONNECTIONS_MAX: u32 = 6;
/// How long looking at the counter may take, milliseconds.
const LOOK_TIMEOUT_MS: u64 = 500;
/// How often the counter of changes is read when nothing is heard, and the leader's session tried, milliseconds.
const POLL_INTERVAL_MS: u64 = 250;
/// How long the server may take to notice that a process of this name has died, seconds.
const JOIN_TIMEOUT_S: u64 = 5;
/// How long the server may take to answer the leader, seconds; then another replica may lead already.
const LEADER_TIMEOUT_S: u64 = 5;
/// The channel of `NOTIFY`; the triggers name it too.
const CHANNEL: &str = "sealkeep_changed";

/// An advisory lock, held.
struct Held(PgAdvisoryLockGuard<PoolConnection<Postgres>>);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

/// A replica's place among the others.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) replica: Name,
    pool: PgPool,
    /// Nobody else writes this replica's log.
    log: Arc<Mutex<Option<Held>>>,
}

impl Cluster {
    /// Joins under a name that no running replica has.
    pub(super) async fn join(url: &str, replica: Name) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .connect(url)
            .await?;
        let lock = PgAdvisoryLock::new(format!("sealkeep log {replica}"));
        let patience = Duration::from_secs(JOIN_TIMEOUT_S);
        let log = tokio::time::timeout(patience, lock.acquire(pool.acquire().await?)).await;
        let log = log.map_err(|_| StoreError::InUse(format!("replica {replica}")))??;
        Ok(Self {
            replica,
            pool,
            log: Arc::new(Mutex::new(Some(Held(log)))),
        })
    }

    /// Lets go of the name; another process may have it at once.
    pub(super) async fn leave(&self) {
        let held = self
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Held(held)) = held
            && let Err(error) = held.release_now().await
        {
            tracing::warn!(%error, "the name of this replica is free when the database has noticed its end");
        }
    }
}

/// Nobody else changes anything while it is held.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "held")] Option<Held>);

/// This replica leads while it is held.
#[derive(Debug)]
pub struct Leadership(Option<Held>);

impl Leadership {
    /// Waits until it is lost with its session of the database; for ever when there are no other replicas.
    pub async fn lost(mut self) {
        let Some(Held(held)) = &mut self.0 else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(Duration::from_millis(POLL_INTERVAL_MS)).await;
            let patience = Duration::from_secs(LEADER_TIMEOUT_S);
            let answered = tokio::time::timeout(patience, held.ping()).await;
            if let Err(error) = answered.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                tracing::warn!(%error, "no longer the leader");
                return;
            }
        }
    }
}

/// Word of what other replicas change.
#[derive(Debug)]
pub struct Changes {
    pool: PgPool,
    listener: PgListener,
    seen: i64,
}

impl Changes {
    /// Waits for a change, at most a quarter of a second; answers whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer: there may be changes that nobody told.
    pub async fn next(&mut self) -> Result<bool, StoreError> {
        let patience = Duration::from_millis(POLL_INTERVAL_MS);
        if let Ok(heard) = tokio::time::timeout(patience, self.listener.recv()).await {
            heard?;
        }
        let row = sqlx::query("SELECT value FROM meta WHERE key = 'changes'").fetch_one(&self.pool);
        let row = tokio::time::timeout(Duration::from_millis(LOOK_TIMEOUT_MS), row).await;
        let row = row.map_err(|_| sqlx::Error::PoolTimedOut)??;
        let now = row.try_get::<String, _>(0)?;
        let now = now
            .parse()
            .map_err(|_| damaged("meta", format!("changes: {now}")))?;
        Ok(std::mem::replace(&mut self.seen, now) != now)
    }
}

impl Store {
    /// Waits until nobody else changes anything. Another replica may have changed something before: read again what the
    /// change is checked against.
    pub async fn turn(&self) -> Result<Turn, StoreError> {
        let Some(cluster) = &self.cluster else {
            return Ok(Turn(None));
        };
        let connection = cluster.pool.acquire().await?;
        let held = PgAdvisoryLock::new("sealkeep change")
            .acquire(connection)
            .await?;
        Ok(Turn(Some(Held(held))))
    }

    /// Waits until this replica leads.
    pub async fn lead(&self) -> Result<Leadership, StoreError> {
        let Some(cluster) = &self.cluster else {
            return Ok(Leadership(None));
        };
        let connection = cluster.pool.acquire().await?;
        let held = PgAdvisoryLock::new("sealkeep leader")
            .acquire(connection)
            .await?;
        tracing::info!(replica = %cluster.replica, "this replica leads");
        Ok(Leadership(Some(Held(held))))
    }

    /// Listens for what other replicas change; none when there are no others.
    pub async fn changes(&self) -> Result<Option<Changes>, StoreError> {
        let Some(cluster) = &self.cluster else {
            return Ok(None);
        };
        let mut listener = PgListener::connect_with(&cluster.pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(Some(Changes {
            pool: cluster.pool.clone(),
            listener,
            // The first look finds a change: there may have been one before anybody listened.
            seen: -1,
        }))
    }

    /// The name of this replica; none when there are no others.
    pub fn replica(&self) -> Option<&Name> {
        self.cluster.as_ref().map(|cluster| &cluster.replica)
    }
}
