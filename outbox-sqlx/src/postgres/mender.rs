//! Says how the outbox stands with its past, and mends it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outbox_core::checkpoint::Checkpoint;
use outbox_core::continuity::{Adoption, Continuity, Log, Mender, Plan, Reader, Sight, Signature, asked_for};
use outbox_core::{Names, Position, StoreError};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};
use uuid::Uuid;

use super::connection::{Link, READ, WALK, once, statement};
use super::fault::{precondition, store_error};
use super::place::{self, Here};
use crate::refusal::settle;

const READERS: &str = outbox_core::sql::postgres::CONTINUITY_READERS;
const LOG: &str = outbox_core::sql::postgres::CONTINUITY_LOG;
const FOUND: &str = outbox_core::sql::postgres::CONTINUITY_FOUND;
const DOUBLES: &str = outbox_core::sql::postgres::CONTINUITY_DOUBLES;
const MOVE: &str = outbox_core::sql::postgres::CONTINUITY_MOVE;
const LOCK: &str = outbox_core::sql::postgres::CONTINUITY_LOCK;
const SET_BACK: &str = outbox_core::sql::postgres::CONTINUITY_SET_BACK;
const FENCE: &str = outbox_core::sql::postgres::CONTINUITY_FENCE;
const RAISE: &str = outbox_core::sql::postgres::CONTINUITY_RAISE;
const SET: &str = outbox_core::sql::postgres::CONTINUITY_SET;
const NOTE: &str = outbox_core::sql::postgres::CONTINUITY_NOTE;

/// Mends one outbox.
pub(super) struct PgMender {
    link: Link,
    names: Names,
    address: String,
}

/// The statements that let this user mend, where it may not.
struct Grants {
    /// Raise positions.
    raise: Option<String>,
    /// Move an event to another position.
    moves: Option<String>,
}

impl PgMender {
    pub(super) fn new(link: Link, names: Names, address: String) -> Self {
        Self { link, names, address }
    }
}

#[async_trait]
impl Mender for PgMender {
    async fn examine(&mut self) -> Result<Continuity, StoreError> {
        examine(&mut self.link, &self.names, &self.address).await
    }

    async fn plan(&mut self, subscription: Option<&str>) -> Result<Plan, StoreError> {
        let Self { link, names, .. } = self;
        link.limit(WALK).await?;
        let sight = look(link, names).await?;
        let plan = sight.plan(subscription)?;
        let found = link.call(WALK, async |connection| doubles(connection, names, &plan, &sight.log).await).await?;
        Ok(Plan { doubles: found.len(), ..plan })
    }

    async fn repair(&mut self, subscription: Option<&str>, signature: &Signature) -> Result<Plan, StoreError> {
        let Self { link, names, .. } = self;
        link.limit(WALK).await?;
        link.call(WALK, async |connection| repair(connection, names, subscription, signature).await).await?
    }

    async fn adopt(&mut self, new_instance: bool, signature: &Signature) -> Result<Adoption, StoreError> {
        place::adopt(&mut self.link, &self.names, &self.address, new_instance, signature).await
    }
}

/// How the outbox stands with its past.
pub(super) async fn examine(link: &mut Link, names: &Names, address: &str) -> Result<Continuity, StoreError> {
    let Here { register, place, instance, .. } = Here::look(link, names, address).await?;
    let sight = look(link, names).await?;
    Ok(Continuity {
        instance,
        refused: register.recognise(&place).err().map(|error| error.to_string()),
        addresses: register.addresses,
        address: place.address,
        readers: sight.judge(),
    })
}

async fn look(link: &mut Link, names: &Names) -> Result<Sight, StoreError> {
    let (sight, _) = link.call(READ, async |connection| sight(connection, names).await).await?;
    Ok(sight)
}

async fn sight(connection: &mut PgConnection, names: &Names) -> Result<(Sight, Grants), sqlx::Error> {
    let rows = reader_rows(connection, names).await?;
    let (mut readers, mut damaged) = (Vec::new(), Vec::new());
    for row in &rows {
        let (subscription, partition) = (row.try_get("subscription")?, row.try_get("partition_id")?);
        match reader(row) {
            Ok(reader) => readers.push(reader),
            Err(error) => damaged.push((subscription, partition, error)),
        }
    }
    let row = once(statement(names, LOG)).fetch_one(&mut *connection).await?;
    let floor: Position = row.try_get::<Option<_>, _>("floor")?.unwrap_or_default();
    let log = Log {
        last_drawn: row.try_get("last_drawn")?,
        lowest: row.try_get("lowest")?,
        highest: row.try_get("highest")?,
        floor,
        letters: row.try_get("letters")?,
        found: found(connection, names, asked_for(&readers, floor)).await?,
    };
    let grant = |may: &str, grant: &str| match row.try_get::<Option<bool>, _>(may)? {
        Some(true) => Ok(None),
        _ => row.try_get(grant),
    };
    let grants = Grants { raise: grant("may_raise", "grant_raise")?, moves: grant("may_move", "grant_move")? };
    Ok((Sight { readers, damaged, log }, grants))
}

/// The events that stand at these positions.
async fn found(
    connection: &mut PgConnection,
    names: &Names,
    positions: Vec<Position>,
) -> Result<BTreeMap<Position, Vec<Uuid>>, sqlx::Error> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    if positions.is_empty() {
        return Ok(found);
    }
    for row in once(statement(names, FOUND)).bind(positions).fetch_all(connection).await? {
        found.entry(row.try_get("position")?).or_default().push(row.try_get("event_id")?);
    }
    Ok(found)
}

/// The later ones of events that share a position; where there can be none the log is not walked.
async fn doubles(
    connection: &mut PgConnection,
    names: &Names,
    plan: &Plan,
    log: &Log,
) -> Result<Vec<PgRow>, sqlx::Error> {
    if plan.is_empty() || !log.may_have_doubles() {
        return Ok(Vec::new());
    }
    once(statement(names, DOUBLES)).fetch_all(connection).await
}

pub(super) async fn reader_rows(connection: &mut PgConnection, names: &Names) -> Result<Vec<PgRow>, sqlx::Error> {
    once(statement(names, READERS)).fetch_all(connection).await
}

fn reader(row: &PgRow) -> Result<Reader, StoreError> {
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
    connection: &mut PgConnection,
    names: &Names,
    subscription: Option<&str>,
    signature: &Signature,
) -> Result<Result<Plan, StoreError>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    let outcome = mend(&mut tx, names, subscription, signature).await?;
    settle(tx, outcome).await
}

/// Looks again behind the lock, and mends.
async fn mend(
    tx: &mut PgConnection,
    names: &Names,
    subscription: Option<&str>,
    signature: &Signature,
) -> Result<Result<Plan, StoreError>, sqlx::Error> {
    once(statement(names, LOCK)).execute(&mut *tx).await?;
    let (sight, grants) = sight(tx, names).await?;
    let mut plan = match sight.plan(subscription) {
        Ok(plan) => plan,
        Err(damaged) => return Ok(Err(damaged)),
    };
    let doubles = doubles(tx, names, &plan, &sight.log).await?;
    plan.doubles = doubles.len();
    if let Err(refused) = plan.refuse_at_work() {
        return Ok(Err(refused));
    }
    let raise = grants.raise.filter(|_| plan.positions.is_some());
    if let Some(grant) = raise.or(grants.moves.filter(|_| plan.doubles > 0)) {
        let message = format!("the user may not change positions; as the owner of the tables run: {grant}");
        return Ok(Err(precondition(message)));
    }
    if !plan.is_empty() {
        carry_out(tx, names, &plan, &doubles, signature).await?;
    }
    Ok(Ok(plan))
}

async fn carry_out(
    tx: &mut PgConnection,
    names: &Names,
    plan: &Plan,
    doubles: &[PgRow],
    signature: &Signature,
) -> Result<(), sqlx::Error> {
    for reader in &plan.readers {
        let (subscription, partition) = (&reader.subscription, reader.partition);
        let set_back = once(statement(names, SET_BACK)).bind(subscription).bind(partition);
        let set_back = set_back.bind(reader.checkpoint.position).bind(reader.checkpoint.open.to_string());
        set_back.bind(reader.checkpoint.proof_column()).bind(reader.epoch).execute(&mut *tx).await?;
        let fence = once(statement(names, FENCE)).bind(subscription).bind(partition);
        fence.bind(reader.epoch).execute(&mut *tx).await?;
    }
    if let Some(raise) = plan.positions {
        once(statement(names, RAISE)).bind(raise.to).fetch_optional(&mut *tx).await?;
    }
    // One by one, so that those of a key keep their order.
    for double in doubles {
        let (segment, place): (Oid, String) = (double.try_get("segment")?, double.try_get("place")?);
        once(statement(names, MOVE)).bind(segment).bind(place).execute(&mut *tx).await?;
    }
    if let Some(floor) = plan.floor {
        once(statement(names, SET)).bind("floor").bind(floor.to_string()).execute(&mut *tx).await?;
    }
    let told = format!("{}{signature}", plan.done());
    once(statement(names, NOTE)).bind("repair").bind(told).execute(&mut *tx).await?;
    Ok(())
}
