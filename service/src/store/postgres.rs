//! The database of several replicas.

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AnyPool, Row};

use super::{OpenMode, StoreError};

/// What tells other replicas of a change. At each start those that are missing are made: it names the tables that there
/// are.
const TRIGGERS: &str = include_str!("postgres.sql");

/// Refuses a database that is reached over a network without proof of who it is. A socket of this machine needs none.
pub(super) fn check_protected(url: &str) -> Result<(), StoreError> {
    let options: PgConnectOptions = url.parse()?;
    let proven = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
    match proven || options.get_socket().is_some() {
        true => Ok(()),
        false => Err(StoreError::Unauthenticated(options.get_host().to_owned())),
    }
}

/// Whether the schema is there.
pub(super) async fn is_initialised(pool: &AnyPool) -> Result<bool, StoreError> {
    let query = "SELECT COUNT(*) FROM information_schema.tables
                 WHERE table_schema = current_schema() AND table_name = 'meta'";
    let row = sqlx::query(query).fetch_one(pool).await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

/// Refuses an absent store unless it may be made.
pub(super) async fn check_mode(pool: &AnyPool, mode: OpenMode) -> Result<(), StoreError> {
    match mode == OpenMode::Create || is_initialised(pool).await? {
        true => Ok(()),
        false => Err(StoreError::Absent("PostgreSQL".to_owned())),
    }
}

/// A pool of connections.
pub(super) async fn pool(
    options: &AnyConnectOptions,
    connections_max: u32,
) -> Result<AnyPool, StoreError> {
    let pool = AnyPoolOptions::new().max_connections(connections_max);
    Ok(pool.connect_with(options.clone()).await?)
}

/// Makes the triggers.
pub(super) async fn announce_changes(pool: &AnyPool) -> Result<(), StoreError> {
    sqlx::raw_sql(TRIGGERS).execute(pool).await?;
    Ok(())
}

/// Asserts that the server keeps what it acknowledges (postgresql.org, "Write Ahead Log" settings).
pub(super) async fn assert_durable(pool: &AnyPool) -> Result<(), StoreError> {
    for (name, query) in [
        ("fsync", "SHOW fsync"),
        ("synchronous_commit", "SHOW synchronous_commit"),
    ] {
        let row = sqlx::query(query).fetch_one(pool).await?;
        let found: String = row.try_get(0)?;
        if found == "off" {
            let wanted = "on";
            return Err(StoreError::NotDurable {
                name,
                found,
                wanted,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_network_without_proof_of_who_answers() {
        for refused in [
            "postgres://u@db.internal/s",
            "postgres://u@db.internal/s?sslmode=disable",
            "postgres://u@db.internal/s?sslmode=prefer",
            "postgres://u@db.internal/s?sslmode=require",
            "postgres://u@db.internal/s?sslmode=verify-ca",
            "postgres://u@127.0.0.1/s",
        ] {
            let error = check_protected(refused).unwrap_err();
            assert!(
                matches!(error, StoreError::Unauthenticated(_)),
                "{refused}: {error}"
            );
        }
        for taken in [
            "postgres://u@db.internal/s?sslmode=verify-full",
            "postgres://u@localhost/s?host=/run/postgresql",
            "postgres://u@%2Frun%2Fpostgresql/s?sslmode=disable",
        ] {
            check_protected(taken).unwrap();
        }
        let error = check_protected("postgres://u@h/s?sslmode=no").unwrap_err();
        assert!(matches!(error, StoreError::Database(_)), "{error}");
    }
}
