//! The heart of the outbox: what an event is, how it is captured, read, published and checkpointed.
//!
//! The way of the data is the table of contents:
//!
//! ```text
//! app transaction ─► capture ─► outbox table ─► source ─► publisher ─► checkpoint ─► cleanup
//!                                                 a lease guards every step after the source
//! ```
//!
//! - [`capture`]: [`Entity`] and [`DomainEvent`], which `#[derive(Outbox)]` implements; [`shape`]: what a type writes,
//!   said once for all its values.
//! - [`context`]: tenant, actor and headers of every event of a transaction.
//! - `event_schema`, with the feature `schema`: JSON Schemas of events, and the check that no change breaks a consumer.
//! - [`schema`]: the tables, as SQL that runs as it stands; [`Names`] says where they are.
//! - [`source`]: what one read asks and brings; [`frontier`]: how reads lose nothing although positions commit out of order.
//! - [`publisher`]: the contract with the outside; [`envelope`]: how an event is written for it.
//! - [`checkpoint`] and [`lease`]: where to go on, and who may.
//! - [`continuity`]: whether this is the log that was read, at the place where it was read, and what mends it.
//! - [`dead_letter`]: what will not pass, and what waits behind it.
//! - [`cleanup`]: how the log gives its disk back, and why no unread event goes with it.
//! - [`clock`]: the time that a relay goes by; [`wake`]: how it sleeps until there is something to read.
//! - [`status`] and [`doctor`]: how it all stands, and what is wrong with it.
//! - [`store`]: all of it for one database. `outbox-sqlx` implements it, `outbox-relay` drives it.

pub mod capture;
pub mod checkpoint;
pub mod cleanup;
pub mod clock;
pub mod context;
pub mod continuity;
pub mod dead_letter;
pub mod doctor;
pub mod envelope;
mod error;
pub mod event;
#[cfg(feature = "schema")]
pub mod event_schema;
pub mod filter;
pub mod frontier;
#[cfg(all(doctest, feature = "schema"))]
mod guide;
pub mod image;
pub mod lease;
mod names;
pub mod partition;
pub mod position;
pub mod publisher;
pub mod schema;
pub mod shape;
pub mod source;
#[doc(hidden)]
pub mod sql;
pub mod status;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wake;

pub use async_trait::async_trait;
pub use capture::{CaptureError, DomainEvent, Entity, NewEvent};
pub use cleanup::{OnMaxDisk, Retention};
pub use clock::Clock;
pub use context::Context;
pub use error::{StoreError, StoreErrorKind};
pub use event::{Event, Operation, Payload, Position};
pub use filter::Filter;
pub use names::{DEFAULT_PREFIX, NameError, Names};
pub use outbox_derive::Outbox;
pub use position::PositionSet;
pub use publisher::{Answer, Delivery, PublishError, PublishErrorKind, Publisher};
pub use shape::Described;
pub use source::Start;
pub use store::Store;
pub use wake::WakeMode;
