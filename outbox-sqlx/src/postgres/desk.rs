//! Where operators decide about dead letters, and pause subscriptions.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use outbox_core::dead_letter::{Decision, Desk, Letter, Parked, State};
use outbox_core::event::Payload;
use outbox_core::source::Row as LogRow;
use outbox_core::{Names, Position, StoreError};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};

use super::address::Address;
use super::checkpoint::storable;
use super::connection::{CALL, Link, READ, statement};
use super::dead_letter;
use super::fault::store_error;
use super::row;

const COPY: &str = outbox_core::sql::postgres::DESK_COPY;
const DECIDE: &str = outbox_core::sql::postgres::DESK_DECIDE;
const KNOWN: &str = outbox_core::sql::postgres::DESK_KNOWN;
const LETTERS: &str = outbox_core::sql::postgres::DESK_LETTERS;
const PARK: &str = outbox_core::sql::postgres::CHECKPOINT_PARK;
const AT_WORK: &str = outbox_core::sql::postgres::DESK_AT_WORK;
const PAUSE: &str = outbox_core::sql::postgres::DESK_PAUSE;
const REPLAYING: &str = outbox_core::sql::postgres::DESK_REPLAYING;
const RESUME: &str = outbox_core::sql::postgres::DESK_RESUME;
const SUBSCRIPTIONS: &str = outbox_core::sql::postgres::DESK_SUBSCRIPTIONS;
const TELL: &str = outbox_core::sql::postgres::DESK_TELL;

/// The desk of one database.
pub(super) struct PgDesk {
    link: Link,
    names: Names,
}

impl PgDesk {
    pub(super) async fn open(address: &Address, names: &Names) -> Result<Self, StoreError> {
        Ok(Self { link: Link::open(address, READ).await?, names: names.clone() })
    }

    async fn find(
        &mut self,
        subscription: &str,
        key: Option<&str>,
        position: Option<Position>,
    ) -> Result<Vec<Letter>, StoreError> {
        let query = sqlx::query(statement(&self.names, LETTERS)).bind(subscription).bind(key).bind(position);
        self.link.all(READ, query).await?.iter().map(letter).collect()
    }
}

#[async_trait]
impl Desk for PgDesk {
    async fn letters(&mut self, subscription: &str, key: Option<&str>) -> Result<Vec<Letter>, StoreError> {
        self.find(subscription, key, None).await
    }

    async fn letter(&mut self, subscription: &str, position: Position) -> Result<Option<Letter>, StoreError> {
        Ok(self.find(subscription, None, Some(position)).await?.pop())
    }

    async fn known(&mut self, subscription: &str, positions: &[Position]) -> Result<BTreeSet<Position>, StoreError> {
        let query = sqlx::query(statement(&self.names, KNOWN)).bind(subscription).bind(positions);
        let rows = self.link.all(READ, query).await?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn copy(&mut self, subscription: &str, position: Position) -> Result<Option<LogRow>, StoreError> {
        let query = sqlx::query(statement(&self.names, COPY)).bind(subscription).bind(position);
        self.link.optional(CALL, query).await?.map(|row| row::read(&row)).transpose().map_err(store_error)
    }

    async fn decide(&mut self, subscription: &str, decision: &Decision) -> Result<Vec<Position>, StoreError> {
        let from: Vec<_> = decision.from.iter().map(|state| state.as_str()).collect();
        let query = sqlx::query(statement(&self.names, DECIDE))
            .bind(subscription)
            .bind(&decision.positions)
            .bind(from)
            .bind(decision.to.as_str())
            .bind(decision.actor.as_deref().map(storable))
            .bind(decision.reason.as_deref().map(storable))
            .bind(decision.payload.as_ref().map(Payload::as_bytes));
        let rows = self.link.all(READ, query).await?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn replay(&mut self, subscription: &str, letters: &[Arc<Parked>]) -> Result<(), StoreError> {
        let (park, tell) = (statement(&self.names, PARK), statement(&self.names, TELL));
        let write = async |connection: &mut PgConnection| {
            let mut tx = connection.begin().await?;
            dead_letter::parked(&park, subscription, letters).execute(&mut *tx).await?;
            sqlx::query(tell).bind(subscription).execute(&mut *tx).await?;
            tx.commit().await
        };
        self.link.call(READ, write).await
    }

    async fn replaying(&mut self, subscription: &str) -> Result<u64, StoreError> {
        let row = self.link.one(READ, sqlx::query(statement(&self.names, REPLAYING)).bind(subscription)).await?;
        row.try_get::<i64, _>(0).map(i64::unsigned_abs).map_err(store_error)
    }

    async fn subscriptions(&mut self) -> Result<Vec<String>, StoreError> {
        let rows = self.link.all(CALL, sqlx::query(statement(&self.names, SUBSCRIPTIONS))).await?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn pause(&mut self, subscription: &str, note: Option<&str>) -> Result<bool, StoreError> {
        let query = match note {
            Some(note) => sqlx::query(statement(&self.names, PAUSE)).bind(subscription).bind(storable(note)),
            None => sqlx::query(statement(&self.names, RESUME)).bind(subscription),
        };
        Ok(self.link.run(CALL, query).await?.rows_affected() > 0)
    }

    async fn is_at_work(&mut self, subscription: &str) -> Result<bool, StoreError> {
        let query = sqlx::query(statement(&self.names, AT_WORK)).bind(subscription);
        self.link.one(CALL, query).await?.try_get("at_work").map_err(store_error)
    }
}

fn letter(row: &PgRow) -> Result<Letter, StoreError> {
    let read = |row: &PgRow| {
        let attempts: i32 = row.try_get("attempts")?;
        Ok(Letter {
            position: row.try_get("position")?,
            event_id: row.try_get("event_id")?,
            key: row.try_get("event_key")?,
            topic: row.try_get("topic")?,
            state: State::Parked,
            reason: row.try_get("reason")?,
            attempts: u32::try_from(attempts).unwrap_or_default(),
            first_failed_at: row.try_get("first_failed_at")?,
            last_failed_at: row.try_get("last_failed_at")?,
            settled_by: row.try_get("settled_by")?,
            settled_reason: row.try_get("settled_reason")?,
            settled_at: row.try_get("settled_at")?,
            readable: row.try_get("readable")?,
            corrected: row.try_get("corrected")?,
        })
    };
    let state = State::from_column(row.try_get("state").map_err(store_error)?)?;
    read(row).map(|letter| Letter { state, ..letter }).map_err(store_error)
}
