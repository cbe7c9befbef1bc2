//! Whether a relay lives, and whether it is at work: for those who restart or replace it.
//!
//! Each loop says by when it will have come round. One that is long overdue hangs, whatever the reason; a database or
//! publisher that cannot be reached makes none overdue, for a restart would not help. Whether the relay is *ready* asks more:
//! each subscription is worked under a lease, or waits for another relay that holds it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use outbox_core::Clock;
use tokio_util::sync::CancellationToken;

use crate::seat::Seat;

/// A loop that is so long overdue hangs. Far above what a call of the database may take.
const GRACE: Duration = Duration::from_mins(1);

/// How one subscription is getting on.
#[derive(Debug, Default)]
pub(crate) struct Vitals(Mutex<Signs>);

#[derive(Debug, Default, Clone, Copy)]
struct Signs {
    /// While a term runs: by when its loop comes round.
    term: Option<Instant>,
    /// By when the heartbeat comes round.
    heartbeat: Option<Instant>,
    /// Whether the last beat reached the database.
    heard: bool,
}

impl Vitals {
    /// The loop of a term comes round by then.
    pub(crate) fn comes_round(&self, by: Instant) {
        self.change(|signs| signs.term = Some(by));
    }

    /// No term runs.
    pub(crate) fn rests(&self) {
        self.change(|signs| signs.term = None);
    }

    /// The heartbeat comes round by then; `heard` where this beat reached the database.
    pub(crate) fn beat(&self, heard: bool, by: Instant) {
        self.change(|signs| (signs.heartbeat, signs.heard) = (Some(by), heard));
    }

    fn change(&self, change: impl FnOnce(&mut Signs)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn signs(&self) -> Signs {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes a part of the relay that panicked and that nobody waits for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panics(Arc<AtomicBool>);

impl Panics {
    /// Awaits the future, and notes it when it panics.
    pub(crate) async fn note(self, part: impl Future<Output = ()>) {
        let mut guard = Unfinished { panics: self, finished: false };
        part.await;
        guard.finished = true;
    }
}

struct Unfinished {
    panics: Panics,
    finished: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished && std::thread::panicking() {
            self.panics.0.store(true, Ordering::Release);
        }
    }
}

/// Why a relay is not well, in words that hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The subscription, where it is about one.
    pub subscription: Option<String>,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// `billing: the database does not answer`.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subscription {
            Some(subscription) => write!(f, "{subscription}: {}", self.reason),
            None => f.write_str(self.reason),
        }
    }
}

/// Tells whether a relay is well. To ask costs no statement and waits for nothing.
#[derive(Debug, Clone)]
pub struct Health {
    clock: Arc<dyn Clock>,
    seats: Vec<Arc<Seat>>,
    /// Cancelled when the relay is asked to stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled when it has ended, in whatever way.
    pub(crate) ended: CancellationToken,
    pub(crate) panics: Panics,
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>, seats: Vec<Arc<Seat>>) -> Self {
        let (stop, ended, panics) = (CancellationToken::new(), CancellationToken::new(), Panics::default());
        Self { clock, seats, stop, ended, panics }
    }

    /// What says that the relay hangs or has ended, so that only a restart helps; nothing where it lives.
    pub fn dead(&self) -> Vec<Complaint> {
        let whole = |reason| vec![Complaint { subscription: None, reason }];
        if self.ended.is_cancelled() {
            return whole("the relay has ended");
        }
        if self.panics.0.load(Ordering::Acquire) {
            return whole("a part of the relay panicked");
        }
        let now = self.clock.now();
        let overdue = |by: Option<Instant>| by.is_some_and(|by| now.saturating_duration_since(by) > GRACE);
        self.complaints(|seat| {
            let signs = seat.vitals.signs();
            if overdue(signs.heartbeat) {
                return Some("the heartbeat hangs");
            }
            overdue(signs.term).then_some("its loop hangs; does the publisher block the thread?")
        })
    }

    /// What keeps the relay from being at work, or ready to take over; nothing where it is.
    pub fn idle(&self) -> Vec<Complaint> {
        let dead = self.dead();
        if !dead.is_empty() {
            return dead;
        }
        if self.stop.is_cancelled() {
            return vec![Complaint { subscription: None, reason: "the relay is stopping" }];
        }
        let since_boot = self.clock.since_boot();
        self.complaints(|seat| {
            let signs = seat.vitals.signs();
            match (seat.is_granted(), signs.heard) {
                (true, _) if !seat.is_trusted(since_boot) => Some("its lease cannot be renewed"),
                (true, _) if signs.term.is_none() => Some("the database or the publisher is not ready"),
                (false, false) => Some("the database does not answer, or was not asked yet"),
                // Held, or another relay holds it.
                _ => None,
            }
        })
    }

    fn complaints(&self, of: impl Fn(&Seat) -> Option<&'static str>) -> Vec<Complaint> {
        let complaint = |seat: &Arc<Seat>| {
            of(seat).map(|reason| Complaint { subscription: Some(seat.subscription.clone()), reason })
        };
        self.seats.iter().filter_map(complaint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_noted_and_one_that_ends_is_not() {
        let panics = Panics::default();
        let parts = [false, true].map(|fails| {
            let part = panics.clone().note(async move { assert!(!fails, "as the test wants it") });
            (fails, part)
        });
        for (fails, part) in parts {
            assert_eq!(tokio::spawn(part).await.is_err(), fails);
            assert_eq!(panics.0.load(Ordering::Acquire), fails);
        }
    }
}
