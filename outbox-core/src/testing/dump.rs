//! Events as a table for people.

use comfy_table::{ContentArrangement, Table, presets};

use crate::event::{Event, Payload};

/// A payload is shown up to so many characters.
const SHOWN: usize = 100;

/// One line for each event, under a heading.
pub(super) fn table(events: &[Event]) -> String {
    if events.is_empty() {
        return "(no events)".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["position", "topic", "key", "type", "payload"]);
    for event in events {
        table.add_row([
            event.position.to_string(),
            shown(&event.topic),
            shown(&event.key),
            kind(event),
            payload(event),
        ]);
    }
    table.to_string()
}

/// What happened to the row of a change event, or the type of a domain event.
fn kind(event: &Event) -> String {
    match event.operation {
        Some(operation) => operation.to_string(),
        None => event.event_type.as_deref().map(shown).unwrap_or_default(),
    }
}

fn payload(event: &Event) -> String {
    match (&event.old_payload, &event.payload) {
        (None, None) => "(none)".to_owned(),
        (None, Some(after)) => text(after),
        (Some(before), None) => format!("{} → (none)", text(before)),
        (Some(before), Some(after)) => format!("{} → {}", text(before), text(after)),
    }
}

fn text(payload: &Payload) -> String {
    match payload {
        Payload::Text(text) => shown(&String::from_utf8_lossy(text)),
        Payload::Binary(bytes) => format!("({} bytes)", bytes.len()),
    }
}

/// The text in one line, without what a terminal would obey, and not endless.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
