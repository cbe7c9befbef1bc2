//! Envelopes: how an event is written for the outside.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::event::{Event, JSON, Payload};

/// Why an event cannot be written. It says what is wrong with the event and shows none of its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The content type says JSON and the text is not.
    #[error(
        "{column} is not JSON although content_type is `{content_type}` (line {line}, column {at}); write another content_type, or payload_binary"
    )]
    NotJson {
        /// The column.
        column: &'static str,
        /// The content type, cut to 60 characters.
        content_type: String,
        /// The line of the first mistake, from 1.
        line: usize,
        /// Its column, from 1.
        at: usize,
    },
    /// The text is not UTF-8.
    #[error("{column} is not UTF-8; write payload_binary")]
    NotUtf8 {
        /// The column.
        column: &'static str,
    },
    /// The headers are not a JSON object.
    #[error("headers are not a JSON object")]
    Headers,
    /// The time has no RFC 3339 form.
    #[error("occurred_at lies outside the years 0000 to 9999; write the time of the event")]
    Time,
}

/// What a line holds beside the event's own texts, generously.
const LINE_OVERHEAD: usize = 1024;

/// The end of each line.
const END: &[u8] = b"}\n";

/// CloudEvents 1.0 in structured mode, one JSON object a line.
///
/// Payloads pass through as they are: numbers keep every digit, keys their order and their repetitions; only line breaks
/// between tokens become spaces.
#[derive(Debug, Clone)]
pub struct CloudEvents {
    source: String,
}

impl CloudEvents {
    /// Writes events whose `source` is this, such as `/outbox/shop`.
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into() }
    }

    /// Appends the event to `out` as one line with its line feed.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] when the event cannot be written; `out` is then as it was.
    pub fn write_line(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let start = out.len();
        // Room for the whole line at once: growing by doubling would take twice the memory of a large payload.
        out.reserve(event.size() + LINE_OVERHEAD);
        self.write(event, out).inspect_err(|_| out.truncate(start))
    }

    /// As [`CloudEvents::write_line`], for an event that was published before: the line says `"replayed":true`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn write_replay(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.write_line(event, out)?;
        out.truncate(out.len() - END.len());
        out.extend_from_slice(br#","replayed":true"#);
        out.extend_from_slice(END);
        Ok(())
    }

    fn write(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        out.extend_from_slice(br#"{"specversion":"1.0","id":""#);
        out.extend_from_slice(event.event_id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
        out.extend_from_slice(br#"","source":"#);
        string(out, &self.source);
        let content_type = content_type(event);
        field(out, "type", event.event_type.as_ref().filter(|name| !name.is_empty()).unwrap_or(&event.topic));
        field(out, "topic", &event.topic);
        out.extend_from_slice(br#","time":""#);
        time(out, event.occurred_at)?;
        out.push(b'"');
        field(out, "partitionkey", &event.key);
        out.extend_from_slice(format!(r#","sequence":"{:020}""#, event.position).as_bytes());
        field(out, "datacontenttype", content_type);
        data(event, content_type, out)?;
        optional(out, "subject", event.aggregate_type.as_deref().filter(|name| !name.is_empty()));
        optional(out, "operation", event.operation.map(crate::Operation::as_str));
        optional(out, "tenantid", event.tenant_id.as_deref());
        optional(out, "actor", event.actor.as_deref());
        optional(out, "transactionid", event.transaction_id.as_deref());
        if let Some(version) = event.schema_version {
            out.extend_from_slice(format!(r#","schemaversion":{version}"#).as_bytes());
        }
        if let Some(headers) = &event.headers {
            let headers = self::headers(headers)?;
            // Any other JSON may hold line breaks, and no reader expects it here.
            if let Some(traceparent) = headers.get("traceparent").filter(|value| value.get().starts_with('"')) {
                raw_field(out, "traceparent", traceparent.get().as_bytes());
            }
        }
        out.extend_from_slice(END);
        Ok(())
    }
}

/// The content type; an empty one counts as none.
fn content_type(event: &Event) -> &str {
    if event.content_type.is_empty() { JSON } else { &event.content_type }
}

/// Writes the payload: a change event as its two images, a domain event as it is, bytes in base 64.
fn data(event: &Event, content_type: &str, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
    if event.operation.is_none() {
        return match &event.payload {
            None => {
                raw_field(out, "data", b"null");
                Ok(())
            }
            Some(Payload::Binary(bytes)) => {
                out.extend_from_slice(br#","data_base64":"#);
                base64(out, bytes);
                Ok(())
            }
            Some(Payload::Text(text)) => {
                out.extend_from_slice(br#","data":"#);
                text_value(out, "payload", text, content_type)
            }
        };
    }
    out.extend_from_slice(br#","data":{"#);
    image(out, "before", "old_payload", event.old_payload.as_ref(), content_type)?;
    out.push(b',');
    image(out, "after", "payload", event.payload.as_ref(), content_type)?;
    out.push(b'}');
    Ok(())
}

fn image(
    out: &mut Vec<u8>,
    name: &str,
    column: &'static str,
    payload: Option<&Payload>,
    content_type: &str,
) -> Result<(), EnvelopeError> {
    match payload {
        None => out.extend_from_slice(format!(r#""{name}":null"#).as_bytes()),
        Some(Payload::Binary(bytes)) => {
            out.extend_from_slice(format!(r#""{name}_base64":"#).as_bytes());
            base64(out, bytes);
        }
        Some(Payload::Text(text)) => {
            out.extend_from_slice(format!(r#""{name}":"#).as_bytes());
            text_value(out, column, text, content_type)?;
        }
    }
    Ok(())
}

/// Writes text as the JSON it is, or as a string under a content type that is not JSON.
fn text_value(out: &mut Vec<u8>, column: &'static str, text: &[u8], content_type: &str) -> Result<(), EnvelopeError> {
    let text = checked(column, text, content_type)?;
    if !is_json(content_type) {
        string(out, text);
        return Ok(());
    }
    let start = out.len();
    // As RawValue would show it.
    out.extend_from_slice(text.trim_ascii().as_bytes());
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    Ok(())
}

/// Whether the event is what it says: text in UTF-8, JSON under a JSON content type, headers an object.
///
/// # Errors
///
/// The [`EnvelopeError`] with which writing it as a line would fail.
pub fn check(event: &Event) -> Result<(), EnvelopeError> {
    let content_type = content_type(event);
    for (column, payload) in [("old_payload", &event.old_payload), ("payload", &event.payload)] {
        if let Some(Payload::Text(text)) = payload {
            checked(column, text, content_type)?;
        }
    }
    event.headers.as_deref().map_or(Ok(()), |text| headers(text).map(drop))
}

/// The text, where it is what its content type says.
fn checked<'t>(column: &'static str, text: &'t [u8], content_type: &str) -> Result<&'t str, EnvelopeError> {
    let text = std::str::from_utf8(text).map_err(|_| EnvelopeError::NotUtf8 { column })?;
    if is_json(content_type) {
        serde_json::from_str::<&RawValue>(text).map_err(|error| EnvelopeError::NotJson {
            column,
            content_type: content_type.chars().take(60).collect(),
            line: error.line(),
            at: error.column(),
        })?;
    }
    Ok(text)
}

fn headers(text: &str) -> Result<BTreeMap<Cow<'_, str>, &RawValue>, EnvelopeError> {
    serde_json::from_str(text).map_err(|_| EnvelopeError::Headers)
}

/// Whether a media type says JSON; an empty one counts as none, and so as `application/json`.
pub fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let suffix = media_type.len().checked_sub("+json".len()).map(|start| &media_type.as_bytes()[start..]);
    ["application/json", "", "text/json"].into_iter().any(|known| media_type.eq_ignore_ascii_case(known))
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}

fn optional(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        field(out, name, value);
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    raw_field(out, name, b"");
    string(out, value);
}

fn raw_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
}

fn string(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("a string is always JSON and a Vec takes every byte");
}

/// RFC 4648, section 4, straight into the line: a large payload is not copied once more.
fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    use base64::Engine as _;
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    base64::engine::general_purpose::STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("the room was made for exactly this");
    out.push(b'"');
}

/// RFC 3339 in UTC with six digits; its years have four.
fn time(out: &mut Vec<u8>, at: OffsetDateTime) -> Result<(), EnvelopeError> {
    let at = at.checked_to_offset(time::UtcOffset::UTC).ok_or(EnvelopeError::Time)?;
    if !(0..=9999).contains(&at.year()) {
        return Err(EnvelopeError::Time);
    }
    let (date, clock) = (at.date(), at.time());
    let (month, day) = (u8::from(date.month()), date.day());
    let (hour, minute, second, micro) = clock.as_hms_micro();
    let text = format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z", date.year());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
