//! Says how the outbox stands with its past, and mends it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use outbox_core::checkpoint::Checkpoint;
use outbox_core::continuity::{Adoption, Continuity, Log, Mender, Plan, Reader, Sight, Signature, asked_for};
use outbox_core::{Names, Position, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};
use uuid::Uuid;

use super::connection::{BEGIN_WRITE, CALL, bounded, json_list, statement, store_error};
use super::place::{self, Here};
use super::row;
use crate::refusal::settle;

const READERS: &str = outbox_core::sql::sqlite::CONTINUITY_READERS;
const LOG: &str = outbox_core::sql::sqlite::CONTINUITY_LOG;
const FOUND: &str = outbox_core::sql::sqlite::CONTINUITY_FOUND;
const SET_BACK: &str = outbox_core::sql::sqlite::CONTINUITY_SET_BACK;
const FENCE: &str = outbox_core::sql::sqlite::CONTINUITY_FENCE;
const BEGIN: &str = outbox_core::sql::sqlite::CONTINUITY_BEGIN;
const RAISE: &str = outbox_core::sql::sqlite::CONTINUITY_RAISE;
const SET: &str = outbox_core::sql::sqlite::CONTINUITY_SET;
const NOTE: &str = outbox_core::sql::sqlite::CONTINUITY_NOTE;

/// Mends one outbox.
pub(super) struct SqliteMender {
    connection: SqliteConnection,
    names: Names,
    file: PathBuf,
}

impl SqliteMender {
    pub(super) async fn new(mut connection: SqliteConnection, names: Names, file: PathBuf) -> Result<Self, StoreError> {
        // What was mended must not be taken back by a crash after a relay has gone on from it.
        bounded(CALL, sqlx::query("PRAGMA synchronous = FULL").execute(&mut connection)).await?;
        Ok(Self { connection, names, file })
    }
}

#[async_trait]
impl Mender for SqliteMender {
    async fn examine(&mut self) -> Result<Continuity, StoreError> {
        examine(&mut self.connection, &self.names, &self.file).await
    }

    async fn plan(&mut self, subscription: Option<&str>) -> Result<Plan, StoreError> {
        let sight = bounded(CALL, sight(&mut self.connection, &self.names)).await?;
        sight.plan(subscription)
    }

    async fn repair(&mut self, subscription: Option<&str>, signature: &Signature) -> Result<Plan, StoreError> {
        bounded(CALL, repair(&mut self.connection, &self.names, subscription, signature)).await?
    }

    async fn adopt(&mut self, new_instance: bool, signature: &Signature) -> Result<Adoption, StoreError> {
        place::adopt(&mut self.connection, &self.names, &self.file, new_instance, signature).await
    }
}

/// How the outbox stands with its past.
pub(super) async fn examine(
    connection: &mut SqliteConnection,
    names: &Names,
    file: &Path,
) -> Result<Continuity, StoreError> {
    let Here { register, place, instance } = Here::look(connection, names, file).await?;
    let sight = bounded(CALL, sight(connection, names)).await?;
    Ok(Continuity {
        instance,
        refused: register.recognise(&place).err().map(|error| error.to_string()),
        addresses: register.addresses,
        address: place.address,
        readers: sight.judge(),
    })
}

async fn sight(connection: &mut SqliteConnection, names: &Names) -> Result<Sight, sqlx::Error> {
    let rows = reader_rows(connection, names).await?;
    let (mut readers, mut damaged) = (Vec::new(), Vec::new());
    for row in &rows {
        let (subscription, partition) = (row.try_get("subscription")?, row.try_get("partition_id")?);
        match reader(row) {
            Ok(reader) => readers.push(reader),
            Err(error) => damaged.push((subscription, partition, error)),
        }
    }
    let row = sqlx::query(statement(names, LOG)).fetch_one(&mut *connection).await?;
    let floor: Position = row.try_get::<Option<_>, _>("floor")?.unwrap_or_default();
    let log = Log {
        last_drawn: row.try_get("last_drawn")?,
        lowest: row.try_get("lowest")?,
        highest: row.try_get("highest")?,
        floor,
        letters: row.try_get("letters")?,
        found: found(connection, names, &asked_for(&readers, floor)).await?,
    };
    Ok(Sight { readers, damaged, log })
}

/// The events that stand at these positions.
async fn found(
    connection: &mut SqliteConnection,
    names: &Names,
    positions: &[Position],
) -> Result<BTreeMap<Position, Vec<Uuid>>, sqlx::Error> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    if positions.is_empty() {
        return Ok(found);
    }
    for row in sqlx::query(statement(names, FOUND)).bind(json_list(positions)).fetch_all(connection).await? {
        // An id that cannot be read is that of another event.
        found.entry(row.try_get("position")?).or_default().push(row::event_id(&row, 1)?.unwrap_or_default());
    }
    Ok(found)
}

pub(super) async fn reader_rows(
    connection: &mut SqliteConnection,
    names: &Names,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    sqlx::query(statement(names, READERS)).fetch_all(connection).await
}

fn reader(row: &SqliteRow) -> Result<Reader, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(store_error);
    let subscription = text("subscription")?;
    let position = row.try_get("position").map_err(store_error)?;
    let checkpoint = Checkpoint::from_columns(&subscription, position, &text("open_positions")?, &text("proof")?)?;
    Ok(Reader {
        subscription,
        partition: row.try_get("partition_id").map_err(store_error)?,
        checkpoint,
        epoch: row.try_get("epoch").map_err(store_error)?,
        owner: row.try_get("owner").map_err(store_error)?,
    })
}

/// Mends in one transaction.
async fn repair(
    connection: &mut SqliteConnection,
    names: &Names,
    subscription: Option<&str>,
    signature: &Signature,
) -> Result<Result<Plan, StoreError>, sqlx::Error> {
    let mut tx = connection.begin_with(BEGIN_WRITE).await?;
    let outcome = mend(&mut tx, names, subscription, signature).await?;
    settle(tx, outcome).await
}

/// Looks again with the write lock in hand, and mends.
async fn mend(
    tx: &mut SqliteConnection,
    names: &Names,
    subscription: Option<&str>,
    signature: &Signature,
) -> Result<Result<Plan, StoreError>, sqlx::Error> {
    let sight = sight(tx, names).await?;
    let plan = match sight.plan(subscription) {
        Ok(plan) => plan,
        Err(damaged) => return Ok(Err(damaged)),
    };
    if let Err(refused) = plan.refuse_at_work() {
        return Ok(Err(refused));
    }
    if !plan.is_empty() {
        carry_out(tx, names, &plan, signature).await?;
    }
    Ok(Ok(plan))
}

async fn carry_out(
    tx: &mut SqliteConnection,
    names: &Names,
    plan: &Plan,
    signature: &Signature,
) -> Result<(), sqlx::Error> {
    for reader in &plan.readers {
        let (subscription, partition) = (&reader.subscription, reader.partition);
        let set_back = sqlx::query(statement(names, SET_BACK)).bind(subscription).bind(partition);
        let set_back = set_back.bind(reader.checkpoint.position).bind(reader.checkpoint.open.to_string());
        set_back.bind(reader.checkpoint.proof_column()).bind(reader.epoch).execute(&mut *tx).await?;
        let fence = sqlx::query(statement(names, FENCE)).bind(subscription).bind(partition);
        fence.bind(reader.epoch).execute(&mut *tx).await?;
    }
    if let Some(raise) = plan.positions {
        sqlx::query(statement(names, BEGIN)).execute(&mut *tx).await?;
        sqlx::query(statement(names, RAISE)).bind(raise.to).execute(&mut *tx).await?;
    }
    if let Some(floor) = plan.floor {
        sqlx::query(statement(names, SET)).bind("floor").bind(floor.to_string()).execute(&mut *tx).await?;
    }
    let told = format!("{}{signature}", plan.done());
    sqlx::query(statement(names, NOTE)).bind("repair").bind(told).execute(&mut *tx).await?;
    Ok(())
}
