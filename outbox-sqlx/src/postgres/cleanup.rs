//! Empties segments: looks without locks, and locks without waiting.

mod survey;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use outbox_core::cleanup::{Cleaner, Cut, Obstacle, Removal, Removed, Survey};
use outbox_core::{Names, Position, StoreError};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnection;
use sqlx::{Row, SqlStr};

pub(super) use survey::Surveyor;

use super::address::Address;
use super::connection::{CALL, Link, WALK, assembled, segment_statement, statement};
use super::fault::{precondition, store_error};

const PRIVILEGES: &str = outbox_core::sql::postgres::CLEANUP_PRIVILEGES;
const TURN: &str = outbox_core::sql::postgres::CLEANUP_TURN;
const LAST: &str = outbox_core::sql::postgres::CLEANUP_LAST;
const NEWEST: &str = outbox_core::sql::postgres::CLEANUP_NEWEST;
const EXPECT: &str = outbox_core::sql::postgres::CLEANUP_EXPECT;
const EMPTY: &str = outbox_core::sql::postgres::CLEANUP_EMPTY;
const LETTERS: &str = outbox_core::sql::postgres::CLEANUP_LETTERS;
const FORGET: &str = outbox_core::sql::postgres::CLEANUP_FORGET;
const NOTE: &str = outbox_core::sql::postgres::CLEANUP_NOTE;

/// How often a segment is tried that somebody has locked at this moment: a reader is gone in some milliseconds.
const TRIES: u32 = 5;
/// How long a cleaner waits between two tries, in milliseconds.
const PAUSE: std::ops::Range<u64> = 20..100;

/// So many dead letters go in one statement.
const LETTERS_AT_ONCE: u64 = 500;

/// What a message begins with that is a transaction.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;";

/// PostgreSQL's code of a lock that is not to be had.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// PostgreSQL's code of something it does not do: to empty a table at which a foreign key points, even from an empty one.
const NOT_SUPPORTED: &str = "0A000";
/// PostgreSQL's code of a division by zero, with which the check under the lock ends the transaction.
const CHECK_FAILED: &str = "22012";

/// The cleaner of one database.
pub(super) struct PgCleaner {
    link: Link,
    names: Names,
    surveyor: Surveyor,
    /// When the newest event of a segment was captured, in seconds since 1970, as long as its last position is this.
    newest: BTreeMap<i16, (Position, Option<f64>)>,
    noted: Option<String>,
}

/// How a try to empty a segment ended.
enum Try {
    Done,
    /// Somebody holds a lock.
    Locked,
    /// It is not as it was expected to be.
    Changed,
    /// A foreign key points at it.
    Referenced,
}

impl PgCleaner {
    pub(super) async fn open(address: &Address, names: &Names) -> Result<Self, StoreError> {
        let mut link = Link::open(address, WALK).await?;
        check_privileges(&mut link, names).await?;
        let surveyor = Surveyor::open(&mut link, names).await?;
        Ok(Self { link, names: names.clone(), surveyor, newest: BTreeMap::new(), noted: None })
    }

    /// How old the newest event of a segment is; `None` where no event in it has a time.
    async fn newest_age(&mut self, removal: &Removal) -> Result<Option<f64>, StoreError> {
        let segment = removal.segment;
        let last = self.link.one(CALL, sqlx::query(segment_statement(&self.names, LAST, segment))).await?;
        let now: f64 = last.try_get("now").map_err(store_error)?;
        let of_last: Option<f64> = last.try_get("captured").map_err(store_error)?;
        // Only where the last event is old enough is it worth the while to read the others.
        if let Some(captured) = of_last.filter(|captured| now - captured < removal.keep.as_secs_f64()) {
            return Ok(Some(now - captured));
        }
        if let Some((_, newest)) = self.newest.get(&segment).filter(|(last, _)| *last == removal.last) {
            return Ok(newest.map(|newest| now - newest));
        }
        let row = self.link.one(WALK, sqlx::query(segment_statement(&self.names, NEWEST, segment))).await?;
        let newest: Option<f64> = row.try_get("newest").map_err(store_error)?;
        self.newest.insert(segment, (removal.last, newest));
        Ok(newest.map(|newest| now - newest))
    }

    async fn try_to_empty(&mut self, removal: &Removal) -> Result<Try, StoreError> {
        let none = Cut { readers: Vec::new(), reason: String::new() };
        let cut = removal.cut.as_ref().unwrap_or(&none);
        let pooled = self.link.is_pooled();
        let expected = sqlx::query(statement(&self.names, EXPECT));
        let expected = expected.bind(removal.last).bind(&cut.readers).bind(&cut.reason).bind(pooled);
        let expected = self.link.prepared(expected);
        let message = segment_statement(&self.names, EMPTY, removal.segment);
        // Behind a pooler the transaction is there already, and ends with the message all the same.
        let message = if pooled { assembled(message.as_str().replace(BEGIN, "")) } else { message };
        let work = async |connection: &mut PgConnection| {
            expected.execute(&mut *connection).await?;
            send(connection, message).await
        };
        self.link.call(CALL, work).await
    }

    /// Who keeps the segment from being locked, or that nobody does any more.
    async fn in_the_way(&mut self, segment: i16) -> Result<Obstacle, StoreError> {
        let mut holders = self.surveyor.holders(&mut self.link).await?;
        Ok(holders.remove(&segment).map_or(Obstacle::Changing, Obstacle::Locked))
    }
}

#[async_trait]
impl Cleaner for PgCleaner {
    async fn survey(&mut self) -> Result<Survey, StoreError> {
        self.surveyor.survey(&mut self.link).await
    }

    async fn turn(&mut self, from: i16, to: i16) -> Result<bool, StoreError> {
        let query = sqlx::query(statement(&self.names, TURN)).bind(from).bind(to);
        Ok(self.link.optional(CALL, query).await?.is_some())
    }

    async fn preview(&mut self, removal: &Removal) -> Result<Removed, StoreError> {
        if removal.keep.is_zero() {
            return Ok(Removed::Gone(None));
        }
        match self.newest_age(removal).await? {
            Some(seconds) if seconds < removal.keep.as_secs_f64() => {
                Ok(Removed::Kept(Obstacle::Young { seconds, keep: removal.keep }))
            }
            _ => Ok(Removed::Gone(None)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "whoever holds the segment sends no signal")]
    async fn remove(&mut self, removal: &Removal) -> Result<Removed, StoreError> {
        let preview = self.preview(removal).await?;
        if preview != Removed::Gone(None) {
            return Ok(preview);
        }
        for turn in 1..=TRIES {
            match self.try_to_empty(removal).await? {
                Try::Done => return Ok(Removed::Gone(None)),
                Try::Changed => return Ok(Removed::Kept(Obstacle::Changing)),
                Try::Referenced => return Ok(Removed::Kept(Obstacle::Referenced)),
                Try::Locked if turn < TRIES => tokio::time::sleep(pause()).await,
                Try::Locked => {}
            }
        }
        self.in_the_way(removal.segment).await.map(Removed::Kept)
    }

    async fn forget(&mut self, keep: Duration, dry_run: bool) -> Result<u64, StoreError> {
        if dry_run {
            let query = sqlx::query(statement(&self.names, LETTERS)).bind(keep.as_secs_f64());
            return self.link.one(CALL, query).await?.try_get::<i64, _>(0).map(i64::unsigned_abs).map_err(store_error);
        }
        let mut forgotten = 0;
        loop {
            let query = sqlx::query(statement(&self.names, FORGET)).bind(keep.as_secs_f64());
            let gone = self.link.run(CALL, query.bind(LETTERS_AT_ONCE.cast_signed())).await?.rows_affected();
            forgotten += gone;
            if gone < LETTERS_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }

    async fn note(&mut self, trouble: Option<&str>) -> Result<(), StoreError> {
        let text = super::checkpoint::storable(trouble.unwrap_or_default());
        if self.noted.as_ref() != Some(&text) {
            self.link.run(CALL, sqlx::query(statement(&self.names, NOTE)).bind(&text)).await?;
            self.noted = Some(text);
        }
        Ok(())
    }
}

/// Sends the whole transaction as one message; what ends it early is answered with a rollback.
async fn send(connection: &mut PgConnection, message: SqlStr) -> Result<Try, sqlx::Error> {
    let Err(error) = sqlx::raw_sql(message).execute(&mut *connection).await else { return Ok(Try::Done) };
    let outcome = match error.as_database_error().and_then(DatabaseError::code).as_deref() {
        Some(LOCK_NOT_AVAILABLE) => Try::Locked,
        Some(CHECK_FAILED) => Try::Changed,
        Some(NOT_SUPPORTED) => Try::Referenced,
        _ => return Err(error),
    };
    sqlx::raw_sql("ROLLBACK").execute(connection).await?;
    Ok(outcome)
}

async fn check_privileges(link: &mut Link, names: &Names) -> Result<(), StoreError> {
    let rows = link.all(CALL, sqlx::query(statement(names, PRIVILEGES))).await?;
    let missing: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(store_error)?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(precondition(format!(
        "the user lacks privileges to clean; as the owner of the tables run: {}",
        missing.join("; ")
    )))
}

/// Cleaners that met once do not meet again.
fn pause() -> Duration {
    Duration::from_millis(fastrand::u64(PAUSE))
}
