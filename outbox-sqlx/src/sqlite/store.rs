//! One SQLite file with an outbox in it.

use std::path::Path;
use std::str::FromStr;

use async_trait::async_trait;
use outbox_core::checkpoint::Checkpoints;
use outbox_core::cleanup::Cleaner;
use outbox_core::continuity::Mender;
use outbox_core::dead_letter::Desk;
use outbox_core::doctor::Finding;
use outbox_core::lease::Leases;
use outbox_core::source::Source;
use outbox_core::status::{Glance, Status};
use outbox_core::store::{Count, Database};
use outbox_core::wake::{WakeMode, Waking};
use outbox_core::{Filter, Names, Position, Store, StoreError, StoreErrorKind, schema};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};

use super::changelog;
use super::checkpoint::SqliteCheckpoints;
use super::cleanup::SqliteCleaner;
use super::connection::{CALL, bounded, open, statement, store_error};
use super::desk::SqliteDesk;
use super::doctor::{can_write, examine};
use super::lease::SqliteLeases;
use super::mender::SqliteMender;
use super::migrate::{META, TABLE, check_names, migrate};
use super::place;
use super::source::SqliteSource;
use super::status::{glance, status};
use super::wake::SqliteWake;
use crate::refusal::refuse_without;
use crate::{MigrateError, Migrated};

/// The first SQLite library that tells the size of a value without loading it.
const LIBRARY: (u32, u32) = (3, 43);

/// An SQLite file with an outbox in it.
///
/// Every part has a connection of its own, waits at most 5 s for another connection's lock, and writes in transactions
/// of a few rows that begin with `BEGIN IMMEDIATE`. No read transaction stays open between calls.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pub(super) options: SqliteConnectOptions,
    pub(super) names: Names,
}

impl SqliteStore {
    /// The file a URL such as `sqlite:shop.db` names; nothing is opened yet.
    ///
    /// `?mode=ro` opens it for reading alone, and `?immutable=1` a copy that nobody writes. The change log, the status and the
    /// findings of `doctor` need no more; [`Store::check`], which comes before anything is published, refuses both.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`] for a URL that is not understood, an in-memory database, or names with a schema.
    pub fn new(url: &str, names: Names) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url).map_err(|error| {
            precondition("the database URL is not understood; write `sqlite:path/to/file.db`").caused_by(error)
        })?;
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        if parameters.split('&').any(|given| given == "mode=memory") {
            return Err(in_memory());
        }
        Self::from_options(options, names)
    }

    /// The file the options name; nothing is opened yet.
    ///
    /// # Errors
    ///
    /// As for [`SqliteStore::new`].
    pub fn from_options(options: SqliteConnectOptions, names: Names) -> Result<Self, StoreError> {
        check_names(&names)?;
        let path = options.get_filename().to_string_lossy();
        if path.is_empty() || path == ":memory:" || path.starts_with("file:sqlx-in-memory") {
            return Err(in_memory());
        }
        Ok(Self { options, names })
    }

    /// The file, as the options name it.
    pub fn file(&self) -> &Path {
        self.options.get_filename()
    }

    /// Makes the tables where they are missing, and the file too, and brings older ones up to date.
    ///
    /// # Errors
    ///
    /// [`MigrateError`]; nothing has changed then.
    pub async fn migrate(&self) -> Result<Migrated, MigrateError> {
        migrate(&self.options, &self.names).await
    }

    /// The SQL that [`SqliteStore::migrate`] runs.
    pub fn migration(names: &Names) -> String {
        schema::sqlite(names)
    }

    /// The id of the outbox that is in the file, whatever revision its tables have; `None` where there is no file or none in it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the file cannot be read.
    pub async fn instance(&self) -> Result<Option<String>, StoreError> {
        if !self.file().exists() {
            return Ok(None);
        }
        let mut connection = open(&self.options).await?;
        let table = bounded(CALL, sqlx::query(statement(&self.names, TABLE)).fetch_one(&mut connection)).await?;
        if table.try_get::<Option<i64>, _>("has_meta").map_err(store_error)?.is_none() {
            return Ok(None);
        }
        let meta = bounded(CALL, sqlx::query(statement(&self.names, META)).fetch_one(&mut connection)).await?;
        meta.try_get("instance").map_err(store_error)
    }

    /// Opens the file and checks all but that it can be written to.
    pub(super) async fn inspected(&self) -> Result<(SqliteConnection, Database), StoreError> {
        let mut connection = open(&self.options).await?;
        let table = bounded(CALL, sqlx::query(statement(&self.names, TABLE)).fetch_one(&mut connection)).await?;
        let server_version: String = table.try_get("server_version").map_err(store_error)?;
        check_library(&server_version)?;
        if table.try_get::<Option<i64>, _>("has_meta").map_err(store_error)?.is_some() {
            refuse_without(table.try_get::<Option<&str>, _>("absent").map_err(store_error)?.unwrap_or_default())?;
        }
        check_table(
            table.try_get("event_table").map_err(store_error)?,
            table.try_get("missing").map_err(store_error)?,
        )?;
        let meta = bounded(CALL, sqlx::query(statement(&self.names, META)).fetch_one(&mut connection)).await?;
        check_version(&meta)?;
        let instance: Option<String> = meta.try_get("instance").map_err(store_error)?;
        let name = self.options.get_filename().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let database = Database { kind: "sqlite", name, server_version, instance: instance.unwrap_or_default() };
        Ok((connection, database))
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn describe(&self) -> String {
        format!("sqlite:{}", self.options.get_filename().display())
    }

    async fn check(&self) -> Result<Database, StoreError> {
        let (mut connection, database) = self.inspected().await?;
        can_write(&mut connection, &self.names).await?;
        Ok(database)
    }

    async fn recognise(&self) -> Result<Database, StoreError> {
        let (mut connection, database) = self.inspected().await?;
        can_write(&mut connection, &self.names).await?;
        place::recognise(&mut connection, &self.names, self.file()).await?;
        Ok(database)
    }

    async fn mender(&self) -> Result<Option<Box<dyn Mender>>, StoreError> {
        let (connection, _) = self.inspected().await?;
        Ok(Some(Box::new(SqliteMender::new(connection, self.names.clone(), self.file().to_owned()).await?)))
    }

    async fn inspect(&self) -> Result<Database, StoreError> {
        Ok(self.inspected().await?.1)
    }

    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError> {
        Ok(Box::new(SqliteSource::new(open(&self.options).await?, &self.names, filter).await?))
    }

    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(SqliteCheckpoints::new(open(&self.options).await?, &self.names).await?))
    }

    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError> {
        Ok(Box::new(SqliteLeases::new(open(&self.options).await?, &self.names)))
    }

    async fn cleaner(&self) -> Result<Option<Box<dyn Cleaner>>, StoreError> {
        Ok(Some(Box::new(SqliteCleaner::new(open(&self.options).await?, &self.names))))
    }

    async fn wake(&self, mode: WakeMode) -> Result<Waking, StoreError> {
        if mode == WakeMode::Poll {
            return Ok(Waking::Polling("the settings say so".to_owned()));
        }
        Ok(Waking::Told(Box::new(SqliteWake::new(open(&self.options).await?, self.file(), &self.names))))
    }

    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        Ok(Box::new(SqliteDesk::new(open(&self.options).await?, &self.names).await?))
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let (connection, database) = self.inspected().await?;
        status(connection, self, database).await
    }

    async fn glance(&self, subscriptions: &[String]) -> Result<Glance, StoreError> {
        glance(open(&self.options).await?, &self.names, subscriptions).await
    }

    async fn stats(&self, after: Position, filter: &Filter) -> Result<Vec<Count>, StoreError> {
        changelog::stats(open(&self.options).await?, &self.names, after, filter).await
    }

    async fn examine(&self) -> Result<Vec<Finding>, StoreError> {
        examine(self).await
    }
}

fn in_memory() -> StoreError {
    precondition("an in-memory database is seen by one connection alone; name a file")
}

fn precondition(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Precondition, message)
}

pub(super) fn check_library(version: &str) -> Result<(), StoreError> {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let found: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found >= LIBRARY {
        return Ok(());
    }
    let (major, minor) = LIBRARY;
    Err(precondition(format!("this program is linked to SQLite {version}; link it to {major}.{minor} or newer")))
}

fn check_table(definition: Option<String>, missing: Option<String>) -> Result<(), StoreError> {
    let definition =
        definition.ok_or_else(|| precondition("the outbox tables are missing; run `outbox-relay migrate`"))?;
    if let Some(columns) = missing {
        return Err(precondition(format!(
            "the table of that name is not the log that `outbox-relay migrate` makes: it lacks the columns {columns}; set another \
             prefix and run `outbox-relay migrate`"
        )));
    }
    if definition.to_ascii_uppercase().contains("AUTOINCREMENT") {
        return Ok(());
    }
    Err(precondition(
        "the column `position` is not AUTOINCREMENT, so SQLite may give a position twice; make the table as `outbox-relay \
         migrate --print` shows it",
    ))
}

fn check_version(meta: &SqliteRow) -> Result<(), StoreError> {
    let text = |row: &str| meta.try_get(row).map_err(store_error);
    schema::check(text("schema_version")?, text("revision")?)
}
