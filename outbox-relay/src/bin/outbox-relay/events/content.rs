//! What an event carries, as another program reads it.

use std::fmt;
use std::str;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use outbox_core::envelope::is_json;
use outbox_core::event::JSON;
use outbox_core::{Event, Payload};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A payload, an image of a row, or headers.
///
/// Shown and in JSON alike: JSON as it was written (numbers keep every digit, keys their order), text as it is, bytes as
/// a `data:` URL (RFC 2397) with their content type. Bytes are also what should be text and is not UTF-8.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'e> {
    /// JSON.
    Json(&'e RawValue),
    /// Text of another kind.
    Text(&'e str),
    /// Text that should be JSON and is not.
    Broken(&'e str),
    /// Bytes.
    Bytes {
        /// Their media type.
        content_type: &'e str,
        /// What they are.
        bytes: &'e [u8],
    },
}

/// Everything an event carries: a change event has images, a domain event a payload.
pub(super) struct Contents<'e> {
    /// The row before the change.
    pub(super) before: Option<Content<'e>>,
    /// The row after the change.
    pub(super) after: Option<Content<'e>>,
    /// The payload of a domain event.
    pub(super) payload: Option<Content<'e>>,
    /// The headers.
    pub(super) headers: Option<Content<'e>>,
}

impl<'e> Contents<'e> {
    /// What this event carries.
    pub(super) fn of(event: &'e Event) -> Self {
        let content = |payload: Option<&'e Payload>| Some(Content::of(payload?, &event.content_type));
        let headers = event.headers.as_ref().map(|headers| Content::text(headers.as_bytes(), JSON));
        let (old, new) = (content(event.old_payload.as_ref()), content(event.payload.as_ref()));
        match event.operation {
            Some(_) => Self { before: old, after: new, payload: None, headers },
            None => Self { before: None, after: None, payload: new, headers },
        }
    }
}

impl<'e> Content<'e> {
    fn of(payload: &'e Payload, content_type: &'e str) -> Self {
        match payload {
            Payload::Text(text) => Self::text(text, content_type),
            Payload::Binary(bytes) => Self::Bytes { content_type, bytes },
        }
    }

    fn text(bytes: &'e [u8], content_type: &'e str) -> Self {
        let Ok(text) = str::from_utf8(bytes) else {
            return Self::Bytes { content_type, bytes };
        };
        if !is_json(content_type) {
            return Self::Text(text);
        }
        serde_json::from_str(text).map_or(Self::Broken(text), Self::Json)
    }
}

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(json) => f.write_str(json.get()),
            Self::Text(text) | Self::Broken(text) => f.write_str(text),
            Self::Bytes { content_type, bytes } => {
                write!(f, "data:{content_type};base64,{}", Base64Display::new(bytes, &STANDARD))
            }
        }
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(json) => json.serialize(serializer),
            other => serializer.collect_str(other),
        }
    }
}
