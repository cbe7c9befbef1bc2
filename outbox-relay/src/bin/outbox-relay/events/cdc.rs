//! `cdc-json`: inserts, updates and deletes, with both images of the row as texts.

use outbox_core::{Event, Operation, Position};
use serde::{Serialize, Serializer};

use super::content::{Content, Contents};
use crate::moment;

/// The fields of the contract, in its order.
#[derive(Serialize)]
struct Object<'e> {
    event_id: Position,
    change_type: &'static str,
    table_name: Option<&'e str>,
    row_key: &'e str,
    old_values: Option<Text<'e>>,
    new_values: Option<Text<'e>>,
    tenant_id: Option<&'e str>,
    timestamp: String,
    transaction_id: Option<&'e str>,
}

/// Appends the object; of an event that is no change, nothing.
pub(super) fn object(event: &Event, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let Some(change_type) = event.operation.and_then(change_type) else {
        return Ok(());
    };
    out.reserve(event.size());
    let Contents { before, after, .. } = Contents::of(event);
    let object = Object {
        event_id: event.position,
        change_type,
        table_name: event.aggregate_type.as_deref(),
        row_key: &event.key,
        old_values: before.map(Text),
        new_values: after.map(Text),
        tenant_id: event.tenant_id.as_deref(),
        timestamp: moment::seconds(event.occurred_at),
        transaction_id: event.transaction_id.as_deref(),
    };
    serde_json::to_writer(out, &object)
}

fn change_type(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Insert => Some("Insert"),
        Operation::Update => Some("Update"),
        Operation::Delete => Some("Delete"),
        Operation::Snapshot => None,
    }
}

/// An image as a string, whatever it is.
struct Text<'e>(Content<'e>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
