//! What the heartbeat and the worker of one subscription tell each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use outbox_core::checkpoint::Held;
use outbox_core::dead_letter::{LETTERS, PAUSED};
use outbox_core::lease::Report;
use tokio::sync::{Notify, watch};

use crate::drain::Drains;
use crate::health::Vitals;
use crate::metrics::SubscriptionMetrics;

/// The leases of one subscription that this relay has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Partition and epoch.
    held: BTreeMap<u32, i64>,
    /// Those that are to be handed over.
    unwanted: BTreeSet<u32>,
}

impl Grant {
    /// What is to be worked.
    pub(crate) fn work(&self) -> Vec<Held> {
        let wanted = self.held.iter().filter(|(partition, _)| !self.unwanted.contains(partition));
        wanted.map(|(partition, epoch)| Held { partition: *partition, epoch: *epoch }).collect()
    }

    /// Whether all of this is still held.
    pub(crate) fn holds(&self, work: &[Held]) -> bool {
        work.iter().all(|held| self.held.get(&held.partition) == Some(&held.epoch))
    }
}

/// What operators said of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Who paused it and why.
    pub(crate) paused: Option<String>,
    /// Changes whenever they decide about its dead letters.
    pub(crate) letters: Option<String>,
}

/// What the heartbeat and the worker of one subscription tell each other.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) subscription: String,
    /// Whether it is shared with other relays; a reader of one row is not.
    shares: bool,
    /// So many partitions the configuration asks for, where it says a number.
    partitions: Option<u32>,
    granted: watch::Sender<Grant>,
    /// Whether the number of partitions is being changed.
    changing: watch::Sender<bool>,
    /// Whether the number of partitions is still to be asked for.
    wishes: AtomicBool,
    /// What operators said of the subscription.
    orders: watch::Sender<Orders>,
    /// What a term is at work on.
    working: Mutex<BTreeSet<u32>>,
    /// Tells the heartbeat to hurry.
    hurry: Arc<Notify>,
    /// Until when the leases are trusted, in milliseconds since boot.
    trusted_until: AtomicU64,
    /// Told to the worker each time the leases are trusted for longer.
    trusted: Notify,
    report: Mutex<Report>,
    /// When an event or a hole was last done with, in whatever term.
    progressed_at: Mutex<Instant>,
    pub(crate) drains: Drains,
    pub(crate) metrics: SubscriptionMetrics,
    pub(crate) vitals: Vitals,
}

impl Seat {
    /// The seat of a reader of one row.
    pub(crate) fn new(subscription: String, publisher: String, hurry: Arc<Notify>, now: Instant) -> Self {
        let report = Report { publisher, state: "idle".into(), ..Report::default() };
        Self {
            metrics: SubscriptionMetrics::new(&subscription),
            vitals: Vitals::default(),
            subscription,
            shares: false,
            partitions: None,
            granted: watch::Sender::default(),
            changing: watch::Sender::default(),
            wishes: AtomicBool::new(true),
            orders: watch::Sender::default(),
            working: Mutex::default(),
            hurry,
            trusted_until: AtomicU64::new(0),
            trusted: Notify::new(),
            report: Mutex::new(report),
            progressed_at: Mutex::new(now),
            drains: Drains::new(),
        }
    }

    /// The seat of a subscription, for which the configuration may ask for a number of partitions.
    pub(crate) fn shared(self, partitions: Option<u32>) -> Self {
        Self { shares: true, partitions, ..self }
    }

    pub(crate) fn shares(&self) -> bool {
        self.shares
    }

    pub(crate) fn grants(&self) -> watch::Receiver<Grant> {
        self.granted.subscribe()
    }

    /// Notes leases that are held from now on.
    pub(crate) fn grant(&self, held: &[Held]) {
        if !held.is_empty() {
            self.report(|report| report.last_error = None);
            self.metrics.took_lease();
            self.granted.send_modify(|grant| grant.held.extend(held.iter().map(|each| (each.partition, each.epoch))));
        }
    }

    /// Says which of the leases are to be worked on, and which handed over.
    pub(crate) fn keep(&self, keep: &BTreeSet<u32>) {
        self.granted.send_if_modified(|grant| {
            let unwanted = grant.held.keys().copied().filter(|partition| !keep.contains(partition)).collect();
            std::mem::replace(&mut grant.unwanted, unwanted) != grant.unwanted
        });
    }

    /// Notes that leases are no longer this relay's.
    pub(crate) fn lose(&self, lost: &[Held]) {
        self.granted.send_if_modified(|grant| {
            let before = grant.held.len();
            grant.held.retain(|partition, epoch| !lost.contains(&Held { partition: *partition, epoch: *epoch }));
            grant.held.len() < before
        });
    }

    /// Gives all leases up without telling the database: a checkpoint was refused because of an epoch.
    pub(crate) fn vacate(&self) {
        if self.granted.send_replace(Grant::default()) != Grant::default() {
            self.metrics.lost_lease();
        }
        self.hurry.notify_one();
    }

    /// The leases that are to be handed over and that nobody works.
    pub(crate) fn idle(&self) -> Vec<Held> {
        let working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = self.granted.borrow();
        let idle = grant.unwanted.iter().filter(|partition| !working.contains(partition));
        idle.filter_map(|partition| Some(Held { partition: *partition, epoch: *grant.held.get(partition)? })).collect()
    }

    /// Notes what a term is at work on; nothing between terms.
    pub(crate) fn work(&self, held: &[Held]) {
        *self.working.lock().unwrap_or_else(PoisonError::into_inner) = held.iter().map(|each| each.partition).collect();
        if held.is_empty() {
            self.hurry.notify_one();
        }
    }

    pub(crate) fn held(&self) -> Vec<Held> {
        let grant = self.granted.borrow();
        grant.held.iter().map(|(partition, epoch)| Held { partition: *partition, epoch: *epoch }).collect()
    }

    pub(crate) fn partitions_held(&self) -> BTreeSet<u32> {
        self.granted.borrow().held.keys().copied().collect()
    }

    /// Whether there is something for this relay to work.
    pub(crate) fn is_granted(&self) -> bool {
        !self.holds_nothing()
    }

    pub(crate) fn holds_nothing(&self) -> bool {
        self.granted.borrow().held.is_empty()
    }

    /// Notes whether the number of partitions is being changed; returns whether that is news.
    pub(crate) fn set_changing(&self, changing: bool) -> bool {
        self.changing.send_if_modified(|before| std::mem::replace(before, changing) != changing)
    }

    pub(crate) fn is_changing(&self) -> bool {
        *self.changing.borrow()
    }

    /// Notes what operators said of the subscription, by the rows that rule it; returns whether it is paused since then. From now
    /// on no call is made, so the next report may say so.
    pub(crate) fn follow(&self, rules: &BTreeMap<String, String>) -> bool {
        let rule = |kind: &str| rules.get(&format!("{kind}{}", self.subscription)).cloned();
        let orders = Orders { paused: rule(PAUSED).filter(|note| !note.is_empty()), letters: rule(LETTERS) };
        let was_paused = self.is_paused();
        self.orders.send_if_modified(|before| {
            let changed = *before != orders;
            *before = orders;
            changed
        });
        let is_news = self.is_paused() && !was_paused;
        if is_news {
            self.report(|report| report.state = "paused".into());
        }
        is_news
    }

    pub(crate) fn orders(&self) -> watch::Receiver<Orders> {
        self.orders.subscribe()
    }

    /// Whether an operator paused the subscription.
    pub(crate) fn is_paused(&self) -> bool {
        self.orders.borrow().paused.is_some()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<bool> {
        self.changing.subscribe()
    }

    /// The number of partitions that is still to be asked for: each relay does it once, when it starts, so that the one that
    /// started last decides. Where the configuration says none, what there is stays.
    pub(crate) fn wish(&self) -> Option<u32> {
        self.partitions.filter(|_| self.wishes.load(Ordering::Acquire))
    }

    /// So many partitions a new subscription gets.
    pub(crate) fn partitions_at_first(&self) -> u32 {
        self.partitions.unwrap_or(1)
    }

    /// Notes that it need not be asked for again.
    pub(crate) fn wish_granted(&self) {
        self.wishes.store(false, Ordering::Release);
    }

    /// Tells the heartbeat to look at once.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Whether the leases surely are still this relay's.
    pub(crate) fn is_trusted(&self, since_boot: Duration) -> bool {
        millis(since_boot) < self.trusted_until.load(Ordering::Acquire)
    }

    /// Returns when the leases were trusted for longer since the last time; there is one worker to be told.
    pub(crate) async fn trusted(&self) {
        self.trusted.notified().await;
    }

    pub(crate) fn trust(&self, until: Duration) {
        self.trusted_until.store(millis(until), Ordering::Release);
        self.trusted.notify_one();
    }

    /// Changes what the next renewal reports.
    pub(crate) fn report(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).last_error.clone()
    }

    pub(crate) fn snapshot(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that something moved.
    pub(crate) fn progress(&self, now: Instant) {
        *self.progressed_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// When something last moved, or the relay began.
    pub(crate) fn progressed_at(&self) -> Instant {
        *self.progressed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
