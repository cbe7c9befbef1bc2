//! Keeps checkpoints. Each write is one statement, and durable when it returns.

use async_trait::async_trait;
use outbox_core::checkpoint::{Checkpoint, Checkpoints, DeadLetter};
use outbox_core::{Names, Position, StoreError};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{Row, SqlStr};

use super::connection::{CALL, Link, statement};
use super::fault::{fenced, store_error};

const CLAIM: &str = outbox_core::sql::postgres::CHECKPOINT_CLAIM;
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
    create: SqlStr,
    save: SqlStr,
    record: SqlStr,
    forgive: SqlStr,
    recorded: SqlStr,
    sweep: SqlStr,
}

impl PgCheckpoints {
    pub(super) async fn open(options: &PgConnectOptions, names: &Names) -> Result<Self, StoreError> {
        Ok(Self {
            link: Link::open(options, CALL).await?,
            claim: statement(names, CLAIM),
            create: statement(names, CREATE),
            save: statement(names, SAVE),
            record: statement(names, RECORD),
            forgive: statement(names, FORGIVE),
            recorded: statement(names, RECORDED),
            sweep: statement(names, SWEEP),
        })
    }

    async fn write(
        &mut self,
        sql: SqlStr,
        subscription: &str,
        epoch: i64,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(sql)
            .bind(subscription)
            .bind(epoch)
            .bind(checkpoint.position)
            .bind(checkpoint.open.to_string())
            .bind(checkpoint.proof_column());
        match self.link.run(CALL, query).await?.rows_affected() {
            0 => Err(fenced(subscription, epoch)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Checkpoints for PgCheckpoints {
    async fn claim(&mut self, subscription: &str, epoch: i64) -> Result<Option<Checkpoint>, StoreError> {
        let query = sqlx::query(self.claim.clone()).bind(subscription).bind(epoch);
        let Some(row) = self.link.optional(CALL, query).await? else {
            return Ok(None);
        };
        if row.try_get("claimed").map_err(store_error)? {
            checkpoint(subscription, &row).map(Some)
        } else {
            Err(fenced(subscription, epoch))
        }
    }

    async fn create(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.write(self.create.clone(), subscription, epoch, checkpoint).await
    }

    async fn save(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.write(self.save.clone(), subscription, epoch, checkpoint).await
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
