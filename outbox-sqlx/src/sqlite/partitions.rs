//! Makes the partitions of a subscription, and changes their number; see [`outbox_core::partition`].
//!
//! Each is one transaction under the write lock: so they come one after the other, whatever relay does them.

use outbox_core::checkpoint::Checkpoint;
use outbox_core::partition::{Asked, Change, Partitioning};
use outbox_core::{Names, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use super::checkpoint::read;
use super::connection::{BEGIN_WRITE, statement};
use crate::number::partition_id;

const RULE: &str = outbox_core::sql::sqlite::CHECKPOINT_RULE;
const RULED: &str = outbox_core::sql::sqlite::CHECKPOINT_RULED;
const FOUND: &str = outbox_core::sql::sqlite::CHECKPOINT_FOUND;
const ALL: &str = outbox_core::sql::sqlite::CHECKPOINT_ALL;
const REMOVE: &str = outbox_core::sql::sqlite::CHECKPOINT_REMOVE;
const VACANT: &str = outbox_core::sql::sqlite::CHECKPOINT_VACANT;
const LEASED: &str = outbox_core::sql::sqlite::CHECKPOINT_LEASED;

/// Makes them, unless there are some.
pub(super) async fn found(
    connection: &mut SqliteConnection,
    names: &Names,
    subscription: &str,
    count: u32,
    checkpoint: &Checkpoint,
) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin_with(BEGIN_WRITE).await?;
    if !all(&mut tx, names, subscription).await?.is_empty() {
        return Ok(());
    }
    let partitioning = Partitioning::new(count);
    rule(&mut tx, names, subscription, &partitioning).await?;
    write(&mut tx, names, subscription, &partitioning, checkpoint, 0).await?;
    tx.commit().await
}

async fn all(tx: &mut SqliteConnection, names: &Names, subscription: &str) -> Result<Vec<SqliteRow>, sqlx::Error> {
    sqlx::query(statement(names, ALL)).bind(subscription).fetch_all(tx).await
}

/// Reads the row, which says this where it is new.
async fn rule(
    tx: &mut SqliteConnection,
    names: &Names,
    subscription: &str,
    new: &Partitioning,
) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(statement(names, RULE)).bind(subscription).bind(new.to_text()).fetch_one(tx).await
}

/// Writes the row, and each partition's checkpoint anew.
async fn write(
    tx: &mut SqliteConnection,
    names: &Names,
    subscription: &str,
    partitioning: &Partitioning,
    checkpoint: &Checkpoint,
    epoch: i64,
) -> Result<(), sqlx::Error> {
    let ruled = sqlx::query(statement(names, RULED)).bind(subscription).bind(partitioning.to_text());
    ruled.execute(&mut *tx).await?;
    for partition in 0..partitioning.count {
        sqlx::query(statement(names, FOUND))
            .bind(subscription)
            .bind(partition_id(partition))
            .bind(checkpoint.position)
            .bind(checkpoint.open.to_string())
            .bind(checkpoint.proof_column())
            .bind(epoch)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Asks for a number; returns whether nothing is left to be asked for.
pub(super) async fn ask(
    connection: &mut SqliteConnection,
    names: &Names,
    subscription: &str,
    count: u32,
) -> Result<Result<bool, StoreError>, sqlx::Error> {
    let mut tx = connection.begin_with(BEGIN_WRITE).await?;
    let text = rule(&mut tx, names, subscription, &Partitioning::new(1)).await?;
    let rows = all(&mut tx, names, subscription).await?;
    let ask = || {
        let partitioning = Partitioning::from_text(subscription, &text)?;
        let checkpoints = read(subscription, &rows)?;
        Ok(if rows.is_empty() { Asked::Already } else { partitioning.ask(&checkpoints, count) })
    };
    let asked = match ask() {
        Ok(Asked::Granted(asked)) => asked,
        Ok(asked) => return Ok(Ok(asked == Asked::Already)),
        Err(error) => return Ok(Err(error)),
    };
    sqlx::query(statement(names, RULED)).bind(subscription).bind(asked.to_text()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(Ok(true))
}

/// Goes over to the number asked for, where no lease runs.
pub(super) async fn repartition(
    connection: &mut SqliteConnection,
    names: &Names,
    subscription: &str,
) -> Result<Result<Change, StoreError>, sqlx::Error> {
    let mut tx = connection.begin_with(BEGIN_WRITE).await?;
    let text = rule(&mut tx, names, subscription, &Partitioning::new(1)).await?;
    let partitioning = match Partitioning::from_text(subscription, &text) {
        Ok(Partitioning { next: None, .. }) => return Ok(Ok(Change::Nothing)),
        Ok(partitioning) => partitioning,
        Err(error) => return Ok(Err(error)),
    };
    let vacant: Vec<i64> = sqlx::query_scalar(statement(names, VACANT)).bind(subscription).fetch_all(&mut *tx).await?;
    if sqlx::query_scalar(statement(names, LEASED)).bind(subscription).fetch_one(&mut *tx).await? {
        return Ok(Ok(Change::Later));
    }
    let rows = all(&mut tx, names, subscription).await?;
    let epochs = rows.iter().map(|row| row.try_get("epoch")).collect::<Result<Vec<i64>, _>>()?;
    let epoch = epochs.into_iter().chain(vacant).max().unwrap_or_default() + 1;
    let (changed, start) = match read(subscription, &rows) {
        Ok(checkpoints) => partitioning.change(&checkpoints, partitioning.next.unwrap_or(partitioning.count)),
        Err(error) => return Ok(Err(error)),
    };
    sqlx::query(statement(names, REMOVE)).bind(subscription).execute(&mut *tx).await?;
    write(&mut tx, names, subscription, &changed, &start, epoch).await?;
    tx.commit().await?;
    Ok(Ok(Change::Made { from: partitioning.count, to: changed.count }))
}
