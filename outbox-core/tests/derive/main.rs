//! `#[derive(Outbox)]` as an application uses it.
//!
//! What compiles is run, and compared to the last character; what must not compile stands in `fail/`, sorted by kind of
//! mistake, each with the words the compiler answers. `TRYBUILD=overwrite` writes those anew, to be read before they are
//! committed.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the answer; clippy looks for it in test functions alone")]

mod canary;
mod entities;
mod events;
mod hygiene;
mod images;
mod mistakes;

/// A key as applications have them: a type of its own, with a `Display`.
#[derive(Clone, Copy, serde::Serialize)]
struct OrderId(u32);

impl std::fmt::Display for OrderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "order-{}", self.0)
    }
}
