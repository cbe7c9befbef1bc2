//! What is recorded of one subscription. Each metric is looked up once, when the relay starts.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, NoopRecorder, with_local_recorder};
use outbox_core::Clock;
use outbox_core::checkpoint::is_reserved;
use outbox_core::publisher::Answer;
use outbox_core::source::Row;

use super::{Metric, names};

/// The metrics of one subscription.
#[derive(Debug)]
pub(crate) struct SubscriptionMetrics {
    events: Counter,
    filtered: Counter,
    unreadable: Counter,
    published: Counter,
    retried: Counter,
    rejected: Counter,
    parked: Counter,
    events_in_flight: Gauge,
    bytes_in_flight: Gauge,
    pub(crate) reads: Durations,
    pub(crate) calls: Durations,
    pub(crate) checkpoints: Durations,
    holes: Gauge,
    oldest_hole: Gauge,
    held: Gauge,
    taken: Counter,
    lost: Counter,
}

impl SubscriptionMetrics {
    /// Those of a subscription, all of them at zero. An export has none, whatever it is called.
    pub(crate) fn new(name: &str) -> Self {
        if is_reserved(name) { with_local_recorder(&NoopRecorder, || Self::of(name)) } else { Self::of(name) }
    }

    fn of(name: &str) -> Self {
        let durations = |metric: Metric| Durations(metric.histogram(&[name]));
        let metrics = Self {
            events: names::EVENTS_READ.counter(&[name, "event"]),
            filtered: names::EVENTS_READ.counter(&[name, "filtered"]),
            unreadable: names::EVENTS_READ.counter(&[name, "unreadable"]),
            published: names::EVENTS_PUBLISHED.counter(&[name]),
            retried: names::EVENTS_RETRIED.counter(&[name]),
            rejected: names::EVENTS_REJECTED.counter(&[name]),
            parked: names::EVENTS_PARKED.counter(&[name]),
            events_in_flight: names::EVENTS_IN_FLIGHT.gauge(&[name]),
            bytes_in_flight: names::BYTES_IN_FLIGHT.gauge(&[name]),
            reads: durations(names::READ_DURATION),
            calls: durations(names::PUBLISH_DURATION),
            checkpoints: durations(names::CHECKPOINT_DURATION),
            holes: names::HOLES.gauge(&[name]),
            oldest_hole: names::OLDEST_HOLE.gauge(&[name]),
            held: names::LEASE_HELD.gauge(&[name]),
            taken: names::LEASES_TAKEN.counter(&[name]),
            lost: names::LEASES_LOST.counter(&[name]),
        };
        metrics.rests();
        metrics
    }

    /// Rows came from the log.
    pub(crate) fn read(&self, rows: &[Row]) {
        let (mut events, mut filtered, mut unreadable) = (0, 0, 0);
        for row in rows {
            match row {
                Row::Event(_) => events += 1,
                Row::Filtered(_) => filtered += 1,
                Row::Unreadable(_) => unreadable += 1,
            }
        }
        self.events.increment(events);
        self.filtered.increment(filtered);
        self.unreadable.increment(unreadable);
    }

    /// The publisher answered for the events of a call.
    pub(crate) fn answered(&self, answers: &[Answer]) {
        let (mut published, mut retried, mut rejected) = (0, 0, 0);
        for answer in answers {
            match answer {
                Answer::Published => published += 1,
                Answer::Retry { .. } => retried += 1,
                Answer::Reject { .. } => rejected += 1,
            }
        }
        self.published.increment(published);
        self.retried.increment(retried);
        self.rejected.increment(rejected);
    }

    /// So many events are to be kept aside.
    pub(crate) fn parked(&self, events: usize) {
        self.parked.increment(events as u64);
    }

    /// So much is between a read and a durable checkpoint.
    #[expect(clippy::cast_precision_loss, reason = "no window is as large as that")]
    pub(crate) fn in_flight(&self, events: usize, bytes: usize) {
        self.events_in_flight.set(events as f64);
        self.bytes_in_flight.set(bytes as f64);
    }

    /// So many holes are open, the oldest for so long.
    #[expect(clippy::cast_precision_loss, reason = "there are 10,000 at most")]
    pub(crate) fn holes(&self, count: usize, oldest: Option<Duration>) {
        self.holes.set(count as f64);
        self.oldest_hole.set(oldest.unwrap_or_default().as_secs_f64());
    }

    /// The lease was taken.
    pub(crate) fn took_lease(&self) {
        self.taken.increment(1);
        self.held.set(1.0);
    }

    /// The lease is another relay's.
    pub(crate) fn lost_lease(&self) {
        self.lost.increment(1);
        self.rests();
    }

    /// This relay works the subscription no longer, or not yet.
    pub(crate) fn rests(&self) {
        self.held.set(0.0);
        self.in_flight(0, 0);
        self.holes(0, None);
    }
}

/// How long something takes, time and again.
#[derive(Debug, Clone)]
pub(crate) struct Durations(Histogram);

impl Durations {
    /// Awaits the future and notes how long it took since `begin`; one that is dropped before leaves no trace.
    pub(crate) fn time<F: Future>(
        &self,
        clock: &Arc<dyn Clock>,
        begin: Instant,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let (histogram, clock) = (self.0.clone(), clock.clone());
        async move {
            let output = future.await;
            histogram.record(clock.now().saturating_duration_since(begin).as_secs_f64());
            output
        }
    }
}
