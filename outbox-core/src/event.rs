//! An event, as it stands in the outbox and as a publisher sees it.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

/// The content type of events whose writer named none.
pub const JSON: &str = "application/json";

/// Where an event stands in the outbox; grows with each insert, starts at 1.
pub type Position = i64;

/// What happened to the row a change event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// The row is new.
    Insert,
    /// The row was changed.
    Update,
    /// The row is gone.
    Delete,
    /// The row existed before capture began.
    Snapshot,
}

impl Operation {
    /// The word in the column `operation`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Snapshot => "snapshot",
        }
    }

    /// Reads the word in the column `operation`; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Insert, Self::Update, Self::Delete, Self::Snapshot]
            .into_iter()
            .find(|operation| operation.as_str() == word)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an event carries: text in `payload`, or bytes in `payload_binary`.
///
/// Text is kept as bytes, because a database may hold text that is not UTF-8; whether it is, and whether it is JSON under
/// a JSON content type, is judged when an envelope is made, never when an event is captured or read.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// Text, usually JSON.
    Text(Vec<u8>),
    /// Bytes of the writer's own format, such as Protobuf or Avro.
    Binary(Vec<u8>),
}

impl Payload {
    /// The bytes, whichever column they came from.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

/// Shows the size alone: a payload does not belong in a log.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, bytes) = match self {
            Self::Text(bytes) => ("Text", bytes),
            Self::Binary(bytes) => ("Binary", bytes),
        };
        write!(f, "{kind}({} bytes)", bytes.len())
    }
}

/// One row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it stands in the outbox.
    pub position: Position,
    /// Its id, the same at each repeat.
    pub event_id: Uuid,
    /// The name it is published under.
    pub topic: String,
    /// What must stay in order; empty means that no order is wanted.
    pub key: String,
    /// The kind of event, such as `Placed`.
    pub event_type: Option<String>,
    /// The table of a change event.
    pub aggregate_type: Option<String>,
    /// Set for change events.
    pub operation: Option<Operation>,
    /// The payload of a domain event, or the row after the change.
    pub payload: Option<Payload>,
    /// The row before the change.
    pub old_payload: Option<Payload>,
    /// The media type of the payload.
    pub content_type: Cow<'static, str>,
    /// A JSON object as text.
    pub headers: Option<String>,
    /// Whose data it is.
    pub tenant_id: Option<String>,
    /// Who caused it.
    pub actor: Option<String>,
    /// The version of the payload's shape.
    pub schema_version: Option<i32>,
    /// The database transaction it was written in.
    pub transaction_id: Option<String>,
    /// When it was captured, by the database's clock.
    pub occurred_at: OffsetDateTime,
}

impl Event {
    /// The memory it holds, in bytes: its texts and payloads and the struct itself.
    pub fn size(&self) -> usize {
        let texts =
            [&self.event_type, &self.aggregate_type, &self.headers, &self.tenant_id, &self.actor, &self.transaction_id];
        let payloads = [&self.payload, &self.old_payload];
        size_of::<Self>()
            + self.topic.len()
            + self.key.len()
            + texts.iter().filter_map(|text| text.as_ref()).map(String::len).sum::<usize>()
            + payloads
                .iter()
                .filter_map(|payload| payload.as_ref())
                .map(|payload| payload.as_bytes().len())
                .sum::<usize>()
    }
}
