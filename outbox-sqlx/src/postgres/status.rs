//! What is known of the outbox: what its tables say, and what the server knows of the sessions that keep holes open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::cleanup::Blocker;
use outbox_core::status::{
    DatabaseStatus, Gathered, HolderStatus, HoleStatus, LogStatus, RelayStatus, ReportedHole, SILENT_AFTER_SECONDS,
    SegmentStatus, Status, StoredPartition, gather,
};
use outbox_core::store::Database;
use outbox_core::{Names, Position, Store, StoreError, StoreErrorKind};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::address::Address;
use super::cleanup::Surveyor;
use super::connection::{CALL, Link, READ, statement};
use super::fault::{store_error, unavailable};
use super::mender;
use super::store::PgStore;
use crate::number::partition_of;

const SESSION: &str = outbox_core::sql::postgres::STATUS_SESSION;
const LOCKED: &str = outbox_core::sql::postgres::STATUS_LOCKED;
const LOG: &str = outbox_core::sql::postgres::STATUS_LOG;
const SEGMENTS: &str = outbox_core::sql::postgres::STATUS_SEGMENTS;
const RELAYS: &str = outbox_core::sql::postgres::STATUS_RELAYS;
const SUBSCRIPTIONS: &str = outbox_core::sql::postgres::STATUS_SUBSCRIPTIONS;
const LAG: &str = outbox_core::sql::postgres::STATUS_LAG;
const HOLDERS: &str = outbox_core::sql::postgres::STATUS_HOLDERS;

/// How long the count of what one subscription still owes may take.
const COUNT: Duration = Duration::from_secs(5);

/// The version of the form that [`Status`] has.
const FORM: u32 = 1;

/// What the server knows of holders, by transaction.
type Known = BTreeMap<String, HolderStatus>;

/// What keeps each segment from being emptied, or why that is not known.
pub(super) type Blocked = Result<BTreeMap<i16, Blocker>, StoreError>;

/// Reads the status.
pub(super) async fn status(
    mut link: Link,
    mut surveying: Link,
    store: &PgStore,
    database: Database,
) -> Result<Status, StoreError> {
    let names = &store.names;
    link.set(SESSION).await?;
    let segments = link.all(READ, sqlx::query(statement(names, SEGMENTS))).await?;
    let blocked = blocked(&mut surveying, names).await;
    let log = link.one(READ, sqlx::query(statement(names, LOG))).await?;
    let relays = link.all(READ, sqlx::query(statement(names, RELAYS))).await?;
    let rows = link.all(READ, sqlx::query(statement(names, SUBSCRIPTIONS))).await?;
    let rows = rows.iter().map(partition).collect::<Result<Vec<_>, _>>().map_err(store_error)?;
    let mut gathered = gather(&rows.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>());
    let now = rows.first().map_or(0.0, |(_, now)| *now);
    for Gathered { status, holes, .. } in &mut gathered {
        let known = known_holders(&mut link, names, holes).await?;
        status.holes = holes.iter().map(|reported| hole(reported, &known, now)).collect();
    }
    let continuity = mender::examine(&mut link, names, &store.address()).await?;
    // Last of all, for a log too long to be counted in time must not end anything else.
    link.limit(COUNT).await?;
    for Gathered { status, checkpoint, .. } in &mut gathered {
        if let Some(checkpoint) = checkpoint
            && let Some((events, seconds)) = lag(&mut link, names, checkpoint).await?
        {
            status.lag_events = Some(events);
            status.lag_seconds = Some(seconds);
        }
    }
    let Database { kind, server_version, instance, .. } = database;
    Ok(Status {
        version: FORM,
        database: DatabaseStatus { kind, server_version, instance },
        log: log_status(&log, &segments, &blocked).map_err(store_error)?,
        relays: relays.iter().map(relay).collect::<Result<_, _>>().map_err(store_error)?,
        subscriptions: gathered.into_iter().map(|each| each.status).collect(),
        continuity: Some(continuity),
    })
}

/// Why there is no status: where somebody has locked the log against all readers who that is, and which table somebody dropped.
pub(super) async fn explained(error: StoreError, store: &PgStore) -> StoreError {
    let PgStore { address, names } = store;
    if error.kind() != StoreErrorKind::Unavailable {
        // Where a table is missing, the check names it.
        let found = store.inspect().await.err();
        return found.filter(|found| found.kind() == StoreErrorKind::Precondition).unwrap_or(error);
    }
    match lockers(address, names).await {
        Ok(lockers) if !lockers.is_empty() => unavailable(format!(
            "nobody can read the log: {}; wait for its end, or end it with pg_terminate_backend",
            lockers.join("; ")
        )),
        _ => error,
    }
}

async fn lockers(address: &Address, names: &Names) -> Result<Vec<String>, StoreError> {
    let mut link = Link::open(address, CALL).await?;
    let rows = link.all(CALL, sqlx::query(statement(names, LOCKED))).await?;
    let locker = |row: &PgRow| {
        let (segment, pid): (Option<i16>, Option<i32>) = (row.try_get("segment")?, row.try_get("pid")?);
        let holder = HolderStatus {
            pid,
            user: row.try_get("user_name")?,
            application: row.try_get("application")?,
            age_seconds: row.try_get("age_seconds")?,
            prepared: pid.is_none(),
        };
        let what = segment.map_or_else(|| "all of it".to_owned(), |segment| format!("segment {segment}"));
        Ok(format!("{what} is locked by {holder}"))
    };
    rows.iter().map(locker).collect::<Result<_, _>>().map_err(store_error)
}

/// What keeps segments from being emptied; over a connection of its own, whose session is made for that look.
pub(super) async fn blocked(surveying: &mut Link, names: &Names) -> Blocked {
    let survey = Surveyor::open(surveying, names).await?.survey(surveying).await?;
    Ok(survey.segments.iter().filter_map(|segment| Some((segment.number, survey.blocked_by(segment)?))).collect())
}

fn log_status(log: &PgRow, segments: &[PgRow], blocked: &Blocked) -> Result<LogStatus, sqlx::Error> {
    let segments: Vec<SegmentStatus> = segments.iter().map(|row| segment(row, blocked)).collect::<Result<_, _>>()?;
    Ok(LogStatus {
        first_position: log.try_get("first_position")?,
        last_position: log.try_get("last_position")?,
        bytes: Some(segments.iter().filter_map(|segment| segment.bytes).sum()),
        segments,
    })
}

fn segment(row: &PgRow, blocked: &Blocked) -> Result<SegmentStatus, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let state = ["current", "filled", "empty"].into_iter().find(|known| *known == state).unwrap_or("filled");
    let bytes: Option<i64> = row.try_get("bytes")?;
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    let segment: i16 = row.try_get("segment")?;
    let found = match blocked {
        Ok(blocked) => blocked.get(&segment).cloned(),
        // A segment that somebody has locked cannot even be looked at.
        Err(error) => Some(Blocker::unseen(error)).filter(|_| state != "empty"),
    };
    let (blocked_by, remedy) = found.map(|blocker| (blocker.what, blocker.remedy)).unzip();
    Ok(SegmentStatus { segment, bytes, state, blocked_by, remedy })
}

fn relay(row: &PgRow) -> Result<RelayStatus, sqlx::Error> {
    let seen_seconds_ago: f64 = row.try_get("seen_seconds_ago")?;
    let state = if seen_seconds_ago > SILENT_AFTER_SECONDS { "silent" } else { "alive" };
    Ok(RelayStatus { name: row.try_get("relay_name")?, state, seen_seconds_ago })
}

async fn known_holders(link: &mut Link, names: &Names, reported: &[ReportedHole]) -> Result<Known, StoreError> {
    let asked: BTreeSet<_> =
        reported.iter().flat_map(|hole| &hole.holders).map(|holder| (&holder.transaction, holder.pid)).collect();
    if asked.is_empty() {
        return Ok(Known::new());
    }
    let (transactions, pids): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let rows = link.all(READ, sqlx::query(statement(names, HOLDERS)).bind(transactions).bind(pids)).await?;
    let known = |row: &PgRow| {
        let status = HolderStatus {
            pid: None,
            user: row.try_get("user_name")?,
            application: row.try_get("application")?,
            age_seconds: row.try_get("age_seconds")?,
            prepared: false,
        };
        Ok((row.try_get("transaction")?, status))
    };
    rows.iter().map(known).collect::<Result<_, _>>().map_err(store_error)
}

async fn lag(link: &mut Link, names: &Names, checkpoint: &Checkpoint) -> Result<Option<(u64, f64)>, StoreError> {
    let ranges = checkpoint.open.ranges();
    let (first, last): (Vec<Position>, Vec<Position>) = ranges.map(|range| (*range.start(), *range.end())).unzip();
    let query = sqlx::query(statement(names, LAG)).bind(checkpoint.position).bind(first).bind(last);
    let Some(row) = link.one_in_time(READ, query).await? else {
        return Ok(None);
    };
    let events: i64 = row.try_get("events").map_err(store_error)?;
    Ok(Some((events.unsigned_abs(), row.try_get("seconds").map_err(store_error)?)))
}

/// What is stored of a partition, and the time by the database's clock. An owner that is no longer there says nothing.
pub(super) fn partition(row: &PgRow) -> Result<(StoredPartition, f64), sqlx::Error> {
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

fn hole(reported: &ReportedHole, known: &Known, now: f64) -> HoleStatus {
    let holders = reported.holders.iter().map(|holder| {
        let known = known.get(&holder.transaction);
        HolderStatus {
            pid: holder.pid,
            user: known.and_then(|known| known.user.clone()),
            application: known.and_then(|known| known.application.clone()),
            age_seconds: known.and_then(|known| known.age_seconds),
            prepared: holder.prepared,
        }
    });
    HoleStatus {
        from: reported.from,
        to: reported.to,
        age_seconds: (now - reported.first_seen).max(0.0),
        holders: holders.collect(),
    }
}
