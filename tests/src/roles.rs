//! A database seen by users that have one role each and no more.

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
use outbox_core::{Filter, Names, Position, Store, StoreError, async_trait, schema};
use outbox_sqlx::{MigrateError, PgStore};
use sqlx::postgres::PgConnectOptions;

/// The users of a test, beside those of [`schema::ROLES`].
const OTHERS: [&str; 5] = ["auditor", "owner", "guide_app", "guide_relay", "guide_support"];

/// The users of one database.
#[derive(Clone, Debug)]
pub struct Users {
    /// Owns the tables.
    pub owner: PgConnectOptions,
    /// Writes events, and may do nothing else to the outbox.
    pub writer: PgConnectOptions,
    /// Relays and cleans.
    pub relay: PgConnectOptions,
    /// Looks on.
    pub operator: PgConnectOptions,
    name: String,
}

impl Users {
    /// Users whose names begin with the database's.
    pub fn of(owner: PgConnectOptions, name: &str) -> Self {
        let user = |role: &str| owner.clone().username(&format!("{name}_{role}"));
        let [writer, relay, operator] = schema::ROLES.map(user);
        Self { writer, relay, operator, name: name.to_owned(), owner }
    }

    /// One more user of the database.
    pub fn another(&self, role: &str) -> PgConnectOptions {
        self.owner.clone().username(&format!("{}_{role}", self.name))
    }

    /// SQL that makes the roles and the users; twice changes nothing.
    pub fn creation(&self) -> String {
        let users = schema::ROLES.map(|role| {
            let user = format!("{}_{role}", self.name);
            format!("DO $$ BEGIN IF to_regrole('{user}') IS NULL THEN CREATE ROLE {user} LOGIN; END IF; END $$;")
        });
        format!("{}{}{}", PgStore::roles(&Names::default()), users.concat(), self.membership(&Names::default()))
    }

    /// SQL that makes each user a member of the role it is named for.
    pub fn membership(&self, names: &Names) -> String {
        schema::ROLES.map(|role| format!("GRANT \"{}\" TO {}_{role};", names.role(role), self.name)).concat()
    }

    /// SQL that removes the users of a database that is gone.
    pub fn removal(name: &str) -> String {
        let users = schema::ROLES.into_iter().chain(OTHERS).map(|role| format!("{name}_{role}"));
        format!("DROP ROLE IF EXISTS {}", users.collect::<Vec<_>>().join(", "))
    }

    /// The database, with the user for each purpose.
    pub fn store(&self, names: &Names) -> ByRole {
        let [owner, relay, operator] =
            [&self.owner, &self.relay, &self.operator].map(|user| PgStore::from_options(user.clone(), names.clone()));
        ByRole { owner, relay, operator }
    }
}

/// A store that does each thing as the user whose role allows it.
#[derive(Clone, Debug)]
pub struct ByRole {
    owner: PgStore,
    relay: PgStore,
    operator: PgStore,
}

impl ByRole {
    /// A store that does everything as one user.
    pub fn all(store: PgStore) -> Self {
        Self { owner: store.clone(), relay: store.clone(), operator: store }
    }

    /// Changes the number of segments, as the owner.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn resize(&self, segments: u8) -> Result<bool, MigrateError> {
        self.owner.resize(segments).await
    }

    /// Makes the trigger that wakes a relay, or takes it away, as the owner.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn set_wake_trigger(&self, wanted: bool) -> Result<bool, MigrateError> {
        self.owner.set_wake_trigger(wanted).await
    }
}

#[async_trait]
impl Store for ByRole {
    fn describe(&self) -> String {
        self.relay.describe()
    }

    async fn check(&self) -> Result<Database, StoreError> {
        self.relay.check().await
    }

    async fn recognise(&self) -> Result<Database, StoreError> {
        self.relay.recognise().await
    }

    async fn inspect(&self) -> Result<Database, StoreError> {
        self.operator.inspect().await
    }

    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError> {
        self.relay.source(filter).await
    }

    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        self.relay.checkpoints().await
    }

    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError> {
        self.relay.leases().await
    }

    async fn cleaner(&self) -> Result<Option<Box<dyn Cleaner>>, StoreError> {
        self.relay.cleaner().await
    }

    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        self.relay.desk().await
    }

    async fn wake(&self, mode: WakeMode) -> Result<Waking, StoreError> {
        self.relay.wake(mode).await
    }

    async fn mender(&self) -> Result<Option<Box<dyn Mender>>, StoreError> {
        self.relay.mender().await
    }

    async fn status(&self) -> Result<Status, StoreError> {
        self.operator.status().await
    }

    async fn glance(&self, subscriptions: &[String]) -> Result<Glance, StoreError> {
        self.relay.glance(subscriptions).await
    }

    async fn stats(&self, after: Position, filter: &Filter) -> Result<Vec<Count>, StoreError> {
        self.operator.stats(after, filter).await
    }

    async fn examine(&self) -> Result<Vec<Finding>, StoreError> {
        self.operator.examine().await
    }
}
