//! Keeps leases. Their clock is SQLite's, which is this machine's: every relay of a file runs on it.

use std::time::Duration;

use async_trait::async_trait;
use outbox_core::lease::{Claim, Leases, RelayIdentity, Report};
use outbox_core::{Names, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, SqlStr};
use uuid::Uuid;

use super::connection::{BEGIN_WRITE, CALL, bounded, statement};

const ANNOUNCE: &str = outbox_core::sql::sqlite::LEASE_ANNOUNCE;
const FORGET_SILENT: &str = outbox_core::sql::sqlite::LEASE_FORGET_SILENT;
const ACQUIRE: &str = outbox_core::sql::sqlite::LEASE_ACQUIRE;
const OWNER: &str = outbox_core::sql::sqlite::LEASE_OWNER;
const TAKE_OVER: &str = outbox_core::sql::sqlite::LEASE_TAKE_OVER;
const RENEW: &str = outbox_core::sql::sqlite::LEASE_RENEW;
const RELEASE: &str = outbox_core::sql::sqlite::LEASE_RELEASE;
const LEAVE: &str = outbox_core::sql::sqlite::LEASE_LEAVE;

/// The leases of one file.
#[derive(Debug)]
pub(super) struct SqliteLeases {
    connection: SqliteConnection,
    announce: SqlStr,
    forget_silent: SqlStr,
    acquire: SqlStr,
    owner: SqlStr,
    take_over: SqlStr,
    renew: SqlStr,
    release: SqlStr,
    leave: SqlStr,
}

impl SqliteLeases {
    pub(super) fn new(connection: SqliteConnection, names: &Names) -> Self {
        Self {
            connection,
            announce: statement(names, ANNOUNCE),
            forget_silent: statement(names, FORGET_SILENT),
            acquire: statement(names, ACQUIRE),
            owner: statement(names, OWNER),
            take_over: statement(names, TAKE_OVER),
            renew: statement(names, RENEW),
            release: statement(names, RELEASE),
            leave: statement(names, LEAVE),
        }
    }

    async fn try_acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        length: Duration,
    ) -> Result<Claim, sqlx::Error> {
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        announce(&self.announce, &mut tx, relay).await?;
        sqlx::query(self.forget_silent.clone()).execute(&mut *tx).await?;
        let epoch = sqlx::query_scalar::<_, i64>(self.acquire.clone())
            .bind(subscription)
            .bind(relay.relay_id.hyphenated().to_string())
            .bind(length.as_secs_f64())
            .fetch_optional(&mut *tx)
            .await?;
        let claim = match epoch {
            Some(epoch) => Claim::Held { epoch },
            None => taken(&sqlx::query(self.owner.clone()).bind(subscription).fetch_one(&mut *tx).await?)?,
        };
        tx.commit().await?;
        Ok(claim)
    }

    async fn try_renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        held: &[(String, i64, Report)],
    ) -> Result<Vec<bool>, sqlx::Error> {
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        announce(&self.announce, &mut tx, relay).await?;
        let mut kept = Vec::with_capacity(held.len());
        for (subscription, epoch, report) in held {
            let holes = serde_json::to_string(&report.holes).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let done = sqlx::query(self.renew.clone())
                .bind(subscription.as_str())
                .bind(relay.relay_id.hyphenated().to_string())
                .bind(epoch)
                .bind(length.as_secs_f64())
                .bind(report.publisher.as_str())
                .bind(report.state.as_str())
                .bind(report.last_error.as_deref())
                .bind(holes)
                .execute(&mut *tx)
                .await?;
            kept.push(done.rows_affected() > 0);
        }
        tx.commit().await?;
        Ok(kept)
    }

    async fn try_take_over(&mut self, subscription: &str, epoch: i64) -> Result<(), sqlx::Error> {
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        let query = sqlx::query_scalar::<_, String>(self.take_over.clone()).bind(subscription).bind(epoch);
        if let Some(owner) = query.fetch_optional(&mut *tx).await? {
            sqlx::query(self.leave.clone()).bind(owner).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn try_release(&mut self, relay: &RelayIdentity) -> Result<(), sqlx::Error> {
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        for sql in [&self.release, &self.leave] {
            sqlx::query(sql.clone()).bind(relay.relay_id.hyphenated().to_string()).execute(&mut *tx).await?;
        }
        tx.commit().await
    }
}

#[async_trait]
impl Leases for SqliteLeases {
    async fn acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        length: Duration,
    ) -> Result<Claim, StoreError> {
        bounded(CALL, self.try_acquire(relay, subscription, length)).await
    }

    async fn take_over(&mut self, subscription: &str, epoch: i64) -> Result<(), StoreError> {
        bounded(CALL, self.try_take_over(subscription, epoch)).await
    }

    async fn renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        held: &[(String, i64, Report)],
    ) -> Result<Vec<bool>, StoreError> {
        bounded(CALL, self.try_renew(relay, length, held)).await
    }

    async fn release(&mut self, relay: &RelayIdentity) -> Result<(), StoreError> {
        bounded(CALL, self.try_release(relay)).await
    }
}

async fn announce(sql: &SqlStr, connection: &mut SqliteConnection, relay: &RelayIdentity) -> Result<(), sqlx::Error> {
    let query = sqlx::query(sql.clone())
        .bind(relay.relay_id.hyphenated().to_string())
        .bind(relay.name.as_str())
        .bind(relay.host.as_str())
        .bind(relay.process_id)
        .bind(relay.process_started.as_str());
    query.execute(connection).await.map(drop)
}

/// The owner of a lease that still runs; one that left the list is known by its id alone.
fn taken(row: &SqliteRow) -> Result<Claim, sqlx::Error> {
    let relay_id: String = row.try_get("relay_id")?;
    let owner = RelayIdentity {
        relay_id: Uuid::try_parse(&relay_id).unwrap_or_default(),
        name: row.try_get::<Option<_>, _>("relay_name")?.unwrap_or_default(),
        host: row.try_get::<Option<_>, _>("host")?.unwrap_or_default(),
        process_id: row.try_get::<Option<_>, _>("process_id")?.unwrap_or_default(),
        process_started: row.try_get::<Option<_>, _>("process_started")?.unwrap_or_default(),
    };
    let expires_in = Duration::try_from_secs_f64(row.try_get("expires_in")?).unwrap_or_default();
    Ok(Claim::Taken { owner, epoch: row.try_get("epoch")?, expires_in })
}
