//! What a type writes into the outbox, known before there is a value.
//!
//! `#[derive(Outbox)]` says it once for each type, as [`Described::SHAPES`]. Events and their images are written by it,
//! and with the feature `schema` the schemas of events are made from it.

use std::any::type_name;
use std::borrow::Cow;

use serde::Serialize;

use crate::capture::{CaptureError, NewEvent};
use crate::image::{self, Rule};

/// A type that says what it writes into the outbox.
///
/// `#[derive(Outbox)]` implements it beside [`Entity`](crate::Entity) or [`DomainEvent`](crate::DomainEvent). Types that
/// implement those by hand do without, unless they want schemas of their events.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what it writes into the outbox",
    label = "needs `#[derive(Outbox)]`"
)]
pub trait Described {
    /// A struct has one shape, an enum one for each variant, in their order.
    const SHAPES: &'static [Shape];
}

/// What a struct or one variant writes: under which names, and by which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Shape {
    name: &'static str,
    topic: &'static str,
    version: Option<i32>,
    place: Place,
    rules: &'static [Rule],
}

/// Where the fields of a shape stand in the JSON, and what tells it from the other variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The fields are the JSON: a struct.
    Whole,
    /// The fields stand below the variant's name, which is serde's default.
    Below(&'static str),
    /// The fields stand beside a tag, by serde's `tag`.
    Beside {
        /// The name of the tag.
        tag: &'static str,
        /// Its value.
        variant: &'static str,
    },
    /// The fields stand in a content that has a tag beside it, by serde's `tag` and `content`.
    Within {
        /// The name of the tag.
        tag: &'static str,
        /// Its value.
        variant: &'static str,
        /// The name of the content.
        content: &'static str,
    },
    /// The fields are the JSON, by serde's `untagged`: nothing but their names tells variants apart.
    Untagged {
        /// How many variants that serde writes come after this one.
        followers: usize,
    },
}

impl Shape {
    /// The events called `name`, a table or an event type, of `topic`: of a struct, without version, as serde writes it.
    pub const fn new(name: &'static str, topic: &'static str) -> Self {
        Self { name, topic, version: None, place: Place::Whole, rules: &[] }
    }

    /// Sets the version.
    pub const fn with_version(self, version: i32) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Says where the fields stand.
    pub const fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Sets the rules that its fields are written by.
    pub const fn by(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }

    /// The table of an entity, or the event type of a domain event.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The name its events are published under.
    pub const fn topic(&self) -> &'static str {
        self.topic
    }

    /// The version of its fields.
    pub const fn version(&self) -> Option<i32> {
        self.version
    }

    /// Where its fields stand in the JSON.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// The rules that its fields are written by.
    pub const fn rules(&self) -> &'static [Rule] {
        self.rules
    }

    /// The JSON of a value of this shape.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Serialize`] when the value cannot be written as JSON, or the field of a rule is not in it.
    pub fn image<T: Serialize + ?Sized>(&self, value: &T) -> Result<String, CaptureError> {
        let within = match self.place {
            Place::Within { content, .. } => Some(content),
            _ => None,
        };
        let written = image::write(value, self.rules, within);
        written.map_err(|source| CaptureError::Serialize { type_name: type_name::<T>(), source })
    }

    /// The domain event of a value of this shape.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Serialize`] as for [`Shape::image`].
    pub fn event<'a, T: Serialize + ?Sized>(
        &self,
        value: &T,
        key: Cow<'a, str>,
        tenant: Option<Cow<'a, str>>,
    ) -> Result<NewEvent<'a>, CaptureError> {
        let mut event = NewEvent::new(self.topic, key).json(self.image(value)?);
        event.event_type = Some(Cow::Borrowed(self.name));
        event.tenant_id = tenant;
        event.schema_version = self.version;
        Ok(event)
    }
}
