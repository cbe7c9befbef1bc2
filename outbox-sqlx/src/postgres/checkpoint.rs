//! Keeps checkpoints. Each write is one statement, and durable when it returns.

use async_trait::async_trait;
use outbox_core::checkpoint::{Checkpoint, Checkpoints, DeadLetter};
use outbox_core::{Names, Position, StoreError};
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Connection, Row, SqlStr};

use super::address::Address;
use super::connection::{CALL, Link, statement};
use super::fault::{fenced, store_error};
use crate::refusal::{lost, overtaken};

const CLAIM: &str = outbox_core::sql::postgres::CHECKPOINT_CLAIM;
const LOST: &str = outbox_core::sql::postgres::CHECKPOINT_LOST;
const LOCK: &str = outbox_core::sql::postgres::CHECKPOINT_LOCK;
const CREATE: &str = outbox_core::sql::postgres::CHECKPOINT_CREATE;
const SAVE: &str = outbox_core::sql::postgres::CHECKPOINT_SAVE;
const RECORD: &str = outbox_core::sql::postgres::CHECKPOINT_RECORD;
const FORGIVE: &str = outbox_core::sql::postgres::CHECKPOINT_FORGIVE;
const RECORDED: &str = outbox_core::sql::postgres::CHECKPOINT_RECORDED;
const SWEEP: &str = outbox_core::sql::postgres::CHECKPOINT_SWEEP;

/// The checkpoints of one database.
pub(super) struct PgCheckpoints {
    link: Link,
    claim: SqlStr,
    lost: SqlStr,
    lock: SqlStr,
    create: SqlStr,
    save: SqlStr,
    record: SqlStr,
    forgive: SqlStr,
    recorded: SqlStr,
    sweep: SqlStr,
}

impl PgCheckpoints {
    pub(super) async fn open(address: &Address, names: &Names) -> Result<Self, StoreError> {
        Ok(Self {
            link: Link::open(address, CALL).await?,
            claim: statement(names, CLAIM),
            lost: statement(names, LOST),
            lock: statement(names, LOCK),
            create: statement(names, CREATE),
            save: statement(names, SAVE),
            record: statement(names, RECORD),
            forgive: statement(names, FORGIVE),
            recorded: statement(names, RECORDED),
            sweep: statement(names, SWEEP),
        })
    }

    /// Refuses to go on from a checkpoint below which events were removed that it says are still to come.
    async fn check_floor(&mut self, subscription: &str, position: Position) -> Result<(), StoreError> {
        let row = self.link.one(CALL, sqlx::query(self.lost.clone()).bind(subscription)).await?;
        let cut_off: Option<String> = row.try_get("cut_off").map_err(store_error)?;
        let floor: Option<Position> = row.try_get("floor").map_err(store_error)?;
        lost(subscription, position, floor, cut_off.as_deref()).map_or(Ok(()), Err)
    }

    /// Whether the subscription has a checkpoint, of whatever epoch.
    async fn is_stored(&mut self, subscription: &str, epoch: i64) -> Result<bool, StoreError> {
        let query = sqlx::query(self.claim.clone()).bind(subscription).bind(epoch);
        Ok(self.link.optional(CALL, query).await?.is_some())
    }
}

/// A statement that writes a checkpoint.
fn written<'q>(
    sql: &SqlStr,
    subscription: &'q str,
    epoch: i64,
    checkpoint: &Checkpoint,
) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(sql.clone())
        .bind(subscription)
        .bind(epoch)
        .bind(checkpoint.position)
        .bind(checkpoint.open.to_string())
        .bind(checkpoint.proof_column())
}

#[async_trait]
impl Checkpoints for PgCheckpoints {
    async fn claim(&mut self, subscription: &str, epoch: i64) -> Result<Option<Checkpoint>, StoreError> {
        let query = sqlx::query(self.claim.clone()).bind(subscription).bind(epoch);
        let Some(row) = self.link.optional(CALL, query).await? else {
            return Ok(None);
        };
        if !row.try_get::<bool, _>("claimed").map_err(store_error)? {
            return Err(fenced(subscription, epoch));
        }
        let checkpoint = checkpoint(subscription, &row)?;
        self.check_floor(subscription, checkpoint.position).await?;
        Ok(Some(checkpoint))
    }

    async fn create(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let lock = self.link.prepared(sqlx::query(self.lock.clone()));
        let query = self.link.prepared(written(&self.create, subscription, epoch, checkpoint));
        let create = async |connection: &mut PgConnection| {
            let mut tx = connection.begin().await?;
            lock.execute(&mut *tx).await?;
            let created = query.execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            Ok(created)
        };
        match self.link.call(CALL, create).await? {
            0 if self.is_stored(subscription, epoch).await? => Err(fenced(subscription, epoch)),
            0 => Err(overtaken(subscription)),
            _ => Ok(()),
        }
    }

    async fn save(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        match self.link.run(CALL, written(&self.save, subscription, epoch, checkpoint)).await?.rows_affected() {
            0 => Err(fenced(subscription, epoch)),
            _ => Ok(()),
        }
    }

    async fn record(&mut self, subscription: &str, epoch: i64, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let query = sqlx::query(self.record.clone())
            .bind(subscription)
            .bind(epoch)
            .bind(letters.iter().map(|letter| letter.position).collect::<Vec<_>>())
            .bind(letters.iter().map(|letter| letter.event_id).collect::<Vec<_>>())
            .bind(letters.iter().map(|letter| storable(&letter.topic)).collect::<Vec<_>>())
            .bind(letters.iter().map(|letter| storable(&letter.key)).collect::<Vec<_>>())
            .bind(letters.iter().map(|letter| storable(&letter.reason)).collect::<Vec<_>>())
            .bind(letters.iter().map(|letter| i32::try_from(letter.attempts).unwrap_or(i32::MAX)).collect::<Vec<_>>());
        let row = self.link.one(CALL, query).await?;
        if row.try_get("fenced").map_err(store_error)? { Err(fenced(subscription, epoch)) } else { Ok(()) }
    }

    async fn forgive(&mut self, subscription: &str, epoch: i64, positions: &[Position]) -> Result<(), StoreError> {
        let query = sqlx::query(self.forgive.clone()).bind(subscription).bind(epoch).bind(positions);
        let row = self.link.one(CALL, query).await?;
        if row.try_get("fenced").map_err(store_error)? { Err(fenced(subscription, epoch)) } else { Ok(()) }
    }

    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Position>, StoreError> {
        let rows = self.link.all(CALL, sqlx::query(self.recorded.clone()).bind(subscription)).await?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        self.link.run(CALL, sqlx::query(self.sweep.clone())).await.map(drop)
    }
}

/// PostgreSQL's text holds every character but this one, which a publisher's reason may.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn checkpoint(subscription: &str, row: &PgRow) -> Result<Checkpoint, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(store_error);
    let position = row.try_get("position").map_err(store_error)?;
    Checkpoint::from_columns(subscription, position, &text("open_positions")?, &text("proof")?)
}
