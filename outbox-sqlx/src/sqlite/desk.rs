//! Where operators decide about dead letters, and pause subscriptions.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use outbox_core::dead_letter::{Decision, Desk, Letter, Parked, State};
use outbox_core::event::Payload;
use outbox_core::source::Row as LogRow;
use outbox_core::{Names, Position, StoreError, StoreErrorKind};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, SqlStr};
use time::OffsetDateTime;
use uuid::Uuid;

use super::connection::{BEGIN_WRITE, CALL, bounded, json_list, statement, store_error};
use super::{dead_letter, row};

const COPY: &str = outbox_core::sql::sqlite::DESK_COPY;
const DECIDE: &str = outbox_core::sql::sqlite::DESK_DECIDE;
const KNOWN: &str = outbox_core::sql::sqlite::DESK_KNOWN;
const LETTERS: &str = outbox_core::sql::sqlite::DESK_LETTERS;
const PARK: &str = outbox_core::sql::sqlite::CHECKPOINT_PARK;
const AT_WORK: &str = outbox_core::sql::sqlite::DESK_AT_WORK;
const PAUSE: &str = outbox_core::sql::sqlite::DESK_PAUSE;
const REPLAYING: &str = outbox_core::sql::sqlite::DESK_REPLAYING;
const RESUME: &str = outbox_core::sql::sqlite::DESK_RESUME;
const SUBSCRIPTIONS: &str = outbox_core::sql::sqlite::DESK_SUBSCRIPTIONS;
const TELL: &str = outbox_core::sql::sqlite::DESK_TELL;

/// The desk of one file.
#[derive(Debug)]
pub(super) struct SqliteDesk {
    connection: SqliteConnection,
    names: Names,
}

impl SqliteDesk {
    pub(super) async fn new(mut connection: SqliteConnection, names: &Names) -> Result<Self, StoreError> {
        bounded(CALL, sqlx::query("PRAGMA synchronous = FULL").execute(&mut connection)).await?;
        Ok(Self { connection, names: names.clone() })
    }

    fn sql(&self, sql: &'static str) -> SqlStr {
        statement(&self.names, sql)
    }

    async fn find(
        &mut self,
        subscription: &str,
        key: Option<&str>,
        position: Option<Position>,
    ) -> Result<Vec<Letter>, StoreError> {
        let query = sqlx::query(self.sql(LETTERS)).bind(subscription).bind(key).bind(position);
        bounded(CALL, query.fetch_all(&mut self.connection)).await?.iter().map(letter).collect()
    }

    async fn try_decide(&mut self, subscription: &str, decision: &Decision) -> Result<Vec<Position>, sqlx::Error> {
        let (decide, tell) = (self.sql(DECIDE), self.sql(TELL));
        let from: Vec<_> = decision.from.iter().map(|state| state.as_str()).collect();
        let from = serde_json::to_string(&from).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        let query = sqlx::query_scalar(decide)
            .bind(subscription)
            .bind(json_list(&decision.positions))
            .bind(from)
            .bind(decision.to.as_str())
            .bind(decision.actor.as_deref())
            .bind(decision.reason.as_deref())
            .bind(decision.payload.as_ref().map(Payload::as_bytes));
        let mut decided: Vec<Position> = query.fetch_all(&mut *tx).await?;
        if !decided.is_empty() {
            sqlx::query(tell).bind(subscription).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        decided.sort_unstable();
        Ok(decided)
    }
}

#[async_trait]
impl Desk for SqliteDesk {
    async fn letters(&mut self, subscription: &str, key: Option<&str>) -> Result<Vec<Letter>, StoreError> {
        self.find(subscription, key, None).await
    }

    async fn letter(&mut self, subscription: &str, position: Position) -> Result<Option<Letter>, StoreError> {
        Ok(self.find(subscription, None, Some(position)).await?.pop())
    }

    async fn known(&mut self, subscription: &str, positions: &[Position]) -> Result<BTreeSet<Position>, StoreError> {
        let query = sqlx::query_scalar(self.sql(KNOWN)).bind(subscription).bind(json_list(positions));
        Ok(bounded(CALL, query.fetch_all(&mut self.connection)).await?.into_iter().collect())
    }

    async fn copy(&mut self, subscription: &str, position: Position) -> Result<Option<LogRow>, StoreError> {
        let query = sqlx::query(self.sql(COPY)).bind(subscription).bind(position);
        let row = bounded(CALL, query.fetch_optional(&mut self.connection)).await?;
        row.map(|row| row::read(&row)).transpose().map_err(store_error)
    }

    async fn decide(&mut self, subscription: &str, decision: &Decision) -> Result<Vec<Position>, StoreError> {
        bounded(CALL, self.try_decide(subscription, decision)).await
    }

    async fn replay(&mut self, subscription: &str, letters: &[Arc<Parked>]) -> Result<(), StoreError> {
        let (park, tell) = (self.sql(PARK), self.sql(TELL));
        let write = async {
            let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
            for letter in letters {
                dead_letter::park(park.clone(), &mut tx, subscription, letter).await?;
            }
            sqlx::query(tell).bind(subscription).execute(&mut *tx).await?;
            tx.commit().await
        };
        bounded(CALL, write).await
    }

    async fn replaying(&mut self, subscription: &str) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar(self.sql(REPLAYING)).bind(subscription);
        let count: i64 = bounded(CALL, query.fetch_one(&mut self.connection)).await?;
        Ok(count.unsigned_abs())
    }

    async fn subscriptions(&mut self) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar(self.sql(SUBSCRIPTIONS));
        bounded(CALL, query.fetch_all(&mut self.connection)).await
    }

    async fn pause(&mut self, subscription: &str, note: Option<&str>) -> Result<bool, StoreError> {
        let query = match note {
            Some(note) => sqlx::query(self.sql(PAUSE)).bind(subscription).bind(note),
            None => sqlx::query(self.sql(RESUME)).bind(subscription),
        };
        Ok(bounded(CALL, query.execute(&mut self.connection)).await?.rows_affected() > 0)
    }

    async fn is_at_work(&mut self, subscription: &str) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar(self.sql(AT_WORK)).bind(subscription);
        bounded(CALL, query.fetch_one(&mut self.connection)).await
    }
}

fn letter(found: &SqliteRow) -> Result<Letter, StoreError> {
    let state = State::from_column(found.try_get("state").map_err(store_error)?)?;
    let time = |column: &str| {
        let text: Option<String> = found.try_get(column).map_err(store_error)?;
        Ok::<_, StoreError>(text.as_deref().and_then(row::time))
    };
    let at = |column: &str| time(column)?.ok_or_else(|| damaged(column));
    let read = |times: (OffsetDateTime, OffsetDateTime, Option<OffsetDateTime>)| {
        let id: String = found.try_get("event_id")?;
        Ok(Letter {
            position: found.try_get("position")?,
            event_id: Uuid::try_parse(&id).unwrap_or_default(),
            key: found.try_get("event_key")?,
            topic: found.try_get("topic")?,
            state,
            reason: found.try_get("reason")?,
            attempts: found.try_get("attempts")?,
            first_failed_at: times.0,
            last_failed_at: times.1,
            settled_by: found.try_get("settled_by")?,
            settled_reason: found.try_get("settled_reason")?,
            settled_at: times.2,
            readable: found.try_get("readable")?,
            corrected: found.try_get("corrected")?,
        })
    };
    read((at("first_failed_at")?, at("last_failed_at")?, time("settled_at")?)).map_err(store_error)
}

fn damaged(column: &str) -> StoreError {
    let message = format!("a dead letter has a damaged `{column}`; restore its row from a backup");
    StoreError::new(StoreErrorKind::Precondition, message)
}
