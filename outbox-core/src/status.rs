//! What `outbox-relay status` shows: one object, whose JSON form other programs read.

use serde::{Deserialize, Serialize};

use crate::event::Position;

/// The state of one outbox; unknown is `null` in its JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The version of this form: 1.
    pub version: u32,
    /// The database.
    pub database: DatabaseStatus,
    /// The log.
    pub log: LogStatus,
    /// Relays that said something of late.
    pub relays: Vec<RelayStatus>,
    /// Subscriptions by name.
    pub subscriptions: Vec<SubscriptionStatus>,
}

/// The database under an outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseStatus {
    /// `postgres` or `sqlite`.
    pub kind: &'static str,
    /// The server's version.
    pub server_version: String,
    /// The outbox's own id.
    pub instance: String,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogStatus {
    /// The lowest visible position.
    pub first_position: Option<Position>,
    /// The highest visible position.
    pub last_position: Option<Position>,
    /// Its size on disk.
    pub bytes: Option<u64>,
    /// Its segments.
    pub segments: Vec<SegmentStatus>,
}

/// One segment of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentStatus {
    /// Its number.
    pub segment: i16,
    /// Its size on disk.
    pub bytes: Option<u64>,
    /// `current`, `filled` or `empty`.
    pub state: &'static str,
    /// What keeps it from being emptied.
    pub blocked_by: Option<String>,
}

/// One relay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelayStatus {
    /// Its name.
    pub name: String,
    /// `alive`, or `silent` when it has said nothing for 15 seconds.
    pub state: &'static str,
    /// When it last said something.
    pub seen_seconds_ago: f64,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriptionStatus {
    /// Its name.
    pub name: String,
    /// Its publisher, without user and password.
    pub publisher: Option<String>,
    /// `running`, `idle`, `retrying`, `blocked`, `paused` or `unowned`.
    pub state: String,
    /// Events not yet done with. Events a filter leaves out count until the reader has passed them.
    pub lag_events: Option<u64>,
    /// The age of the oldest of them.
    pub lag_seconds: Option<f64>,
    /// The last error, until things go well again.
    pub last_error: Option<String>,
    /// Keys with an event that will not pass.
    pub parked_keys: u64,
    /// Events that will not pass.
    pub parked_events: u64,
    /// Missing positions that open transactions may still fill.
    pub holes: Vec<HoleStatus>,
    /// Its partitions.
    pub partitions: Vec<PartitionStatus>,
}

/// One hole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HoleStatus {
    /// The first missing position.
    pub from: Position,
    /// The last missing position.
    pub to: Position,
    /// How long it has been known.
    pub age_seconds: f64,
    /// Who may still fill it.
    pub holders: Vec<HolderStatus>,
}

/// One transaction that keeps a hole open.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HolderStatus {
    /// Its session's process, unless it is prepared.
    pub pid: Option<i32>,
    /// Its user.
    pub user: Option<String>,
    /// What its session calls itself; the global id of a prepared transaction.
    pub application: Option<String>,
    /// How long it has been open.
    pub age_seconds: Option<f64>,
    /// Whether it is prepared.
    pub prepared: bool,
}

/// One partition of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Its number, from 0.
    pub partition: i32,
    /// The relay that works it.
    pub owner: Option<String>,
    /// The epoch of its checkpoint.
    pub epoch: i64,
    /// Everything up to here is done …
    pub position: Position,
    /// … but for these, as `{[12,15],[20,20]}`.
    pub open: String,
}

/// A hole as a relay reports it with its lease; the store adds what the database knows of the holders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedHole {
    /// The first missing position.
    pub from: Position,
    /// The last missing position.
    pub to: Position,
    /// When it was first seen, in seconds since 1970 by the relay's clock: shown, never acted on.
    pub first_seen: f64,
    /// Who may still fill it.
    pub holders: Vec<ReportedHolder>,
}

/// A holder as a relay reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedHolder {
    /// The database's name for the transaction.
    pub transaction: String,
    /// Its session's process, unless it is prepared.
    pub pid: Option<i32>,
    /// Whether it is prepared.
    pub prepared: bool,
}

/// A relay that has said nothing for so many seconds is shown as silent.
pub const SILENT_AFTER_SECONDS: f64 = 15.0;
