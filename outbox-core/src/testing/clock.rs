//! A clock that a test moves.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::watch;

use crate::clock::{Clock, Sleep};

/// How far it goes: a year has four digits.
const END: Duration = Duration::from_hours(8000 * 365 * 24);

/// A clock that stands still until a test moves it. Clones show the same time.
///
/// It begins at 2000-01-01T00:00:00Z and stops for good 8000 years of 365 days later. Whoever sleeps by it wakes when it has
/// been moved far enough, so that back-off, polling and leases of a relay pass at once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use outbox_core::{Clock, testing::ManualClock};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = ManualClock::new();
/// let hour = clock.sleep(Duration::from_secs(3600));
/// clock.advance(Duration::from_secs(3600));
/// hour.await;
///
/// // Or let it run ahead by itself while something is awaited:
/// clock.advance_until(clock.sleep(Duration::from_secs(86400))).await;
/// assert_eq!(clock.time_of_day().to_string(), "2000-01-02 1:00:00.0 +00:00:00");
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    dial: Arc<Dial>,
}

#[derive(Debug)]
struct Dial {
    /// Where its moments begin. That it is a moment of the system's clock shows nowhere.
    begin: Instant,
    elapsed: watch::Sender<Duration>,
    /// How many sleep until when.
    sleepers: Mutex<BTreeMap<Duration, usize>>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl ManualClock {
    /// A clock that stands at 2000-01-01T00:00:00Z.
    pub fn new() -> Self {
        let dial = Dial {
            begin: Instant::now(),
            elapsed: watch::Sender::new(Duration::ZERO),
            sleepers: Mutex::new(BTreeMap::new()),
        };
        Self { dial: Arc::new(dial) }
    }

    /// Moves it ahead and wakes those who slept until then.
    pub fn advance(&self, length: Duration) {
        self.move_to(|elapsed| elapsed.saturating_add(length));
    }

    /// Awaits the future while time passes as it is slept for: whenever everything waits, the clock jumps to the next
    /// moment that somebody sleeps until.
    ///
    /// Await it on a runtime of one thread, as `#[tokio::test]` makes it: what works on other threads meanwhile would be
    /// taken for waiting.
    pub async fn advance_until<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                () = tokio::task::yield_now() => self.jump(),
            }
        }
    }

    /// How long since it began.
    fn elapsed(&self) -> Duration {
        *self.dial.elapsed.borrow()
    }

    fn jump(&self) {
        let next = self.dial.sleepers().first_key_value().map(|(moment, _)| *moment);
        if let Some(next) = next {
            self.move_to(|_| next);
        }
    }

    /// Moves it, never back and never beyond its end, in one step whoever else moves it.
    fn move_to(&self, moment: impl FnOnce(Duration) -> Duration) {
        self.dial.elapsed.send_modify(|elapsed| *elapsed = moment(*elapsed).min(END).max(*elapsed));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.dial.begin + self.elapsed()
    }

    fn since_boot(&self) -> Duration {
        self.elapsed()
    }

    fn time_of_day(&self) -> OffsetDateTime {
        time::macros::datetime!(2000-01-01 00:00 UTC) + self.elapsed()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep<'_> {
        let moment = deadline.saturating_duration_since(self.dial.begin);
        let mut elapsed = self.dial.elapsed.subscribe();
        Box::pin(async move {
            let _sleeper = Sleeper::new(&self.dial, moment);
            // The clock holds the sender, and this sleep the clock.
            let _ = elapsed.wait_for(|elapsed| *elapsed >= moment).await;
        })
    }
}

impl Dial {
    fn sleepers(&self) -> MutexGuard<'_, BTreeMap<Duration, usize>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who sleeps, until dropped.
struct Sleeper<'d> {
    dial: &'d Dial,
    moment: Duration,
}

impl<'d> Sleeper<'d> {
    fn new(dial: &'d Dial, moment: Duration) -> Self {
        *dial.sleepers().entry(moment).or_default() += 1;
        Self { dial, moment }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.dial.sleepers();
        if let Some(count) = sleepers.get_mut(&self.moment) {
            *count -= 1;
            if *count == 0 {
                sleepers.remove(&self.moment);
            }
        }
    }
}
