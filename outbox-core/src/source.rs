//! Reading the log: what a relay asks of a database, and what comes back from one snapshot.

use std::collections::BTreeSet;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::StoreError;
use crate::event::{Event, JSON, Position};
use crate::partition::Portion;
use crate::position::PositionSet;

/// One read: everything visible above `after`, and in the open ranges below it.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// Read positions above this one.
    pub after: Position,
    /// Read these positions too.
    pub open: PositionSet,
    /// Whether to read above `after` at all, or the open positions alone.
    pub above: bool,
    /// At most so many rows come back; at least 1.
    pub max_events: u32,
    /// At most so many bytes of payloads, headers and other texts come back; a single larger event comes back alone.
    pub max_bytes: u64,
    /// Some of the partitions of the subscription; `None` for all. Events of others may come back as [`Row::Filtered`].
    pub portion: Option<Portion>,
}

impl ReadRequest {
    /// All there is above a position, without any limit.
    pub fn above(after: Position) -> Self {
        let (max_events, max_bytes) = (u32::MAX, u64::MAX);
        Self { after, open: PositionSet::new(), above: true, max_events, max_bytes, portion: None }
    }
}

/// A row of the log as one reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// An event that passes the filter.
    Event(Box<Event>),
    /// An event that does not, or of a partition that was not asked for; it was read because only its position says that nothing
    /// is missing there.
    Filtered(Position),
    /// A row that cannot become an event, such as a key that is not UTF-8.
    Unreadable(Unreadable),
}

/// A row that cannot become an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Where it stands.
    pub position: Position,
    /// Its id, if that could be read.
    pub event_id: Uuid,
    /// Its topic, with what is not UTF-8 replaced.
    pub topic: String,
    /// Its key, with what is not UTF-8 replaced.
    pub key: String,
    /// Why it cannot become an event.
    pub reason: String,
    /// What could be read of it, to be kept aside; it is not what the writer wrote.
    pub copy: Option<Box<Event>>,
}

impl Unreadable {
    /// A row of which this could be read.
    pub fn of(copy: Box<Event>, reason: String) -> Self {
        let Event { position, event_id, topic, key, .. } = &*copy;
        Self {
            position: *position,
            event_id: *event_id,
            topic: topic.clone(),
            key: key.clone(),
            reason,
            copy: Some(copy),
        }
    }

    /// What could be read of it.
    pub fn into_copy(self) -> Box<Event> {
        let Self { position, event_id, topic, key, copy, .. } = self;
        copy.unwrap_or_else(|| {
            Box::new(Event {
                position,
                event_id,
                topic,
                key,
                event_type: None,
                aggregate_type: None,
                operation: None,
                payload: None,
                old_payload: None,
                content_type: JSON.into(),
                headers: None,
                tenant_id: None,
                actor: None,
                schema_version: None,
                transaction_id: None,
                occurred_at: OffsetDateTime::UNIX_EPOCH,
            })
        })
    }
}

impl Row {
    /// Where the row stands.
    pub fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.position,
            Self::Filtered(position) => *position,
            Self::Unreadable(row) => row.position,
        }
    }
}

/// What one read brought, all of it from one snapshot.
#[derive(Debug, Clone)]
pub struct Read {
    /// Rows in position order. Each is durable: no crash of the database takes one back.
    pub rows: Vec<Row>,
    /// Whether no limit cut the answer short: what is missing anywhere was invisible in this snapshot.
    pub complete: bool,
    /// What is known of the transactions that may still fill a missing position.
    pub evidence: Evidence,
}

/// What is known of the transactions that may still fill a missing position.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// The database gives positions in commit order: what is missing below a visible row is never filled.
    CommitOrder,
    /// Every transaction that could have drawn a position and not yet ended, looked up *after* the read's snapshot.
    Holders(Vec<Holder>),
    /// Nobody looked, because this read needed no such knowledge.
    Unsampled,
}

/// A transaction that holds a lock only writers of the outbox take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The database's name for the transaction, unique while the server runs.
    pub transaction: String,
    /// The session's process, unless the transaction is prepared.
    pub pid: Option<i32>,
    /// Whether it is prepared for two-phase commit. `PREPARE` hands the locks of a session to such a transaction.
    pub prepared: bool,
}

impl Holder {
    /// Keeps of `holders` those who have not ended by the time of a later sample.
    ///
    /// `PREPARE` gives a transaction another name: where one has vanished, every prepared one may be it.
    pub fn keep_open(holders: &mut BTreeSet<Self>, sample: &BTreeSet<Self>) {
        let before = holders.len();
        holders.retain(|holder| sample.contains(holder));
        if holders.len() < before {
            holders.extend(sample.iter().filter(|holder| holder.prepared).cloned());
        }
    }
}

/// Where a new subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the first event that cleanup has left.
    #[default]
    Beginning,
    /// At what comes next; what is open at that moment is still delivered.
    Now,
    /// At this position.
    Position(Position),
    /// At the first event captured at or after this time, by the database's clock.
    Time(OffsetDateTime),
}

/// What a relay remembers of the log, to recognise it after a reconnect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// How far the log was read: the database must have given out at least this position.
    pub position: Position,
    /// The last events read: each must still be there, or below the floor.
    pub events: Vec<(Position, Uuid)>,
}

/// Reads the log of one database over a connection of its own.
///
/// Dropping a future of this trait may leave the connection unusable: drop the source as well and open a new one.
/// No transaction stays open between calls.
#[async_trait]
pub trait Source: Send {
    /// When the server this connection leads to was started, as it says itself, where it says so.
    fn server_started(&self) -> Option<i64> {
        None
    }

    /// Reads once, in one statement and so from one snapshot.
    ///
    /// Rows come back only when they are durable. A server that restarted since the last call is an error, even where a
    /// pooler hides it: what was read before the restart may not have survived it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after any error the source is of no further use.
    async fn read(&mut self, request: &ReadRequest) -> Result<Read, StoreError>;

    /// The highest position given out so far, whether its transaction committed or not; for a user who may read the log and
    /// nothing else, the highest visible.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Source::read`].
    async fn last_position(&mut self) -> Result<Position, StoreError>;

    /// Where a new subscription begins: everything up to the position is not for it, but for the open positions.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Source::read`].
    async fn locate(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError>;

    /// The positions above `above`, up to `to`, that nobody sees and an open transaction may still fill.
    ///
    /// Default: none, which holds for a database that gives positions in commit order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Source::read`].
    async fn open_positions(&mut self, _above: Position, _to: Position) -> Result<PositionSet, StoreError> {
        Ok(PositionSet::new())
    }

    /// Checks that this is the log the proof was taken from.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Continuity`](crate::StoreErrorKind::Continuity) when it is not.
    async fn verify(&mut self, proof: &Proof) -> Result<(), StoreError>;
}
