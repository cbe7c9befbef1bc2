//! The business of one case: a few keys whose counters rise, each time with an event.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{AnyPool, AssertSqlSafe};

use super::case::file;
use crate::database::Owned;
use crate::oracle::Truth;
use crate::scenario::version;

const KEYS: u64 = 6;

/// The key whose events may be torn, and then will not pass until somebody has mended them.
pub(super) const TORN: &str = "k-1";

/// On which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On the shared server.
    Postgres,
    /// On a file.
    Sqlite,
}

/// A database with counters in it. On a server it is written to by a user that may write events, and relays are users that may relay.
pub(super) struct Shop {
    url: String,
    pool: AnyPool,
    /// Until there are users, the owner's.
    writers: AnyPool,
    /// Dropped with this value.
    owned: Option<Owned>,
}

impl Shop {
    pub(super) async fn open(kind: Kind, folder: &Path) -> Result<Self> {
        install_default_drivers();
        let owned = match kind {
            Kind::Postgres => Some(Owned::on_shared_server().await?),
            Kind::Sqlite => None,
        };
        let url = match &owned {
            Some(owned) => owned.database().url().to_owned(),
            None => format!("sqlite:{}?mode=rwc", file(folder).display()),
        };
        let pool = pool(&url).await?;
        sqlx::query("CREATE TABLE agg (k TEXT PRIMARY KEY, ver BIGINT NOT NULL DEFAULT 0)").execute(&pool).await?;
        for key in 1..=KEYS {
            sqlx::query(AssertSqlSafe(format!("INSERT INTO agg (k) VALUES ('k-{key}')"))).execute(&pool).await?;
        }
        Ok(Self { url, writers: pool.clone(), pool, owned })
    }

    /// Where it is, for the owner of the tables.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where it is, for a relay.
    pub(super) fn relay_url(&self) -> String {
        self.owned.as_ref().map_or_else(|| self.url.clone(), |owned| owned.database().relay_url())
    }

    /// Makes the users, where there are any. From here on events are written by one that may do nothing else.
    pub(super) async fn make_users(&mut self) -> Result<()> {
        if let Some(owned) = &self.owned {
            owned.database().make_users().await?;
            sqlx::query("GRANT SELECT, UPDATE ON agg TO outbox_writer").execute(&self.pool).await?;
            self.writers = pool(&owned.database().writer_url()).await?;
        }
        Ok(())
    }

    /// Raises every counter so many times.
    pub(super) async fn write(&self, times: u32) -> Result<()> {
        for _ in 0..times {
            let tell = "INSERT INTO outbox_event (topic, event_key, payload)
                SELECT 'torture', k, '{\"k\":\"' || k || '\",\"ver\":' || ver || '}' FROM agg";
            self.raise("UPDATE agg SET ver = ver + 1", tell).await?;
        }
        Ok(())
    }

    /// Writes an event that will not pass, for its payload lacks the last brace.
    pub(super) async fn tear(&self) -> Result<()> {
        let tell = "INSERT INTO outbox_event (topic, event_key, payload)
            SELECT 'torture', k, '{\"k\":\"' || k || '\",\"ver\":' || ver FROM agg WHERE k = 'k-1'";
        self.raise("UPDATE agg SET ver = ver + 1 WHERE k = 'k-1'", tell).await
    }

    async fn raise(&self, counters: &'static str, tell: &'static str) -> Result<()> {
        let mut tx = self.writers.begin().await?;
        sqlx::query(counters).execute(&mut *tx).await?;
        sqlx::query(tell).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The payload that the parked event should have had.
    pub(super) async fn mended(&self) -> Result<String> {
        let torn = self.texts("SELECT payload FROM outbox_dead_letter WHERE state = 'parked'").await?;
        Ok(format!("{}}}", torn.first().context("nothing is parked")?))
    }

    /// Whether an event waits for somebody to decide.
    pub(super) async fn is_parked(&self) -> Result<bool> {
        self.some("SELECT count(*) FROM outbox_dead_letter WHERE state = 'parked'").await
    }

    /// Whether something is still to become of a letter.
    pub(super) async fn has_letters(&self) -> Result<bool> {
        self.some("SELECT count(*) FROM outbox_dead_letter WHERE state NOT IN ('skipped', 'discarded')").await
    }

    /// Whether the first rounds are done with, so that they can be replayed.
    pub(super) async fn has_passed(&self, rounds: u64) -> Result<bool> {
        let passed = "SELECT count(*) FROM outbox_checkpoint WHERE subscription = 'default' AND position >= ";
        self.some(&format!("{passed}{}", rounds * KEYS)).await
    }

    /// A subscription that has read nothing and been silent for an hour.
    pub(super) async fn add_dead_subscription(&self) -> Result<()> {
        let dead = "INSERT INTO outbox_checkpoint (subscription, partition_id, position, updated_at)
            VALUES ('dead', 0, 0, clock_timestamp() - interval '1 hour')";
        sqlx::query(dead).execute(&self.pool).await?;
        Ok(())
    }

    /// The versions of all keys that are in the log.
    pub(super) async fn log(&self) -> Result<HashSet<(String, u64)>> {
        self.texts("SELECT payload FROM outbox_event").await?.iter().map(|payload| version(payload)).collect()
    }

    /// What the database holds in the end.
    pub(super) async fn truth(&self) -> Result<Truth> {
        let counters: Vec<(String, i64)> = sqlx::query_as("SELECT k, ver FROM agg").fetch_all(&self.pool).await?;
        let counters: HashMap<_, _> = counters.into_iter().map(|(key, ver)| (key, ver.unsigned_abs())).collect();
        let given_up = "SELECT payload FROM outbox_dead_letter WHERE state IN ('skipped', 'discarded')";
        let given_up = self.texts(given_up).await?.iter().map(|payload| version(payload)).collect::<Result<_>>()?;
        Ok(Truth { positions: counters.values().sum(), counters, given_up })
    }

    async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&self.pool).await?)
    }

    async fn some(&self, count: &str) -> Result<bool> {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(count.to_owned())).fetch_one(&self.pool).await?;
        Ok(count > 0)
    }
}

/// One connection, so that a file has one writer.
async fn pool(url: &str) -> Result<AnyPool> {
    let pool = AnyPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30));
    Ok(pool.connect(url).await?)
}
