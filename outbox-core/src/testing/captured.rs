//! Events for assertions.

use std::fmt;

use serde_json::Value;

use super::dump::table;
use crate::event::{Event, Operation, Payload};

/// Captured events, in the order of their positions: those of one transaction, or of a whole outbox. What a
/// [`RecordingPublisher`](super::RecordingPublisher) took comes in the order of its answers.
///
/// Every assertion that fails shows all of them as a table, payloads included; `to_string` gives the table by itself.
/// Payloads are compared as JSON: spaces and the order of fields make no difference, `1` and `1.0` are not equal.
///
/// # Examples
///
/// ```
/// use outbox_core::{NewEvent, testing::MemoryStore};
/// use serde_json::json;
///
/// let store = MemoryStore::new();
/// let mut tx = store.begin();
/// tx.append(&NewEvent::new("shop.stock", "tea").json(r#"{"amount":5}"#))?;
/// tx.captured().assert_topics(["shop.stock"]).assert_event("shop.stock", "tea", json!({"amount": 5}));
/// tx.rollback();
/// store.captured().assert_none();
/// # Ok::<(), outbox_core::CaptureError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    events: Vec<Event>,
}

impl Captured {
    /// These events, in this order.
    pub fn new(events: Vec<Event>) -> Self {
        Self { events }
    }

    /// The events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Those of one key, in their order.
    pub fn of_key(&self, key: &str) -> Self {
        Self { events: self.events.iter().filter(|event| event.key == key).cloned().collect() }
    }

    /// Asserts that there is no event.
    ///
    /// # Panics
    ///
    /// When there is one.
    #[track_caller]
    pub fn assert_none(&self) -> &Self {
        self.require(self.events.is_empty(), format_args!("expected no event, there are {}", self.events.len()))
    }

    /// Asserts which topics the events have, one by one and in order.
    ///
    /// # Panics
    ///
    /// When they have others.
    #[track_caller]
    pub fn assert_topics<'t>(&self, topics: impl IntoIterator<Item = &'t str>) -> &Self {
        let wanted: Vec<_> = topics.into_iter().collect();
        let found: Vec<_> = self.events.iter().map(|event| &event.topic).collect();
        self.require(found == wanted, format_args!("expected the topics {wanted:?}, found {found:?}"))
    }

    /// Asserts that there is an event of this topic and key with this payload; that of a change event is the row after it.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a test writes `json!({…})` and keeps nothing")]
    pub fn assert_event(&self, topic: &str, key: &str, payload: Value) -> &Self {
        let found = self.any(topic, key, |event| json(event.payload.as_ref()).as_ref() == Some(&payload));
        self.require(found, format_args!("expected an event of `{topic}` with key `{key}` and payload {payload}"))
    }

    /// Asserts that the insert of this row was captured.
    ///
    /// # Panics
    ///
    /// When it was not.
    #[track_caller]
    pub fn assert_inserted(&self, topic: &str, key: &str, after: Value) -> &Self {
        self.assert_change(Operation::Insert, topic, key, &[None, Some(after)])
    }

    /// Asserts that this update of a row was captured.
    ///
    /// # Panics
    ///
    /// When it was not.
    #[track_caller]
    pub fn assert_updated(&self, topic: &str, key: &str, before: Value, after: Value) -> &Self {
        self.assert_change(Operation::Update, topic, key, &[Some(before), Some(after)])
    }

    /// Asserts that the delete of this row was captured.
    ///
    /// # Panics
    ///
    /// When it was not.
    #[track_caller]
    pub fn assert_deleted(&self, topic: &str, key: &str, before: Value) -> &Self {
        self.assert_change(Operation::Delete, topic, key, &[Some(before), None])
    }

    #[track_caller]
    fn assert_change(&self, operation: Operation, topic: &str, key: &str, rows: &[Option<Value>; 2]) -> &Self {
        let found = self.any(topic, key, |event| {
            event.operation == Some(operation)
                && [&event.old_payload, &event.payload].map(|payload| json(payload.as_ref())) == *rows
        });
        let [before, after] = rows.each_ref().map(|row| row.as_ref().map_or("nothing".to_owned(), Value::to_string));
        let wanted = format_args!("expected the {operation} of `{topic}` with key `{key}` from {before} to {after}");
        self.require(found, wanted)
    }

    fn any(&self, topic: &str, key: &str, matches: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|event| event.topic == topic && event.key == key && matches(event))
    }

    #[track_caller]
    fn require(&self, holds: bool, wanted: fmt::Arguments<'_>) -> &Self {
        assert!(holds, "{wanted}; there is:\n{self}");
        self
    }
}

/// The table of all events.
impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&table(&self.events))
    }
}

/// The payload, where it is JSON.
fn json(payload: Option<&Payload>) -> Option<Value> {
    serde_json::from_slice(payload?.as_bytes()).ok()
}
