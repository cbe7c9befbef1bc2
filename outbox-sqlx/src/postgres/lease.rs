//! Keeps leases, by the server's clock and in one statement a call.

use std::time::Duration;

use async_trait::async_trait;
use outbox_core::lease::{Claim, Leases, RelayIdentity, Report};
use outbox_core::{Names, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{Row, SqlStr};

use super::address::Address;
use super::checkpoint::storable;
use super::connection::{CALL, Link, statement};
use super::fault::{precondition, store_error, unavailable};

const ACQUIRE: &str = outbox_core::sql::postgres::LEASE_ACQUIRE;
const TAKE_OVER: &str = outbox_core::sql::postgres::LEASE_TAKE_OVER;
const RENEW: &str = outbox_core::sql::postgres::LEASE_RENEW;
const RELEASE: &str = outbox_core::sql::postgres::LEASE_RELEASE;

/// How often a lease that another relay has just made is looked at again: the first look's snapshot is too old to show it.
const LOOKS: usize = 5;

/// The leases of one database.
pub(super) struct PgLeases {
    link: Link,
    acquire: SqlStr,
    take_over: SqlStr,
    renew: SqlStr,
    release: SqlStr,
}

impl PgLeases {
    pub(super) async fn open(address: &Address, names: &Names) -> Result<Self, StoreError> {
        Ok(Self {
            link: Link::open(address, CALL).await?,
            acquire: statement(names, ACQUIRE),
            take_over: statement(names, TAKE_OVER),
            renew: statement(names, RENEW),
            release: statement(names, RELEASE),
        })
    }
}

#[async_trait]
impl Leases for PgLeases {
    async fn acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        length: Duration,
    ) -> Result<Claim, StoreError> {
        for _ in 0..LOOKS {
            let query = sqlx::query(self.acquire.clone())
                .bind(subscription)
                .bind(relay.relay_id)
                .bind(length.as_secs_f64())
                .bind(relay.name.as_str())
                .bind(relay.host.as_str())
                .bind(relay.process_id)
                .bind(relay.process_started.as_str());
            if let Some(row) = self.link.optional(CALL, query).await? {
                return claim(&row).map_err(store_error);
            }
        }
        Err(unavailable(format!("the lease of `{subscription}` changes hands too fast to be read")))
    }

    async fn take_over(&mut self, subscription: &str, epoch: i64) -> Result<(), StoreError> {
        self.link.run(CALL, sqlx::query(self.take_over.clone()).bind(subscription).bind(epoch)).await.map(drop)
    }

    async fn renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        held: &[(String, i64, Report)],
    ) -> Result<Vec<bool>, StoreError> {
        let reports = || held.iter().map(|(_, _, report)| report);
        let holes = reports().map(|report| serde_json::to_string(&report.holes)).collect::<Result<Vec<_>, _>>();
        let holes = holes
            .map_err(|error| precondition("the report of the holes cannot be written as JSON").caused_by(error))?;
        let query = sqlx::query(self.renew.clone())
            .bind(relay.relay_id)
            .bind(relay.name.as_str())
            .bind(relay.host.as_str())
            .bind(relay.process_id)
            .bind(relay.process_started.as_str())
            .bind(length.as_secs_f64())
            .bind(held.iter().map(|(subscription, _, _)| subscription.as_str()).collect::<Vec<_>>())
            .bind(held.iter().map(|(_, epoch, _)| *epoch).collect::<Vec<_>>())
            .bind(reports().map(|report| storable(&report.publisher)).collect::<Vec<_>>())
            .bind(reports().map(|report| storable(&report.state)).collect::<Vec<_>>())
            .bind(reports().map(|report| report.last_error.as_deref().map(storable)).collect::<Vec<_>>())
            .bind(holes);
        let renewed = self.link.all(CALL, query).await?;
        let renewed: Vec<&str> =
            renewed.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(store_error)?;
        Ok(held.iter().map(|(subscription, _, _)| renewed.contains(&subscription.as_str())).collect())
    }

    async fn release(&mut self, relay: &RelayIdentity) -> Result<(), StoreError> {
        self.link.run(CALL, sqlx::query(self.release.clone()).bind(relay.relay_id)).await.map(drop)
    }
}

/// Reads who holds the lease; an owner that left the list is known by its id alone.
fn claim(row: &PgRow) -> Result<Claim, sqlx::Error> {
    let epoch = row.try_get("epoch")?;
    if row.try_get("held")? {
        return Ok(Claim::Held { epoch });
    }
    let owner = RelayIdentity {
        relay_id: row.try_get("relay_id")?,
        name: row.try_get::<Option<_>, _>("relay_name")?.unwrap_or_default(),
        host: row.try_get::<Option<_>, _>("host")?.unwrap_or_default(),
        process_id: row.try_get::<Option<_>, _>("process_id")?.unwrap_or_default(),
        process_started: row.try_get::<Option<_>, _>("process_started")?.unwrap_or_default(),
    };
    let expires_in = Duration::try_from_secs_f64(row.try_get("expires_in")?).unwrap_or_default();
    Ok(Claim::Taken { owner, epoch, expires_in })
}
