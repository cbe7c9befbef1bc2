//! Time, as a relay sees it: what its back-off, its polling and its leases go by.
//!
//! A relay takes the system's clock unless it is given another. Its tests give it one they move by hand.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// What [`Clock::sleep_until`] returns.
pub type Sleep<'c> = Pin<Box<dyn Future<Output = ()> + Send + 'c>>;

/// Tells the time and waits for a later one.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present moment; never goes back. Only differences mean something.
    fn now(&self) -> Instant;

    /// The time since a moment that stays the same, such as the machine's boot; never goes back.
    ///
    /// Leases are trusted by it, so it must go on while the machine is suspended.
    fn since_boot(&self) -> Duration;

    /// The time of day: shown and stored, never acted on, for it may jump.
    fn time_of_day(&self) -> OffsetDateTime;

    /// Returns once [`Clock::now`] has reached the deadline; at once where it has already.
    ///
    /// Dropping it before is harmless.
    fn sleep_until(&self, deadline: Instant) -> Sleep<'_>;

    /// Returns after so long.
    fn sleep(&self, length: Duration) -> Sleep<'_> {
        self.sleep_until(self.now() + length)
    }
}
