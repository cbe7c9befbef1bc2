//! Reads the log. One writer at a time means positions in commit order: what is missing is never filled.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use outbox_core::continuity::another_log;
use outbox_core::source::{Evidence, Proof, Read, ReadRequest, Source, Start};
use outbox_core::{Filter, Names, Position, PositionSet, StoreError, StoreErrorKind};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, SqlStr};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::connection::{CALL, WALK, bounded, json_list, statement, store_error};
use super::filter::{FilterValues, reading_statement, time_text};
use super::place::identity;
use super::row;

const READ: &str = outbox_core::sql::sqlite::SOURCE_READ;
const LAST_POSITION: &str = outbox_core::sql::sqlite::SOURCE_LAST_POSITION;
const SINCE: &str = outbox_core::sql::sqlite::SOURCE_SINCE;
const PROOF: &str = outbox_core::sql::sqlite::SOURCE_PROOF;
const BOTH_ENDS: &str = outbox_core::sql::sqlite::STATUS_LOG;
const FLOOR: &str = outbox_core::sql::sqlite::SOURCE_FLOOR;

/// How long a log is believed to be the one it was.
const TRUST: Duration = Duration::from_secs(2);

/// The reader of one file.
#[derive(Debug)]
pub(super) struct SqliteSource {
    connection: SqliteConnection,
    write_ahead_log: PathBuf,
    file: PathBuf,
    /// Which file that was when it was opened.
    identity: Option<String>,
    filter: Option<FilterValues>,
    read: SqlStr,
    last_position: SqlStr,
    since: SqlStr,
    proof: SqlStr,
    both_ends: SqlStr,
    floor: SqlStr,
    looked: Instant,
}

impl SqliteSource {
    pub(super) async fn new(
        mut connection: SqliteConnection,
        names: &Names,
        filter: &Filter,
    ) -> Result<Self, StoreError> {
        // SQLite's own name of the file, with links followed: that is where its write-ahead log lies.
        let file = sqlx::query_scalar::<_, String>("SELECT file FROM pragma_database_list WHERE name = 'main'");
        let file = bounded(CALL, file.fetch_one(&mut connection)).await?;
        let filter = FilterValues::new(filter)?;
        Ok(Self {
            connection,
            write_ahead_log: PathBuf::from(format!("{file}-wal")),
            identity: identity(Path::new(&file)),
            file: file.into(),
            read: reading_statement(names, READ, filter.as_ref()),
            filter,
            last_position: statement(names, LAST_POSITION),
            since: statement(names, SINCE),
            proof: statement(names, PROOF),
            both_ends: statement(names, BOTH_ENDS),
            floor: statement(names, FLOOR),
            looked: Instant::now(),
        })
    }

    async fn try_read(&mut self, request: &ReadRequest) -> Result<Read, sqlx::Error> {
        let mut open = request.open.clone();
        if request.above {
            // What lies above is read anyway, and must not come back twice.
            open.remove(request.after.saturating_add(1)..=Position::MAX);
        }
        let open = json_list(open.ranges().map(|range| format!("[{},{}]", range.start(), range.end())));
        let max_events = i64::from(request.max_events.max(1));
        let query = sqlx::query(self.read.clone())
            .bind(request.above.then_some(request.after))
            .bind(open)
            .bind(max_events)
            .bind(i64::try_from(request.max_bytes).unwrap_or(i64::MAX));
        let query = match &self.filter {
            Some(filter) => filter.bind(query),
            None => query,
        };
        let mut answer = query.fetch(&mut self.connection);
        let (mut rows, mut found) = (Vec::new(), 0);
        while let Some(row) = answer.try_next().await? {
            found = row::found(&row)?;
            rows.push(row::read(&row)?);
        }
        // In order already, but SQL promises it only to those who ask, and asking costs a sort of the payloads.
        rows.sort_by_key(outbox_core::source::Row::position);
        let complete = found < max_events && i64::try_from(rows.len()) == Ok(found);
        Ok(Read { rows, complete, evidence: Evidence::CommitOrder })
    }

    async fn floor(&mut self) -> Result<Position, StoreError> {
        let query = sqlx::query_scalar::<_, Option<Position>>(self.floor.clone());
        Ok(bounded(CALL, query.fetch_one(&mut self.connection)).await?.unwrap_or_default())
    }

    /// What may be found below the floor: cleanup leaves events there that another subscription still owes.
    async fn left_below(&mut self, floor: Position) -> Result<PositionSet, StoreError> {
        let ends = bounded(CALL, sqlx::query(self.both_ends.clone()).fetch_one(&mut self.connection)).await?;
        let lowest: Option<Position> = ends.try_get("first_position").map_err(store_error)?;
        let left = lowest.filter(|lowest| *lowest < floor).map(|lowest| lowest..=floor - 1);
        Ok(left.into_iter().collect())
    }

    /// Refuses a log that ends below what was read of it.
    async fn check_end(&mut self, read: Position) -> Result<(), StoreError> {
        let last = self.last_position().await?;
        if last >= read {
            return Ok(());
        }
        Err(another_log(&format!("it was read up to position {read} and now ends at {last}")))
    }

    /// Refuses to go on with a file that is no longer the one of this name: what was put in its place is another log.
    fn check_file(&self) -> Result<(), StoreError> {
        if identity(&self.file) == self.identity {
            return Ok(());
        }
        let message = "the database file was replaced or removed; opening it again";
        Err(StoreError::new(StoreErrorKind::Unavailable, message))
    }

    /// What is done where a subscription starts at a position, which the log must have reached.
    async fn before(&mut self, position: Position) -> Result<Position, StoreError> {
        let floor = self.floor().await?;
        let last = self.last_position().await?.max(floor);
        if position.saturating_sub(1) <= last {
            return Ok(position.saturating_sub(1).max(floor));
        }
        let message =
            format!("the log ends at {last}; start at position:{} or earlier, or at now", last.saturating_add(1));
        Err(StoreError::new(StoreErrorKind::Precondition, message))
    }

    async fn time(&mut self, time: OffsetDateTime) -> Result<Option<Position>, StoreError> {
        let query = sqlx::query_scalar(self.since.clone()).bind(time_text(time)?);
        bounded(WALK, query.fetch_optional(&mut self.connection)).await
    }
}

#[async_trait]
impl Source for SqliteSource {
    async fn read(&mut self, request: &ReadRequest) -> Result<Read, StoreError> {
        let read = bounded(WALK, self.try_read(request)).await?;
        if !read.rows.is_empty() {
            make_durable(self.write_ahead_log.clone()).await?;
        }
        if self.looked.elapsed() >= TRUST {
            // An emptied log that counts from 1 again looks idle until it has caught up with its reader.
            self.check_end(request.after).await?;
            self.check_file()?;
            self.looked = Instant::now();
        }
        Ok(read)
    }

    async fn last_position(&mut self) -> Result<Position, StoreError> {
        bounded(CALL, sqlx::query_scalar(self.last_position.clone()).fetch_one(&mut self.connection)).await
    }

    async fn locate(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError> {
        let position = match start {
            Start::Beginning => {
                let floor = self.floor().await?;
                return Ok((floor, self.left_below(floor).await?));
            }
            Start::Now => self.last_position().await?,
            Start::Position(position) => self.before(position).await?,
            Start::Time(time) => match self.time(time).await? {
                Some(position) => position - 1,
                None => self.last_position().await?,
            },
        };
        Ok((position, PositionSet::new()))
    }

    async fn verify(&mut self, proof: &Proof) -> Result<(), StoreError> {
        let positions = json_list(proof.events.iter().map(|(position, _)| position));
        let query = sqlx::query(self.proof.clone()).bind(positions);
        let rows = bounded(CALL, query.fetch_all(&mut self.connection)).await?;
        for (row, (position, expected)) in rows.iter().zip(&proof.events) {
            let floor: Option<Position> = row.try_get(2).map_err(store_error)?;
            let there: bool = !row.try_get_raw(1).map(|value| sqlx::ValueRef::is_null(&value)).map_err(store_error)?;
            let found = row::event_id(row, 1).map_err(store_error)?.unwrap_or_default();
            let same = there && found == *expected;
            if !same && *position > floor.unwrap_or_default() {
                return Err(discontinuity(*position, there));
            }
        }
        self.check_end(proof.position).await
    }
}

fn discontinuity(position: Position, there: bool) -> StoreError {
    another_log(&if there {
        format!("position {position} holds another event than was read there")
    } else {
        format!("the event that was read at position {position} is gone, and cleanup has not been there")
    })
}

/// Syncs the write-ahead log, where a commit under `synchronous = NORMAL` may still be all there is of the rows read.
///
/// Never the database file: closing any descriptor of it would drop this process's POSIX locks on it. Other journal
/// modes have no such log and sync at commit.
async fn make_durable(write_ahead_log: PathBuf) -> Result<(), StoreError> {
    let synced = tokio::task::spawn_blocking(move || sync(&write_ahead_log));
    let failed = |cause: std::io::Error| {
        let message = "the write-ahead log could not be synced to disk; check the disk and the file's permissions";
        StoreError::new(StoreErrorKind::Unavailable, message).caused_by(cause)
    };
    match tokio::time::timeout(WALK, synced).await {
        Ok(Ok(done)) => done.map_err(failed),
        Ok(Err(panicked)) => Err(failed(panicked.into())),
        Err(late) => Err(failed(late.into())),
    }
}

fn sync(write_ahead_log: &Path) -> std::io::Result<()> {
    let opened = match OpenOptions::new().write(true).open(write_ahead_log) {
        // One who may only read can sync all the same where the system lets him.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            File::open(write_ahead_log)
        }
        opened => opened,
    };
    match opened {
        Ok(file) => file.sync_data(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
