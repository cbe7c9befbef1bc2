//! Keeps leases. Their clock is SQLite's, which is this machine's: every relay of a file runs on it.
//!
//! A file has one writer at a time, so nothing is gained by sharing it: while one relay holds a lease of a subscription, it
//! alone is told to be there for it, and takes all.

use std::time::Duration;

use async_trait::async_trait;
use outbox_core::checkpoint::Held;
use outbox_core::lease::{Claim, Leases, RelayIdentity, Renewal, Roster};
use outbox_core::{Names, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, SqlStr};
use uuid::Uuid;

use super::connection::{BEGIN_WRITE, CALL, bounded, statement};
use crate::number::{partition_id, partition_of};

const ANNOUNCE: &str = outbox_core::sql::sqlite::LEASE_ANNOUNCE;
const FORGET_SILENT: &str = outbox_core::sql::sqlite::LEASE_FORGET_SILENT;
const ACQUIRE: &str = outbox_core::sql::sqlite::LEASE_ACQUIRE;
const OWNER: &str = outbox_core::sql::sqlite::LEASE_OWNER;
const TAKE_OVER: &str = outbox_core::sql::sqlite::LEASE_TAKE_OVER;
const RENEW: &str = outbox_core::sql::sqlite::LEASE_RENEW;
const RUNNING: &str = outbox_core::sql::sqlite::LEASE_RUNNING;
const RULES: &str = outbox_core::sql::sqlite::LEASE_RULES;
const GIVE_BACK: &str = outbox_core::sql::sqlite::LEASE_GIVE_BACK;
const RELEASE: &str = outbox_core::sql::sqlite::LEASE_RELEASE;
const LEAVE: &str = outbox_core::sql::sqlite::LEASE_LEAVE;

/// The leases of one file.
#[derive(Debug)]
pub(super) struct SqliteLeases {
    connection: SqliteConnection,
    names: Names,
}

impl SqliteLeases {
    pub(super) fn new(connection: SqliteConnection, names: &Names) -> Self {
        Self { connection, names: names.clone() }
    }

    fn sql(&self, sql: &'static str) -> SqlStr {
        statement(&self.names, sql)
    }

    async fn try_acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        partitions: &[u32],
        length: Duration,
    ) -> Result<Vec<Claim>, sqlx::Error> {
        let (announcing, forget) = (self.sql(ANNOUNCE), self.sql(FORGET_SILENT));
        let (acquire, owner) = (self.sql(ACQUIRE), self.sql(OWNER));
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        announce(announcing, &mut tx, relay, None).await?;
        sqlx::query(forget).execute(&mut *tx).await?;
        let mut claims = Vec::with_capacity(partitions.len());
        for partition in partitions.iter().map(|partition| partition_id(*partition)) {
            let epoch = sqlx::query_scalar::<_, i64>(acquire.clone())
                .bind(subscription)
                .bind(id(relay))
                .bind(length.as_secs_f64())
                .bind(partition)
                .fetch_optional(&mut *tx)
                .await?;
            claims.push(if let Some(epoch) = epoch {
                Claim::Held { epoch }
            } else {
                let owner = sqlx::query(owner.clone()).bind(subscription).bind(partition);
                taken(&owner.fetch_one(&mut *tx).await?)?
            });
        }
        tx.commit().await?;
        Ok(claims)
    }

    async fn try_renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        serves: &[String],
        held: &[Renewal],
    ) -> Result<Roster, sqlx::Error> {
        let (announcing, renew) = (self.sql(ANNOUNCE), self.sql(RENEW));
        let (running, rules) = (self.sql(RUNNING), self.sql(RULES));
        let names = serde_json::to_string(serves).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        announce(announcing, &mut tx, relay, Some(&names)).await?;
        let mut roster = Roster::default();
        for Renewal { subscription, partition, epoch, report } in held {
            let holes = serde_json::to_string(&report.holes).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let done = sqlx::query(renew.clone())
                .bind(subscription.as_str())
                .bind(id(relay))
                .bind(epoch)
                .bind(length.as_secs_f64())
                .bind(report.publisher.as_str())
                .bind(report.state.as_str())
                .bind(report.last_error.as_deref())
                .bind(holes)
                .bind(partition_id(*partition))
                .execute(&mut *tx)
                .await?;
            roster.kept.push(done.rows_affected() > 0);
        }
        for row in sqlx::query(running).bind(&names).fetch_all(&mut *tx).await? {
            let owner = identity(&row)?;
            let subscription: String = row.try_get("subscription")?;
            roster.leases.push((subscription.clone(), partition_of(&row)?, owner.clone()));
            // Whoever works it is alone with it.
            roster.relays.push((owner, vec![subscription]));
        }
        for row in sqlx::query(rules).bind(&names).fetch_all(&mut *tx).await? {
            roster.rules.insert(row.try_get("name")?, row.try_get("value")?);
        }
        tx.commit().await?;
        Ok(roster)
    }

    async fn try_take_over(&mut self, subscription: &str, partition: u32, epoch: i64) -> Result<(), sqlx::Error> {
        let (take_over, leave) = (self.sql(TAKE_OVER), self.sql(LEAVE));
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        let query = sqlx::query_scalar::<_, String>(take_over).bind(subscription).bind(epoch);
        if let Some(owner) = query.bind(partition_id(partition)).fetch_optional(&mut *tx).await? {
            sqlx::query(leave).bind(owner).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn try_give_back(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        held: &[Held],
    ) -> Result<(), sqlx::Error> {
        let give_back = self.sql(GIVE_BACK);
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        for Held { partition, epoch } in held {
            let query = sqlx::query(give_back.clone()).bind(subscription).bind(id(relay));
            query.bind(partition_id(*partition)).bind(epoch).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn try_release(&mut self, relay: &RelayIdentity) -> Result<(), sqlx::Error> {
        let statements = [self.sql(RELEASE), self.sql(LEAVE)];
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        for sql in statements {
            sqlx::query(sql).bind(id(relay)).execute(&mut *tx).await?;
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
        partitions: &[u32],
        length: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        bounded(CALL, self.try_acquire(relay, subscription, partitions, length)).await
    }

    async fn take_over(&mut self, subscription: &str, partition: u32, epoch: i64) -> Result<(), StoreError> {
        bounded(CALL, self.try_take_over(subscription, partition, epoch)).await
    }

    async fn renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        serves: &[String],
        held: &[Renewal],
    ) -> Result<Roster, StoreError> {
        bounded(CALL, self.try_renew(relay, length, serves, held)).await
    }

    async fn give_back(&mut self, relay: &RelayIdentity, subscription: &str, held: &[Held]) -> Result<(), StoreError> {
        bounded(CALL, self.try_give_back(relay, subscription, held)).await
    }

    async fn release(&mut self, relay: &RelayIdentity) -> Result<(), StoreError> {
        bounded(CALL, self.try_release(relay)).await
    }
}

/// How a relay's id is written.
fn id(relay: &RelayIdentity) -> String {
    relay.relay_id.hyphenated().to_string()
}

async fn announce(
    sql: SqlStr,
    connection: &mut SqliteConnection,
    relay: &RelayIdentity,
    serves: Option<&str>,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(sql)
        .bind(id(relay))
        .bind(relay.name.as_str())
        .bind(relay.host.as_str())
        .bind(relay.process_id)
        .bind(relay.process_started.as_str())
        .bind(serves);
    query.execute(connection).await.map(drop)
}

/// The owner of a lease; one that left the list is known by its id alone.
fn identity(row: &SqliteRow) -> Result<RelayIdentity, sqlx::Error> {
    let relay_id: String = row.try_get("relay_id")?;
    Ok(RelayIdentity {
        relay_id: Uuid::try_parse(&relay_id).unwrap_or_default(),
        name: row.try_get::<Option<_>, _>("relay_name")?.unwrap_or_default(),
        host: row.try_get::<Option<_>, _>("host")?.unwrap_or_default(),
        process_id: row.try_get::<Option<_>, _>("process_id")?.unwrap_or_default(),
        process_started: row.try_get::<Option<_>, _>("process_started")?.unwrap_or_default(),
    })
}

fn taken(row: &SqliteRow) -> Result<Claim, sqlx::Error> {
    let expires_in = Duration::try_from_secs_f64(row.try_get("expires_in")?).unwrap_or_default();
    Ok(Claim::Taken { owner: identity(row)?, epoch: row.try_get("epoch")?, expires_in })
}
