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
        optional(out, "subject", event.aggregate_type.as_deref());
        optional(out, "operation", event.operation.map(crate::Operation::as_str));
        optional(out, "tenantid", event.tenant_id.as_deref());
        optional(out, "actor", event.actor.as_deref());
        optional(out, "transactionid", event.transaction_id.as_deref());
        if let Some(version) = event.schema_version {
            out.extend_from_slice(format!(r#","schemaversion":{version}"#).as_bytes());
        }
        if let Some(headers) = &event.headers {
            let headers: BTreeMap<Cow<'_, str>, &RawValue> =
                serde_json::from_str(headers).map_err(|_| EnvelopeError::Headers)?;
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
    let text = std::str::from_utf8(text).map_err(|_| EnvelopeError::NotUtf8 { column })?;
    if !is_json(content_type) {
        string(out, text);
        return Ok(());
    }
    let json: &RawValue = serde_json::from_str(text).map_err(|error| EnvelopeError::NotJson {
        column,
        content_type: content_type.chars().take(60).collect(),
        line: error.line(),
        at: error.column(),
    })?;
    let start = out.len();
    out.extend_from_slice(json.get().as_bytes());
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    Ok(())
}

/// Whether a media type says JSON; an empty one counts as none, and so as `application/json`.
pub fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(media_type.as_str(), "" | "application/json" | "text/json") || media_type.ends_with("+json")
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
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::Operation;

    fn event(payload: &[u8]) -> Event {
        Event {
            position: 42,
            event_id: Uuid::nil(),
            topic: "shop.orders".into(),
            key: "k\"\n1".into(),
            event_type: None,
            aggregate_type: None,
            operation: None,
            payload: Some(Payload::Text(payload.to_vec())),
            old_payload: None,
            content_type: Cow::Borrowed("application/json"),
            headers: None,
            tenant_id: None,
            actor: None,
            schema_version: None,
            transaction_id: None,
            occurred_at: datetime!(2026-11-20 01:02:03.000004 +2),
        }
    }

    fn line(event: &Event) -> Result<String, EnvelopeError> {
        let mut out = b"before".to_vec();
        let result = CloudEvents::new("/outbox/shop").write_line(event, &mut out);
        let text = String::from_utf8(out).unwrap();
        let written = text.strip_prefix("before").unwrap().to_owned();
        result.inspect_err(|_| assert_eq!(written, "")).map(|()| written)
    }

    #[test]
    fn a_domain_event_has_every_field_of_the_contract_in_order() {
        assert_eq!(
            line(&event(b"{\"a\":\r\n1}")).unwrap(),
            "{\"specversion\":\"1.0\",\"id\":\"00000000-0000-0000-0000-000000000000\",\"source\":\"/outbox/shop\",\
             \"type\":\"shop.orders\",\"topic\":\"shop.orders\",\"time\":\"2026-11-19T23:02:03.000004Z\",\
             \"partitionkey\":\"k\\\"\\n1\",\"sequence\":\"00000000000000000042\",\
             \"datacontenttype\":\"application/json\",\"data\":{\"a\":  1}}\n"
        );
    }

    #[test]
    fn a_change_event_carries_both_images_and_all_that_is_known() {
        let change = Event {
            operation: Some(Operation::Delete),
            old_payload: Some(Payload::Text(b"{\"id\":1}".to_vec())),
            payload: None,
            event_type: Some("Gone".into()),
            aggregate_type: Some("orders".into()),
            tenant_id: Some("t".into()),
            actor: Some("ann".into()),
            transaction_id: Some("77".into()),
            schema_version: Some(3),
            headers: Some("{\"x\":1,\"traceparent\":\"00-a-b-01\"}".into()),
            ..event(b"")
        };
        let line = line(&change).unwrap();
        let tail = line.split_once("\"data\"").unwrap().1;
        assert_eq!(
            tail,
            ":{\"before\":{\"id\":1},\"after\":null},\"subject\":\"orders\",\"operation\":\"delete\",\"tenantid\":\"t\",\
             \"actor\":\"ann\",\"transactionid\":\"77\",\"schemaversion\":3,\"traceparent\":\"00-a-b-01\"}\n"
        );
        assert!(line.contains("\"type\":\"Gone\""));
    }

    #[test]
    fn a_traceparent_is_written_only_where_it_is_a_string() {
        for (value, expected) in [
            ("null", "}}\n"),
            ("7", "}}\n"),
            ("{\n\"a\":\r1}", "}}\n"),
            ("[\n]", "}}\n"),
            (" \n\"00-a-b-01\"\n", "},\"traceparent\":\"00-a-b-01\"}\n"),
        ] {
            let headers = Some(format!("{{\"traceparent\":{value}}}"));
            let line = line(&Event { headers, ..event(b"{}") }).unwrap();
            assert_eq!(line.split_once("\"data\":{").unwrap().1, expected, "{value}");
        }
    }

    #[test]
    fn a_replay_says_so_and_is_the_same_otherwise() {
        let (mut line, mut again) = (Vec::new(), Vec::new());
        let envelope = CloudEvents::new("/outbox/shop");
        envelope.write_line(&event(b"1"), &mut line).unwrap();
        envelope.write_replay(&event(b"1"), &mut again).unwrap();
        let again = String::from_utf8(again).unwrap();
        assert_eq!(again.replace(r#","replayed":true"#, "").as_bytes(), line);
        assert!(again.ends_with(",\"replayed\":true}\n"), "{again}");
    }

    #[test]
    fn empty_texts_count_as_absent() {
        let empty = Event { event_type: Some(String::new()), content_type: Cow::Borrowed(""), ..event(b"[1]") };
        assert_eq!(line(&empty).unwrap(), line(&event(b"[1]")).unwrap());
        let broken = Event { payload: Some(Payload::Text(b"[1".to_vec())), ..empty };
        assert!(line(&broken).unwrap_err().to_string().starts_with("payload is not JSON"));
    }

    #[test]
    fn a_time_without_an_rfc_3339_form_is_refused() {
        let at = |occurred_at| line(&Event { occurred_at, ..event(b"{}") });
        assert!(at(datetime!(0000-01-01 00:00 +0)).unwrap().contains("\"time\":\"0000-01-01T00:00:00.000000Z\""));
        assert!(at(datetime!(9999-12-31 23:59:59 +0)).unwrap().contains("\"time\":\"9999-12-31T23:59:59.000000Z\""));
        for outside in [datetime!(-0001-06-01 00:00 +0), datetime!(0000-01-01 00:00 +1), datetime!(9999-12-31 23:00 -2)]
        {
            assert_eq!(at(outside).unwrap_err(), EnvelopeError::Time, "{outside}");
        }
    }

    #[test]
    fn awkward_json_passes_unharmed() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        for payload in [
            "12345678901234567890123456789012345678",
            "{\"b\":1,\"a\":2,\"a\":3}",
            "\"\\u0000\\ud800\"",
            "1e400",
            &deep,
        ] {
            let line = line(&event(payload.as_bytes())).unwrap();
            assert!(line.ends_with(&format!("\"data\":{payload}}}\n")), "{}", &payload[..20.min(payload.len())]);
        }
    }

    #[test]
    fn other_content_types_and_bytes_have_their_forms() {
        let text = Event { content_type: Cow::Borrowed("text/plain"), ..event(b"a\nb") };
        assert!(line(&text).unwrap().ends_with("\"data\":\"a\\nb\"}\n"));
        let binary = Event { payload: Some(Payload::Binary(vec![0, 255, 7, 1])), ..event(b"") };
        assert!(line(&binary).unwrap().ends_with("\"data_base64\":\"AP8HAQ==\"}\n"));
        let tombstone = Event { payload: None, ..event(b"") };
        assert!(line(&tombstone).unwrap().ends_with("\"data\":null}\n"));
        let changed = Event { operation: Some(Operation::Insert), ..binary };
        assert!(
            line(&changed)
                .unwrap()
                .ends_with("\"data\":{\"before\":null,\"after_base64\":\"AP8HAQ==\"},\"operation\":\"insert\"}\n")
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_showing_it() {
        for (bad, expected) in [
            (&b"{secret"[..], "payload is not JSON"),
            (b"\"\xff\"", "payload is not UTF-8"),
            (b"", "payload is not JSON"),
        ] {
            let reason = line(&event(bad)).unwrap_err().to_string();
            assert!(reason.starts_with(expected) && !reason.contains("secret"), "{reason}");
        }
        let headers = Event { headers: Some("[1]".into()), ..event(b"{}") };
        assert_eq!(line(&headers).unwrap_err(), EnvelopeError::Headers);
    }
}
