//! What is known of the outbox: what its tables say, and what the server knows of the sessions that keep holes open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use outbox_core::status::{
    DatabaseStatus, HolderStatus, HoleStatus, LogStatus, PartitionStatus, RelayStatus, ReportedHole,
    SILENT_AFTER_SECONDS, SegmentStatus, Status, SubscriptionStatus,
};
use outbox_core::store::Database;
use outbox_core::{Names, Position, PositionSet, StoreError, StoreErrorKind};
use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgRow};

use super::cleanup::Surveyor;
use super::connection::{CALL, Link, READ, statement};
use super::fault::{store_error, unavailable};

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
type Blocked = Result<BTreeMap<i16, String>, StoreError>;

/// Reads the status.
pub(super) async fn status(
    mut link: Link,
    mut surveying: Link,
    names: &Names,
    database: Database,
) -> Result<Status, StoreError> {
    link.one(CALL, sqlx::query(SESSION)).await?;
    let segments = link.all(READ, sqlx::query(statement(names, SEGMENTS))).await?;
    let blocked = blocked(&mut surveying, names).await;
    let log = link.one(READ, sqlx::query(statement(names, LOG))).await?;
    let relays = link.all(READ, sqlx::query(statement(names, RELAYS))).await?;
    let rows = link.all(READ, sqlx::query(statement(names, SUBSCRIPTIONS))).await?;
    let mut subscriptions = Vec::new();
    for row in &rows {
        let reported = reported_holes(row).map_err(store_error)?;
        let known = known_holders(&mut link, names, &reported).await?;
        subscriptions.push(subscription(row, &reported, &known).map_err(store_error)?);
    }
    // Last of all, for a log too long to be counted in time must not end anything else.
    link.limit(COUNT).await?;
    for (subscription, row) in subscriptions.iter_mut().zip(&rows) {
        if let Some((events, seconds)) = lag(&mut link, names, row).await? {
            subscription.lag_events = Some(events);
            subscription.lag_seconds = Some(seconds);
        }
    }
    let Database { kind, server_version, instance, .. } = database;
    Ok(Status {
        version: FORM,
        database: DatabaseStatus { kind, server_version, instance },
        log: log_status(&log, &segments, &blocked).map_err(store_error)?,
        relays: relays.iter().map(relay).collect::<Result<_, _>>().map_err(store_error)?,
        subscriptions,
    })
}

/// Why there is no status: where somebody has locked the log against all readers, who that is.
pub(super) async fn explained(error: StoreError, options: &PgConnectOptions, names: &Names) -> StoreError {
    if error.kind() != StoreErrorKind::Unavailable {
        return error;
    }
    match lockers(options, names).await {
        Ok(lockers) if !lockers.is_empty() => unavailable(format!(
            "nobody can read the log: {}; wait for its end, or end it with pg_terminate_backend",
            lockers.join("; ")
        )),
        _ => error,
    }
}

async fn lockers(options: &PgConnectOptions, names: &Names) -> Result<Vec<String>, StoreError> {
    let mut link = Link::open(options, CALL).await?;
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
async fn blocked(surveying: &mut Link, names: &Names) -> Blocked {
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
    let blocked_by = match blocked {
        Ok(blocked) => blocked.get(&segment).cloned(),
        // A segment that somebody has locked cannot even be looked at.
        Err(error) => Some(error.to_string()).filter(|_| state != "empty"),
    };
    Ok(SegmentStatus { segment, bytes, state, blocked_by })
}

fn relay(row: &PgRow) -> Result<RelayStatus, sqlx::Error> {
    let seen_seconds_ago: f64 = row.try_get("seen_seconds_ago")?;
    let state = if seen_seconds_ago > SILENT_AFTER_SECONDS { "silent" } else { "alive" };
    Ok(RelayStatus { name: row.try_get("relay_name")?, state, seen_seconds_ago })
}

/// The holes the owner last reported; one that is no longer there says nothing.
fn reported_holes(row: &PgRow) -> Result<Vec<ReportedHole>, sqlx::Error> {
    let text: Option<String> = row.try_get("holes")?;
    let owned: bool = row.try_get("owned")?;
    Ok(text.filter(|_| owned).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
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

async fn lag(link: &mut Link, names: &Names, row: &PgRow) -> Result<Option<(u64, f64)>, StoreError> {
    let position: Option<Position> = row.try_get("position").map_err(store_error)?;
    let open: Option<String> = row.try_get("open_positions").map_err(store_error)?;
    // A damaged text has no lag anybody could know.
    let Some((position, open)) = position.zip(open.and_then(|open| open.parse::<PositionSet>().ok())) else {
        return Ok(None);
    };
    let (first, last): (Vec<Position>, Vec<Position>) =
        open.ranges().map(|range| (*range.start(), *range.end())).unzip();
    let query = sqlx::query(statement(names, LAG)).bind(position).bind(first).bind(last);
    let Some(row) = link.one_in_time(READ, query).await? else {
        return Ok(None);
    };
    let events: i64 = row.try_get("events").map_err(store_error)?;
    Ok(Some((events.unsigned_abs(), row.try_get("seconds").map_err(store_error)?)))
}

fn subscription(row: &PgRow, reported: &[ReportedHole], known: &Known) -> Result<SubscriptionStatus, sqlx::Error> {
    let owned: bool = row.try_get("owned")?;
    let state: Option<String> = row.try_get("state")?;
    let now: f64 = row.try_get("now")?;
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
        holes: reported.iter().map(|reported| hole(reported, known, now)).collect(),
        partitions: partition(row, owned)?.into_iter().collect(),
    })
}

fn partition(row: &PgRow, alive: bool) -> Result<Option<PartitionStatus>, sqlx::Error> {
    let Some(position) = row.try_get::<Option<_>, _>("position")? else {
        return Ok(None);
    };
    let owner = row.try_get::<Option<String>, _>("relay_name")?.filter(|_| alive);
    Ok(Some(PartitionStatus {
        partition: 0,
        owner,
        epoch: row.try_get("epoch")?,
        position,
        open: row.try_get("open_positions")?,
    }))
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
