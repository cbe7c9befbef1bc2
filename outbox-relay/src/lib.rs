//! Moves events from a transactional outbox to publishers, in order.
//!
//! ```text
//! source ─► keys ─► publisher ─► acknowledgements ─► checkpoint        all of it bounded in events and bytes
//! ```
//!
//! Embedded in an application, a relay is a task of its runtime:
//!
//! ```no_run
//! use outbox_relay::{Relay, Subscription, publisher::closure};
//!
//! # async fn example(store: impl outbox_core::Store) -> Result<(), outbox_relay::RelayError> {
//! let relay = Relay::builder(store)
//!     .name("shop-1")
//!     .subscription(Subscription::new("mails", closure(|event| async move {
//!         println!("{} {}", event.topic, event.key);
//!         Ok::<(), std::io::Error>(())
//!     })))
//!     .start()
//!     .await?;
//! // … the application works …
//! relay.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! What it promises: every committed event is published at least once; repeats come only after a fault, and only of what
//! was in flight; events of one key are first published in order; an event that fails holds up its own key alone.

pub mod changelog;
pub mod cleanup;
mod clock;
mod connections;
pub mod dead_letters;
mod dispatch;
mod drain;
mod error;
#[cfg(feature = "failpoints")]
pub mod failpoint;
#[cfg(not(feature = "failpoints"))]
mod failpoint;
mod fair;
mod health;
mod heartbeat;
mod identity;
mod memory;
pub mod metrics;
mod observer;
mod polling;
pub mod publisher;
mod reaction;
mod relay;
mod replay;
mod retry;
mod seat;
mod settings;
mod share;
mod subscription;
mod term;
mod trail;
mod wake;
mod worker;

pub use changelog::ChangeLog;
pub use clock::SystemClock;
pub use error::RelayError;
pub use health::{Complaint, Health};
pub use observer::Observer;
pub use relay::{Outcome, Relay, RelayBuilder, RunningRelay, StopHandle};
pub use replay::{Replay, Replayed};
pub use retry::{Retry, Then};
pub use subscription::Subscription;
pub use wake::Waker;
