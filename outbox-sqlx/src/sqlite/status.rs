//! What is known of the outbox, read in one short transaction.

use outbox_core::checkpoint::Checkpoint;
use outbox_core::cleanup::Blocker;
use outbox_core::status::{
    Backlog, DatabaseStatus, Gathered, Glance, HolderStatus, HoleStatus, LogStatus, RelayStatus, ReportedHolder,
    ReportedHole, SILENT_AFTER_SECONDS, SegmentStatus, Status, StoredPartition, SubscriptionStatus, gather,
};
use outbox_core::store::Database;
use outbox_core::{Names, Position, PositionSet, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use super::connection::{CALL, WALK, bounded, statement};
use super::mender;
use super::store::SqliteStore;
use crate::number::partition_of;

const LOG: &str = outbox_core::sql::sqlite::STATUS_LOG;
const BYTES: &str = outbox_core::sql::sqlite::STATUS_BYTES;
const TROUBLE: &str = outbox_core::sql::sqlite::CLEANUP_NOTED;
const RELAYS: &str = outbox_core::sql::sqlite::STATUS_RELAYS;
const SUBSCRIPTIONS: &str = outbox_core::sql::sqlite::STATUS_SUBSCRIPTIONS;
const OLDEST: &str = outbox_core::sql::sqlite::STATUS_OLDEST;

/// The version of the form that [`Status`] has.
const FORM: u32 = 1;

/// Reads the status over a connection of its own.
pub(super) async fn status(
    mut connection: SqliteConnection,
    store: &SqliteStore,
    database: Database,
) -> Result<Status, StoreError> {
    let names = &store.names;
    let continuity = Some(mender::examine(&mut connection, names, store.file()).await?);
    bounded(WALK, async move {
        let mut tx = connection.begin().await?;
        let ends = ends(&mut tx, names).await?;
        let log = log(&mut tx, names, ends).await?;
        let relays = relays(&mut tx, names).await?;
        let subscriptions = subscriptions(&mut tx, names, ends).await?;
        tx.rollback().await?;
        let database = DatabaseStatus {
            kind: database.kind,
            server_version: database.server_version,
            instance: database.instance,
        };
        Ok(Status { version: FORM, database, log, relays, subscriptions, continuity })
    })
    .await
}

/// Reads how far subscriptions are behind. The size of the log is left out: every page of it would have to be read.
pub(super) async fn glance(
    mut connection: SqliteConnection,
    names: &Names,
    asked: &[String],
) -> Result<Glance, StoreError> {
    bounded(CALL, async move {
        let mut tx = connection.begin().await?;
        let ends = ends(&mut tx, names).await?;
        let found = subscriptions(&mut tx, names, ends).await?;
        tx.rollback().await?;
        let backlogs = found.into_iter().filter(|each| asked.contains(&each.name)).map(Backlog::from).collect();
        Ok(Glance { log_bytes: None, backlogs })
    })
    .await
}

/// The lowest and the highest position, where there is any.
type Ends = Option<(Position, Position)>;

async fn ends(connection: &mut SqliteConnection, names: &Names) -> Result<Ends, sqlx::Error> {
    let row = sqlx::query(statement(names, LOG)).fetch_one(connection).await?;
    let (first, last): (Option<_>, Option<_>) = (row.try_get("first_position")?, row.try_get("last_position")?);
    Ok(first.zip(last))
}

async fn log(connection: &mut SqliteConnection, names: &Names, ends: Ends) -> Result<LogStatus, sqlx::Error> {
    let bytes = sqlx::query_scalar::<_, Option<i64>>(statement(names, BYTES)).fetch_one(&mut *connection).await;
    // An error here means an SQLite library built without `dbstat`.
    let bytes = bytes.ok().flatten().and_then(|bytes| u64::try_from(bytes).ok());
    let noted = trouble(connection, names).await?.map(Blocker::noted);
    let (blocked_by, remedy) = noted.map(|noted| (noted.what, noted.remedy)).unzip();
    Ok(LogStatus {
        first_position: ends.map(|(first, _)| first),
        last_position: ends.map(|(_, last)| last),
        bytes,
        segments: vec![SegmentStatus { segment: 0, bytes, state: "current", blocked_by, remedy }],
    })
}

/// What the last pass of cleanup found wrong.
pub(super) async fn trouble(connection: &mut SqliteConnection, names: &Names) -> Result<Option<String>, sqlx::Error> {
    let trouble = sqlx::query_scalar::<_, String>(statement(names, TROUBLE)).fetch_optional(connection).await?;
    Ok(trouble.filter(|trouble| !trouble.is_empty()))
}

async fn relays(connection: &mut SqliteConnection, names: &Names) -> Result<Vec<RelayStatus>, sqlx::Error> {
    let rows = sqlx::query(statement(names, RELAYS)).fetch_all(connection).await?;
    let relay = |row: &SqliteRow| {
        let seen_seconds_ago: f64 = row.try_get("seen_seconds_ago")?;
        let state = if seen_seconds_ago > SILENT_AFTER_SECONDS { "silent" } else { "alive" };
        Ok(RelayStatus { name: row.try_get("relay_name")?, state, seen_seconds_ago })
    };
    rows.iter().map(relay).collect()
}

async fn subscriptions(
    connection: &mut SqliteConnection,
    names: &Names,
    ends: Ends,
) -> Result<Vec<SubscriptionStatus>, sqlx::Error> {
    let rows = sqlx::query(statement(names, SUBSCRIPTIONS)).fetch_all(&mut *connection).await?;
    let rows = rows.iter().map(partition).collect::<Result<Vec<_>, _>>()?;
    let now = rows.first().map_or(0.0, |(_, now)| *now);
    let mut gathered = gather(&rows.into_iter().map(|(row, _)| row).collect::<Vec<_>>());
    for Gathered { status, checkpoint, holes } in &mut gathered {
        status.holes = holes.iter().map(|reported| hole(reported, now)).collect();
        if let Some(Checkpoint { position, open, .. }) = checkpoint {
            status.lag_events = Some(lag_events(ends, *position, open));
            status.lag_seconds = lag_seconds(connection, names, *position, open).await?;
        }
    }
    Ok(gathered.into_iter().map(|each| each.status).collect())
}

/// What is stored of a partition, and the time by SQLite's clock. An owner that is no longer there says nothing.
fn partition(row: &SqliteRow) -> Result<(StoredPartition, f64), sqlx::Error> {
    let owned: bool = row.try_get("owned")?;
    let holes = row.try_get::<Option<String>, _>("holes")?.filter(|_| owned);
    let position: Option<Position> = row.try_get("position")?;
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    let partition = StoredPartition {
        subscription: row.try_get("subscription")?,
        partition: partition_of(row)?,
        owner: row.try_get::<Option<_>, _>("relay_name")?.filter(|_| owned),
        owned,
        epoch: row.try_get::<Option<_>, _>("epoch")?.unwrap_or_default(),
        checkpoint: position.zip(row.try_get("open_positions")?),
        publisher: row.try_get("publisher")?,
        state: row.try_get("state")?,
        last_error: row.try_get("last_error")?,
        holes: holes.and_then(|holes| serde_json::from_str(&holes).ok()).unwrap_or_default(),
        parked_keys: count("parked_keys")?,
        parked_events: count("parked_events")?,
        paused: row.try_get("paused")?,
    };
    Ok((partition, row.try_get("now")?))
}

fn hole(reported: &ReportedHole, now: f64) -> HoleStatus {
    let holder = |holder: &ReportedHolder| HolderStatus {
        pid: holder.pid,
        user: None,
        application: None,
        age_seconds: None,
        prepared: holder.prepared,
    };
    HoleStatus {
        from: reported.from,
        to: reported.to,
        age_seconds: (now - reported.first_seen).max(0.0),
        holders: reported.holders.iter().map(holder).collect(),
    }
}

/// Positions between the ends of the log that are not done: SQLite leaves none out, so none needs counting.
fn lag_events(ends: Ends, position: Position, open: &PositionSet) -> u64 {
    let Some((first, last)) = ends else {
        return 0;
    };
    let within = |from: Position, to: Position| {
        (to.min(last) - from.max(first)).checked_add(1).and_then(|events| u64::try_from(events).ok()).unwrap_or(0)
    };
    let below: u64 = open.ranges().map(|range| within(*range.start(), *range.end())).sum();
    below + within(position.saturating_add(1), last)
}

/// The age of the oldest event that is not done; 0 where all are.
async fn lag_seconds(
    connection: &mut SqliteConnection,
    names: &Names,
    position: Position,
    open: &PositionSet,
) -> Result<Option<f64>, sqlx::Error> {
    let oldest = open.first().unwrap_or(position.saturating_add(1));
    let age = sqlx::query_scalar::<_, Option<f64>>(statement(names, OLDEST)).bind(oldest);
    Ok(age.fetch_optional(connection).await?.unwrap_or(Some(0.0)))
}
