//! Reads the log: what is visible in one snapshot, once it is durable, with who may still fill what is missing.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use outbox_core::partition::Portion;
use outbox_core::source::{Evidence, Holder, Proof, Read, ReadRequest, Row as LogRow, Source};
use outbox_core::{Filter, Names, Position, PositionSet, Start, StoreError};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use sqlx::query::Query;
use sqlx::{Row, SqlStr};
use tokio::time::Instant;

use super::access::{Purpose, check_access};
use super::address::Address;
use super::connection::{CALL, Link, READ, WALK, statement};
use super::fault::{precondition, store_error, unavailable};
use super::filter::{FilterValues, portion_statement, reading_statement};
use super::row::{self, Whole};
use super::start::{StartStatements, drawn_back};

const SESSION: &str = outbox_core::sql::postgres::SOURCE_SESSION;
const ANCHOR: &str = outbox_core::sql::postgres::SOURCE_ANCHOR;
const READ_ABOVE: &str = outbox_core::sql::postgres::SOURCE_READ;
const READ_OPEN: &str = outbox_core::sql::postgres::SOURCE_READ_OPEN;
const EVIDENCE: &str = outbox_core::sql::postgres::SOURCE_EVIDENCE;
const FLUSHED: &str = outbox_core::sql::postgres::SOURCE_FLUSHED;
const FLUSH: &str = outbox_core::sql::postgres::SOURCE_FLUSH;

/// How long the reader waits for the flush some other session is about to do, before it asks for its own.
const FLUSH_PAUSE: Duration = Duration::from_millis(1);

/// How long a log that shows nothing new is believed to be the one it was.
const TRUST: Duration = Duration::from_secs(2);

/// A probe of all segments costs about as much as passing over so many rows.
const NEAR: Position = 64;

/// Reads the log of one database.
pub(super) struct PgSource {
    pub(super) link: Link,
    pub(super) start: StartStatements,
    whole: Reading,
    /// The same for a reader of some partitions; `None` where a key may be no text, whose hash nobody else would agree on.
    portion: Option<Reading>,
    evidence: SqlStr,
    flushed: SqlStr,
    flush: SqlStr,
    filter: Option<FilterValues>,
    /// When the server was started, in microseconds since 1970.
    started: i64,
    database: Oid,
    /// The log and its segments, on any of which a writer holds its lock.
    tables: Vec<Oid>,
    looked: Instant,
}

/// The statements that read.
struct Reading {
    /// Above a position.
    above: SqlStr,
    /// The same, and what is open below it.
    open: SqlStr,
}

impl Reading {
    fn new(statement: impl Fn(&'static str) -> SqlStr) -> Self {
        Self { above: statement(READ_ABOVE), open: statement(READ_OPEN) }
    }
}

/// What a look after the read showed.
struct Sight {
    flushed: i64,
    /// `None` where this user may not know it.
    last_position: Option<Position>,
    holders: Option<Vec<Holder>>,
}

impl PgSource {
    pub(super) async fn open(address: &Address, names: &Names, filter: &Filter) -> Result<Self, StoreError> {
        let mut link = Link::open(address, WALK).await?;
        link.set(SESSION).await?;
        check_access(&mut link, names, Purpose::Reading).await?;
        let anchor = link.one(CALL, sqlx::query(statement(names, ANCHOR))).await?;
        if anchor.try_get("standby").map_err(store_error)? {
            return Err(precondition(
                "the server is a standby, which shows too little; point the relay at the primary",
            ));
        }
        let filter = FilterValues::new(filter);
        let utf8: bool = anchor.try_get("utf8").map_err(store_error)?;
        Ok(Self {
            link,
            start: StartStatements::new(names),
            whole: Reading::new(|sql| reading_statement(names, sql, filter.as_ref())),
            portion: utf8.then(|| Reading::new(|sql| portion_statement(names, sql, filter.as_ref()))),
            evidence: statement(names, EVIDENCE),
            flushed: statement(names, FLUSHED),
            flush: statement(names, FLUSH),
            filter,
            started: anchor.try_get("started").map_err(store_error)?,
            database: anchor.try_get("database").map_err(store_error)?,
            tables: anchor.try_get("tables").map_err(store_error)?,
            looked: Instant::now(),
        })
    }

    /// Runs the read itself; what holds for the whole of it is known where it gave a row.
    async fn rows(&mut self, request: &ReadRequest) -> Result<(Vec<LogRow>, Option<Whole>), StoreError> {
        let max_bytes = i64::try_from(request.max_bytes).unwrap_or(i64::MAX);
        let portion = self.portion.as_ref().zip(request.portion.as_ref());
        let reading = portion.map_or(&self.whole, |(reading, _)| reading);
        let query = if request.open.is_empty() {
            if !request.above {
                return Ok((Vec::new(), None));
            }
            sqlx::query(reading.above.clone()).bind(request.after).bind(i64::from(request.max_events)).bind(max_bytes)
        } else {
            let (first, last): (Vec<i64>, Vec<i64>) = spans(&request.open).into_iter().unzip();
            sqlx::query(reading.open.clone())
                .bind(request.after)
                .bind(i64::from(request.max_events))
                .bind(max_bytes)
                .bind(request.above)
                .bind(first)
                .bind(last)
                .bind(request.open.to_string())
        };
        let query = match &self.filter {
            Some(filter) => filter.bind(query),
            None => query,
        };
        let query = match portion {
            Some((_, Portion { count, partitions })) => {
                let partitions: Vec<_> = partitions.iter().copied().map(i64::from).collect();
                query.bind(i64::from(*count)).bind(partitions)
            }
            None => query,
        };
        let query = self.link.prepared(query);
        self.link.call(READ, async |connection| collect(connection, query).await).await
    }

    /// Looks at the server after a read: is it the one it was, is what was read durable, who may fill a gap?
    async fn look(&mut self, holders: bool) -> Result<Sight, StoreError> {
        let query = sqlx::query(self.evidence.clone()).bind(holders).bind(self.database).bind(&self.tables);
        let row = self.link.one(CALL, query).await?;
        if row.try_get::<bool, _>("standby").map_err(store_error)? {
            return Err(unavailable("the server has become a standby; point the relay at the primary"));
        }
        if row.try_get::<i64, _>("started").map_err(store_error)? != self.started {
            return Err(unavailable("the server was restarted; what was read before may not have survived it"));
        }
        self.looked = Instant::now();
        let flushed = row.try_get("flushed").map_err(store_error)?;
        let last_position = row.try_get("last_position").map_err(store_error)?;
        let names: Option<Vec<String>> = row.try_get("holders").map_err(store_error)?;
        let holders = names.map(|names| names.iter().map(|name| holder(name)).collect());
        Ok(Sight { flushed, last_position, holders })
    }

    /// Who may fill a missing position at this moment.
    pub(super) async fn holders(&mut self) -> Result<Vec<Holder>, StoreError> {
        Ok(self.look(true).await?.holders.unwrap_or_default())
    }

    /// Waits until the WAL is on disk up to `inserted`, and sees to it if nobody else does.
    #[expect(clippy::disallowed_methods, reason = "another session's flush sends no signal")]
    async fn settle(&mut self, inserted: i64, mut flushed: i64) -> Result<(), StoreError> {
        if flushed < inserted {
            tokio::time::sleep(FLUSH_PAUSE).await;
            flushed = self.flushed().await?;
        }
        if flushed < inserted {
            self.link.one(CALL, sqlx::query(self.flush.clone())).await?;
            flushed = self.flushed().await?;
        }
        if flushed < inserted {
            return Err(unavailable("the server does not bring its write-ahead log to disk"));
        }
        Ok(())
    }

    async fn flushed(&mut self) -> Result<i64, StoreError> {
        let row = self.link.one(CALL, sqlx::query(self.flushed.clone())).await?;
        row.try_get(0).map_err(store_error)
    }
}

#[async_trait]
impl Source for PgSource {
    fn server_started(&self) -> Option<i64> {
        Some(self.started)
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<Read, StoreError> {
        let (rows, whole) = self.rows(request).await?;
        let full = rows.len() >= request.max_events as usize;
        let complete = !full && !whole.is_some_and(|whole| whole.shortened);
        // An emptied log that counts from 1 again looks idle until it has caught up with its reader.
        if rows.is_empty() && request.open.is_empty() && self.looked.elapsed() < TRUST {
            return Ok(Read { rows, complete, evidence: Evidence::Unsampled });
        }
        let sight = self.look(!request.open.is_empty() || has_gaps(request.after, &rows)).await?;
        if let Some(last) = sight.last_position.filter(|last| *last < request.after) {
            return Err(drawn_back(last, request.after));
        }
        refuse_strays(&rows, sight.last_position)?;
        if let Some(whole) = whole {
            let inserted = whole
                .inserted
                .ok_or_else(|| unavailable("the server has become a standby; point the relay at the primary"))?;
            self.settle(inserted, sight.flushed).await?;
        }
        Ok(Read { rows, complete, evidence: sight.holders.map_or(Evidence::Unsampled, Evidence::Holders) })
    }

    async fn last_position(&mut self) -> Result<Position, StoreError> {
        self.start.last_position(&mut self.link).await
    }

    async fn locate(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError> {
        self.find_start(start).await
    }

    async fn open_positions(&mut self, above: Position, to: Position) -> Result<PositionSet, StoreError> {
        self.missing(above, to).await
    }

    async fn verify(&mut self, proof: &Proof) -> Result<(), StoreError> {
        self.look(false).await?;
        self.start.verify(&mut self.link, proof).await
    }
}

/// Reads row by row: the driver's own rows are gone before the last has come.
async fn collect(
    connection: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
) -> Result<(Vec<LogRow>, Option<Whole>), sqlx::Error> {
    let mut stream = query.fetch(connection);
    let mut rows = Vec::new();
    let mut whole = None;
    while let Some(found) = stream.try_next().await? {
        if whole.is_none() {
            whole = Some(row::whole(&found)?);
        }
        rows.push(row::read(&found)?);
    }
    Ok((rows, whole))
}

/// A position that no insert has drawn was given by hand. To go on behind it would bury all that will be drawn below it.
fn refuse_strays(rows: &[LogRow], last_drawn: Option<Position>) -> Result<(), StoreError> {
    let highest = rows.iter().map(LogRow::position).max();
    let Some((position, last)) = highest.zip(last_drawn).filter(|(position, last)| position > last) else {
        return Ok(());
    };
    Err(precondition(format!(
        "the event at position {position} was given its position by hand, for the last one drawn is {last}; nothing is published \
         before that is mended: delete it and write it again without a position, or let the sequence go on behind it with setval"
    )))
}

/// Open ranges, those less than [`NEAR`] positions apart as one: a transaction of 100,000 events among other writers leaves
/// thousands of them, and a probe of every segment for each would take longer than reading what lies between.
fn spans(open: &PositionSet) -> Vec<(Position, Position)> {
    let mut spans: Vec<(Position, Position)> = Vec::new();
    for range in open.ranges() {
        match spans.last_mut() {
            Some((_, last)) if range.start() - *last <= NEAR => *last = *range.end(),
            _ => spans.push((*range.start(), *range.end())),
        }
    }
    spans
}

/// Whether a position is missing between the rows above `after`.
fn has_gaps(after: Position, rows: &[LogRow]) -> bool {
    let mut last = after;
    rows.iter().map(LogRow::position).filter(|position| *position > after).any(|position| {
        let gap = position > last + 1;
        last = position;
        gap
    })
}

/// Reads `3/45 1234`, or `3/45 prepared`.
pub(super) fn holder(name: &str) -> Holder {
    let (transaction, pid) = name.split_once(' ').unwrap_or((name, ""));
    let pid = pid.parse().ok();
    Holder { transaction: transaction.to_owned(), pid, prepared: pid.is_none() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_lie_close_together_are_one_span() {
        let open: PositionSet = [1..=2, 10..=10, 74..=80, 145..=150].into_iter().collect();
        assert_eq!(spans(&open), [(1, 80), (145, 150)]);
        assert!(spans(&PositionSet::new()).is_empty());
    }

    #[test]
    fn gaps_are_seen_above_the_frontier_alone() {
        let rows = |positions: &[i64]| positions.iter().copied().map(LogRow::Filtered).collect::<Vec<_>>();
        assert!(!has_gaps(5, &rows(&[2, 4, 6, 7])));
        assert!(has_gaps(5, &rows(&[7])));
        assert!(has_gaps(5, &rows(&[6, 8])));
        assert!(!has_gaps(5, &rows(&[])));
    }

    #[test]
    fn holders_say_whether_they_are_prepared() {
        assert_eq!(holder("3/45 12"), Holder { transaction: "3/45".into(), pid: Some(12), prepared: false });
        assert_eq!(holder("-1/900 prepared"), Holder { transaction: "-1/900".into(), pid: None, prepared: true });
    }
}
