//! PostgreSQL: every test has a database of its own on the server of the test run, and users with one role each.

use std::str::FromStr;

use outbox_core::testing::Captured;
use outbox_core::{Entity, Names, NewEvent};
use outbox_sqlx::{AppendError, PgOutbox, PgStore};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Transaction};
use uuid::Uuid;

use super::adapter::Adapter;
use super::{Backend, LAST_DEAD_LETTER, SqlBackend};
use crate::roles::{ByRole, Users};

/// The variable that says where the server is.
const URL_VARIABLE: &str = "OUTBOX_TEST_POSTGRES_URL";

/// A database of its own. Events are written by a user that may write events, relayed by one that may relay, and looked at by one
/// that may look on; only what an administrator does is done by the owner.
pub struct Postgres {
    users: Users,
    owners: PgPool,
    writers: PgPool,
    _database: OwnDatabase,
}

impl Postgres {
    /// Where the database is, for a relay.
    pub fn relay(&self) -> &PgConnectOptions {
        &self.users.relay
    }

    /// Where the database is, for an application.
    pub fn writer(&self) -> &PgConnectOptions {
        &self.users.writer
    }

    /// Where the database is, for somebody who only looks on.
    pub fn onlooker(&self) -> &PgConnectOptions {
        &self.users.operator
    }

    /// Where the database is, for the owner of its tables.
    pub fn owner(&self) -> &PgConnectOptions {
        &self.users.owner
    }

    /// Hands the tables to a user who is no administrator, as owners in production are.
    pub async fn give_to_a_plain_owner(&self) -> PgConnectOptions {
        let owner = self.users.another("owner");
        let role = owner.get_username();
        self.admin(&format!(
            "CREATE ROLE {role} LOGIN; DO $$ DECLARE object regclass; BEGIN FOR object IN SELECT oid FROM pg_class
             WHERE relname LIKE 'outbox%' AND relkind IN ('p', 'r', 'S') AND relname <> 'outbox_event_position_seq'
             ORDER BY relkind LOOP EXECUTE format('ALTER TABLE %s OWNER TO {role}', object); END LOOP; END $$"
        ))
        .await;
        owner
    }

    /// A user that a guide calls `shop_` and this.
    pub fn guide_user(&self, name: &str) -> PgConnectOptions {
        self.users.another(&format!("guide_{name}"))
    }

    /// Runs SQL as the application, which may write events and no more.
    pub async fn business(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.writers).await.unwrap();
    }

    /// Lets relays and onlookers see the age of other users' transactions.
    pub async fn show_sessions(&self) {
        let (relay, operator) = (self.users.relay.get_username(), self.users.operator.get_username());
        self.admin(&format!("GRANT pg_read_all_stats TO {relay}, {operator}")).await;
    }

    /// A role that may read the log and `outbox_meta`, and nothing else.
    pub async fn auditor_role(&self) -> String {
        let role = self.users.another("auditor").get_username().to_owned();
        self.admin(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON outbox_event, outbox_meta TO {role}")).await;
        role
    }

    /// Ends every session of a relay of this database.
    pub async fn end_relay_sessions(&self) {
        self.admin(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'outbox-relay'",
        )
        .await;
    }
}

impl Backend for Postgres {
    type Store = ByRole;

    type Transaction<'t> = Transaction<'t, sqlx::Postgres>;

    async fn create() -> Self {
        let url =
            std::env::var(URL_VARIABLE).unwrap_or_else(|_| panic!("{URL_VARIABLE} is not set: run `cargo xtask test`"));
        let server = PgConnectOptions::from_str(&url).unwrap();
        let database = OwnDatabase::create(server.clone()).await;
        let users = Users::of(server.database(&database.name), &database.name);
        PgStore::from_options(users.owner.clone(), Names::default()).migrate(8).await.unwrap();
        let owners = pool(&users.owner).await;
        sqlx::raw_sql(AssertSqlSafe(users.creation())).execute(&owners).await.unwrap();
        let orders = format!(
            "CREATE TABLE orders (id text PRIMARY KEY, total bigint NOT NULL); \
             GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO {}",
            users.writer.get_username()
        );
        sqlx::raw_sql(AssertSqlSafe(orders)).execute(&owners).await.unwrap();
        let writers = pool(&users.writer).await;
        Self { users, owners, writers, _database: database }
    }

    fn store(&self) -> ByRole {
        self.users.store(&Names::default())
    }

    fn operator(&self) -> ByRole {
        ByRole::all(PgStore::from_options(self.users.operator.clone(), Names::default()))
    }

    async fn begin(&self) -> Transaction<'static, sqlx::Postgres> {
        self.writers.begin().await.unwrap()
    }

    async fn last_dead_letter(&self) -> Option<String> {
        self.ask(LAST_DEAD_LETTER).await
    }

    async fn append(tx: &mut Self::Transaction<'_>, event: &NewEvent<'_>) -> Result<Uuid, AppendError> {
        PgOutbox::new().append(tx, event).await
    }

    async fn append_all(tx: &mut Self::Transaction<'_>, events: &[NewEvent<'_>]) -> Result<Vec<Uuid>, AppendError> {
        PgOutbox::new().append_all(tx, events).await
    }

    async fn change<E: Entity>(
        tx: &mut Self::Transaction<'_>,
        before: Option<&E>,
        after: Option<&E>,
    ) -> Result<Option<Uuid>, AppendError> {
        Adapter::change(&PgOutbox::new(), tx, before, after).await
    }

    async fn captured(&self, tx: &mut Self::Transaction<'_>) -> Result<Captured, AppendError> {
        // Whoever tests an application lets it read what it wrote.
        self.admin(&format!("GRANT SELECT ON outbox_event TO {}", self.users.writer.get_username())).await;
        PgOutbox::new().captured(tx).await
    }
}

impl SqlBackend for Postgres {
    type Database = sqlx::Postgres;
    type Adapter = PgOutbox;
    const SET_BACK: &'static str = "DELETE FROM outbox_event WHERE position > 1; \
        SELECT setval(pg_get_serial_sequence('outbox_event', 'position'), 1)";
    const DAMAGES: &'static [(&'static str, bool)] = &[
        ("ALTER SEQUENCE outbox_event_position_seq RESTART", false),
        ("TRUNCATE outbox_event RESTART IDENTITY", true),
        ("DELETE FROM outbox_event", true),
        (Self::SET_BACK, true),
        ("DELETE FROM outbox_event WHERE position > 3; SELECT setval('outbox_event_position_seq', 3)", true),
        ("UPDATE outbox_event SET event_id = gen_random_uuid() WHERE position = 4", true),
    ];
    const TABLES: &'static str = "SELECT string_agg(schemaname || '.' || tablename, ',' \
        ORDER BY schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";

    async fn auditor(&self) -> ByRole {
        let role = self.auditor_role().await;
        ByRole::all(PgStore::from_options(self.users.owner.clone().username(&role), Names::default()))
    }

    async fn another(&self, names: Names) -> (PgOutbox, ByRole) {
        let owner = PgStore::from_options(self.users.owner.clone(), names.clone());
        owner.migrate(1).await.unwrap();
        owner.create_roles().await.unwrap();
        self.admin(&self.users.membership(&names)).await;
        (PgOutbox::with_names(names.clone()), self.users.store(&names))
    }

    async fn execute(tx: &mut Transaction<'_, sqlx::Postgres>, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **tx).await.unwrap();
    }

    async fn admin(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.owners).await.unwrap();
    }

    async fn ask(&self, sql: &str) -> Option<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.owners).await.unwrap()
    }
}

/// Drops the database at the end, whoever is still connected to it, and its users.
struct OwnDatabase {
    server: PgConnectOptions,
    name: String,
}

impl OwnDatabase {
    async fn create(server: PgConnectOptions) -> Self {
        let name = format!("conformance_{}", Uuid::now_v7().simple());
        run(&server, format!("CREATE DATABASE {name}")).await.unwrap();
        Self { server, name }
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // The runtime of the test may be on its way out: a thread with one of its own does not depend on it.
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(sqlx::Error::Io)?;
            runtime.block_on(async {
                run(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await?;
                run(&server, Users::removal(&name)).await
            })
        });
        if let Ok(Err(error)) = thread.join() {
            eprintln!("the database {} stays behind: {error}", self.name);
        }
    }
}

async fn pool(options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(5).connect_with(options.clone()).await.unwrap()
}

async fn run(server: &PgConnectOptions, sql: String) -> Result<(), sqlx::Error> {
    let mut connection = server.connect().await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}
