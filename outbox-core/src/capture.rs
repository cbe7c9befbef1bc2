//! Capture: what an application's types become in the outbox.
//!
//! `#[derive(Outbox)]` implements [`Entity`] for a struct with a `table`, and [`DomainEvent`] for every other struct or
//! enum. Both make a [`NewEvent`]; the adapters write it with the caller's own open transaction.

pub(crate) mod changes;

use std::any::type_name;
use std::borrow::Cow;

use uuid::Uuid;

use crate::event::{JSON, Operation, Payload};

/// An event about to be written; the database adds position, segment, transaction and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// A fresh UUIDv7, unless the caller brings an id of its own.
    pub event_id: Uuid,
    /// The name it is published under.
    pub topic: Cow<'a, str>,
    /// What must stay in order; empty means that no order is wanted.
    pub key: Cow<'a, str>,
    /// The kind of event.
    pub event_type: Option<Cow<'a, str>>,
    /// The table of a change event.
    pub aggregate_type: Option<Cow<'a, str>>,
    /// Set for change events.
    pub operation: Option<Operation>,
    /// The payload of a domain event, or the row after the change.
    pub payload: Option<Payload>,
    /// The row before the change.
    pub old_payload: Option<Payload>,
    /// The media type of the payload; default `application/json`.
    pub content_type: Cow<'a, str>,
    /// A JSON object as text.
    pub headers: Option<Cow<'a, str>>,
    /// Whose data it is.
    pub tenant_id: Option<Cow<'a, str>>,
    /// Who caused it.
    pub actor: Option<Cow<'a, str>>,
    /// The version of the payload's shape.
    pub schema_version: Option<i32>,
}

impl<'a> NewEvent<'a> {
    /// An event of `topic` and `key` without a payload, which is a tombstone until one is given.
    pub fn new(topic: impl Into<Cow<'a, str>>, key: impl Into<Cow<'a, str>>) -> Self {
        Self {
            event_id: Uuid::now_v7(),
            topic: topic.into(),
            key: key.into(),
            event_type: None,
            aggregate_type: None,
            operation: None,
            payload: None,
            old_payload: None,
            content_type: Cow::Borrowed(JSON),
            headers: None,
            tenant_id: None,
            actor: None,
            schema_version: None,
        }
    }

    /// Sets the payload to JSON text, which is stored as it is.
    pub fn json(mut self, text: impl Into<String>) -> Self {
        self.payload = Some(Payload::Text(text.into().into_bytes()));
        self
    }

    /// Sets the payload to bytes of another format.
    pub fn binary(mut self, content_type: impl Into<Cow<'a, str>>, bytes: impl Into<Vec<u8>>) -> Self {
        self.content_type = content_type.into();
        self.payload = Some(Payload::Binary(bytes.into()));
        self
    }
}

/// Why a value could not be captured. The caller's transaction is untouched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The value's `Serialize` failed, or gave something JSON has no form for.
    #[error("`{type_name}` could not be written as JSON")]
    Serialize {
        /// The Rust type.
        type_name: &'static str,
        /// What serde said.
        source: serde_json::Error,
    },
    /// The image of a row has no fields.
    #[error("the image of `{type_name}` is not a JSON object; capture a struct with named fields")]
    NotAnObject {
        /// The Rust type.
        type_name: &'static str,
    },
}

/// A fact of the application's own choosing, with a payload.
///
/// Derived for structs and enums whose `#[outbox(…)]` names no `table`; a [`NewEvent`] made by hand is one too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a domain event",
    label = "needs `#[derive(Outbox)]` with `#[outbox(topic = \"…\", key = …)]`",
    note = "a struct with `#[outbox(table = \"…\")]` is an entity: capture it with `insert`, `update` or `delete`"
)]
pub trait DomainEvent {
    /// The row to write.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Serialize`] when the value cannot be written as JSON.
    fn to_event(&self) -> Result<NewEvent<'_>, CaptureError>;
}

impl DomainEvent for NewEvent<'_> {
    fn to_event(&self) -> Result<NewEvent<'_>, CaptureError> {
        Ok(self.clone())
    }
}

/// A row of one of the application's tables, whose changes are events.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a captured entity",
    label = "needs `#[derive(Outbox)]` with `#[outbox(table = \"…\")]` and a `#[outbox(key)]` field",
    note = "a struct or enum without a table is a domain event: write it with `append`"
)]
pub trait Entity {
    /// The table, which change events carry as `aggregate_type`.
    const TABLE: &'static str;
    /// The topic of its change events.
    const TOPIC: &'static str;
    /// The version of its shape.
    const VERSION: Option<i32>;

    /// What keeps its changes in order; the parts of a composite key stand in one text.
    fn key(&self) -> Cow<'_, str>;

    /// Whose row it is.
    fn tenant(&self) -> Option<Cow<'_, str>>;

    /// The row as a JSON object, without skipped fields and with redacted ones masked.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Serialize`] when the value cannot be written as JSON.
    fn image(&self) -> Result<String, CaptureError>;
}

/// The change event of a row that was inserted, updated or deleted: `None` → `Some`, `Some` → `Some`, `Some` → `None`.
///
/// Returns `None` where nothing changed: no row on either side, or an update whose images are equal. An update that
/// changes the key is told under the new key.
///
/// # Errors
///
/// [`CaptureError::Serialize`] when a row cannot be written as JSON.
pub fn change<'a, E: Entity>(
    before: Option<&'a E>,
    after: Option<&'a E>,
) -> Result<Option<NewEvent<'a>>, CaptureError> {
    let (operation, subject) = match (before, after) {
        (None, None) => return Ok(None),
        (None, Some(after)) => (Operation::Insert, after),
        (Some(_), Some(after)) => (Operation::Update, after),
        (Some(before), None) => (Operation::Delete, before),
    };
    let old_image = before.map(E::image).transpose()?;
    let image = after.map(E::image).transpose()?;
    if image == old_image {
        return Ok(None);
    }
    let mut event = NewEvent::new(E::TOPIC, subject.key());
    event.aggregate_type = Some(Cow::Borrowed(E::TABLE));
    event.operation = Some(operation);
    event.payload = image.map(|image| Payload::Text(image.into_bytes()));
    event.old_payload = old_image.map(|image| Payload::Text(image.into_bytes()));
    event.tenant_id = subject.tenant();
    event.schema_version = E::VERSION;
    Ok(Some(event))
}

/// The names of the fields whose values differ in the images of a row, in the order of the row; none where
/// [`change`] tells of nothing.
///
/// It gives names and no values. A skipped field is never among them, and a redacted one as little: both are the same in
/// every image. Values are compared as they are written.
///
/// # Errors
///
/// [`CaptureError::Serialize`] when a row cannot be written as JSON, [`CaptureError::NotAnObject`] when one has no fields.
///
/// # Examples
///
/// ```
/// use outbox_core::{Outbox, capture::changed_fields};
///
/// #[derive(serde::Serialize, Outbox)]
/// #[outbox(table = "orders")]
/// struct Order {
///     #[outbox(key)]
///     id: i64,
///     state: &'static str,
/// }
///
/// let (new, paid) = (Order { id: 7, state: "new" }, Order { id: 7, state: "paid" });
/// assert_eq!(changed_fields(&new, &paid)?, ["state"]);
/// # Ok::<(), outbox_core::CaptureError>(())
/// ```
pub fn changed_fields<E: Entity>(before: &E, after: &E) -> Result<Vec<String>, CaptureError> {
    changes::between(&before.image()?, &after.image()?).ok_or(CaptureError::NotAnObject { type_name: type_name::<E>() })
}
