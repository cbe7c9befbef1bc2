//! An event, as it stands in the outbox and as a publisher sees it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::capture::changes;

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

    /// The text, where it is text in UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Binary(_) => None,
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
    /// The header of this name, where it is a string.
    pub fn header(&self, name: &str) -> Option<String> {
        let headers: BTreeMap<String, &RawValue> = serde_json::from_str(self.headers.as_deref()?).ok()?;
        serde_json::from_str(headers.get(name)?.get()).ok()
    }

    /// The names of the row's fields whose values differ before and after, in the order of the row: every field of a row
    /// that was inserted or deleted.
    ///
    /// Values are compared as they are written: `1.0` and `1.00` differ. `None` for a domain event, and where an image is
    /// not a JSON object.
    pub fn changed_fields(&self) -> Option<Vec<String>> {
        self.operation?;
        changes::between(image(self.old_payload.as_ref())?, image(self.payload.as_ref())?)
    }

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

/// The row as text; a row that is not there has no fields.
fn image(payload: Option<&Payload>) -> Option<&str> {
    payload.map_or(Some("{}"), Payload::as_text)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn event(operation: Option<Operation>, before: Option<&str>, after: Option<&str>) -> Event {
        let payload = |text: Option<&str>| text.map(|text| Payload::Text(text.into()));
        Event {
            position: 1,
            event_id: Uuid::nil(),
            topic: "shop.orders".into(),
            key: "1".into(),
            event_type: None,
            aggregate_type: None,
            operation,
            payload: payload(after),
            old_payload: payload(before),
            content_type: JSON.into(),
            headers: None,
            tenant_id: None,
            actor: None,
            schema_version: None,
            transaction_id: None,
            occurred_at: datetime!(2026-11-20 01:02:03 +0),
        }
    }

    #[test]
    fn changed_fields_are_those_of_change_events() {
        let (before, after) = (r#"{"id":1,"total":1}"#, r#"{"id":1,"total":2}"#);
        let fields = |operation, before, after| event(Some(operation), before, after).changed_fields().unwrap();
        assert_eq!(fields(Operation::Update, Some(before), Some(after)), ["total"]);
        assert_eq!(fields(Operation::Insert, None, Some(after)), ["id", "total"]);
        assert_eq!(fields(Operation::Delete, Some(before), None), ["id", "total"]);
        assert_eq!(event(None, Some(before), Some(after)).changed_fields(), None);
        let binary = Event { payload: Some(Payload::Binary(vec![1])), ..event(Some(Operation::Insert), None, None) };
        assert_eq!(binary.changed_fields(), None);
    }

    #[test]
    fn a_header_is_read_where_it_is_a_string() {
        let with = |headers: &str| Event { headers: Some(headers.into()), ..event(None, None, None) };
        assert_eq!(with(r#"{"n":1e400,"a":"\u00e4\n"}"#).header("a").as_deref(), Some("ä\n"));
        for headers in ["", "[]", "{}", r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":"b""#] {
            assert_eq!(with(headers).header("a"), None, "{headers}");
        }
        assert_eq!(event(None, None, None).header("a"), None);
    }
}
