//! One PostgreSQL database with an outbox in it.

use std::str::FromStr;

use async_trait::async_trait;
use outbox_core::checkpoint::Checkpoints;
use outbox_core::cleanup::Cleaner;
use outbox_core::continuity::{self, Mender};
use outbox_core::dead_letter::Desk;
use outbox_core::doctor::Finding;
use outbox_core::lease::Leases;
use outbox_core::source::Source;
use outbox_core::status::{Glance, Status};
use outbox_core::store::{Count, Database};
use outbox_core::wake::{WakeMode, Waking};
use outbox_core::{Filter, Names, Position, Store, StoreError, schema};
use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgRow};

use super::access::{Purpose, check_access, check_shape};
use super::address::Address;
use super::changelog;
use super::checkpoint::PgCheckpoints;
use super::cleanup::PgCleaner;
use super::connection::{CALL, Link, READ, statement};
use super::desk::PgDesk;
use super::doctor::examine;
use super::fault::{precondition, store_error};
use super::glance::glance;
use super::lease::PgLeases;
use super::mender::PgMender;
use super::migrate::{create_roles, migrate, resize, set_wake_trigger};
use super::place;
use super::source::PgSource;
use super::status::{explained, status};
use super::wake::wake;
use crate::{MigrateError, Migrated};

const SERVER: &str = outbox_core::sql::postgres::STORE_SERVER;
const META: &str = outbox_core::sql::postgres::STORE_META;
const POSITION: &str = outbox_core::sql::postgres::STORE_POSITION;

/// The oldest server this build knows, as it numbers itself.
const OLDEST_SERVER: i32 = 140_000;

/// A PostgreSQL database with an outbox in it.
///
/// Every part has a connection of its own and puts a limit on each call. No transaction stays open between calls.
#[derive(Clone)]
pub struct PgStore {
    pub(super) address: Address,
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
        Self { address: Address::new(options), names }
    }

    /// Makes the tables where they are missing, and the schema too, and brings older ones up to date.
    ///
    /// Several may do so at once: all but one wait and then change nothing.
    ///
    /// # Errors
    ///
    /// [`MigrateError`]; nothing has changed then.
    pub async fn migrate(&self, segments: u8) -> Result<Migrated, MigrateError> {
        migrate(&self.address, &self.names, segments).await
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
        resize(&self.address, &self.names, segments).await
    }

    /// Makes the trigger by which writers in plain SQL wake a relay that sleeps, or takes it away; returns whether anything
    /// changed. Writers that use the library wake one without it.
    ///
    /// Not for an outbox whose writers prepare transactions: `PREPARE TRANSACTION` fails after a notification.
    ///
    /// # Errors
    ///
    /// [`MigrateError`]; nothing has changed then.
    pub async fn set_wake_trigger(&self, wanted: bool) -> Result<bool, MigrateError> {
        self.check().await?;
        set_wake_trigger(&self.address, &self.names, wanted).await
    }

    /// The SQL that [`PgStore::migrate`] runs.
    pub fn migration(names: &Names, segments: u8) -> String {
        super::migrate::migration(names, segments)
    }

    /// Makes the roles `outbox_writer`, `outbox_relay` and `outbox_operator`, of which users are made members, and grants each
    /// what it needs and no more; twice changes nothing.
    ///
    /// They are roles of the server, named by the prefix alone. Where one is missing the user needs `CREATEROLE`.
    ///
    /// # Errors
    ///
    /// [`MigrateError`]; nothing has changed then.
    pub async fn create_roles(&self) -> Result<(), MigrateError> {
        create_roles(&self.address, &self.names).await
    }

    /// The SQL that [`PgStore::create_roles`] runs.
    pub fn roles(names: &Names) -> String {
        schema::postgres_roles(names)
    }

    /// Connects, and checks that an outbox this build knows is there for this purpose.
    async fn inspected(&self, purpose: Purpose) -> Result<(Link, Database), StoreError> {
        let mut link = Link::open(&self.address, READ).await?;
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
        self.check_tables(&mut link, &server, purpose).await?;
        check_access(&mut link, &self.names, purpose).await?;
        let meta = check_version(&mut link, &self.names).await?;
        let name = server.try_get("name").map_err(store_error)?;
        let instance: Option<String> = meta.try_get("instance").map_err(store_error)?;
        Ok((link, Database { kind: "postgres", name, server_version, instance: instance.unwrap_or_default() }))
    }

    /// The id of the outbox that is there, whatever revision its tables have; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database does not answer, or does not show it.
    pub async fn instance(&self) -> Result<Option<String>, StoreError> {
        let mut link = Link::open(&self.address, READ).await?;
        let server = link.one(CALL, sqlx::query(statement(&self.names, SERVER))).await?;
        if !server.try_get("migrated").map_err(store_error)? {
            return Ok(None);
        }
        let meta = link.one(CALL, sqlx::query(statement(&self.names, META))).await?;
        meta.try_get("instance").map_err(store_error)
    }

    /// What [`Store::describe`] shows, the same whichever name of the own machine is used.
    pub(super) fn address(&self) -> String {
        let (host, database) = self.host_and_database();
        continuity::address("postgres", &host, self.address.options().get_port(), database)
    }

    fn host_and_database(&self) -> (String, &str) {
        let socket = self.address.options().get_socket().map(|path| path.display().to_string());
        let host = socket.unwrap_or_else(|| self.address.options().get_host().to_owned());
        (host, self.address.options().get_database().unwrap_or_else(|| self.address.options().get_username()))
    }

    /// Refuses a database without an outbox, and one whose tables are not all there. `server` is what the server said of itself.
    pub(super) async fn check_tables(
        &self,
        link: &mut Link,
        server: &PgRow,
        purpose: Purpose,
    ) -> Result<(), StoreError> {
        let is_there = |name: &str| server.try_get::<bool, _>(name).map_err(store_error);
        let migrated = is_there("migrated")?;
        if !migrated && !is_there("has_log")? {
            let place =
                if self.names == Names::default() { String::new() } else { format!(" by the names {}", self.names) };
            return Err(precondition(format!(
                "the outbox tables are missing{place}, or this user may not see them; run `outbox-relay migrate`"
            )));
        }
        // Whoever looks on is shown what there is.
        if migrated && purpose == Purpose::Status { Ok(()) } else { check_shape(link, &self.names).await }
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
        let (host, database) = self.host_and_database();
        format!("postgres://{host}:{}/{database}", self.address.options().get_port())
    }

    async fn check(&self) -> Result<Database, StoreError> {
        let (mut link, database) = self.inspected(Purpose::Relay).await?;
        self.check_position(&mut link).await?;
        Ok(database)
    }

    async fn recognise(&self) -> Result<Database, StoreError> {
        let (mut link, database) = self.inspected(Purpose::Relay).await?;
        self.check_position(&mut link).await?;
        place::recognise(&mut link, &self.names, &self.address()).await?;
        Ok(database)
    }

    async fn mender(&self) -> Result<Option<Box<dyn Mender>>, StoreError> {
        let (link, _) = self.inspected(Purpose::Relay).await?;
        Ok(Some(Box::new(PgMender::new(link, self.names.clone(), self.address()))))
    }

    async fn inspect(&self) -> Result<Database, StoreError> {
        Ok(self.inspected(Purpose::Reading).await?.1)
    }

    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError> {
        Ok(Box::new(PgSource::open(&self.address, &self.names, filter).await?))
    }

    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(PgCheckpoints::open(&self.address, &self.names).await?))
    }

    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError> {
        Ok(Box::new(PgLeases::open(&self.address, &self.names).await?))
    }

    async fn cleaner(&self) -> Result<Option<Box<dyn Cleaner>>, StoreError> {
        Ok(Some(Box::new(PgCleaner::open(&self.address, &self.names).await?)))
    }

    async fn wake(&self, mode: WakeMode) -> Result<Waking, StoreError> {
        wake(&self.address, &self.names, mode).await
    }

    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        Ok(Box::new(PgDesk::open(&self.address, &self.names).await?))
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let status = async {
            let (link, database) = self.inspected(Purpose::Status).await?;
            let surveying = Link::open(&self.address, READ).await?;
            status(link, surveying, self, database).await
        };
        match status.await {
            Err(error) => Err(explained(error, self).await),
            status => status,
        }
    }

    async fn glance(&self, subscriptions: &[String]) -> Result<Glance, StoreError> {
        glance(Link::open(&self.address, READ).await?, &self.names, subscriptions).await
    }

    async fn stats(&self, after: Position, filter: &Filter) -> Result<Vec<Count>, StoreError> {
        changelog::stats(&self.address, &self.names, after, filter).await
    }

    async fn examine(&self) -> Result<Vec<Finding>, StoreError> {
        examine(Link::open(&self.address, READ).await?, self).await
    }
}

/// What the tables say of themselves; refuses those this build does not know, or from which somebody dropped the sequence.
pub(super) async fn check_version(link: &mut Link, names: &Names) -> Result<PgRow, StoreError> {
    let meta = link.one(CALL, sqlx::query(statement(names, META))).await?;
    let text = |row: &str| meta.try_get(row).map_err(store_error);
    schema::check(text("schema_version")?, text("revision")?)?;
    if meta.try_get("has_wake").map_err(store_error)? {
        return Ok(meta);
    }
    let wake = names.quoted("wake");
    Err(precondition(format!(
        "the sequence {wake} is missing, without which nobody writes events; as the owner of the tables run: CREATE SEQUENCE \
         {wake} MINVALUE -9223372036854775807 START 0; then grant SELECT on it to whoever writes events, and UPDATE too to relays, as \
         `outbox-relay migrate --roles` does"
    )))
}
