//! Makes the partitions of a subscription, and changes their number; see [`outbox_core::partition`].
//!
//! Each is one transaction that begins with the lock of the row `partitions:NAME`: so they come one after the other, whatever
//! relay does them.

use std::collections::BTreeMap;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::partition::{Asked, Change, Partitioning};
use outbox_core::{Names, StoreError};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};

use super::checkpoint::checkpoint;
use super::connection::{CALL, Link, once, statement};
use crate::number::partition_id;

const LOCK: &str = outbox_core::sql::postgres::CHECKPOINT_LOCK;
const RULE: &str = outbox_core::sql::postgres::CHECKPOINT_RULE;
const RULED: &str = outbox_core::sql::postgres::CHECKPOINT_RULED;
const FOUND: &str = outbox_core::sql::postgres::CHECKPOINT_FOUND;
const ALL: &str = outbox_core::sql::postgres::CHECKPOINT_ALL;
const VACANT: &str = outbox_core::sql::postgres::CHECKPOINT_VACANT;
const LEASED: &str = outbox_core::sql::postgres::CHECKPOINT_LEASED;
const SHUT: &str = outbox_core::sql::postgres::CHECKPOINT_SHUT;
const RESHAPE: &str = outbox_core::sql::postgres::CHECKPOINT_RESHAPE;

/// Makes them; `false` where there are some already, or cleanup was faster.
pub(super) async fn found(
    link: &mut Link,
    names: &Names,
    subscription: &str,
    partitions: u32,
    checkpoint: &Checkpoint,
) -> Result<bool, StoreError> {
    let founding = async |connection: &mut PgConnection| {
        let mut tx = connection.begin().await?;
        once(statement(names, LOCK)).execute(&mut *tx).await?;
        let text = Partitioning::new(partitions).to_text();
        once(statement(names, RULE)).bind(subscription).bind(&text).execute(&mut *tx).await?;
        let found = once(statement(names, FOUND))
            .bind(subscription)
            .bind(partition_id(partitions))
            .bind(checkpoint.position)
            .bind(checkpoint.open.to_string())
            .bind(checkpoint.proof_column())
            .execute(&mut *tx)
            .await?;
        if found.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        once(statement(names, RULED)).bind(subscription).bind(text).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    };
    link.call(CALL, founding).await
}

/// Locks the row and reads it; one that is not there says one partition.
async fn rule(connection: &mut PgConnection, names: &Names, subscription: &str) -> Result<String, sqlx::Error> {
    let rule = once(statement(names, RULE)).bind(subscription).bind(Partitioning::new(1).to_text());
    rule.fetch_one(connection).await?.try_get(0)
}

fn read(subscription: &str, rows: &[PgRow]) -> Result<BTreeMap<u32, Checkpoint>, StoreError> {
    rows.iter().map(|row| checkpoint(subscription, row)).collect()
}

/// Asks for a number; returns whether nothing is left to be asked for.
pub(super) async fn ask(
    link: &mut Link,
    names: &Names,
    subscription: &str,
    partitions: u32,
) -> Result<bool, StoreError> {
    let asking = async |connection: &mut PgConnection| {
        let mut tx = connection.begin().await?;
        let text = rule(&mut tx, names, subscription).await?;
        let rows = once(statement(names, ALL)).bind(subscription).fetch_all(&mut *tx).await?;
        let ask = || {
            let partitioning = Partitioning::from_text(subscription, &text)?;
            let checkpoints = read(subscription, &rows)?;
            Ok(if rows.is_empty() { Asked::Already } else { partitioning.ask(&checkpoints, partitions) })
        };
        let asked = match ask() {
            Ok(Asked::Granted(asked)) => asked,
            Ok(asked) => return tx.rollback().await.map(|()| Ok(asked == Asked::Already)),
            Err(error) => return tx.rollback().await.map(|()| Err(error)),
        };
        once(statement(names, RULED)).bind(subscription).bind(asked.to_text()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Ok(true))
    };
    link.call(CALL, asking).await?
}

/// Goes over to the number asked for, where no lease runs.
///
/// The new epoch lies above every epoch that a relay may have taken from what it saw: a lease made while this transaction
/// runs has one more than the checkpoint it found.
pub(super) async fn repartition(link: &mut Link, names: &Names, subscription: &str) -> Result<Change, StoreError> {
    let changing = async |connection: &mut PgConnection| {
        let mut tx = connection.begin().await?;
        let text = rule(&mut tx, names, subscription).await?;
        let partitioning = match Partitioning::from_text(subscription, &text) {
            Ok(Partitioning { next: None, .. }) => return tx.rollback().await.map(|()| Ok(Change::Nothing)),
            Ok(partitioning) => partitioning,
            Err(error) => return tx.rollback().await.map(|()| Err(error)),
        };
        let vacant = once(statement(names, VACANT)).bind(subscription).fetch_one(&mut *tx).await?;
        let leased = once(statement(names, LEASED)).bind(subscription).fetch_one(&mut *tx).await?;
        if leased.try_get("leased")? {
            return tx.rollback().await.map(|()| Ok(Change::Later));
        }
        let rows = once(statement(names, SHUT)).bind(subscription).fetch_all(&mut *tx).await?;
        let epochs = rows.iter().map(|row| row.try_get("epoch")).collect::<Result<Vec<i64>, _>>()?;
        let epoch = epochs.into_iter().fold(vacant.try_get("epoch")?, i64::max) + 2;
        let count = partitioning.next.unwrap_or(partitioning.count);
        let (changed, start) = match read(subscription, &rows) {
            Ok(checkpoints) => partitioning.change(&checkpoints, count),
            Err(error) => return tx.rollback().await.map(|()| Err(error)),
        };
        let reshape = once(statement(names, RESHAPE)).bind(subscription).bind(partition_id(count));
        let reshape = reshape.bind(start.position).bind(start.open.to_string()).bind(start.proof_column()).bind(epoch);
        reshape.execute(&mut *tx).await?;
        once(statement(names, RULED)).bind(subscription).bind(changed.to_text()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Ok(Change::Made { from: partitioning.count, to: count }))
    };
    link.call(CALL, changing).await?
}
