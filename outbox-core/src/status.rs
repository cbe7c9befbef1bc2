//! What `outbox-relay status` shows: one object, whose JSON form other programs read.

mod gather;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::gather::{Gathered, StoredPartition, gather, overall};
use crate::continuity::Continuity;
use crate::event::Position;

mod glance;

pub use glance::{Backlog, Glance};

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
    /// How the outbox stands with its past; `None` where nothing can be restored or copied.
    pub continuity: Option<Continuity>,
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
    /// What to do about that; for people.
    #[serde(skip)]
    pub remedy: Option<String>,
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

/// A relay reports no more holes of a subscription than so many; more help nobody.
pub const REPORTED_HOLES: usize = 100;

/// One subscription.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriptionStatus {
    /// Its name.
    pub name: String,
    /// Its publisher, without user and password; several with commas between where its relays publish to different places.
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
    /// Who paused it, and why, as `ann: moving`; a relay at work follows within a third of its lease. Absent from the JSON while
    /// it is not paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
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

/// How the transactions of these sessions can be ended.
pub fn how_to_end(holders: &[HolderStatus]) -> String {
    holders.iter().map(HolderStatus::how_to_end).collect::<Vec<_>>().join("; ")
}

impl HolderStatus {
    fn how_to_end(&self) -> String {
        match (self.pid, &self.application) {
            (Some(pid), _) => format!("let it commit or roll back, or end it: SELECT pg_terminate_backend({pid})"),
            (None, Some(gid)) => format!("COMMIT PREPARED '{0}' or ROLLBACK PREPARED '{0}'", gid.replace('\'', "''")),
            (None, None) => {
                "see pg_prepared_xacts for its name, then COMMIT PREPARED or ROLLBACK PREPARED it".to_owned()
            }
        }
    }
}

/// `pid 4711 (user app, psql, open 3m 12s)`. Names are as the database has them: they may hold control characters.
impl fmt::Display for HolderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "pid {pid}")?,
            None if self.prepared => f.write_str("a prepared transaction")?,
            None => f.write_str("a session")?,
        }
        let user = self.user.as_ref().map(|user| format!("user {user}"));
        let open = self.age_seconds.map(|seconds| format!("open {}", age(seconds)));
        let known: Vec<_> = [user, self.application.clone(), open].into_iter().flatten().collect();
        if known.is_empty() { Ok(()) } else { write!(f, " ({})", known.join(", ")) }
    }
}

/// One partition of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Its number, from 0.
    pub partition: u32,
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

/// An age for people: its two largest units, such as `3m 12s`.
pub fn age(seconds: f64) -> String {
    if seconds <= 0.0 {
        return "0s".to_owned();
    }
    if seconds < 1.0 {
        return "<1s".to_owned();
    }
    let mut rest = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs();
    let parts = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)].map(|(unit, length)| {
        let count = rest / length;
        rest %= length;
        (count, unit)
    });
    let two = parts.into_iter().skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0);
    two.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}
