//! Schemas of events, as an application makes and keeps them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the answer; clippy looks for it in test functions alone")]
#![allow(dead_code, reason = "what is compared are types; of some there is never a value")]

mod breaking;
mod committed;
mod images;
mod types;
mod validate;

use outbox_core::Described;
use outbox_core::event_schema::{self, EventSchema};
use schemars::JsonSchema;

/// The only schema of a type.
fn schema_of<T: Described + JsonSchema>() -> EventSchema {
    let mut schemas = event_schema::of::<T>().unwrap();
    assert_eq!(schemas.len(), 1);
    schemas.remove(0)
}
