//! The help for users' tests: what it promises them, with a real relay where one is part of it.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test would")]

mod captured;
mod memory;
mod time;

use outbox_core::NewEvent;

/// An event that says its number.
fn event(key: &str, n: u64) -> NewEvent<'static> {
    NewEvent::new("shop.orders", key.to_owned()).json(format!(r#"{{"n":{n}}}"#))
}
