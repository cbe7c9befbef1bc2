//! Keeps leases, by the server's clock and in one statement a call.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use outbox_core::checkpoint::Held;
use outbox_core::lease::{Claim, Leases, RelayIdentity, Renewal, Roster};
use outbox_core::{Names, StoreError};
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Row, SqlStr};

use super::access::{Purpose, check_access};
use super::address::Address;
use super::checkpoint::storable;
use super::connection::{CALL, Link, statement};
use super::fault::{precondition, store_error, unavailable};
use crate::number::{partition_id, partition_of};

const ACQUIRE: &str = outbox_core::sql::postgres::LEASE_ACQUIRE;
const TAKE_OVER: &str = outbox_core::sql::postgres::LEASE_TAKE_OVER;
const RENEW: &str = outbox_core::sql::postgres::LEASE_RENEW;
const GIVE_BACK: &str = outbox_core::sql::postgres::LEASE_GIVE_BACK;
const RELEASE: &str = outbox_core::sql::postgres::LEASE_RELEASE;

/// How often a lease that another relay has just made is looked at again: the first look's snapshot is too old to show it.
const LOOKS: usize = 5;

/// The leases of one database.
pub(super) struct PgLeases {
    link: Link,
    acquire: SqlStr,
    take_over: SqlStr,
    renew: SqlStr,
    give_back: SqlStr,
    release: SqlStr,
}

impl PgLeases {
    pub(super) async fn open(address: &Address, names: &Names) -> Result<Self, StoreError> {
        let mut link = Link::open(address, CALL).await?;
        check_access(&mut link, names, Purpose::Relay).await?;
        Ok(Self {
            link,
            acquire: statement(names, ACQUIRE),
            take_over: statement(names, TAKE_OVER),
            renew: statement(names, RENEW),
            give_back: statement(names, GIVE_BACK),
            release: statement(names, RELEASE),
        })
    }

    /// The statement that renews, with all it says.
    fn renewal<'q>(
        &self,
        relay: &'q RelayIdentity,
        length: Duration,
        serves: &'q [String],
        held: &'q [Renewal],
    ) -> Result<Query<'q, Postgres, PgArguments>, serde_json::Error> {
        let reports = || held.iter().map(|each| &each.report);
        let holes = reports().map(|report| serde_json::to_string(&report.holes)).collect::<Result<Vec<_>, _>>()?;
        Ok(sqlx::query(self.renew.clone())
            .bind(relay.relay_id)
            .bind(relay.name.as_str())
            .bind(relay.host.as_str())
            .bind(relay.process_id)
            .bind(relay.process_started.as_str())
            .bind(length.as_secs_f64())
            .bind(held.iter().map(|each| each.subscription.as_str()).collect::<Vec<_>>())
            .bind(held.iter().map(|each| partition_id(each.partition)).collect::<Vec<_>>())
            .bind(held.iter().map(|each| each.epoch).collect::<Vec<_>>())
            .bind(reports().map(|report| storable(&report.publisher)).collect::<Vec<_>>())
            .bind(reports().map(|report| storable(&report.state)).collect::<Vec<_>>())
            .bind(reports().map(|report| report.last_error.as_deref().map(storable)).collect::<Vec<_>>())
            .bind(holes)
            .bind(serves)
            .bind(serde_json::to_string(serves)?))
    }
}

#[async_trait]
impl Leases for PgLeases {
    async fn acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        partitions: &[u32],
        length: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut claims = BTreeMap::new();
        for _ in 0..LOOKS {
            let missing = partitions.iter().filter(|partition| !claims.contains_key(*partition));
            let query = sqlx::query(self.acquire.clone())
                .bind(subscription)
                .bind(relay.relay_id)
                .bind(length.as_secs_f64())
                .bind(relay.name.as_str())
                .bind(relay.host.as_str())
                .bind(relay.process_id)
                .bind(relay.process_started.as_str())
                .bind(missing.map(|partition| partition_id(*partition)).collect::<Vec<_>>());
            for row in self.link.all(CALL, query).await? {
                claims.insert(partition_of(&row).map_err(store_error)?, claim(&row).map_err(store_error)?);
            }
            if let Some(answers) = partitions.iter().map(|each| claims.get(each).cloned()).collect() {
                return Ok(answers);
            }
        }
        Err(unavailable(format!("the leases of `{subscription}` change hands too fast to be read")))
    }

    async fn take_over(&mut self, subscription: &str, partition: u32, epoch: i64) -> Result<(), StoreError> {
        let query = sqlx::query(self.take_over.clone()).bind(subscription).bind(partition_id(partition)).bind(epoch);
        self.link.run(CALL, query).await.map(drop)
    }

    async fn renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        serves: &[String],
        held: &[Renewal],
    ) -> Result<Roster, StoreError> {
        let query = self.renewal(relay, length, serves, held);
        let query =
            query.map_err(|error| precondition("what a relay reports cannot be written as JSON").caused_by(error))?;
        let rows = self.link.all(CALL, query).await?;
        let mut roster = Roster { kept: vec![false; held.len()], ..Roster::default() };
        for row in &rows {
            take_in(row, held, &mut roster).map_err(store_error)?;
        }
        Ok(roster)
    }

    async fn give_back(&mut self, relay: &RelayIdentity, subscription: &str, held: &[Held]) -> Result<(), StoreError> {
        let query = sqlx::query(self.give_back.clone())
            .bind(subscription)
            .bind(relay.relay_id)
            .bind(held.iter().map(|each| partition_id(each.partition)).collect::<Vec<_>>())
            .bind(held.iter().map(|each| each.epoch).collect::<Vec<_>>());
        self.link.run(CALL, query).await.map(drop)
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
    let expires_in = Duration::try_from_secs_f64(row.try_get("expires_in")?).unwrap_or_default();
    Ok(Claim::Taken { owner: identity(row, "relay_name")?, epoch, expires_in })
}

fn identity(row: &PgRow, name: &str) -> Result<RelayIdentity, sqlx::Error> {
    Ok(RelayIdentity {
        relay_id: row.try_get("relay_id")?,
        name: row.try_get::<Option<_>, _>(name)?.unwrap_or_default(),
        host: row.try_get::<Option<_>, _>("host")?.unwrap_or_default(),
        process_id: row.try_get::<Option<_>, _>("process_id")?.unwrap_or_default(),
        process_started: row.try_get::<Option<_>, _>("process_started")?.unwrap_or_default(),
    })
}

/// Puts one row of the answer where it belongs.
fn take_in(row: &PgRow, held: &[Renewal], roster: &mut Roster) -> Result<(), sqlx::Error> {
    let name: String = row.try_get("name")?;
    match row.try_get::<&str, _>("kind")? {
        "kept" => {
            let partition = partition_of(row)?;
            let place = held.iter().position(|each| each.subscription == name && each.partition == partition);
            if let Some(place) = place {
                roster.kept[place] = true;
            }
        }
        "relay" => {
            let serves = serde_json::from_str(row.try_get("content")?).unwrap_or_default();
            roster.relays.push((identity(row, "name")?, serves));
        }
        "lease" => roster.leases.push((name, partition_of(row)?, identity(row, "content")?)),
        _ => drop(roster.rules.insert(name, row.try_get("content")?)),
    }
    Ok(())
}
