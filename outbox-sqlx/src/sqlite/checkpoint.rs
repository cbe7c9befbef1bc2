//! Keeps checkpoints. Each write is one statement or one short transaction, synced to disk before it returns.

use async_trait::async_trait;
use outbox_core::checkpoint::{Checkpoint, Checkpoints, DeadLetter};
use outbox_core::{Names, Position, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, SqlStr};

use super::connection::{BEGIN_WRITE, CALL, bounded, fenced, json_list, statement, store_error};
use crate::refusal::{lost, overtaken};

const CLAIM: &str = outbox_core::sql::sqlite::CHECKPOINT_CLAIM;
const FLOOR: &str = outbox_core::sql::sqlite::SOURCE_FLOOR;
const NEWER: &str = outbox_core::sql::sqlite::CHECKPOINT_NEWER;
const CREATE: &str = outbox_core::sql::sqlite::CHECKPOINT_CREATE;
const SAVE: &str = outbox_core::sql::sqlite::CHECKPOINT_SAVE;
const RECORD: &str = outbox_core::sql::sqlite::CHECKPOINT_RECORD;
const RECORDED: &str = outbox_core::sql::sqlite::CHECKPOINT_RECORDED;
const FORGIVE: &str = outbox_core::sql::sqlite::CHECKPOINT_FORGIVE;
const SWEEP: &str = outbox_core::sql::sqlite::CHECKPOINT_SWEEP;
const SWEEP_LEASES: &str = outbox_core::sql::sqlite::CHECKPOINT_SWEEP_LEASES;

/// The checkpoints of one file.
#[derive(Debug)]
pub(super) struct SqliteCheckpoints {
    connection: SqliteConnection,
    claim: SqlStr,
    floor: SqlStr,
    newer: SqlStr,
    create: SqlStr,
    save: SqlStr,
    record: SqlStr,
    recorded: SqlStr,
    forgive: SqlStr,
    sweep: SqlStr,
    sweep_leases: SqlStr,
}

impl SqliteCheckpoints {
    pub(super) async fn new(mut connection: SqliteConnection, names: &Names) -> Result<Self, StoreError> {
        // A checkpoint that a crash takes back would repeat events although no fault met them.
        bounded(CALL, sqlx::query("PRAGMA synchronous = FULL").execute(&mut connection)).await?;
        Ok(Self {
            connection,
            claim: statement(names, CLAIM),
            floor: statement(names, FLOOR),
            newer: statement(names, NEWER),
            create: statement(names, CREATE),
            save: statement(names, SAVE),
            record: statement(names, RECORD),
            recorded: statement(names, RECORDED),
            forgive: statement(names, FORGIVE),
            sweep: statement(names, SWEEP),
            sweep_leases: statement(names, SWEEP_LEASES),
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
        match bounded(CALL, query.execute(&mut self.connection)).await?.rows_affected() {
            0 => Err(fenced(subscription, epoch)),
            _ => Ok(()),
        }
    }

    /// The checkpoint and the floor. The outer `None`: a newer epoch is stored.
    async fn try_claim(
        &mut self,
        subscription: &str,
        epoch: i64,
    ) -> Result<Option<(Option<SqliteRow>, Option<Position>)>, sqlx::Error> {
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        if is_newer(&self.newer, &mut tx, subscription, epoch).await? {
            return Ok(None);
        }
        let row = sqlx::query(self.claim.clone()).bind(subscription).bind(epoch).fetch_optional(&mut *tx).await?;
        let floor = sqlx::query_scalar(self.floor.clone()).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some((row, floor)))
    }

    /// Whether the first checkpoint was refused because the floor lies above it, and not because of an epoch.
    async fn is_overtaken(&mut self, position: Position) -> Result<bool, StoreError> {
        let floor = sqlx::query_scalar(self.floor.clone()).fetch_optional(&mut self.connection);
        Ok(bounded(CALL, floor).await?.is_some_and(|floor: Position| position < floor))
    }

    async fn try_sweep(&mut self) -> Result<(), sqlx::Error> {
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        for sql in [&self.sweep, &self.sweep_leases] {
            sqlx::query(sql.clone()).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn try_record(
        &mut self,
        subscription: &str,
        epoch: i64,
        letters: &[DeadLetter],
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        if is_newer(&self.newer, &mut tx, subscription, epoch).await? {
            return Ok(false);
        }
        for letter in letters {
            sqlx::query(self.record.clone())
                .bind(subscription)
                .bind(letter.position)
                .bind(letter.event_id.hyphenated().to_string())
                .bind(letter.key.as_str())
                .bind(letter.topic.as_str())
                .bind(letter.reason.as_str())
                .bind(letter.attempts)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn try_forgive(
        &mut self,
        subscription: &str,
        epoch: i64,
        positions: &[Position],
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        if is_newer(&self.newer, &mut tx, subscription, epoch).await? {
            return Ok(false);
        }
        sqlx::query(self.forgive.clone()).bind(subscription).bind(json_list(positions)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn is_newer(
    sql: &SqlStr,
    tx: &mut SqliteConnection,
    subscription: &str,
    epoch: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(sql.clone()).bind(subscription).bind(epoch).fetch_one(tx).await
}

#[async_trait]
impl Checkpoints for SqliteCheckpoints {
    async fn claim(&mut self, subscription: &str, epoch: i64) -> Result<Option<Checkpoint>, StoreError> {
        match bounded(CALL, self.try_claim(subscription, epoch)).await? {
            Some((None, _)) => Ok(None),
            Some((Some(row), floor)) => {
                let checkpoint = checkpoint(subscription, &row)?;
                lost(subscription, checkpoint.position, floor, None).map_or(Ok(Some(checkpoint)), Err)
            }
            None => Err(fenced(subscription, epoch)),
        }
    }

    async fn create(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        match self.write(self.create.clone(), subscription, epoch, checkpoint).await {
            Err(_) if self.is_overtaken(checkpoint.position).await? => Err(overtaken(subscription)),
            written => written,
        }
    }

    async fn save(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.write(self.save.clone(), subscription, epoch, checkpoint).await
    }

    async fn record(&mut self, subscription: &str, epoch: i64, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let written = bounded(CALL, self.try_record(subscription, epoch, letters)).await?;
        if written { Ok(()) } else { Err(fenced(subscription, epoch)) }
    }

    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Position>, StoreError> {
        let query = sqlx::query_scalar(self.recorded.clone()).bind(subscription);
        bounded(CALL, query.fetch_all(&mut self.connection)).await
    }

    async fn forgive(&mut self, subscription: &str, epoch: i64, positions: &[Position]) -> Result<(), StoreError> {
        let written = bounded(CALL, self.try_forgive(subscription, epoch, positions)).await?;
        if written { Ok(()) } else { Err(fenced(subscription, epoch)) }
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        bounded(CALL, self.try_sweep()).await
    }
}

fn checkpoint(subscription: &str, row: &SqliteRow) -> Result<Checkpoint, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(store_error);
    let position = row.try_get("position").map_err(store_error)?;
    Checkpoint::from_columns(subscription, position, &text("open_positions")?, &text("proof")?)
}
