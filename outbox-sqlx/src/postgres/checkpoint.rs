//! Keeps checkpoints. Each write is one statement, and durable when it returns.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outbox_core::checkpoint::{Checkpoint, Checkpoints, Claimed, DeadLetter, Entry, Held, Recorded};
use outbox_core::dead_letter::{Queue, Taken};
use outbox_core::partition::{Change, Partitioning};
use outbox_core::{Names, Position, StoreError};
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Connection, Row, SqlStr};

use super::access::{Purpose, check_access};
use super::address::Address;
use super::connection::{CALL, Link, once, statement};
use super::dead_letter;
use super::fault::{fenced, store_error};
use crate::claims::Claims;
use crate::number::{partition_id, partition_of};
use crate::refusal::{lost, overtaken};

const CLAIM: &str = outbox_core::sql::postgres::CHECKPOINT_CLAIM;
const LOST: &str = outbox_core::sql::postgres::CHECKPOINT_LOST;
const LOCK: &str = outbox_core::sql::postgres::CHECKPOINT_LOCK;
const CREATE: &str = outbox_core::sql::postgres::CHECKPOINT_CREATE;
const SAVE: &str = outbox_core::sql::postgres::CHECKPOINT_SAVE;
const RECORD: &str = outbox_core::sql::postgres::CHECKPOINT_RECORD;
const FORGIVE: &str = outbox_core::sql::postgres::CHECKPOINT_FORGIVE;
const PARK: &str = outbox_core::sql::postgres::CHECKPOINT_PARK;
const RETURN: &str = outbox_core::sql::postgres::CHECKPOINT_RETURN;
const RECORDED: &str = outbox_core::sql::postgres::CHECKPOINT_RECORDED;
const SWEEP: &str = outbox_core::sql::postgres::CHECKPOINT_SWEEP;
const ALL: &str = outbox_core::sql::postgres::CHECKPOINT_ALL;

/// The checkpoints of one database.
pub(super) struct PgCheckpoints {
    link: Link,
    names: Names,
    save: SqlStr,
    claims: Claims,
}

impl PgCheckpoints {
    pub(super) async fn open(address: &Address, names: &Names) -> Result<Self, StoreError> {
        let mut link = Link::open(address, CALL).await?;
        check_access(&mut link, names, Purpose::Relay).await?;
        Ok(Self { link, names: names.clone(), save: statement(names, SAVE), claims: Claims::default() })
    }

    fn sql(&self, sql: &'static str) -> SqlStr {
        statement(&self.names, sql)
    }

    /// How the subscription is shared. Refuses to go on from a checkpoint below which events were removed that it says are
    /// still to come.
    async fn look(
        &mut self,
        subscription: &str,
        checkpoints: &BTreeMap<u32, Checkpoint>,
    ) -> Result<Option<Partitioning>, StoreError> {
        let row = self.link.one(CALL, sqlx::query(self.sql(LOST)).bind(subscription)).await?;
        let text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(store_error);
        let floor: Option<Position> = row.try_get("floor").map_err(store_error)?;
        if let Some(position) = checkpoints.values().map(|each| each.position).min() {
            lost(subscription, position, floor, text("cut_off")?.as_deref()).map_or(Ok(()), Err)?;
        }
        text("partitions")?.map(|text| Partitioning::from_text(subscription, &text)).transpose()
    }

    /// Whether the reader has a checkpoint, of whatever epoch.
    async fn is_stored(&mut self, reader: &str) -> Result<bool, StoreError> {
        Ok(!self.all(reader).await?.is_empty())
    }

    async fn all(&mut self, subscription: &str) -> Result<BTreeMap<u32, Checkpoint>, StoreError> {
        let rows = self.link.all(CALL, sqlx::query(self.sql(ALL)).bind(subscription)).await?;
        rows.iter().map(|row| checkpoint(subscription, row)).collect()
    }

    /// Writes the entry with its letters; returns whether its checkpoints were written.
    async fn write_letters(&mut self, subscription: &str, entry: &Entry) -> Result<bool, StoreError> {
        let [record, park, forgive, back] = [RECORD, PARK, FORGIVE, RETURN].map(|sql| self.sql(sql));
        let save = saved(&self.save, subscription, entry, &self.claims);
        let write = async |connection: &mut PgConnection| {
            let mut tx = connection.begin().await?;
            if save.persistent(false).execute(&mut *tx).await?.rows_affected() < entry.checkpoints.len() as u64 {
                tx.rollback().await?;
                return Ok(false);
            }
            if !entry.recorded.is_empty() {
                recorded(&record, subscription, &entry.recorded).persistent(false).execute(&mut *tx).await?;
            }
            if !entry.forgiven.is_empty() {
                once(forgive).bind(subscription).bind(&entry.forgiven).execute(&mut *tx).await?;
            }
            if !entry.returned.is_empty() {
                sqlx::query(back).bind(subscription).bind(&entry.returned).execute(&mut *tx).await?;
            }
            if !entry.parked.is_empty() {
                dead_letter::parked(&park, subscription, &entry.parked).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(true)
        };
        self.link.call(CALL, write).await
    }
}

/// The statement that moves checkpoints.
fn saved<'q>(sql: &SqlStr, subscription: &'q str, entry: &Entry, claims: &Claims) -> Query<'q, Postgres, PgArguments> {
    let rows = || entry.checkpoints.iter();
    sqlx::query(sql.clone())
        .bind(subscription)
        .bind(rows().map(|(held, _)| partition_id(held.partition)).collect::<Vec<_>>())
        .bind(rows().map(|(held, _)| held.epoch).collect::<Vec<_>>())
        .bind(rows().map(|(_, checkpoint)| checkpoint.position).collect::<Vec<_>>())
        .bind(rows().map(|(_, checkpoint)| checkpoint.open.to_string()).collect::<Vec<_>>())
        .bind(rows().map(|(_, checkpoint)| checkpoint.proof_column()).collect::<Vec<_>>())
        .bind(rows().map(|(held, _)| claims.of(subscription, held.partition)).collect::<Vec<_>>())
}

fn recorded<'q>(sql: &SqlStr, subscription: &'q str, letters: &[DeadLetter]) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(sql.clone())
        .bind(subscription)
        .bind(letters.iter().map(|letter| letter.position).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| letter.event_id).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| storable(&letter.topic)).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| storable(&letter.key)).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| storable(&letter.reason)).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| i32::try_from(letter.attempts).unwrap_or(i32::MAX)).collect::<Vec<_>>())
}

/// The epoch of a refused write, for its error.
fn first_epoch(entry: &Entry) -> i64 {
    entry.checkpoints.first().map_or(0, |(held, _)| held.epoch)
}

#[async_trait]
impl Checkpoints for PgCheckpoints {
    async fn claim(&mut self, subscription: &str, held: &[Held]) -> Result<Claimed, StoreError> {
        let query = sqlx::query(self.sql(CLAIM))
            .bind(subscription)
            .bind(held.iter().map(|each| partition_id(each.partition)).collect::<Vec<_>>())
            .bind(held.iter().map(|each| each.epoch).collect::<Vec<_>>());
        let rows = self.link.all(CALL, query).await?;
        for row in &rows {
            if !row.try_get::<bool, _>("claimed").map_err(store_error)? {
                let partition = partition_of(row).map_err(store_error)?;
                let epoch = held.iter().find(|each| each.partition == partition).map_or(0, |each| each.epoch);
                return Err(fenced(subscription, epoch));
            }
            self.claims.note(subscription, row).map_err(store_error)?;
        }
        let checkpoints = rows.iter().map(|row| checkpoint(subscription, row)).collect::<Result<_, _>>()?;
        let partitioning = self.look(subscription, &checkpoints).await?;
        let one = || (!checkpoints.is_empty()).then(|| Partitioning::new(1));
        Ok(Claimed { partitioning: partitioning.or_else(one), checkpoints })
    }

    async fn found(&mut self, subscription: &str, partitions: u32, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let founding = super::partitions::found(&mut self.link, &self.names, subscription, partitions, checkpoint);
        if founding.await? || self.is_stored(subscription).await? { Ok(()) } else { Err(overtaken(subscription)) }
    }

    async fn create(&mut self, reader: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let lock = self.link.prepared(sqlx::query(self.sql(LOCK)));
        let query = sqlx::query(self.sql(CREATE))
            .bind(reader)
            .bind(epoch)
            .bind(checkpoint.position)
            .bind(checkpoint.open.to_string())
            .bind(checkpoint.proof_column());
        let query = self.link.prepared(query);
        let create = async |connection: &mut PgConnection| {
            let mut tx = connection.begin().await?;
            lock.execute(&mut *tx).await?;
            let created = query.execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            Ok(created)
        };
        match self.link.call(CALL, create).await? {
            0 if self.is_stored(reader).await? => Err(fenced(reader, epoch)),
            0 => Err(overtaken(reader)),
            _ => Ok(()),
        }
    }

    async fn save(&mut self, subscription: &str, entry: &Entry) -> Result<(), StoreError> {
        let written = if entry.is_bare() {
            let done = self.link.run(CALL, saved(&self.save, subscription, entry, &self.claims)).await?;
            done.rows_affected() == entry.checkpoints.len() as u64
        } else {
            self.write_letters(subscription, entry).await?
        };
        if written { Ok(()) } else { Err(fenced(subscription, first_epoch(entry))) }
    }

    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Recorded>, StoreError> {
        let rows = self.link.all(CALL, sqlx::query(self.sql(RECORDED)).bind(subscription)).await?;
        rows.iter().map(dead_letter::recorded).collect()
    }

    async fn queues(&mut self, subscription: &str) -> Result<Vec<Queue>, StoreError> {
        dead_letter::queues(&mut self.link, &self.names, subscription).await
    }

    async fn take(&mut self, subscription: &str, queue: &Queue, letters: u32, bytes: u64) -> Result<Taken, StoreError> {
        dead_letter::take(&mut self.link, &self.names, subscription, queue, (letters, bytes)).await
    }

    async fn lowest(&mut self, subscription: &str) -> Result<BTreeMap<u32, Position>, StoreError> {
        let checkpoints = self.all(subscription).await?;
        Ok(checkpoints.into_iter().map(|(partition, each)| (partition, each.lowest())).collect())
    }

    async fn ask_partitions(&mut self, subscription: &str, partitions: u32) -> Result<bool, StoreError> {
        super::partitions::ask(&mut self.link, &self.names, subscription, partitions).await
    }

    async fn repartition(&mut self, subscription: &str) -> Result<Change, StoreError> {
        super::partitions::repartition(&mut self.link, &self.names, subscription).await
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        self.link.run(CALL, sqlx::query(self.sql(SWEEP))).await.map(drop)
    }
}

/// PostgreSQL's text holds every character but this one, which a publisher's reason may.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) fn checkpoint(subscription: &str, row: &PgRow) -> Result<(u32, Checkpoint), StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(store_error);
    let position = row.try_get("position").map_err(store_error)?;
    let read = Checkpoint::from_columns(subscription, position, &text("open_positions")?, &text("proof")?)?;
    Ok((partition_of(row).map_err(store_error)?, read))
}
