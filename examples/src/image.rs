//! Images of rows, which change events carry as JSON objects.

use outbox_core::Payload;
use serde_json::{Map, Value};

/// The fields of an image; none where it is no JSON object.
pub fn fields(image: &Payload) -> Map<String, Value> {
    serde_json::from_slice(image.as_bytes()).unwrap_or_default()
}

/// The fields of `after` that are not as they were: their names, what they were, what they are.
pub fn changed(before: &Payload, after: &Payload) -> Vec<(String, Value, Value)> {
    let mut before = fields(before);
    let pairs = fields(after).into_iter().map(|(name, new)| (before.remove(&name).unwrap_or(Value::Null), name, new));
    pairs.filter(|(old, _, new)| old != new).map(|(old, name, new)| (name, old, new)).collect()
}
