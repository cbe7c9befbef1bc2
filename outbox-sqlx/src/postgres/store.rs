//! One PostgreSQL database with an outbox in it.

use std::str::FromStr;

use async_trait::async_trait;
use outbox_core::checkpoint::Checkpoints;
use outbox_core::cleanup::Cleaner;
use outbox_core::dead_letter::Desk;
use outbox_core::doctor::Finding;
use outbox_core::lease::Leases;
use outbox_core::source::Source;
use outbox_core::status::Status;
use outbox_core::store::{Count, Database};
use outbox_core::{Filter, Names, Position, Store, StoreError, schema};
use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgRow};

use super::changelog;
use super::checkpoint::PgCheckpoints;
use super::cleanup::PgCleaner;
use super::connection::{CALL, Link, READ, statement};
use super::desk::PgDesk;
use super::doctor::examine;
use super::fault::{precondition, store_error};
use super::lease::PgLeases;
use super::migrate::{migrate, resize};
use super::source::PgSource;
use super::status::status;
use crate::MigrateError;

const SERVER: &str = outbox_core::sql::postgres::STORE_SERVER;
const META: &str = outbox_core::sql::postgres::STORE_META;
const POSITION: &str = outbox_core::sql::postgres::STORE_POSITION;
const PRIVILEGES: &str = outbox_core::sql::postgres::STORE_PRIVILEGES;

/// The oldest server this build knows, as it numbers itself.
const OLDEST_SERVER: i32 = 140_000;

/// What somebody needs privileges for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Relay,
    Reading,
}

/// A PostgreSQL database with an outbox in it.
///
/// Every part has a connection of its own and puts a limit on each call. No transaction stays open between calls.
#[derive(Clone)]
pub struct PgStore {
    options: PgConnectOptions,
    pub(super) names: Names,
}

impl PgStore {
    /// The database a URL such as `postgres://user:password@host:5432/shop` names; nothing is opened yet.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`](outbox_core::StoreErrorKind::Precondition) for a URL that is not understood.
    pub fn new(url: &str, names: Names) -> Result<Self, StoreError> {
        // The parser's own error is left out: it may show a part of a password it took for something else.
        let bad = || {
            precondition(
                "the database URL is not understood; write `postgres://host:5432/database`, user and password before the host, \
                 special characters in them as %XX",
            )
        };
        if !["postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(bad());
        }
        Ok(Self::from_options(PgConnectOptions::from_str(url).map_err(|_| bad())?, names))
    }

    /// The database the options name; nothing is opened yet.
    pub fn from_options(options: PgConnectOptions, names: Names) -> Self {
        Self { options, names }
    }

    /// Makes the tables where they are missing, and the schema too; returns whether anything changed.
    ///
    /// Several may do so at once: all but one wait and then change nothing.
    ///
    /// # Errors
    ///
    /// [`MigrateError`]; nothing has changed then.
    pub async fn migrate(&self, segments: u8) -> Result<bool, MigrateError> {
        migrate(&self.options, &self.names, segments).await
    }

    /// Changes how many segments an outbox uses while it is in use; returns whether anything changed.
    ///
    /// More segments are made and attached, which no writer waits for. With fewer, those with the highest numbers stay, empty
    /// once cleanup has been there, and are not chosen again.
    ///
    /// # Errors
    ///
    /// [`MigrateError`]; nothing has changed then.
    pub async fn resize(&self, segments: u8) -> Result<bool, MigrateError> {
        self.check().await?;
        resize(&self.options, &self.names, segments).await
    }

    /// The SQL that [`PgStore::migrate`] runs.
    pub fn migration(names: &Names, segments: u8) -> String {
        super::migrate::migration(names, segments)
    }

    /// Connects, and checks that an outbox this build knows is there to be read, or to be worked by a relay.
    async fn inspected(&self, purpose: Purpose) -> Result<(Link, Database), StoreError> {
        let mut link = Link::open(&self.options, READ).await?;
        let server = link.one(CALL, sqlx::query(statement(&self.names, SERVER))).await?;
        let server_version: String = server.try_get("version_text").map_err(store_error)?;
        if server.try_get::<i32, _>("version").map_err(store_error)? < OLDEST_SERVER {
            return Err(precondition(format!(
                "the server is PostgreSQL {server_version}; 14 is the oldest that will do"
            )));
        }
        if server.try_get("standby").map_err(store_error)? {
            return Err(precondition(
                "the server is a standby, which shows too little; point the relay at the primary",
            ));
        }
        if !server.try_get::<bool, _>("migrated").map_err(store_error)? {
            return Err(self.not_migrated());
        }
        self.check_privileges(&mut link, purpose).await?;
        let meta = link.one(CALL, sqlx::query(statement(&self.names, META))).await?;
        check_version(&meta)?;
        let name = server.try_get("name").map_err(store_error)?;
        let instance: Option<String> = meta.try_get("instance").map_err(store_error)?;
        Ok((link, Database { kind: "postgres", name, server_version, instance: instance.unwrap_or_default() }))
    }

    pub(super) fn not_migrated(&self) -> StoreError {
        let place =
            if self.names == Names::default() { String::new() } else { format!(" by the names {}", self.names) };
        precondition(format!(
            "the outbox tables are missing{place}, or this user may not see them; run `outbox-relay migrate`"
        ))
    }

    pub(super) async fn check_privileges(&self, link: &mut Link, purpose: Purpose) -> Result<(), StoreError> {
        let query = sqlx::query(statement(&self.names, PRIVILEGES)).bind(purpose == Purpose::Relay);
        let rows = link.all(CALL, query).await?;
        let missing: Vec<String> =
            rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(store_error)?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(precondition(format!("the user lacks privileges; as the owner of the tables run: {}", missing.join("; "))))
    }

    async fn check_position(&self, link: &mut Link) -> Result<(), StoreError> {
        let row = link.one(CALL, sqlx::query(statement(&self.names, POSITION))).await?;
        let text =
            |column: &str| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default).map_err(store_error);
        if !row.try_get::<bool, _>("always").map_err(store_error)? {
            let remedy = text("make_always")?;
            return Err(precondition(format!(
                "writers may choose positions of their own, which loses events; run: {remedy}"
            )));
        }
        if row.try_get::<Option<bool>, _>("one_by_one").map_err(store_error)? != Some(true) {
            let remedy = text("make_one_by_one")?;
            return Err(precondition(format!(
                "sessions draw positions ahead or in steps (sequence cache above 1, or another increment), which loses events; run: \
                 {remedy}"
            )));
        }
        Ok(())
    }
}

impl std::fmt::Debug for PgStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgStore")
            .field("database", &self.describe())
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PgStore {
    fn describe(&self) -> String {
        let socket = self.options.get_socket().map(|path| path.display().to_string());
        let host = socket.unwrap_or_else(|| self.options.get_host().to_owned());
        let database = self.options.get_database().unwrap_or_else(|| self.options.get_username());
        format!("postgres://{host}:{}/{database}", self.options.get_port())
    }

    async fn check(&self) -> Result<Database, StoreError> {
        let (mut link, database) = self.inspected(Purpose::Relay).await?;
        self.check_position(&mut link).await?;
        Ok(database)
    }

    async fn inspect(&self) -> Result<Database, StoreError> {
        Ok(self.inspected(Purpose::Reading).await?.1)
    }

    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError> {
        Ok(Box::new(PgSource::open(&self.options, &self.names, filter).await?))
    }

    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(PgCheckpoints::open(&self.options, &self.names).await?))
    }

    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError> {
        Ok(Box::new(PgLeases::open(&self.options, &self.names).await?))
    }

    async fn cleaner(&self) -> Result<Option<Box<dyn Cleaner>>, StoreError> {
        Ok(Some(Box::new(PgCleaner::open(&self.options, &self.names).await?)))
    }

    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        Ok(Box::new(PgDesk::open(&self.options, &self.names).await?))
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let (link, database) = self.inspected(Purpose::Relay).await?;
        status(link, Link::open(&self.options, READ).await?, &self.names, database).await
    }

    async fn stats(&self, after: Position, filter: &Filter) -> Result<Vec<Count>, StoreError> {
        changelog::stats(&self.options, &self.names, after, filter).await
    }

    async fn examine(&self) -> Result<Vec<Finding>, StoreError> {
        examine(Link::open(&self.options, READ).await?, self).await
    }
}

pub(super) fn check_version(meta: &PgRow) -> Result<(), StoreError> {
    let text = |row: &str| meta.try_get(row).map_err(store_error);
    schema::check(text("schema_version")?, text("revision")?)
}
