//! PostgreSQL: every test has a database of its own on the server of the test run.

use std::str::FromStr;

use outbox_core::testing::Captured;
use outbox_core::{Entity, Names, NewEvent};
use outbox_sqlx::{AppendError, PgOutbox, PgStore};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Transaction};
use uuid::Uuid;

use super::adapter::Adapter;
use super::{Backend, LAST_DEAD_LETTER, SqlBackend};

/// The variable that says where the server is.
const URL_VARIABLE: &str = "OUTBOX_TEST_POSTGRES_URL";

/// A database of its own.
pub struct Postgres {
    options: PgConnectOptions,
    pool: PgPool,
    store: PgStore,
    database: OwnDatabase,
}

impl Postgres {
    /// Where the database is.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// A role that may read the log and `outbox_meta`, and nothing else.
    pub async fn auditor_role(&self) -> String {
        let role = self.database.name.clone();
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
    type Store = PgStore;

    type Transaction<'t> = Transaction<'t, sqlx::Postgres>;

    async fn create() -> Self {
        let url =
            std::env::var(URL_VARIABLE).unwrap_or_else(|_| panic!("{URL_VARIABLE} is not set: run `cargo xtask test`"));
        let server = PgConnectOptions::from_str(&url).unwrap();
        let database = OwnDatabase::create(server.clone()).await;
        let options = server.database(&database.name);
        let store = PgStore::from_options(options.clone(), Names::default());
        store.migrate(8).await.unwrap();
        let pool = PgPoolOptions::new().max_connections(5).connect_with(options.clone()).await.unwrap();
        let backend = Self { options, pool, store, database };
        backend.admin("CREATE TABLE orders (id text PRIMARY KEY, total bigint NOT NULL)").await;
        backend
    }

    fn store(&self) -> PgStore {
        self.store.clone()
    }

    async fn begin(&self) -> Transaction<'static, sqlx::Postgres> {
        self.pool.begin().await.unwrap()
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

    async fn captured(tx: &mut Self::Transaction<'_>) -> Result<Captured, AppendError> {
        PgOutbox::new().captured(tx).await
    }
}

impl SqlBackend for Postgres {
    type Database = sqlx::Postgres;
    type Adapter = PgOutbox;
    const SET_BACK: &'static str = "DELETE FROM outbox_event WHERE position > 1; \
        SELECT setval(pg_get_serial_sequence('outbox_event', 'position'), 1)";
    const TABLES: &'static str = "SELECT string_agg(schemaname || '.' || tablename, ',' \
        ORDER BY schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";

    async fn auditor(&self) -> PgStore {
        let role = self.auditor_role().await;
        PgStore::from_options(self.options.clone().username(&role), Names::default())
    }

    async fn another(&self, names: Names) -> (PgOutbox, PgStore) {
        let store = PgStore::from_options(self.options.clone(), names.clone());
        store.migrate(1).await.unwrap();
        (PgOutbox::with_names(names), store)
    }

    async fn execute(tx: &mut Transaction<'_, sqlx::Postgres>, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **tx).await.unwrap();
    }

    async fn admin(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn ask(&self, sql: &str) -> Option<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }
}

/// Drops the database at the end, whoever is still connected to it, and the role of its name if there is one.
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
                run(&server, format!("DROP ROLE IF EXISTS {name}")).await
            })
        });
        if let Ok(Err(error)) = thread.join() {
            eprintln!("the database {} stays behind: {error}", self.name);
        }
    }
}

async fn run(server: &PgConnectOptions, sql: String) -> Result<(), sqlx::Error> {
    let mut connection = server.connect().await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}
