//! Publishers that need nothing but the machine they run on.
//!
//! The contract is [`outbox_core::Publisher`]. Each one here says what *delivered* means for it.

mod channel;
mod closure;
mod file;
mod lines;
mod null;
mod stdout;

pub use channel::{Channel, Received, channel};
pub use closure::{Closure, closure};
pub use file::File;
pub use null::Null;
pub use outbox_core::publisher::{Answer, Delivery, Discipline, Origin, PublishError, PublishErrorKind, Publisher};
pub use stdout::Stdout;
