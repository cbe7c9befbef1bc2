//! A relay's process: it may be killed or frozen, and its clock shows what it sees of the time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use outbox_core::Clock;
use outbox_core::clock::Sleep;
use time::OffsetDateTime;
use tokio::time::Instant;

/// A moment of a run, in milliseconds since its beginning.
pub(crate) type Moment = u64;

/// Lets simulated time pass.
#[expect(clippy::disallowed_methods, reason = "the time is simulated: it passes as soon as everybody waits")]
pub(crate) async fn pass_until(moment: Instant) {
    tokio::time::sleep_until(moment).await;
}

/// Lets so many milliseconds of simulated time pass.
pub(crate) async fn pass(millis: Moment) {
    if millis > 0 {
        pass_until(Instant::now() + Duration::from_millis(millis)).await;
    }
}

/// One process, from its start to its end.
pub(crate) struct Process {
    pub(crate) number: u32,
    pub(crate) subscription: String,
    begin: Instant,
    dead: AtomicBool,
    frozen_until: AtomicU64,
    frozen_for: AtomicU64,
    /// Whether its clock stands still while it is frozen, which is a mutant.
    forgets_suspension: bool,
    /// When it last asked for the time, and how often at that moment.
    asked: [AtomicU64; 2],
}

/// Whoever asks so often without a moment passing goes round in circles.
const SPINS: u64 = 100_000;

impl Process {
    pub(crate) fn new(number: u32, subscription: &str, begin: Instant, forgets_suspension: bool) -> Arc<Self> {
        Arc::new(Self {
            number,
            subscription: subscription.to_owned(),
            begin,
            dead: AtomicBool::new(false),
            frozen_until: AtomicU64::new(0),
            frozen_for: AtomicU64::new(0),
            forgets_suspension,
            asked: Default::default(),
        })
    }

    pub(crate) fn now(&self) -> Moment {
        millis(self.begin.elapsed())
    }

    /// Notes that somebody asks for the time.
    fn ask(&self) {
        let [at, count] = &self.asked;
        if at.swap(self.now(), Ordering::Relaxed) != self.now() {
            count.store(0, Ordering::Relaxed);
        }
        let asked = count.fetch_add(1, Ordering::Relaxed);
        assert!(asked < SPINS, "{self:?} goes round in circles");
    }

    /// Whether it went round in circles.
    pub(crate) fn spins(&self) -> bool {
        self.asked[1].load(Ordering::Relaxed) >= SPINS
    }

    /// Ends it: nothing it waits for ever comes back, and what it sent before goes its way.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Stops it for a while, as `SIGSTOP` does: what it waits for comes back afterwards.
    pub(crate) fn freeze(&self, millis: Moment) {
        self.frozen_until.fetch_max(self.now() + millis, Ordering::Relaxed);
        self.frozen_for.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen_until.load(Ordering::Relaxed) > self.now()
    }

    /// Returns when the process runs; never where it is dead.
    pub(crate) async fn runs(&self) {
        loop {
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            let left = self.frozen_until.load(Ordering::Relaxed).saturating_sub(self.now());
            if left == 0 {
                return;
            }
            pass(left).await;
        }
    }
}

fn millis(duration: Duration) -> Moment {
    u64::try_from(duration.as_millis()).unwrap_or(Moment::MAX)
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.number)
    }
}

/// The clock of a process.
#[derive(Debug, Clone)]
pub(crate) struct SimClock(pub(crate) Arc<Process>);

impl Clock for SimClock {
    fn now(&self) -> std::time::Instant {
        self.0.ask();
        Instant::now().into_std()
    }

    fn since_boot(&self) -> Duration {
        let elapsed = self.0.begin.elapsed();
        if self.0.forgets_suspension {
            return elapsed.saturating_sub(Duration::from_millis(self.0.frozen_for.load(Ordering::Relaxed)));
        }
        elapsed
    }

    fn time_of_day(&self) -> OffsetDateTime {
        time::macros::datetime!(2000-01-01 00:00 UTC) + self.0.begin.elapsed()
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Sleep<'_> {
        Box::pin(async move {
            pass_until(deadline.into()).await;
            self.0.runs().await;
        })
    }
}
