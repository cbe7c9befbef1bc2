//! Picks the adapter for a database. The one file that asks which databases this program was built with.

use std::path::PathBuf;

use outbox_core::continuity::{Mender, another_instance};
use outbox_core::{Store, StoreError, StoreErrorKind};
use outbox_relay::RelayBuilder;
use outbox_sqlx::Migrated;
#[cfg(feature = "postgres")]
use outbox_sqlx::PgStore;
#[cfg(feature = "sqlite")]
use outbox_sqlx::SqliteStore;
use uuid::Uuid;

use crate::exit::Failure;
use crate::settings::{Database, Kind};

/// A relay of the database.
pub(crate) fn relay(database: &Database) -> Result<RelayBuilder, StoreError> {
    match database.kind {
        #[cfg(feature = "postgres")]
        Kind::Postgres => Ok(outbox_relay::Relay::builder(PgStore::new(&database.url, database.names.clone())?)),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => Ok(outbox_relay::Relay::builder(SqliteStore::new(&database.url, database.names.clone())?)),
        #[cfg(not(all(feature = "postgres", feature = "sqlite")))]
        other => Err(not_built(other)),
    }
}

/// The database itself.
pub(crate) fn store(database: &Database) -> Result<Box<dyn Store>, StoreError> {
    match database.kind {
        #[cfg(feature = "postgres")]
        Kind::Postgres => Ok(Box::new(PgStore::new(&database.url, database.names.clone())?)),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => Ok(Box::new(SqliteStore::new(&database.url, database.names.clone())?)),
        #[cfg(not(all(feature = "postgres", feature = "sqlite")))]
        other => Err(not_built(other)),
    }
}

/// Refuses another outbox than the settings expect, where they expect one; `found` is the id of the one that is there.
pub(crate) fn check_instance(found: &str, database: &Database) -> Result<(), StoreError> {
    match database.expect_instance {
        Some(expected) if Uuid::try_parse(found).ok() != Some(expected) => {
            Err(another_instance(found, &expected.to_string(), "the configuration expects"))
        }
        _ => Ok(()),
    }
}

/// The same before anything is asked of tables that may be of any revision; that there are none is no other outbox.
pub(crate) async fn refuse_another_instance(database: &Database) -> Result<(), StoreError> {
    if database.expect_instance.is_none() {
        return Ok(());
    }
    instance(database).await?.map_or(Ok(()), |found| check_instance(&found, database))
}

/// The id of the outbox that is there, of whatever revision.
pub(crate) async fn instance(database: &Database) -> Result<Option<String>, StoreError> {
    match database.kind {
        #[cfg(feature = "postgres")]
        Kind::Postgres => PgStore::new(&database.url, database.names.clone())?.instance().await,
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => SqliteStore::new(&database.url, database.names.clone())?.instance().await,
        #[cfg(not(all(feature = "postgres", feature = "sqlite")))]
        other => std::future::ready(Err(not_built(other))).await,
    }
}

/// Who mends the database.
pub(crate) async fn mender(database: &Database) -> Result<Box<dyn Mender>, StoreError> {
    let store = store(database)?;
    check_instance(&store.inspect().await?.instance, database)?;
    let nobody = || StoreError::new(StoreErrorKind::Precondition, "this database cannot be restored or copied");
    store.mender().await?.ok_or_else(nobody)
}

/// The file that holds the database, where it is one. A URL that is not understood is refused where it is used.
pub(crate) fn file(database: &Database) -> Option<PathBuf> {
    match database.kind {
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => Some(SqliteStore::new(&database.url, database.names.clone()).ok()?.file().to_owned()),
        _ => None,
    }
}

/// Creates the tables, or brings them up to date.
pub(crate) async fn migrate(database: &Database, segments: u8) -> Result<Migrated, Failure> {
    tracing::debug!(?database, segments, "creating the outbox tables");
    match database.kind {
        #[cfg(feature = "postgres")]
        Kind::Postgres => Ok(PgStore::new(&database.url, database.names.clone())?.migrate(segments).await?),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => Ok(SqliteStore::new(&database.url, database.names.clone())?.migrate().await?),
        #[cfg(not(all(feature = "postgres", feature = "sqlite")))]
        other => std::future::ready(Err(not_built(other).into())).await,
    }
}

/// Changes how many segments the log of an outbox uses that is there; `false` where nothing changed.
pub(crate) async fn resize(database: &Database, segments: u8) -> Result<bool, Failure> {
    tracing::debug!(?database, segments, "changing the number of segments");
    match database.kind {
        #[cfg(feature = "postgres")]
        Kind::Postgres => Ok(PgStore::new(&database.url, database.names.clone())?.resize(segments).await?),
        _ => std::future::ready(Ok(false)).await,
    }
}

/// Makes the roles of PostgreSQL.
pub(crate) async fn create_roles(database: &Database) -> Result<(), Failure> {
    tracing::debug!(?database, "making the roles");
    match database.kind {
        #[cfg(feature = "postgres")]
        Kind::Postgres => Ok(PgStore::new(&database.url, database.names.clone())?.create_roles().await?),
        _ => std::future::ready(Ok(())).await,
    }
}

/// Makes the trigger that wakes a relay, or takes it away; `false` where nothing changed, as where no database needs one.
pub(crate) async fn set_wake_trigger(database: &Database, wanted: bool) -> Result<bool, Failure> {
    tracing::debug!(?database, wanted, "changing the trigger that wakes a relay");
    match database.kind {
        #[cfg(feature = "postgres")]
        Kind::Postgres => Ok(PgStore::new(&database.url, database.names.clone())?.set_wake_trigger(wanted).await?),
        _ => std::future::ready(Ok(false)).await,
    }
}

#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
fn not_built(kind: Kind) -> StoreError {
    let (database, feature) = match kind {
        Kind::Postgres => ("PostgreSQL", "postgres"),
        Kind::Sqlite => ("SQLite", "sqlite"),
    };
    let message = format!("this program was built without {database}; build it with `--features {feature}`");
    StoreError::new(StoreErrorKind::Precondition, message)
}
