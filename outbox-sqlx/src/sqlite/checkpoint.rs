//! Keeps checkpoints. Each write is one short transaction, synced to disk before it returns.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outbox_core::checkpoint::{Checkpoint, Checkpoints, Claimed, DeadLetter, Entry, Held, Recorded};
use outbox_core::dead_letter::{Queue, Taken};
use outbox_core::partition::{Change, Partitioning};
use outbox_core::{Names, Position, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, SqlStr};

use super::connection::{BEGIN_WRITE, CALL, bounded, fenced, json_list, statement, store_error};
use super::dead_letter;
use super::partitions;
use crate::claims::Claims;
use crate::number::{partition_id, partition_of};
use crate::refusal::{lost, overtaken};

const CLAIM: &str = outbox_core::sql::sqlite::CHECKPOINT_CLAIM;
const PARTITIONS: &str = outbox_core::sql::sqlite::CHECKPOINT_PARTITIONS;
const FLOOR: &str = outbox_core::sql::sqlite::SOURCE_FLOOR;
const NEWER: &str = outbox_core::sql::sqlite::CHECKPOINT_NEWER;
const CREATE: &str = outbox_core::sql::sqlite::CHECKPOINT_CREATE;
const SAVE: &str = outbox_core::sql::sqlite::CHECKPOINT_SAVE;
const RECORD: &str = outbox_core::sql::sqlite::CHECKPOINT_RECORD;
const PARK: &str = outbox_core::sql::sqlite::CHECKPOINT_PARK;
const RETURN: &str = outbox_core::sql::sqlite::CHECKPOINT_RETURN;
const RECORDED: &str = outbox_core::sql::sqlite::CHECKPOINT_RECORDED;
const FORGIVE: &str = outbox_core::sql::sqlite::CHECKPOINT_FORGIVE;
const SWEEP: &str = outbox_core::sql::sqlite::CHECKPOINT_SWEEP;
const SWEEP_LEASES: &str = outbox_core::sql::sqlite::CHECKPOINT_SWEEP_LEASES;
const ALL: &str = outbox_core::sql::sqlite::CHECKPOINT_ALL;

/// The checkpoints of one file.
#[derive(Debug)]
pub(super) struct SqliteCheckpoints {
    connection: SqliteConnection,
    names: Names,
    claims: Claims,
}

/// What a claim found, or the epoch that is out of date.
type Found = Result<(Vec<SqliteRow>, Option<String>, Option<Position>), i64>;

impl SqliteCheckpoints {
    pub(super) async fn new(mut connection: SqliteConnection, names: &Names) -> Result<Self, StoreError> {
        // A checkpoint that a crash takes back would repeat events although no fault met them.
        bounded(CALL, sqlx::query("PRAGMA synchronous = FULL").execute(&mut connection)).await?;
        Ok(Self { connection, names: names.clone(), claims: Claims::default() })
    }

    fn sql(&self, sql: &'static str) -> SqlStr {
        statement(&self.names, sql)
    }

    async fn try_claim(&mut self, subscription: &str, held: &[Held]) -> Result<Found, sqlx::Error> {
        let (newer, claim) = (self.sql(NEWER), self.sql(CLAIM));
        let (partitions, floor) = (self.sql(PARTITIONS), self.sql(FLOOR));
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        let mut rows = Vec::new();
        for held in held {
            if is_newer(newer.clone(), &mut tx, subscription, *held).await? {
                return Ok(Err(held.epoch));
            }
            let row = sqlx::query(claim.clone()).bind(subscription).bind(held.epoch).bind(partition_id(held.partition));
            rows.extend(row.fetch_optional(&mut *tx).await?);
        }
        let partitions = sqlx::query_scalar(partitions).bind(subscription).fetch_optional(&mut *tx).await?;
        let floor = sqlx::query_scalar(floor).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(Ok((rows, partitions, floor)))
    }

    /// Whether the first checkpoint was refused because the floor lies above it, and not because of an epoch.
    async fn is_overtaken(&mut self, position: Position) -> Result<bool, StoreError> {
        let floor = sqlx::query_scalar(self.sql(FLOOR)).fetch_optional(&mut self.connection);
        Ok(bounded(CALL, floor).await?.is_some_and(|floor: Position| position < floor))
    }

    async fn try_sweep(&mut self) -> Result<(), sqlx::Error> {
        let statements = [self.sql(SWEEP), self.sql(SWEEP_LEASES)];
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        for sql in statements {
            sqlx::query(sql).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    /// Writes an entry; the epoch that is out of date, if one is.
    async fn try_save(&mut self, subscription: &str, entry: &Entry) -> Result<Result<(), i64>, sqlx::Error> {
        let [save, record, park, forgive, back] = [SAVE, RECORD, PARK, FORGIVE, RETURN].map(|sql| self.sql(sql));
        let mut tx = self.connection.begin_with(BEGIN_WRITE).await?;
        for (Held { partition, epoch }, checkpoint) in &entry.checkpoints {
            let query = sqlx::query(save.clone())
                .bind(subscription)
                .bind(epoch)
                .bind(checkpoint.position)
                .bind(checkpoint.open.to_string())
                .bind(checkpoint.proof_column())
                .bind(partition_id(*partition))
                .bind(self.claims.of(subscription, *partition));
            if query.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(Err(*epoch));
            }
        }
        for letter in &entry.recorded {
            recorded(record.clone(), &mut tx, subscription, letter).await?;
        }
        if !entry.forgiven.is_empty() {
            let query = sqlx::query(forgive).bind(subscription).bind(json_list(&entry.forgiven));
            query.execute(&mut *tx).await?;
        }
        if !entry.returned.is_empty() {
            let query = sqlx::query(back).bind(subscription).bind(json_list(&entry.returned));
            query.execute(&mut *tx).await?;
        }
        for letter in &entry.parked {
            dead_letter::park(park.clone(), &mut tx, subscription, letter).await?;
        }
        tx.commit().await?;
        Ok(Ok(()))
    }
}

async fn recorded(
    sql: SqlStr,
    tx: &mut SqliteConnection,
    subscription: &str,
    letter: &DeadLetter,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(sql)
        .bind(subscription)
        .bind(letter.position)
        .bind(letter.event_id.hyphenated().to_string())
        .bind(letter.key.as_str())
        .bind(letter.topic.as_str())
        .bind(letter.reason.as_str())
        .bind(letter.attempts);
    query.execute(tx).await.map(drop)
}

async fn is_newer(sql: SqlStr, tx: &mut SqliteConnection, subscription: &str, held: Held) -> Result<bool, sqlx::Error> {
    let query = sqlx::query_scalar(sql).bind(subscription).bind(held.epoch).bind(partition_id(held.partition));
    query.fetch_one(tx).await
}

#[async_trait]
impl Checkpoints for SqliteCheckpoints {
    async fn claim(&mut self, subscription: &str, held: &[Held]) -> Result<Claimed, StoreError> {
        let (rows, rule, floor) = match bounded(CALL, self.try_claim(subscription, held)).await? {
            Ok(found) => found,
            Err(epoch) => return Err(fenced(subscription, epoch)),
        };
        for row in &rows {
            self.claims.note(subscription, row).map_err(store_error)?;
        }
        let checkpoints = read(subscription, &rows)?;
        if let Some(position) = checkpoints.values().map(|each| each.position).min() {
            lost(subscription, position, floor, None).map_or(Ok(()), Err)?;
        }
        let one = || (!checkpoints.is_empty()).then(|| Partitioning::new(1));
        let partitioning = rule.map(|text| Partitioning::from_text(subscription, &text)).transpose()?.or_else(one);
        Ok(Claimed { partitioning, checkpoints })
    }

    async fn found(&mut self, subscription: &str, count: u32, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        if self.is_overtaken(checkpoint.position).await? && self.lowest(subscription).await?.is_empty() {
            return Err(overtaken(subscription));
        }
        bounded(CALL, partitions::found(&mut self.connection, &self.names, subscription, count, checkpoint)).await
    }

    async fn create(&mut self, reader: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let query = sqlx::query(self.sql(CREATE))
            .bind(reader)
            .bind(epoch)
            .bind(checkpoint.position)
            .bind(checkpoint.open.to_string())
            .bind(checkpoint.proof_column());
        match bounded(CALL, query.execute(&mut self.connection)).await?.rows_affected() {
            0 if self.is_overtaken(checkpoint.position).await? => Err(overtaken(reader)),
            0 => Err(fenced(reader, epoch)),
            _ => Ok(()),
        }
    }

    async fn save(&mut self, subscription: &str, entry: &Entry) -> Result<(), StoreError> {
        let written = bounded(CALL, self.try_save(subscription, entry)).await?;
        written.map_err(|epoch| fenced(subscription, epoch))
    }

    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Recorded>, StoreError> {
        let query = sqlx::query(self.sql(RECORDED)).bind(subscription);
        let rows = bounded(CALL, query.fetch_all(&mut self.connection)).await?;
        rows.iter().map(dead_letter::recorded).collect()
    }

    async fn queues(&mut self, subscription: &str) -> Result<Vec<Queue>, StoreError> {
        bounded(CALL, dead_letter::queues(&mut self.connection, &self.names, subscription)).await
    }

    async fn take(&mut self, subscription: &str, queue: &Queue, letters: u32, bytes: u64) -> Result<Taken, StoreError> {
        let taking = dead_letter::take(&mut self.connection, &self.names, subscription, queue, (letters, bytes));
        bounded(CALL, taking).await
    }

    async fn lowest(&mut self, subscription: &str) -> Result<BTreeMap<u32, Position>, StoreError> {
        let query = sqlx::query(self.sql(ALL)).bind(subscription);
        let rows = bounded(CALL, query.fetch_all(&mut self.connection)).await?;
        let checkpoints = read(subscription, &rows)?;
        Ok(checkpoints.into_iter().map(|(partition, each)| (partition, each.lowest())).collect())
    }

    async fn ask_partitions(&mut self, subscription: &str, count: u32) -> Result<bool, StoreError> {
        bounded(CALL, partitions::ask(&mut self.connection, &self.names, subscription, count)).await?
    }

    async fn repartition(&mut self, subscription: &str) -> Result<Change, StoreError> {
        bounded(CALL, partitions::repartition(&mut self.connection, &self.names, subscription)).await?
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        bounded(CALL, self.try_sweep()).await
    }
}

/// The checkpoints of these rows, by partition.
pub(super) fn read(subscription: &str, rows: &[SqliteRow]) -> Result<BTreeMap<u32, Checkpoint>, StoreError> {
    let read = |row: &SqliteRow| {
        let text = |column: &str| row.try_get::<String, _>(column).map_err(store_error);
        let position = row.try_get("position").map_err(store_error)?;
        let read = Checkpoint::from_columns(subscription, position, &text("open_positions")?, &text("proof")?)?;
        Ok((partition_of(row).map_err(store_error)?, read))
    };
    rows.iter().map(read).collect()
}
