//! `#[derive(Outbox)]` as an application uses it.
//!
//! What compiles is run, and compared to the last character; what must not compile stands in `outbox-derive/tests/fail`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the answer; clippy looks for it in test functions alone")]

mod canary;
mod entities;
mod events;
mod hygiene;
mod images;

/// A key as applications have them: a type of its own, with a `Display`.
#[derive(Clone, Copy, serde::Serialize)]
struct OrderId(u32);

impl std::fmt::Display for OrderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "order-{}", self.0)
    }
}
