//! Events as JSON: an array, or one object a line.

use std::io::{self, Write};

use outbox_core::{Event, Position};
use serde::Serialize;

use super::content::{Content, Contents};
use super::format::Document;
use crate::moment;

/// Appends one event as an object; nothing where the format has no form for it.
pub(super) type Shape = fn(&Event, &mut Vec<u8>) -> serde_json::Result<()>;

/// Memory that one event may leave behind for the next.
const KEPT: usize = 1 << 20;

/// An array of objects, each on a line of its own, or the lines alone.
pub(super) struct Json<'o> {
    out: &'o mut dyn Write,
    shape: Shape,
    is_array: bool,
    is_empty: bool,
    object: Vec<u8>,
}

impl<'o> Json<'o> {
    pub(super) fn array(out: &'o mut dyn Write, shape: Shape) -> Self {
        Self { out, shape, is_array: true, is_empty: true, object: Vec::new() }
    }

    pub(super) fn lines(out: &'o mut dyn Write, shape: Shape) -> Self {
        Self { is_array: false, ..Self::array(out, shape) }
    }
}

impl Document for Json<'_> {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.object.clear();
        self.object.shrink_to(KEPT);
        (self.shape)(event, &mut self.object)?;
        if self.object.is_empty() {
            return Ok(());
        }
        if self.is_array {
            self.out.write_all(if self.is_empty { b"[\n" } else { b",\n" })?;
        }
        self.is_empty = false;
        write_safely(self.out, &mut self.object)?;
        if self.is_array { Ok(()) } else { self.out.write_all(b"\n") }
    }

    fn end(&mut self) -> io::Result<()> {
        if self.is_array {
            self.out.write_all(if self.is_empty { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.flush()
    }
}

/// Writes an object as one line and without what a terminal acts on.
///
/// JSON has line breaks between tokens only, where a space is as good, and DEL and C1 characters in strings only, where
/// they have an escape.
fn write_safely(out: &mut dyn Write, object: &mut [u8]) -> io::Result<()> {
    for byte in &mut *object {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    // Most objects have neither of these bytes, and to see that takes a fraction of the search.
    if !object.iter().fold(false, |found, byte| found | matches!(byte, 0x7f | 0xc2)) {
        return out.write_all(object);
    }
    let mut rest: &[u8] = object;
    while let Some((start, length, code)) = acted_on(rest) {
        out.write_all(&rest[..start])?;
        write!(out, "\\u{code:04x}")?;
        rest = &rest[start + length..];
    }
    out.write_all(rest)
}

/// The first DEL or C1 character: where it is, how long it is, and its code.
fn acted_on(text: &[u8]) -> Option<(usize, usize, u8)> {
    text.iter().enumerate().find_map(|(at, byte)| match (byte, text.get(at + 1)) {
        (0x7f, _) => Some((at, 1, 0x7f)),
        // UTF-8 of U+0080 to U+009F.
        (0xc2, Some(code @ 0x80..=0x9f)) => Some((at, 2, *code)),
        _ => None,
    })
}

/// The fields of the contract, in its order.
#[derive(Serialize)]
struct Object<'e> {
    position: Position,
    event_id: String,
    occurred_at: String,
    operation: Option<&'static str>,
    table: Option<&'e str>,
    topic: &'e str,
    event_type: Option<&'e str>,
    key: &'e str,
    tenant_id: Option<&'e str>,
    actor: Option<&'e str>,
    transaction_id: Option<&'e str>,
    schema_version: Option<i32>,
    before: Option<Content<'e>>,
    after: Option<Content<'e>>,
    payload: Option<Content<'e>>,
    headers: Option<Content<'e>>,
}

/// Appends the object of `events … --json`.
pub(crate) fn object(event: &Event, out: &mut Vec<u8>) -> serde_json::Result<()> {
    // Room for the whole object at once: growing by doubling would take twice the memory of a large payload.
    out.reserve(event.size());
    let Contents { before, after, payload, headers } = Contents::of(event);
    let object = Object {
        position: event.position,
        event_id: event.event_id.to_string(),
        occurred_at: moment::precise(event.occurred_at),
        operation: event.operation.map(outbox_core::Operation::as_str),
        table: event.aggregate_type.as_deref(),
        topic: &event.topic,
        event_type: event.event_type.as_deref(),
        key: &event.key,
        tenant_id: event.tenant_id.as_deref(),
        actor: event.actor.as_deref(),
        transaction_id: event.transaction_id.as_deref(),
        schema_version: event.schema_version,
        before,
        after,
        payload,
        headers,
    };
    serde_json::to_writer(out, &object)
}
