//! What is known of the outbox, read in one short transaction.

use outbox_core::status::{
    DatabaseStatus, HolderStatus, HoleStatus, LogStatus, PartitionStatus, RelayStatus, ReportedHole,
    SILENT_AFTER_SECONDS, SegmentStatus, Status, SubscriptionStatus,
};
use outbox_core::store::Database;
use outbox_core::{Names, Position, PositionSet, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use super::connection::{WALK, bounded, statement};
use super::mender;
use super::store::SqliteStore;

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
        let log = log(&mut tx, names).await?;
        let relays = relays(&mut tx, names).await?;
        let subscriptions = subscriptions(&mut tx, names, &log).await?;
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

async fn log(connection: &mut SqliteConnection, names: &Names) -> Result<LogStatus, sqlx::Error> {
    let row = sqlx::query(statement(names, LOG)).fetch_one(&mut *connection).await?;
    let bytes = sqlx::query_scalar::<_, Option<i64>>(statement(names, BYTES)).fetch_one(&mut *connection).await;
    // An error here means an SQLite library built without `dbstat`.
    let bytes = bytes.ok().flatten().and_then(|bytes| u64::try_from(bytes).ok());
    let trouble = sqlx::query_scalar::<_, String>(statement(names, TROUBLE)).fetch_optional(connection).await?;
    let trouble = trouble.filter(|trouble| !trouble.is_empty());
    Ok(LogStatus {
        first_position: row.try_get("first_position")?,
        last_position: row.try_get("last_position")?,
        bytes,
        segments: vec![SegmentStatus { segment: 0, bytes, state: "current", blocked_by: trouble }],
    })
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
    log: &LogStatus,
) -> Result<Vec<SubscriptionStatus>, sqlx::Error> {
    let mut subscriptions = Vec::new();
    for row in sqlx::query(statement(names, SUBSCRIPTIONS)).fetch_all(&mut *connection).await? {
        let mut subscription = subscription(&row)?;
        if let Some(position) = row.try_get::<Option<Position>, _>("position")? {
            let open: PositionSet = row.try_get::<String, _>("open_positions")?.parse().unwrap_or_default();
            subscription.lag_events = Some(lag_events(log, position, &open));
            subscription.lag_seconds = lag_seconds(connection, names, position, &open).await?;
        }
        subscriptions.push(subscription);
    }
    Ok(subscriptions)
}

fn subscription(row: &SqliteRow) -> Result<SubscriptionStatus, sqlx::Error> {
    let owned: bool = row.try_get("owned")?;
    let state: Option<String> = row.try_get("state")?;
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    Ok(SubscriptionStatus {
        name: row.try_get("subscription")?,
        publisher: row.try_get("publisher")?,
        state: state.filter(|_| owned).unwrap_or_else(|| "unowned".to_owned()),
        lag_events: None,
        lag_seconds: None,
        last_error: row.try_get("last_error")?,
        parked_keys: count("parked_keys")?,
        parked_events: count("parked_events")?,
        holes: if owned { holes(row)? } else { Vec::new() },
        partitions: partition(row, owned)?.into_iter().collect(),
    })
}

fn partition(row: &SqliteRow, owned: bool) -> Result<Option<PartitionStatus>, sqlx::Error> {
    let Some(position) = row.try_get::<Option<_>, _>("position")? else {
        return Ok(None);
    };
    let relay = row.try_get::<Option<String>, _>("relay_name")?.filter(|_| owned);
    let (epoch, open) = (row.try_get("epoch")?, row.try_get("open_positions")?);
    Ok(Some(PartitionStatus { partition: 0, owner: relay, epoch, position, open }))
}

fn holes(row: &SqliteRow) -> Result<Vec<HoleStatus>, sqlx::Error> {
    let now: f64 = row.try_get("now")?;
    let text: Option<String> = row.try_get("holes")?;
    let reported: Vec<ReportedHole> = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let hole = |hole: ReportedHole| HoleStatus {
        from: hole.from,
        to: hole.to,
        age_seconds: (now - hole.first_seen).max(0.0),
        holders: hole
            .holders
            .into_iter()
            .map(|holder| HolderStatus {
                pid: holder.pid,
                user: None,
                application: None,
                age_seconds: None,
                prepared: holder.prepared,
            })
            .collect(),
    };
    Ok(reported.into_iter().map(hole).collect())
}

/// Positions between the ends of the log that are not done: SQLite leaves none out, so none needs counting.
fn lag_events(log: &LogStatus, position: Position, open: &PositionSet) -> u64 {
    let (Some(first), Some(last)) = (log.first_position, log.last_position) else {
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
