//! Help for tests of code that captures and publishes: no server, and nothing to wait for by guessing.
//!
//! - [`MemoryStore`]: an outbox in memory, with transactions, that a relay reads as it reads a database.
//! - [`RecordingPublisher`]: remembers what it is handed, and fails where a test wants it to.
//! - [`ManualClock`]: time that passes when a test says so: back-off, polling and leases at once.
//! - [`Captured`]: what a transaction captured, with assertions that show the whole outbox when they fail. The outboxes of
//!   `outbox-sqlx` give one for a transaction of a real database (its feature `testing`).
//!
//! `RunningRelay::drain` of `outbox-relay` returns when everything committed before is published.
//!
//! # Examples
//!
//! A whole test. The first attempt fails, and the back-off takes no time:
//!
//! ```
//! use outbox_core::{Outbox, testing::{ManualClock, MemoryStore, RecordingPublisher}};
//! use outbox_relay::{Relay, Subscription};
//! use serde_json::json;
//!
//! #[derive(serde::Serialize, Outbox)]
//! #[outbox(table = "orders", topic = "shop.orders")]
//! struct Order {
//!     #[outbox(key)]
//!     id: u64,
//!     item: &'static str,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (clock, publisher) = (ManualClock::new(), RecordingPublisher::new());
//! let store = MemoryStore::with_clock(clock.clone());
//! publisher.on_delivery(1).retry("the far side is busy");
//!
//! let (tea, cake) = (Order { id: 7, item: "tea" }, Order { id: 7, item: "cake" });
//! let mut tx = store.begin();
//! tx.insert(&tea)?;
//! tx.update(&tea, &cake)?;
//! tx.captured().assert_inserted("shop.orders", "7", json!({"id": 7, "item": "tea"}));
//! tx.commit();
//!
//! let relay = Relay::builder(store).clock(clock.clone());
//! let relay = relay.subscription(Subscription::new("billing", publisher.clone())).start().await?;
//! clock.advance_until(relay.drain()).await?;
//! assert_eq!(publisher.deliveries().len(), 3);
//! publisher.of_key("7").assert_topics(["shop.orders", "shop.orders"]);
//! relay.stop().await?;
//! # Ok(())
//! # }
//! ```

mod captured;
mod clock;
mod dump;
mod memory;
mod publisher;

pub use captured::Captured;
pub use clock::ManualClock;
pub use memory::{MemoryStore, MemoryTransaction};
pub use publisher::{RecordingPublisher, Trouble};
