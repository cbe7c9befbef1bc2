//! One row of the log for people: its columns, and what changed.

use outbox_core::source::{Row, Unreadable};
use outbox_core::{Event, Operation};
use serde_json::value::RawValue;

use super::content::{Content, Contents};
use super::difference::{Field, difference, fields};
use super::flow::{Group, Span, span};
use super::value;
use crate::moment;
use crate::paint::Tone;
use crate::printable::printable;
use crate::quantity::bytes;

/// The widest a column before the change gets, by column.
const WIDEST: [usize; COLUMNS] = [19, 20, 30, 40];

/// How many columns stand before the change.
pub(super) const COLUMNS: usize = 4;

/// Their names.
pub(super) const NAMES: [&str; COLUMNS] = ["Timestamp", "Type", "Table", "Row key"];

/// One row, ready to be laid out.
pub(super) struct Shown {
    /// What stands before the change.
    pub(super) cells: [Span; COLUMNS],
    /// The change.
    pub(super) change: Vec<Group>,
}

/// Makes a row ready; the tenant is told where `with_tenant`.
pub(super) fn show(row: &Row, with_tenant: bool) -> Option<Shown> {
    match row {
        Row::Event(event) => Some(event_shown(event, with_tenant)),
        Row::Unreadable(row) => Some(unreadable(row)),
        Row::Filtered(_) => None,
    }
}

fn event_shown(event: &Event, with_tenant: bool) -> Shown {
    let (kind, tone) = kind(event);
    let table = event.aggregate_type.as_deref().filter(|_| event.operation.is_some());
    let cells = [
        (moment::seconds(event.occurred_at), Tone::Faint),
        (kind, tone),
        (table.unwrap_or(&event.topic).to_owned(), if table.is_some() { Tone::Plain } else { Tone::Faint }),
        (event.key.clone(), Tone::Strong),
    ];
    let mut change = change(event);
    change.extend(by(event, with_tenant));
    Shown { cells: laid_out(cells), change }
}

fn unreadable(row: &Unreadable) -> Shown {
    let cells = [
        (format!("position {}", row.position), Tone::Faint),
        ("Unreadable".to_owned(), Tone::Red),
        (row.topic.clone(), Tone::Faint),
        (row.key.clone(), Tone::Strong),
    ];
    Shown { cells: laid_out(cells), change: vec![vec![span(printable(&row.reason), Tone::Red)]] }
}

fn laid_out(cells: [(String, Tone); COLUMNS]) -> [Span; COLUMNS] {
    let mut widest = WIDEST.into_iter();
    cells.map(|(text, tone)| span(value::word(&text, widest.next().unwrap_or(1)), tone))
}

fn kind(event: &Event) -> (String, Tone) {
    let change = |word: &str, tone| (word.to_owned(), tone);
    match event.operation {
        Some(Operation::Insert) => change("Insert", Tone::Green),
        Some(Operation::Update) => change("Update", Tone::Yellow),
        Some(Operation::Delete) => change("Delete", Tone::Red),
        Some(Operation::Snapshot) => change("Snapshot", Tone::Cyan),
        None => (event.event_type.clone().unwrap_or_else(|| "Event".to_owned()), Tone::Cyan),
    }
}

/// What an event tells: fields that are different, or all there are.
fn change(event: &Event) -> Vec<Group> {
    let Contents { before, after, payload, .. } = Contents::of(event);
    match (before, after, payload) {
        (Some(before), Some(after), _) => both(before, after),
        (Some(only), None, _) | (None, Some(only), _) | (None, None, Some(only)) => single(only),
        (None, None, None) => vec![vec![span("no payload", Tone::Faint)]],
    }
}

fn both(before: Content<'_>, after: Content<'_>) -> Vec<Group> {
    let (Content::Json(old), Content::Json(new)) = (before, after) else {
        return vec![arrow(plain(before), plain(after))];
    };
    match difference(old, new) {
        Some(fields) if fields.is_empty() => vec![vec![span("nothing is different", Tone::Faint)]],
        Some(fields) => listed(fields.iter().map(changed).collect()),
        None => vec![two(old, new)],
    }
}

fn single(content: Content<'_>) -> Vec<Group> {
    let Content::Json(json) = content else {
        return vec![vec![plain(content)]];
    };
    match fields(json) {
        Some(fields) if !fields.is_empty() => {
            let fields =
                fields.iter().map(|(name, value)| vec![named("", name), span(value::json(value), Tone::Plain)]);
            listed(fields.collect())
        }
        _ => vec![vec![span(value::json(json), Tone::Plain)]],
    }
}

/// A field that is different: `name: old → new`, `+name: new` or `-name: old`.
fn changed(field: &Field<'_>) -> Group {
    match (field.before, field.after) {
        (Some(before), Some(after)) => {
            let mut group = vec![named("", &field.name)];
            group.extend(two(before, after));
            group
        }
        (Some(gone), None) => vec![named("-", &field.name), span(value::json(gone), Tone::Red)],
        (None, Some(new)) => vec![named("+", &field.name), span(value::json(new), Tone::Green)],
        (None, None) => Group::new(),
    }
}

fn named(sign: &str, name: &str) -> Span {
    span(format!("{sign}{}: ", value::text(name)), Tone::Faint)
}

fn two(before: &RawValue, after: &RawValue) -> Group {
    let (before, after) = value::pair(before, after);
    arrow(span(before, Tone::Red), span(after, Tone::Green))
}

fn arrow(before: Span, after: Span) -> Group {
    vec![Span { tone: Tone::Red, ..before }, span(" → ", Tone::Faint), Span { tone: Tone::Green, ..after }]
}

/// What has no fields.
fn plain(content: Content<'_>) -> Span {
    let text = match content {
        Content::Json(json) => value::json(json),
        Content::Text(text) => value::text(text),
        Content::Broken(text) => format!("not JSON: {}", value::text(text)),
        Content::Bytes { content_type, bytes: content } => {
            format!("{} of {}", bytes(content.len() as u64), value::text(content_type))
        }
    };
    span(text, Tone::Plain)
}

/// Commas between the groups.
fn listed(mut groups: Vec<Group>) -> Vec<Group> {
    let count = groups.len();
    for group in groups.iter_mut().take(count.saturating_sub(1)) {
        group.push(span(",", Tone::Faint));
    }
    groups
}

/// Who caused it, and for whom.
fn by(event: &Event, with_tenant: bool) -> Option<Group> {
    let actor = event.actor.as_ref().map(|actor| format!("by {}", value::text(actor)));
    let tenant = event.tenant_id.as_ref().filter(|_| with_tenant).map(|tenant| format!("for {}", value::text(tenant)));
    let words: Vec<_> = actor.into_iter().chain(tenant).collect();
    (!words.is_empty()).then(|| vec![span(format!("({})", words.join(" ")), Tone::Cyan)])
}
