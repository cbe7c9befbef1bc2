//! Events as CSV: a header, and one record an event.

use std::io::{self, Write};

use csv::{Writer, WriterBuilder};
use outbox_core::Event;

use super::content::{Content, Contents};
use super::format::Document;
use crate::moment;
use crate::printable::printable_text;

/// The fields of the contract, in its order.
const COLUMNS: [&str; 16] = [
    "position",
    "event_id",
    "occurred_at",
    "operation",
    "table",
    "topic",
    "event_type",
    "key",
    "tenant_id",
    "actor",
    "transaction_id",
    "schema_version",
    "before",
    "after",
    "payload",
    "headers",
];

/// RFC 4180, but with LF at the end of a record. Null and the empty text are both an empty field.
pub(super) struct Csv<'o> {
    out: Writer<&'o mut dyn Write>,
    is_empty: bool,
}

impl<'o> Csv<'o> {
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Self { out: WriterBuilder::new().from_writer(out), is_empty: true }
    }

    /// A failed header must show even where no event follows, so it is not left to the writer's drop.
    fn header(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_empty) {
            self.out.write_record(COLUMNS)?;
        }
        Ok(())
    }

    fn text(&mut self, text: Option<&str>) -> csv::Result<()> {
        self.out.write_field(printable_text(text.unwrap_or_default()).as_bytes())
    }

    fn content(&mut self, content: Option<Content<'_>>) -> csv::Result<()> {
        match content {
            None => self.text(None),
            Some(Content::Json(json)) => self.text(Some(json.get())),
            Some(Content::Text(text) | Content::Broken(text)) => self.text(Some(text)),
            Some(bytes @ Content::Bytes { .. }) => self.text(Some(&bytes.to_string())),
        }
    }
}

impl Document for Csv<'_> {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.header()?;
        self.text(Some(&event.position.to_string()))?;
        self.text(Some(&event.event_id.to_string()))?;
        self.text(Some(&moment::precise(event.occurred_at)))?;
        self.text(event.operation.map(outbox_core::Operation::as_str))?;
        self.text(event.aggregate_type.as_deref())?;
        self.text(Some(&event.topic))?;
        self.text(event.event_type.as_deref())?;
        self.text(Some(&event.key))?;
        self.text(event.tenant_id.as_deref())?;
        self.text(event.actor.as_deref())?;
        self.text(event.transaction_id.as_deref())?;
        self.text(event.schema_version.map(|version| version.to_string()).as_deref())?;
        let Contents { before, after, payload, headers } = Contents::of(event);
        for content in [before, after, payload, headers] {
            self.content(content)?;
        }
        Ok(self.out.write_record(None::<&[u8]>)?)
    }

    fn end(&mut self) -> io::Result<()> {
        self.header()?;
        self.out.flush()
    }
}
