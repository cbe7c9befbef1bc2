//! The business of one case: a few keys whose counters rise, each time with an event.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{AnyPool, AssertSqlSafe};

use super::{file, truth};
use crate::database::Owned;
use crate::oracle::Truth;

const KEYS: u64 = 6;

/// On which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On the shared server.
    Postgres,
    /// On a file.
    Sqlite,
}

/// A database with counters in it.
pub(super) struct Shop {
    url: String,
    pool: AnyPool,
    /// Dropped with this value.
    _owned: Option<Owned>,
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
        let pool =
            AnyPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30)).connect(&url).await?;
        sqlx::query("CREATE TABLE agg (k TEXT PRIMARY KEY, ver BIGINT NOT NULL DEFAULT 0)").execute(&pool).await?;
        for key in 1..=KEYS {
            sqlx::query(AssertSqlSafe(format!("INSERT INTO agg (k) VALUES ('k-{key}')"))).execute(&pool).await?;
        }
        Ok(Self { url, pool, _owned: owned })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Raises every counter so many times; what is true afterwards.
    pub(super) async fn write(&self, times: u32) -> Result<Truth> {
        for _ in 0..times {
            for key in 1..=KEYS {
                let mut tx = self.pool.begin().await?;
                let raise = format!("UPDATE agg SET ver = ver + 1 WHERE k = 'k-{key}' RETURNING ver");
                let version: i64 = sqlx::query_scalar(AssertSqlSafe(raise)).fetch_one(&mut *tx).await?;
                let event = format!(
                    "INSERT INTO outbox_event (topic, event_key, payload)
                    VALUES ('torture', 'k-{key}', '{{\"k\":\"k-{key}\",\"ver\":{version}}}')"
                );
                sqlx::query(AssertSqlSafe(event)).execute(&mut *tx).await?;
                tx.commit().await?;
            }
        }
        let counters: Vec<(String, i64)> = sqlx::query_as("SELECT k, ver FROM agg").fetch_all(&self.pool).await?;
        let counters: HashMap<_, _> = counters.into_iter().map(|(key, ver)| (key, ver.unsigned_abs())).collect();
        Ok(truth(counters))
    }
}
