//! The system's clock, and a timer that costs a busy loop nothing.

use std::time::{Duration, Instant};

use outbox_core::clock::{Clock, Sleep};
use time::OffsetDateTime;

/// The clock of the machine, which a relay goes by unless it is given another.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that asks the system for the time")]
impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn since_boot(&self) -> Duration {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(clock);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
        Duration::new(seconds, nanos)
    }

    fn time_of_day(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep<'_> {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

/// A sleep that is kept from turn to turn of a loop, as long as it ends early enough.
pub(crate) struct Timer<'c> {
    clock: &'c dyn Clock,
    armed: Option<(Instant, Sleep<'c>)>,
}

impl<'c> Timer<'c> {
    pub(crate) fn new(clock: &'c dyn Clock) -> Self {
        Self { clock, armed: None }
    }

    /// Returns at that moment, or earlier where an earlier one was wanted before.
    pub(crate) async fn until(&mut self, moment: Instant) {
        let sleep = match &mut self.armed {
            Some((end, sleep)) if *end <= moment => sleep,
            armed => &mut armed.insert((moment, self.clock.sleep_until(moment))).1,
        };
        sleep.await;
        self.armed = None;
    }
}
