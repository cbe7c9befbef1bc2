//! A row of the log, as its writer left it: text may not be UTF-8, and any column may hold any type.

use std::borrow::Cow;

use outbox_core::event::{Event, JSON, Operation, Payload};
use outbox_core::source::{Row as LogRow, Unreadable};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, TypeInfo, ValueRef};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// The columns of `source_read.sql` in their order.
mod column {
    pub(super) const POSITION: usize = 0;
    pub(super) const PASSES: usize = 1;
    pub(super) const FOUND: usize = 2;
    pub(super) const EVENT_ID: usize = 3;
    pub(super) const TOPIC: usize = 4;
    pub(super) const EVENT_KEY: usize = 5;
    pub(super) const EVENT_TYPE: usize = 6;
    pub(super) const AGGREGATE_TYPE: usize = 7;
    pub(super) const OPERATION: usize = 8;
    pub(super) const PAYLOAD: usize = 9;
    pub(super) const OLD_PAYLOAD: usize = 10;
    pub(super) const PAYLOAD_BINARY: usize = 11;
    pub(super) const OLD_PAYLOAD_BINARY: usize = 12;
    pub(super) const CONTENT_TYPE: usize = 13;
    pub(super) const HEADERS: usize = 14;
    pub(super) const TENANT_ID: usize = 15;
    pub(super) const ACTOR: usize = 16;
    pub(super) const SCHEMA_VERSION: usize = 17;
    pub(super) const TRANSACTION_ID: usize = 18;
    pub(super) const OCCURRED_AT: usize = 19;
}

/// Why a row cannot become an event.
enum Fault {
    /// Something in the row.
    Row(Cow<'static, str>),
    /// The driver.
    Driver(sqlx::Error),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Self::Row(Cow::Borrowed(reason))
    }
}

/// How many rows the limit of rows let through, of which this is one.
pub(super) fn found(row: &SqliteRow) -> Result<i64, sqlx::Error> {
    row.try_get(column::FOUND)
}

/// Reads one row.
pub(super) fn read(row: &SqliteRow) -> Result<LogRow, sqlx::Error> {
    if !row.try_get::<bool, _>(column::PASSES)? {
        return Ok(LogRow::Filtered(row.try_get(column::POSITION)?));
    }
    match event(row) {
        Ok(event) => Ok(LogRow::Event(Box::new(event))),
        Err(Fault::Driver(error)) => Err(error),
        Err(Fault::Row(reason)) => Ok(LogRow::Unreadable(Unreadable {
            position: row.try_get(column::POSITION)?,
            event_id: event_id(row, column::EVENT_ID)?.unwrap_or_default(),
            topic: lossy(row, column::TOPIC)?.unwrap_or_default(),
            key: lossy(row, column::EVENT_KEY)?.unwrap_or_default(),
            reason: reason.into_owned(),
            copy: Some(Box::new(copy(row)?)),
        })),
    }
}

/// The id in a column: text of any of the usual forms, or the 16 bytes that sqlx writes by itself.
pub(super) fn event_id(row: &SqliteRow, column: usize) -> Result<Option<Uuid>, sqlx::Error> {
    let Some(bytes) = bytes(row, column)? else {
        return Ok(None);
    };
    if bytes.len() == 16 {
        let blob = row.try_get_raw(column)?.type_info().name() == "BLOB";
        return Ok(if blob { Uuid::from_slice(bytes).ok() } else { None });
    }
    Ok(Uuid::try_parse_ascii(bytes).ok())
}

fn event(row: &SqliteRow) -> Result<Event, Fault> {
    let content_type = text(row, column::CONTENT_TYPE, "content_type is not UTF-8")?;
    let topic = text(row, column::TOPIC, "topic is not UTF-8")?;
    if topic.is_empty() {
        // The name by which consumers tell what it is, which an envelope cannot do without.
        return Err("topic is empty".into());
    }
    Ok(Event {
        position: row.try_get(column::POSITION)?,
        event_id: event_id(row, column::EVENT_ID)?.ok_or("event_id is not a UUID")?,
        topic: topic.to_owned(),
        key: text(row, column::EVENT_KEY, "event_key is not UTF-8")?.to_owned(),
        event_type: optional(row, column::EVENT_TYPE, "event_type is not UTF-8")?,
        aggregate_type: optional(row, column::AGGREGATE_TYPE, "aggregate_type is not UTF-8")?,
        operation: operation(row)?,
        payload: payload(
            row,
            (column::PAYLOAD, column::PAYLOAD_BINARY),
            "payload and payload_binary are both set; write one of them",
        )?,
        old_payload: payload(
            row,
            (column::OLD_PAYLOAD, column::OLD_PAYLOAD_BINARY),
            "old_payload and old_payload_binary are both set; write one of them",
        )?,
        content_type: if content_type == JSON { Cow::Borrowed(JSON) } else { Cow::Owned(content_type.to_owned()) },
        headers: optional(row, column::HEADERS, "headers are not UTF-8")?,
        tenant_id: optional(row, column::TENANT_ID, "tenant_id is not UTF-8")?,
        actor: optional(row, column::ACTOR, "actor is not UTF-8")?,
        schema_version: schema_version(row)?,
        transaction_id: optional(row, column::TRANSACTION_ID, "transaction_id is not UTF-8")?,
        occurred_at: time(text(row, column::OCCURRED_AT, NO_TIME)?).ok_or(NO_TIME)?,
    })
}

/// What can be read of a row that cannot become an event.
fn copy(row: &SqliteRow) -> Result<Event, sqlx::Error> {
    let payload = |text, binary| -> Result<Option<Payload>, sqlx::Error> {
        let text = bytes(row, text)?.map(|bytes| Payload::Text(bytes.to_vec()));
        Ok(bytes(row, binary)?.map(|bytes| Payload::Binary(bytes.to_vec())).or(text))
    };
    Ok(Event {
        position: row.try_get(column::POSITION)?,
        event_id: event_id(row, column::EVENT_ID)?.unwrap_or_default(),
        topic: lossy(row, column::TOPIC)?.unwrap_or_default(),
        key: lossy(row, column::EVENT_KEY)?.unwrap_or_default(),
        event_type: lossy(row, column::EVENT_TYPE)?,
        aggregate_type: lossy(row, column::AGGREGATE_TYPE)?,
        operation: operation(row).unwrap_or_default(),
        payload: payload(column::PAYLOAD, column::PAYLOAD_BINARY)?,
        old_payload: payload(column::OLD_PAYLOAD, column::OLD_PAYLOAD_BINARY)?,
        content_type: lossy(row, column::CONTENT_TYPE)?.unwrap_or_default().into(),
        headers: lossy(row, column::HEADERS)?,
        tenant_id: lossy(row, column::TENANT_ID)?,
        actor: lossy(row, column::ACTOR)?,
        schema_version: schema_version(row).unwrap_or_default(),
        transaction_id: lossy(row, column::TRANSACTION_ID)?,
        occurred_at: lossy(row, column::OCCURRED_AT)?
            .and_then(|text| time(&text))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH),
    })
}

const NO_TIME: &str = "occurred_at is not a time such as 2026-01-31T12:00:00.000000Z or 2026-01-31 12:00:00";

/// The bytes of text, blob or number alike.
fn bytes(row: &SqliteRow, column: usize) -> Result<Option<&[u8]>, sqlx::Error> {
    row.try_get_unchecked(column)
}

fn text<'r>(row: &'r SqliteRow, column: usize, fault: &'static str) -> Result<&'r str, Fault> {
    std::str::from_utf8(bytes(row, column)?.unwrap_or_default()).map_err(|_| fault.into())
}

fn optional(row: &SqliteRow, column: usize, fault: &'static str) -> Result<Option<String>, Fault> {
    let Some(bytes) = bytes(row, column)? else {
        return Ok(None);
    };
    std::str::from_utf8(bytes).map(|text| Some(text.to_owned())).map_err(|_| fault.into())
}

/// Text with what is not UTF-8 replaced.
pub(super) fn lossy(row: &SqliteRow, column: usize) -> Result<Option<String>, sqlx::Error> {
    Ok(bytes(row, column)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

fn operation(row: &SqliteRow) -> Result<Option<Operation>, Fault> {
    let Some(bytes) = bytes(row, column::OPERATION)? else {
        return Ok(None);
    };
    let known = std::str::from_utf8(bytes).ok().and_then(Operation::parse);
    known.map(Some).ok_or_else(|| "operation is none of insert, update, delete and snapshot".into())
}

fn payload(row: &SqliteRow, columns: (usize, usize), both: &'static str) -> Result<Option<Payload>, Fault> {
    match (bytes(row, columns.0)?, bytes(row, columns.1)?) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Payload::Text(text.to_vec()))),
        (None, Some(binary)) => Ok(Some(Payload::Binary(binary.to_vec()))),
        (Some(_), Some(_)) => Err(both.into()),
    }
}

fn schema_version(row: &SqliteRow) -> Result<Option<i32>, Fault> {
    const FAULT: &str = "schema_version is not an integer of 32 bits";
    let value = row.try_get_raw(column::SCHEMA_VERSION)?;
    if value.is_null() {
        return Ok(None);
    }
    if value.type_info().name() != "INTEGER" {
        return Err(FAULT.into());
    }
    let number: i64 = row.try_get_unchecked(column::SCHEMA_VERSION)?;
    i32::try_from(number).map(Some).map_err(|_| FAULT.into())
}

/// Reads RFC 3339 and the forms of SQLite's date functions, which leave out `T`, seconds or zone; without zone it is UTC.
pub(super) fn time(text: &str) -> Option<OffsetDateTime> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(time);
    }
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', ' ']).unwrap_or(rest).trim_end();
    let (clock, zone) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (rest[..at].trim_end(), &rest[at..]),
        None => (rest, "Z"),
    };
    let clock = match clock.len() {
        0 => "00:00:00".to_owned(),
        5 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    OffsetDateTime::parse(&format!("{date}T{clock}{zone}"), &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_sqlite_is_a_time() {
        for (text, same) in [
            ("2026-01-31T12:30:15.250000Z", "2026-01-31T12:30:15.25Z"),
            ("2026-01-31 12:30:15", "2026-01-31T12:30:15Z"),
            ("2026-01-31 12:30:15.250", "2026-01-31T12:30:15.25Z"),
            ("2026-01-31T12:30", "2026-01-31T12:30:00Z"),
            ("2026-01-31 12:30:15+02:00", "2026-01-31T10:30:15Z"),
            ("2026-01-31 12:30 -01:00", "2026-01-31T13:30:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
        ] {
            let wanted = OffsetDateTime::parse(same, &Rfc3339).unwrap();
            assert_eq!(time(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "yesterday", "1769860800", "2026-13-01", "2026-01-31 25:00:00", "12:30:15", "2026-01-3é1 12:30"]
        {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
