//! Business transactions that are tried again for ever, and count what they are told when they fail.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{Connection, Executor, Row, SqliteConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::oracle::Truth;
use crate::scenario::pause;

/// How many write at a time.
const WRITERS: usize = 2;

/// How long a writer rests between two transactions.
const REST: Duration = Duration::from_millis(3);

const TABLE: &str = "CREATE TABLE counters (k text PRIMARY KEY, ver bigint NOT NULL)";

const RAISE: &str = "INSERT INTO counters AS stored (k, ver) VALUES ($1, 1) ON CONFLICT (k) DO UPDATE SET ver = stored.ver + 1 RETURNING ver";

const APPEND: &str = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', $1, $2)";

const COUNTERS: &str = "SELECT k, ver FROM counters";

#[derive(Clone)]
enum Shop {
    Postgres { writers: PgPool, database: Database },
    Sqlite(SqlitePool),
}

/// Writers at work.
pub(super) struct Writers {
    shop: Shop,
    errors: Arc<Errors>,
    end: CancellationToken,
    tasks: JoinSet<()>,
}

/// What failing transactions were told, and how often.
#[derive(Default)]
struct Errors {
    failed: AtomicU64,
    words: Mutex<BTreeMap<String, u64>>,
}

impl Errors {
    fn add(&self, error: &sqlx::Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let words = error.as_database_error().map_or_else(|| error.to_string(), without_names);
        *self.words.lock().unwrap_or_else(PoisonError::into_inner).entry(words).or_default() += 1;
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<_> = words.iter().map(|(words, times)| format!("{times}x `{words}`")).collect();
        f.write_str(&words.join(", "))
    }
}

impl Writers {
    pub(super) async fn on_postgres(database: &Database) -> Result<Self> {
        let mut owner = database.connect().await?;
        owner.execute(TABLE).await?;
        owner.execute("GRANT SELECT, INSERT, UPDATE ON counters TO outbox_writer").await?;
        let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(5)).connect(&database.writer_url()).await?;
        Ok(Self::start(Shop::Postgres { writers: pool, database: database.clone() }))
    }

    pub(super) async fn on_sqlite(file: &Path) -> Result<Self> {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(file)).await?;
        pool.execute(TABLE).await?;
        Ok(Self::start(Shop::Sqlite(pool)))
    }

    fn start(shop: Shop) -> Self {
        let (errors, end, mut tasks) = (Arc::<Errors>::default(), CancellationToken::new(), JoinSet::new());
        for number in 0..WRITERS {
            tasks.spawn(write(shop.clone(), format!("k-{number}"), errors.clone(), end.clone()));
        }
        Self { shop, errors, end, tasks }
    }

    /// How many transactions have failed.
    pub(super) fn failed(&self) -> u64 {
        self.errors.failed.load(Ordering::Relaxed)
    }

    /// Makes one change of a key.
    pub(super) async fn change(&self, key: &str) -> sqlx::Result<()> {
        self.shop.change(key).await
    }

    /// Ends them; what they were told, and what the database holds.
    pub(super) async fn finish(mut self) -> Result<(String, Truth)> {
        self.end.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok((self.errors.to_string(), self.shop.truth().await?))
    }
}

async fn write(shop: Shop, key: String, errors: Arc<Errors>, end: CancellationToken) {
    while !end.is_cancelled() {
        if let Err(error) = shop.change(&key).await {
            errors.add(&error);
        }
        pause(REST).await;
    }
}

/// The database's words up to what is different each time.
fn without_names(error: &dyn sqlx::error::DatabaseError) -> String {
    let code = error.code().unwrap_or_default();
    format!("{} ({code})", error.message().split('"').next().unwrap_or_default().trim())
}

async fn change_on_sqlite(connection: &mut SqliteConnection, key: &str) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar(RAISE).bind(key).fetch_one(&mut *tx).await?;
    sqlx::query(APPEND).bind(key).bind(payload(key, version)).execute(&mut *tx).await?;
    tx.commit().await
}

fn payload(key: &str, version: i64) -> String {
    format!(r#"{{"k":"{key}","ver":{version}}}"#)
}

impl Shop {
    async fn change(&self, key: &str) -> sqlx::Result<()> {
        match self {
            Self::Postgres { writers, .. } => {
                let mut tx = writers.begin().await?;
                let version: i64 = sqlx::query_scalar(RAISE).bind(key).fetch_one(&mut *tx).await?;
                sqlx::query(APPEND).bind(key).bind(payload(key, version)).execute(&mut *tx).await?;
                tx.commit().await
            }
            Self::Sqlite(pool) => {
                let mut connection = pool.acquire().await?;
                let changed = change_on_sqlite(&mut connection, key).await;
                if changed.is_err() {
                    // SQLite itself has rolled back when its disk was full, which the driver does not notice: it would not begin
                    // another transaction over this connection.
                    _ = connection.close().await;
                }
                changed
            }
        }
    }

    async fn truth(&self) -> Result<Truth> {
        let counters: Vec<(String, i64)> = match self {
            Self::Postgres { database, .. } => {
                let rows = sqlx::query(COUNTERS).fetch_all(&mut database.connect().await?).await?;
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
            Self::Sqlite(pool) => {
                let rows = sqlx::query(COUNTERS).fetch_all(pool).await?;
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
        };
        let counters = counters.into_iter().map(|(key, version)| (key, version.unsigned_abs()));
        Ok(Truth { counters: counters.collect(), ..Truth::default() })
    }
}
