//! JSON Schemas of events, made from their types, and the check that no change breaks a consumer unawares.
//!
//! A type that derives `Outbox` says what it writes ([`Described`]), and one that derives [`schemars::JsonSchema`]
//! beside it what its fields are. Together they give a schema for each event type, or entity, and version: as the JSON of
//! its events really is, without skipped fields, with masked ones masked.
//!
//! [`Committed`] compares the schemas with those that are committed beside the code, in a test:
//!
//! ```no_run
//! use outbox_core::Outbox;
//! use outbox_core::event_schema::Committed;
//! use schemars::JsonSchema;
//! use serde::Serialize;
//!
//! #[derive(Serialize, JsonSchema, Outbox)]
//! #[outbox(topic = "shop.order-events", key = order_id, version = 1)]
//! enum OrderEvent {
//!     Placed { order_id: u64, total_cents: i64 },
//!     Shipped { order_id: u64, note: Option<String> },
//! }
//!
//! // In a test:
//! Committed::in_folder("schemas").with::<OrderEvent>().check();
//! ```
//!
//! JSON has two ways of saying that there is nothing, and most consumers take them for one: so a field that may be null
//! may be absent too in these schemas.

mod committed;
mod comparison;
mod definitions;
mod difference;
mod document;
mod folder;
mod forms;
mod limits;
mod percent;
mod problem;
mod rules;

pub use committed::Committed;
pub use problem::Mismatch;
use schemars::JsonSchema;
use serde_json::Value;

use crate::shape::Described;

/// The schema of the events of one type and version.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EventSchema {
    /// The topic they are published under.
    pub topic: &'static str,
    /// The table of an entity, or the event type.
    pub name: &'static str,
    /// The version that the type says.
    pub version: Option<i32>,
    /// A JSON Schema, draft 2020-12, of the payload; of an entity's change events also of the old payload.
    pub schema: Value,
    /// The name in the payload below which the fields stand, if they do not stand in the payload itself.
    within: Option<&'static str>,
}

/// Why a type has no schema of its events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A variant is not in what `JsonSchema` says.
    #[error("`{type_name}` has a `JsonSchema` that does not know the event `{event}`: derive it beside `Serialize`")]
    UnknownEvent {
        /// The Rust type.
        type_name: &'static str,
        /// The event type or table.
        event: &'static str,
    },
    /// A field that is skipped, masked or renamed is not in what `JsonSchema` says.
    #[error("`{type_name}` has a `JsonSchema` that does not know the field `{field}`: derive it beside `Serialize`")]
    UnknownField {
        /// The Rust type.
        type_name: &'static str,
        /// The field, as serde calls it.
        field: &'static str,
    },
}

/// The schemas of a type's events: one of a struct, one for each variant of an enum.
///
/// # Errors
///
/// [`SchemaError`] when the type's `JsonSchema` does not fit its `Serialize`, which it does when both are derived.
///
/// # Examples
///
/// ```
/// use outbox_core::{Outbox, event_schema};
/// use schemars::JsonSchema;
/// use serde::Serialize;
///
/// #[derive(Serialize, JsonSchema, Outbox)]
/// #[outbox(table = "users", version = 1)]
/// struct User {
///     #[outbox(key)]
///     id: u8,
///     #[outbox(redact)]
///     card_number: String,
/// }
///
/// let schemas = event_schema::of::<User>().unwrap();
/// assert_eq!(schemas[0].schema["properties"]["card_number"]["const"], "[redacted]");
/// ```
pub fn of<T: Described + JsonSchema>() -> Result<Vec<EventSchema>, SchemaError> {
    document::schemas::<T>()
}
