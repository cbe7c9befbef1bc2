//! SQLite: every test has a file of its own.

use std::path::PathBuf;

use outbox_core::testing::Captured;
use outbox_core::{Entity, Names, NewEvent};
use outbox_sqlx::{AppendError, SqliteOutbox, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{AssertSqlSafe, Transaction};
use tempfile::TempDir;
use uuid::Uuid;

use super::adapter::Adapter;
use super::{Backend, LAST_DEAD_LETTER, SqlBackend};

/// A file in a folder of its own.
pub struct Sqlite {
    folder: TempDir,
    pool: SqlitePool,
    store: SqliteStore,
}

impl Sqlite {
    /// The database file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    /// Closes every connection of the writers.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Backend for Sqlite {
    type Store = SqliteStore;

    type Transaction<'t> = Transaction<'t, sqlx::Sqlite>;

    async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("shop.db"));
        let store = SqliteStore::from_options(options.clone(), Names::default()).unwrap();
        store.migrate().await.unwrap();
        let backend = Self { folder, pool: SqlitePool::connect_with(options).await.unwrap(), store };
        backend.admin("CREATE TABLE orders (id TEXT PRIMARY KEY, total INTEGER NOT NULL)").await;
        backend
    }

    fn store(&self) -> SqliteStore {
        self.store.clone()
    }

    async fn begin(&self) -> Transaction<'static, sqlx::Sqlite> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.unwrap()
    }

    async fn last_dead_letter(&self) -> Option<String> {
        self.ask(LAST_DEAD_LETTER).await
    }

    async fn append(tx: &mut Self::Transaction<'_>, event: &NewEvent<'_>) -> Result<Uuid, AppendError> {
        SqliteOutbox::new().append(tx, event).await
    }

    async fn append_all(tx: &mut Self::Transaction<'_>, events: &[NewEvent<'_>]) -> Result<Vec<Uuid>, AppendError> {
        SqliteOutbox::new().append_all(tx, events).await
    }

    async fn change<E: Entity>(
        tx: &mut Self::Transaction<'_>,
        before: Option<&E>,
        after: Option<&E>,
    ) -> Result<Option<Uuid>, AppendError> {
        Adapter::change(&SqliteOutbox::new(), tx, before, after).await
    }

    async fn captured(&self, tx: &mut Self::Transaction<'_>) -> Result<Captured, AppendError> {
        SqliteOutbox::new().captured(tx).await
    }
}

impl SqlBackend for Sqlite {
    type Database = sqlx::Sqlite;
    type Adapter = SqliteOutbox;
    const SET_BACK: &'static str = "DELETE FROM outbox_event WHERE position > 1; \
        UPDATE sqlite_sequence SET seq = 1 WHERE name = 'outbox_event'";
    const DAMAGES: &'static [(&'static str, bool)] = &[
        ("DELETE FROM outbox_event; DELETE FROM sqlite_sequence", true),
        ("DELETE FROM outbox_event", true),
        (Self::SET_BACK, true),
        ("DELETE FROM outbox_event WHERE position > 3; UPDATE sqlite_sequence SET seq = 3", true),
        ("UPDATE outbox_event SET event_id = '0190a1b2-0000-7000-8000-000000000000' WHERE position = 4", true),
    ];
    const TABLES: &'static str = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_master ORDER BY name)";

    async fn auditor(&self) -> SqliteStore {
        let options = SqliteConnectOptions::new().filename(self.file()).read_only(true);
        SqliteStore::from_options(options, Names::default()).unwrap()
    }

    async fn another(&self, names: Names) -> (SqliteOutbox, SqliteStore) {
        let options = SqliteConnectOptions::new().filename(self.file());
        let store = SqliteStore::from_options(options, names.clone()).unwrap();
        store.migrate().await.unwrap();
        (SqliteOutbox::with_names(names), store)
    }

    async fn execute(tx: &mut Transaction<'_, sqlx::Sqlite>, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **tx).await.unwrap();
    }

    async fn admin(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn ask(&self, sql: &str) -> Option<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }
}
