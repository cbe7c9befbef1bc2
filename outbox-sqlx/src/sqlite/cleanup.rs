//! Deletes what everybody has passed, a few hundred events at a time.

use std::time::Duration;

use async_trait::async_trait;
use outbox_core::cleanup::{Cleaner, Ends, Obstacle, Reader, Removal, Removed, Segment, Survey};
use outbox_core::{Names, Position, PositionSet, StoreError};
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, SqlStr};

use super::connection::{BEGIN_WRITE, CALL, bounded, json_list, statement};

const SEGMENT: &str = outbox_core::sql::sqlite::CLEANUP_SEGMENT;
const READERS: &str = outbox_core::sql::sqlite::CLEANUP_READERS;
const CANDIDATES: &str = outbox_core::sql::sqlite::CLEANUP_CANDIDATES;
const REMOVE: &str = outbox_core::sql::sqlite::CLEANUP_REMOVE;
const FLOOR: &str = outbox_core::sql::sqlite::CLEANUP_FLOOR;
const LETTERS: &str = outbox_core::sql::sqlite::CLEANUP_LETTERS;
const FORGET: &str = outbox_core::sql::sqlite::CLEANUP_FORGET;
const NOTE: &str = outbox_core::sql::sqlite::CLEANUP_NOTE;
const NOTED: &str = outbox_core::sql::sqlite::CLEANUP_NOTED;

/// So many events, or dead letters, go in one transaction.
const CHUNK: u32 = 500;
/// How long the application's own writers may have the file to themselves between two chunks.
const BREATH: Duration = Duration::from_millis(5);

/// The cleaner of one file.
#[derive(Debug)]
pub(super) struct SqliteCleaner {
    connection: SqliteConnection,
    segment: SqlStr,
    readers: SqlStr,
    candidates: SqlStr,
    remove: SqlStr,
    floor: SqlStr,
    letters: SqlStr,
    forget: SqlStr,
    note: SqlStr,
    noted: SqlStr,
    last_note: Option<String>,
}

/// What one walk over the next events found.
#[derive(Default)]
struct Chunk {
    /// How far it came; nothing is to be found beyond if it is not there.
    reached: Option<Position>,
    removed: u64,
    /// A foreign key points at one of them, so that none was removed.
    referenced: bool,
    /// The first one that stays because somebody has still to publish it, and who.
    owed: Option<(String, Position)>,
}

impl SqliteCleaner {
    pub(super) fn new(connection: SqliteConnection, names: &Names) -> Self {
        Self {
            connection,
            segment: statement(names, SEGMENT),
            readers: statement(names, READERS),
            candidates: statement(names, CANDIDATES),
            remove: statement(names, REMOVE),
            floor: statement(names, FLOOR),
            letters: statement(names, LETTERS),
            forget: statement(names, FORGET),
            note: statement(names, NOTE),
            noted: statement(names, NOTED),
            last_note: None,
        }
    }

    async fn try_survey(&mut self) -> Result<Survey, sqlx::Error> {
        let mut tx = self.connection.begin().await?;
        let trouble: Option<String> = sqlx::query_scalar(self.noted.clone()).fetch_optional(&mut *tx).await?;
        let segment = segment(&sqlx::query(self.segment.clone()).fetch_one(&mut *tx).await?)?;
        let readers = sqlx::query(self.readers.clone()).fetch_all(&mut *tx).await?;
        let readers = readers.iter().map(reader).collect::<Result<_, _>>()?;
        tx.rollback().await?;
        let trouble = trouble.filter(|trouble| !trouble.is_empty());
        Ok(Survey { segments: vec![segment], readers, used: 1, one_by_one: true, trouble })
    }

    /// Looks at the next events and removes those that may go; `dry` leaves them.
    async fn chunk(&mut self, removal: &Removal, above: Position, dry: bool) -> Result<Chunk, sqlx::Error> {
        let mut tx = if dry { self.connection.begin().await? } else { self.connection.begin_with(BEGIN_WRITE).await? };
        let readers = sqlx::query(self.readers.clone()).fetch_all(&mut *tx).await?;
        let Some((passed, open)) = claims(&readers)? else { return Ok(Chunk::default()) };
        let open = open.ranges().map(|range| format!("[{},{}]", range.start(), range.end()));
        let rows = sqlx::query(self.candidates.clone())
            .bind(above)
            .bind(removal.last.min(passed))
            .bind(removal.keep.as_secs_f64())
            .bind(CHUNK)
            .bind(json_list(open))
            .fetch_all(&mut *tx)
            .await?;
        let (mut gone, mut owed) = (Vec::with_capacity(rows.len()), None);
        for row in &rows {
            let position = row.try_get("position")?;
            if !row.try_get::<bool, _>("owed")? {
                gone.push(position);
            } else if owed.is_none() {
                owed = owing(&readers, position)?.map(|reader| (reader, position));
            }
        }
        if let (Some(last), false) = (gone.last(), dry) {
            let removed = sqlx::query(self.remove.clone()).bind(json_list(&gone)).execute(&mut *tx).await;
            if removed.as_ref().is_err_and(is_referenced) {
                return Ok(Chunk { referenced: true, ..Chunk::default() });
            }
            removed?;
            sqlx::query(self.floor.clone()).bind(last).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        let reached = rows.last().map(|row| row.try_get("position")).transpose()?;
        Ok(Chunk { reached, removed: gone.len() as u64, referenced: false, owed })
    }

    #[expect(clippy::disallowed_methods, reason = "a pause in which writers may write, who send no signal")]
    async fn walk(&mut self, removal: &Removal, dry: bool) -> Result<Removed, StoreError> {
        let (mut above, mut removed, mut owed) = (0, 0, None);
        loop {
            let chunk = bounded(CALL, self.chunk(removal, above, dry)).await?;
            removed += chunk.removed;
            owed = owed.or(chunk.owed);
            if chunk.referenced {
                return Ok(Removed::Kept(Obstacle::Referenced));
            }
            let Some(reached) = chunk.reached else { break };
            above = reached;
            if !dry {
                tokio::time::sleep(BREATH).await;
            }
        }
        if removed > 0 {
            return Ok(Removed::Gone(Some(removed)));
        }
        let why = match owed {
            Some((reader, position)) => Obstacle::Owed { reader, position },
            None => self.kept(removal).await?,
        };
        Ok(Removed::Kept(why))
    }

    /// Why nothing was there to be removed.
    async fn kept(&mut self, removal: &Removal) -> Result<Obstacle, StoreError> {
        let survey = self.survey().await?;
        let age = survey.segments[0].ends.and_then(|ends| ends.first_age);
        Ok(match age.filter(|age| *age < removal.keep.as_secs_f64()) {
            Some(seconds) => Obstacle::Young { seconds, keep: removal.keep },
            None => Obstacle::Changing,
        })
    }
}

#[async_trait]
impl Cleaner for SqliteCleaner {
    async fn survey(&mut self) -> Result<Survey, StoreError> {
        bounded(CALL, self.try_survey()).await
    }

    async fn turn(&mut self, _from: i16, _to: i16) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn preview(&mut self, removal: &Removal) -> Result<Removed, StoreError> {
        self.walk(removal, true).await
    }

    async fn remove(&mut self, removal: &Removal) -> Result<Removed, StoreError> {
        self.walk(removal, false).await
    }

    #[expect(clippy::disallowed_methods, reason = "a pause in which writers may write, who send no signal")]
    async fn forget(&mut self, keep: Duration, dry_run: bool) -> Result<u64, StoreError> {
        if dry_run {
            let query = sqlx::query_scalar::<_, i64>(self.letters.clone()).bind(keep.as_secs_f64());
            return bounded(CALL, query.fetch_one(&mut self.connection)).await.map(i64::unsigned_abs);
        }
        let mut forgotten = 0;
        loop {
            let query = sqlx::query(self.forget.clone()).bind(keep.as_secs_f64()).bind(CHUNK);
            let gone = bounded(CALL, query.execute(&mut self.connection)).await?.rows_affected();
            forgotten += gone;
            if gone < u64::from(CHUNK) {
                return Ok(forgotten);
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    async fn note(&mut self, trouble: Option<&str>) -> Result<(), StoreError> {
        let text = trouble.unwrap_or_default().to_owned();
        if self.last_note.as_ref() != Some(&text) {
            let note = sqlx::query(self.note.clone()).bind(&text);
            bounded(CALL, note.execute(&mut self.connection)).await?;
            self.last_note = Some(text);
        }
        Ok(())
    }
}

/// How far the slowest reader is, and what any of them still owes; `None` where nobody reads.
fn claims(readers: &[SqliteRow]) -> Result<Option<(Position, PositionSet)>, sqlx::Error> {
    let mut slowest: Option<Position> = None;
    let mut owed = PositionSet::new();
    for row in readers {
        let position = row.try_get("position")?;
        slowest = Some(slowest.map_or(position, |slowest| slowest.min(position)));
        open(row)?.ranges().for_each(|range| owed.insert(range.clone()));
    }
    Ok(slowest.map(|slowest| (slowest, owed)))
}

fn open(reader: &SqliteRow) -> Result<PositionSet, sqlx::Error> {
    let open: String = reader.try_get("open_positions")?;
    open.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Who has still to publish the event.
fn owing(readers: &[SqliteRow], position: Position) -> Result<Option<String>, sqlx::Error> {
    for row in readers {
        if open(row)?.contains(position) {
            return row.try_get("subscription").map(Some);
        }
    }
    Ok(None)
}

/// SQLite's extended code of a foreign key that would point at nothing.
fn is_referenced(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("787")
}

fn segment(row: &SqliteRow) -> Result<Segment, sqlx::Error> {
    let ends: (Option<Position>, Option<Position>) = (row.try_get("first")?, row.try_get("last")?);
    let first_age = row.try_get("first_age")?;
    Ok(Segment {
        number: 0,
        bytes: None,
        current: true,
        ends: ends.0.zip(ends.1).map(|(first, last)| Ends { first, last, first_age }),
        owed: Vec::new(),
        holders: Vec::new(),
    })
}

fn reader(row: &SqliteRow) -> Result<Reader, sqlx::Error> {
    Ok(Reader {
        name: row.try_get("subscription")?,
        position: row.try_get("position")?,
        leased: row.try_get("leased")?,
        silent_seconds: row.try_get("silent_seconds")?,
        cut_off: false,
    })
}
