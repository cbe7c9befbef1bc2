//! SQLite: every test has a file of its own.

use std::path::PathBuf;

use outbox_core::{Entity, Names, NewEvent};
use outbox_sqlx::{AppendError, SqliteOutbox, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{AssertSqlSafe, Transaction};
use tempfile::TempDir;
use uuid::Uuid;

use super::Backend;

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
    type Database = sqlx::Sqlite;
    type Store = SqliteStore;
    const SET_BACK: &'static str = "DELETE FROM outbox_event WHERE position > 1; \
        UPDATE sqlite_sequence SET seq = 1 WHERE name = 'outbox_event'";

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

    async fn auditor(&self) -> SqliteStore {
        let options = SqliteConnectOptions::new().filename(self.file()).read_only(true);
        SqliteStore::from_options(options, Names::default()).unwrap()
    }

    async fn begin(&self) -> Transaction<'static, sqlx::Sqlite> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.unwrap()
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

    async fn append(tx: &mut Transaction<'_, sqlx::Sqlite>, event: &NewEvent<'_>) -> Result<Uuid, AppendError> {
        SqliteOutbox::new().append(tx, event).await
    }

    async fn append_all(
        tx: &mut Transaction<'_, sqlx::Sqlite>,
        events: &[NewEvent<'_>],
    ) -> Result<Vec<Uuid>, AppendError> {
        SqliteOutbox::new().append_all(tx, events).await
    }

    async fn change<E: Entity>(
        tx: &mut Transaction<'_, sqlx::Sqlite>,
        before: Option<&E>,
        after: Option<&E>,
    ) -> Result<Option<Uuid>, AppendError> {
        match (before, after) {
            (None, Some(after)) => SqliteOutbox::new().insert(tx, after).await,
            (Some(before), Some(after)) => SqliteOutbox::new().update(tx, before, after).await,
            (Some(before), None) => SqliteOutbox::new().delete(tx, before).await,
            (None, None) => Ok(None),
        }
    }
}
