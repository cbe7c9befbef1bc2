//! Where a new subscription begins, and whether the log is still the one a relay remembers.

use outbox_core::continuity::another_log;
use outbox_core::source::Proof;
use outbox_core::{Names, Position, PositionSet, Start, StoreError};
use sqlx::{Row, SqlStr};
use time::OffsetDateTime;
use uuid::Uuid;

use super::connection::{CALL, Link, READ, WALK, statement};
use super::fault::{precondition, store_error};
use super::source::PgSource;

const LAST_POSITION: &str = outbox_core::sql::postgres::SOURCE_LAST_POSITION;
const BOTH_ENDS: &str = outbox_core::sql::postgres::STATUS_LOG;
const FLOOR: &str = outbox_core::sql::postgres::SOURCE_FLOOR;
const GAPS: &str = outbox_core::sql::postgres::SOURCE_GAPS;
const SINCE: &str = outbox_core::sql::postgres::SOURCE_SINCE;
const PROOF: &str = outbox_core::sql::postgres::SOURCE_PROOF;

/// The statements that find a start.
pub(super) struct StartStatements {
    last_position: SqlStr,
    both_ends: SqlStr,
    floor: SqlStr,
    gaps: SqlStr,
    since: SqlStr,
    proof: SqlStr,
}

impl StartStatements {
    pub(super) fn new(names: &Names) -> Self {
        Self {
            last_position: statement(names, LAST_POSITION),
            both_ends: statement(names, BOTH_ENDS),
            floor: statement(names, FLOOR),
            gaps: statement(names, GAPS),
            since: statement(names, SINCE),
            proof: statement(names, PROOF),
        }
    }

    /// The last position drawn, or the last visible for a user who may not read the sequence.
    pub(super) async fn last_position(&self, link: &mut Link) -> Result<Position, StoreError> {
        if let Some(drawn) = self.last_drawn(link).await? {
            return Ok(drawn);
        }
        let row = link.one(CALL, sqlx::query(self.both_ends.clone())).await?;
        Ok(row.try_get::<Option<_>, _>("last_position").map_err(store_error)?.unwrap_or_default())
    }

    async fn last_drawn(&self, link: &mut Link) -> Result<Option<Position>, StoreError> {
        let row = link.one(CALL, sqlx::query(self.last_position.clone())).await?;
        row.try_get(0).map_err(store_error)
    }

    async fn floor(&self, link: &mut Link) -> Result<Position, StoreError> {
        let row = link.optional(CALL, sqlx::query(self.floor.clone())).await?;
        let text: Option<String> = row.map(|row| row.try_get(0)).transpose().map_err(store_error)?;
        let floor = text.and_then(|text| text.parse().ok());
        floor.ok_or_else(|| precondition("the row `floor` of the table `meta` is damaged; restore it from a backup"))
    }

    /// The lowest visible position.
    async fn lowest(&self, link: &mut Link) -> Result<Option<Position>, StoreError> {
        let row = link.one(CALL, sqlx::query(self.both_ends.clone())).await?;
        row.try_get("first_position").map_err(store_error)
    }

    async fn gaps(&self, link: &mut Link, above: Position, to: Position) -> Result<PositionSet, StoreError> {
        let rows = link.all(WALK, sqlx::query(self.gaps.clone()).bind(above).bind(to)).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?..=row.try_get(1)?)).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn since(
        &self,
        link: &mut Link,
        floor: Position,
        time: OffsetDateTime,
    ) -> Result<Option<Position>, StoreError> {
        let row = link.optional(WALK, sqlx::query(self.since.clone()).bind(floor).bind(time)).await?;
        row.map(|row| row.try_get(0)).transpose().map_err(store_error)
    }

    pub(super) async fn verify(&self, link: &mut Link, proof: &Proof) -> Result<(), StoreError> {
        let last = self.last_drawn(link).await?;
        if let Some(last) = last.filter(|last| *last < proof.position) {
            return Err(drawn_back(last, proof.position));
        }
        let floor = self.floor(link).await?;
        let (positions, ids): (Vec<Position>, Vec<Uuid>) = proof.events.iter().copied().unzip();
        let query = sqlx::query(self.proof.clone()).bind(positions).bind(ids).bind(floor);
        let Some(row) = link.optional(READ, query).await? else {
            return Ok(());
        };
        let position: Position = row.try_get(0).map_err(store_error)?;
        let found: Option<Uuid> = row.try_get(1).map_err(store_error)?;
        Err(another_log(&match found {
            Some(_) => format!("position {position} holds another event than the one the relay read there"),
            None => format!("the event the relay read at position {position} is gone, and cleanup has not been there"),
        }))
    }
}

impl PgSource {
    /// What is missing up to a position that was drawn before this call, where somebody may hold it.
    pub(super) async fn missing(&mut self, above: Position, to: Position) -> Result<PositionSet, StoreError> {
        if self.holders().await?.is_empty() {
            tracing::debug!(to, "nobody writes to the outbox: nothing is open");
            return Ok(PositionSet::new());
        }
        self.start.gaps(&mut self.link, above, to).await
    }

    /// Finds where a new subscription begins.
    ///
    /// The order of the looks matters: first the last position drawn, then who may hold a position up to it, then what
    /// is missing up to it, and only then which event is the first of its time. Whoever ended in between is seen by the
    /// look that follows.
    pub(super) async fn find_start(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError> {
        let floor = self.start.floor(&mut self.link).await?;
        let time = match start {
            Start::Beginning => return Ok((floor, self.left_below(floor).await?)),
            Start::Position(position) => {
                let last = self.start.last_position(&mut self.link).await?.max(floor);
                if position.saturating_sub(1) > last {
                    return Err(precondition(beyond(last)));
                }
                return Ok((position.saturating_sub(1).max(floor), PositionSet::new()));
            }
            Start::Now => None,
            Start::Time(time) => Some(time),
        };
        let last = self.start.last_position(&mut self.link).await?.max(floor);
        let mut open = self.missing(floor, last).await?;
        let mut position = last;
        if let Some(time) = time
            && let Some(first) = self.start.since(&mut self.link, floor, time).await?
        {
            position = last.min(first - 1);
            open.remove(position + 1..=Position::MAX);
        }
        Ok((position, open))
    }
}

impl PgSource {
    /// What may be found below the floor: segments are emptied in any order, and a transaction that is open now may have
    /// drawn its position before.
    async fn left_below(&mut self, floor: Position) -> Result<PositionSet, StoreError> {
        let lowest = self.start.lowest(&mut self.link).await?;
        if lowest.is_some_and(|lowest| lowest < floor) || !self.holders().await?.is_empty() {
            return Ok(std::iter::once(1..=floor - 1).collect());
        }
        Ok(PositionSet::new())
    }
}

/// What is said of a start that the log has not reached: its checkpoint would be one of another log.
fn beyond(last: Position) -> String {
    format!("the log ends at {last}; start at position:{} or earlier, or at now", last.saturating_add(1))
}

/// The database counts from where it was before the relay read what it read.
pub(super) fn drawn_back(last: Position, read: Position) -> StoreError {
    another_log(&format!("the database has given out positions up to {last} only, and the relay has read up to {read}"))
}
