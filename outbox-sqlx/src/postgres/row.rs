//! From a row as the server sends it to what a reader hands on.
//!
//! Columns are read by their place and from their bytes: names and conversions cost more than all the rest of a read.

use std::borrow::Cow;
use std::str::{Utf8Error, from_utf8};

use outbox_core::event::JSON;
use outbox_core::source::{Row, Unreadable};
use outbox_core::{Event, Operation, Payload, Position};
use sqlx::postgres::PgRow;
use sqlx::{Row as _, ValueRef};
use time::OffsetDateTime;
use uuid::Uuid;

/// Where columns stand in `source_read.sql` and `source_read_open.sql`.
mod column {
    pub(super) const POSITION: usize = 0;
    pub(super) const EVENT_ID: usize = 1;
    pub(super) const OCCURRED_AT: usize = 2;
    pub(super) const SCHEMA_VERSION: usize = 3;
    pub(super) const WANTED: usize = 4;
    pub(super) const SHORTENED: usize = 5;
    pub(super) const INSERTED: usize = 6;
    pub(super) const TOPIC: usize = 7;
    pub(super) const EVENT_KEY: usize = 8;
    pub(super) const EVENT_TYPE: usize = 9;
    pub(super) const AGGREGATE_TYPE: usize = 10;
    pub(super) const OPERATION: usize = 11;
    pub(super) const PAYLOAD: usize = 12;
    pub(super) const OLD_PAYLOAD: usize = 13;
    pub(super) const PAYLOAD_BINARY: usize = 14;
    pub(super) const OLD_PAYLOAD_BINARY: usize = 15;
    pub(super) const CONTENT_TYPE: usize = 16;
    pub(super) const HEADERS: usize = 17;
    pub(super) const TENANT_ID: usize = 18;
    pub(super) const ACTOR: usize = 19;
    pub(super) const TRANSACTION_ID: usize = 20;
}

/// 2000-01-01, from which PostgreSQL counts microseconds, in seconds since 1970.
const EPOCH: i128 = 946_684_800;

/// What every row of a read says of the read as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    /// Whether the limit of bytes cut it short.
    pub(super) shortened: bool,
    /// How far the WAL was written when the rows had been seen; `None` on a standby.
    pub(super) inserted: Option<i64>,
}

/// Reads what a row says of the whole read.
pub(super) fn whole(row: &PgRow) -> Result<Whole, sqlx::Error> {
    Ok(Whole { shortened: row.try_get(column::SHORTENED)?, inserted: row.try_get(column::INSERTED)? })
}

/// Reads one row.
pub(super) fn read(row: &PgRow) -> Result<Row, sqlx::Error> {
    let position = i64::from_be_bytes(fixed(row, column::POSITION)?);
    if fixed(row, column::WANTED)? == [0] {
        return Ok(Row::Filtered(position));
    }
    let micros = i64::from_be_bytes(fixed(row, column::OCCURRED_AT)?);
    let nanos = (i128::from(micros) + EPOCH * 1_000_000) * 1000;
    let columns = Columns {
        position,
        event_id: Uuid::from_bytes(fixed(row, column::EVENT_ID)?),
        topic: bytes(row, column::TOPIC)?.unwrap_or_default(),
        key: bytes(row, column::EVENT_KEY)?.unwrap_or_default(),
        event_type: bytes(row, column::EVENT_TYPE)?,
        aggregate_type: bytes(row, column::AGGREGATE_TYPE)?,
        operation: bytes(row, column::OPERATION)?,
        payload: bytes(row, column::PAYLOAD)?,
        old_payload: bytes(row, column::OLD_PAYLOAD)?,
        payload_binary: bytes(row, column::PAYLOAD_BINARY)?,
        old_payload_binary: bytes(row, column::OLD_PAYLOAD_BINARY)?,
        content_type: bytes(row, column::CONTENT_TYPE)?.unwrap_or_default(),
        headers: bytes(row, column::HEADERS)?,
        tenant_id: bytes(row, column::TENANT_ID)?,
        actor: bytes(row, column::ACTOR)?,
        schema_version: bytes(row, column::SCHEMA_VERSION)?.and_then(|raw| raw.try_into().ok()).map(i32::from_be_bytes),
        transaction_id: bytes(row, column::TRANSACTION_ID)?,
        occurred_at: OffsetDateTime::from_unix_timestamp_nanos(nanos).ok(),
    };
    Ok(columns.into_row())
}

fn bytes(row: &PgRow, index: usize) -> Result<Option<&[u8]>, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() { Ok(None) } else { value.as_bytes().map(Some).map_err(sqlx::Error::Decode) }
}

fn fixed<const N: usize>(row: &PgRow, index: usize) -> Result<[u8; N], sqlx::Error> {
    let bytes = bytes(row, index)?.unwrap_or_default();
    bytes.try_into().map_err(|error| sqlx::Error::ColumnDecode { index: index.to_string(), source: Box::new(error) })
}

/// The columns of a row the filter lets pass.
struct Columns<'r> {
    position: Position,
    event_id: Uuid,
    topic: &'r [u8],
    key: &'r [u8],
    event_type: Option<&'r [u8]>,
    aggregate_type: Option<&'r [u8]>,
    operation: Option<&'r [u8]>,
    payload: Option<&'r [u8]>,
    old_payload: Option<&'r [u8]>,
    payload_binary: Option<&'r [u8]>,
    old_payload_binary: Option<&'r [u8]>,
    content_type: &'r [u8],
    headers: Option<&'r [u8]>,
    tenant_id: Option<&'r [u8]>,
    actor: Option<&'r [u8]>,
    schema_version: Option<i32>,
    transaction_id: Option<&'r [u8]>,
    /// `None` where no calendar reaches: the database's infinity, or what is no time at all.
    occurred_at: Option<OffsetDateTime>,
}

impl Columns<'_> {
    /// The event, or why there is none: a row is never lost because it is odd.
    fn into_row(self) -> Row {
        match self.event() {
            Ok(event) => Row::Event(Box::new(event)),
            Err(reason) => Row::Unreadable(Unreadable {
                position: self.position,
                event_id: self.event_id,
                topic: String::from_utf8_lossy(self.topic).into_owned(),
                key: String::from_utf8_lossy(self.key).into_owned(),
                reason,
                copy: Some(Box::new(self.copy())),
            }),
        }
    }

    /// What can be read of it.
    fn copy(&self) -> Event {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let payload = |text: Option<&[u8]>, binary: Option<&[u8]>| {
            let text = || text.map(|bytes| Payload::Text(bytes.to_vec()));
            binary.map(|bytes| Payload::Binary(bytes.to_vec())).or_else(text)
        };
        Event {
            position: self.position,
            event_id: self.event_id,
            topic: lossy(self.topic),
            key: lossy(self.key),
            event_type: self.event_type.map(lossy),
            aggregate_type: self.aggregate_type.map(lossy),
            operation: self.operation.and_then(|word| operation(word).ok()),
            payload: payload(self.payload, self.payload_binary),
            old_payload: payload(self.old_payload, self.old_payload_binary),
            content_type: lossy(self.content_type).into(),
            headers: self.headers.map(lossy),
            tenant_id: self.tenant_id.map(lossy),
            actor: self.actor.map(lossy),
            schema_version: self.schema_version,
            transaction_id: self.transaction_id.map(lossy),
            occurred_at: self.occurred_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }

    fn event(&self) -> Result<Event, String> {
        Ok(Event {
            position: self.position,
            event_id: self.event_id,
            topic: topic(self.topic)?,
            key: text("event_key", self.key)?,
            event_type: optional("event_type", self.event_type)?,
            aggregate_type: optional("aggregate_type", self.aggregate_type)?,
            operation: self.operation.map(operation).transpose()?,
            payload: payload("payload", self.payload, self.payload_binary)?,
            old_payload: payload("old_payload", self.old_payload, self.old_payload_binary)?,
            content_type: content_type(self.content_type)?,
            headers: optional("headers", self.headers)?,
            tenant_id: optional("tenant_id", self.tenant_id)?,
            actor: optional("actor", self.actor)?,
            schema_version: self.schema_version,
            transaction_id: optional("transaction_id", self.transaction_id)?,
            occurred_at: self.occurred_at.ok_or("occurred_at is not a time between the years -9999 and 9999")?,
        })
    }
}

/// The name by which consumers tell what it is, which an envelope cannot do without.
fn topic(bytes: &[u8]) -> Result<String, String> {
    if bytes.is_empty() { Err("topic is empty".into()) } else { text("topic", bytes) }
}

fn text(column: &str, bytes: &[u8]) -> Result<String, String> {
    from_utf8(bytes).map(str::to_owned).map_err(|error| not_utf8(column, error))
}

fn optional(column: &str, bytes: Option<&[u8]>) -> Result<Option<String>, String> {
    bytes.map(|bytes| text(column, bytes)).transpose()
}

fn not_utf8(column: &str, error: Utf8Error) -> String {
    format!("{column} is not UTF-8 after its first {} bytes", error.valid_up_to())
}

/// Nearly every event has the one content type, which then costs no allocation.
fn content_type(bytes: &[u8]) -> Result<Cow<'static, str>, String> {
    if bytes == JSON.as_bytes() { Ok(Cow::Borrowed(JSON)) } else { text("content_type", bytes).map(Cow::Owned) }
}

fn operation(word: &[u8]) -> Result<Operation, String> {
    let known = from_utf8(word).ok().and_then(Operation::parse);
    known.ok_or_else(|| "operation is none of insert, update, delete, snapshot".to_owned())
}

fn payload(column: &str, text: Option<&[u8]>, binary: Option<&[u8]>) -> Result<Option<Payload>, String> {
    match (text, binary) {
        (Some(_), Some(_)) => Err(format!("{column} and {column}_binary are both set")),
        (Some(text), None) => Ok(Some(Payload::Text(text.to_vec()))),
        (None, Some(binary)) => Ok(Some(Payload::Binary(binary.to_vec()))),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns<'static> {
        Columns {
            position: 7,
            event_id: Uuid::nil(),
            topic: b"shop",
            key: b"k",
            event_type: None,
            aggregate_type: None,
            operation: None,
            payload: Some(b"\xff"),
            old_payload: None,
            payload_binary: None,
            old_payload_binary: None,
            content_type: JSON.as_bytes(),
            headers: None,
            tenant_id: None,
            actor: None,
            schema_version: None,
            transaction_id: None,
            occurred_at: Some(OffsetDateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_payload_passes_whatever_its_bytes_are() {
        let Row::Event(event) = columns().into_row() else { panic!("an event") };
        assert_eq!(event.payload, Some(Payload::Text(vec![0xff])));
        assert!(matches!(event.content_type, Cow::Borrowed(JSON)));
    }

    #[test]
    fn odd_rows_are_kept_with_their_reason() {
        let odd = [
            (Columns { key: b"a\xff", ..columns() }, "event_key is not UTF-8 after its first 1 bytes"),
            (
                Columns { operation: Some(b"upsert"), ..columns() },
                "operation is none of insert, update, delete, snapshot",
            ),
            (Columns { payload_binary: Some(b"x"), ..columns() }, "payload and payload_binary are both set"),
            (Columns { occurred_at: None, ..columns() }, "occurred_at is not a time between the years -9999 and 9999"),
        ];
        for (columns, expected) in odd {
            let Row::Unreadable(row) = columns.into_row() else { panic!("{expected}") };
            assert_eq!((row.position, row.topic.as_str(), row.reason.as_str()), (7, "shop", expected));
        }
    }
}
