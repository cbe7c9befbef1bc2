//! When to try again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// How often and how long an event is tried. A publisher that cannot be reached at all costs no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The first delay; each later one is twice as long. Default 100 ms.
    pub first: Duration,
    /// The longest delay. Default 30 s.
    pub max: Duration,
    /// After so many attempts the event counts as one that will not pass. Default 20.
    pub attempts: u32,
    /// After so long since its first failure the event counts as one that will not pass. Default 1 hour.
    pub budget: Duration,
    /// What becomes of an event that will not pass. Default [`Then::Park`].
    pub then: Then,
    /// A key has at most so many dead letters; then nothing more is read until some are gone. Default 10,000. What a relay
    /// finds between the checkpoints of partitions that it takes over is written beyond that.
    pub max_parked: u64,
    /// When a relay knows so many keys for their dead letters alone, it reads nothing more until some of them are free; it holds
    /// each such key in memory. What it has read by then may bring some more. Default 10,000.
    pub max_parked_keys: u64,
}

/// What becomes of an event that will not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Then {
    /// It goes to the dead letters, and the later events of its key after it, until an operator decides.
    #[default]
    Park,
    /// It goes to the dead letters, and the later events of its key are published.
    Skip,
    /// It stays in the log and owed, its key waits in memory, and the next relay tries it again.
    Block,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            max: Duration::from_secs(30),
            attempts: 20,
            budget: Duration::from_hours(1),
            then: Then::default(),
            max_parked: 10_000,
            max_parked_keys: 10_000,
        }
    }
}

impl Retry {
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule::new(self.first, self.max)
    }
}

/// Delays that double up to a limit, each with full jitter: a uniform draw between nothing and the delay, so that those
/// who failed together do not come back together.
///
/// Source: Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
#[derive(Debug)]
pub(crate) struct Schedule {
    limits: (Duration, Duration),
    delays: ExponentialBackoff,
    failed: bool,
}

impl Schedule {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        let delays =
            ExponentialBuilder::default().with_min_delay(first).with_max_delay(max).without_max_times().build();
        Self { limits: (first, max), delays, failed: false }
    }

    pub(crate) fn next_delay(&mut self) -> Duration {
        self.failed = true;
        self.delays.next().unwrap_or(self.limits.1).mul_f64(fastrand::f64())
    }

    /// Whether there was a failure, and no success since.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.limits.0, self.limits.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_drawn_below_a_doubling_limit() {
        let mut schedule = Schedule::new(Duration::from_millis(100), Duration::from_millis(400));
        for limit in [100, 200, 400, 400, 400] {
            let delay = schedule.next_delay();
            assert!(delay <= Duration::from_millis(limit), "{delay:?} > {limit} ms");
        }
        for _ in 0..200 {
            assert!(schedule.next_delay() <= Duration::from_millis(400));
        }
        assert!(schedule.has_failed());
        schedule.reset();
        assert!(!schedule.has_failed());
        assert!(schedule.next_delay() <= Duration::from_millis(100));
    }
}
