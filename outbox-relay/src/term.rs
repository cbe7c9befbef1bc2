//! One term: the work on a subscription between taking its lease and losing it, or the end.
//!
//! ```text
//!            ┌────────────── room for more ◄──────────────────────────┐
//!            ▼                                                        │
//!  read ─► frontier ─► dispatch ─► calls in flight ─► answers ─► open positions ─► checkpoint
//!          (holes)     (keys)                                                      (overlaps the next read)
//! ```
//!
//! All of it is one task, so that nothing is locked: a read, a checkpoint and any number of calls are under way together,
//! and each outcome changes the state between two awaits. What a crash at any point leaves behind:
//!
//! - before or during a call, and before the checkpoint is durable: the event is an open position, or lies above the
//!   checkpoint, and is published again;
//! - after the checkpoint is durable: it is done.
//!
//! So nothing is lost, and what repeats was sent and not yet checkpointed: at most the window.

mod pace;
mod report;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use outbox_core::checkpoint::Checkpoint;
use outbox_core::frontier::Frontier;
use outbox_core::publisher::{Answer, Delivery, Publisher};
use outbox_core::source::{Proof, Row};
use outbox_core::{Event, Position, PublishError, PublishErrorKind, StoreError, StoreErrorKind};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connections::{Entry, Ledger, ReadOutcome, Reader};
use crate::dispatch::Dispatch;
use crate::error::RelayError;
use crate::heartbeat::Seat;
use crate::polling::HOLES_AT_MOST;
use crate::reaction::{self, Reaction};
use crate::settings::Settings;
use crate::subscription::Subscription;
use crate::trail::{Trail, events};
use pace::Pace;

/// A checkpoint is written after so many acknowledgements …
const CHECKPOINT_EVENTS: usize = 1000;
/// … or so long after the first of them.
const CHECKPOINT_DELAY: Duration = Duration::from_millis(100);

/// How a term ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The lease is another relay's.
    Lost,
    /// The relay was asked to stop.
    Stopped,
    /// Everything that was to be published is; so many events will not pass.
    Emptied { blocked: u64 },
}

/// What one term works with.
pub(crate) struct Mandate {
    pub(crate) subscription: Subscription,
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Arc<dyn outbox_core::Store>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) stop: CancellationToken,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Reading = Boxed<(Reader, Result<ReadOutcome, StoreError>)>;
type Writing = Boxed<(Ledger, Result<(), StoreError>)>;
type Call = Boxed<(Vec<Delivery>, Result<Vec<Answer>, PublishError>)>;

/// The state of one term.
struct Term<'m> {
    mandate: &'m Mandate,
    frontier: Frontier,
    dispatch: Dispatch,
    trail: Trail,
    reader: Option<Reader>,
    reading: Option<Reading>,
    ledger: Option<Ledger>,
    writing: Option<Writing>,
    entry: Entry,
    calls: FuturesUnordered<Call>,
    pace: Pace,
    /// Acknowledged, and not yet in a durable checkpoint.
    unsaved: usize,
    /// So many of them are in the checkpoint being written.
    being_saved: usize,
    /// When something first changed that no checkpoint holds.
    dirty_since: Option<Instant>,
    /// The position that must be passed before the relay may end as empty.
    target: Option<Position>,
    /// Whether a read saw everything up to the target.
    seen_all: bool,
    stopping_since: Option<Instant>,
}

/// Works until the lease is lost, the relay is asked to stop, or everything is published.
///
/// # Errors
///
/// [`RelayError`] when a person must do something, or a relay that was to end made no progress.
pub(crate) async fn run(
    mandate: &Mandate,
    epoch: i64,
    mut grants: watch::Receiver<Option<i64>>,
) -> Result<End, RelayError> {
    let mut term = match Term::open(mandate, epoch).await {
        Ok(term) => term,
        Err(error) if error.kind() == StoreErrorKind::Fenced => return Ok(End::Lost),
        Err(error) => return Err(RelayError::Store(error)),
    };
    loop {
        let now = Instant::now();
        term.start_read(now);
        term.start_calls(now);
        term.start_write(now);
        if let Some(end) = term.end(now)? {
            return Ok(end);
        }
        let wake = tokio::time::Instant::from_std(term.next_timer(now));
        tokio::select! {
            outcome = poll_if_some(&mut term.reading) => term.read_done(outcome)?,
            Some(call) = term.calls.next() => {
                term.call_done(call)?;
                while let Some(Some(call)) = term.calls.next().now_or_never() {
                    term.call_done(call)?;
                }
            }
            outcome = poll_if_some(&mut term.writing) => {
                if term.write_done(outcome)? == Some(End::Lost) {
                    return Ok(End::Lost);
                }
            }
            () = tokio::time::sleep_until(wake) => {}
            _ = grants.wait_for(|grant| *grant != Some(epoch)) => return Ok(End::Lost),
            () = mandate.stop.cancelled(), if term.stopping_since.is_none() => term.stopping_since = Some(Instant::now()),
        }
    }
}

/// Waits for the future in the slot and empties it; for ever while there is none.
async fn poll_if_some<T>(slot: &mut Option<Boxed<T>>) -> T {
    match slot {
        Some(future) => {
            let outcome = future.await;
            *slot = None;
            outcome
        }
        None => std::future::pending().await,
    }
}

impl<'m> Term<'m> {
    /// Loads the checkpoint under the new epoch, or makes the first one.
    async fn open(mandate: &'m Mandate, epoch: i64) -> Result<Self, StoreError> {
        let Subscription { name, filter, start, strict_order, retry, publisher } = &mandate.subscription;
        let mut reader = Reader::new(mandate.store.clone(), filter.clone());
        let mut ledger = Ledger::new(mandate.store.clone(), name.clone(), epoch);
        let (found, recorded) = ledger.claim().await?;
        let checkpoint = if let Some(checkpoint) = found {
            checkpoint
        } else {
            let (position, open) = reader.locate(*start).await?;
            // As every later one is written: otherwise the next would seem to go back.
            let checkpoint = Checkpoint { position, open, events: Vec::new() }.trimmed();
            ledger.create(&checkpoint).await?;
            checkpoint
        };
        let target = match mandate.settings.until_empty {
            Some(_) => Some(reader.last_position().await?),
            None => None,
        };
        // The first read verifies the stored proof, which a connection that is open already would not.
        reader.close();
        let holes = if *strict_order { 1 } else { outbox_core::frontier::MAX_HOLES };
        let now = Instant::now();
        tracing::info!(subscription = name, epoch, position = checkpoint.position, "subscription running");
        Ok(Self {
            mandate,
            frontier: Frontier::new(checkpoint.position, &checkpoint.open).with_max_holes(holes),
            dispatch: Dispatch::new(publisher.discipline(), *retry, recorded),
            trail: Trail::new(&checkpoint.events),
            reader: Some(reader),
            reading: None,
            ledger: Some(ledger),
            writing: None,
            entry: Entry { checkpoint, ..Entry::default() },
            calls: FuturesUnordered::new(),
            pace: Pace::new(now, mandate.settings.poll_max),
            unsaved: 0,
            being_saved: 0,
            dirty_since: None,
            target,
            seen_all: false,
            stopping_since: None,
        })
    }

    /// Starts a read when there is room for what it may bring.
    fn start_read(&mut self, now: Instant) {
        let settings = &self.mandate.settings;
        let room = settings.window_events.saturating_sub(self.dispatch.events() + self.unsaved);
        let room_bytes = settings.window_bytes.saturating_sub(self.dispatch.bytes() as u64);
        let busy = self.dispatch.is_moving() || self.writing.is_some();
        let enough =
            if busy { room * 2 >= settings.window_events && room_bytes * 2 >= settings.window_bytes } else { true };
        if room == 0 || room_bytes == 0 || !enough || now < self.pace.read_at || self.stopping_since.is_some() {
            return;
        }
        let Some(reader) = self.reader.take() else { return };
        let most = room.min(self.pace.read_size(room_bytes));
        // Half the window at a time: while one half is being read the other is on its way out.
        let bytes = room_bytes.min(settings.window_bytes.div_ceil(2));
        let request = self.frontier.request(u32::try_from(most).unwrap_or(u32::MAX), bytes);
        let proof = Proof { position: self.frontier.position(), events: self.trail.events() };
        self.pace.read_sent_at = now;
        self.reading = Some(Box::pin(reader.read(request, proof)));
    }

    fn read_done(&mut self, (reader, outcome): (Reader, Result<ReadOutcome, StoreError>)) -> Result<(), RelayError> {
        self.reader = Some(reader);
        match outcome {
            Ok(outcome) => {
                self.pace.read_failures.reset();
                self.take_in(outcome);
                Ok(())
            }
            Err(error) if reaction::to_store_error(&error, true) == Reaction::Stop => Err(RelayError::Store(error)),
            Err(error) => {
                self.pace.read_at = Instant::now() + self.pace.read_failures.next_delay();
                self.trouble("the log cannot be read, trying again", &reaction::chain(&error));
                Ok(())
            }
        }
    }

    fn take_in(&mut self, outcome: ReadOutcome) {
        outcome.tell(&mut self.frontier);
        let before = (self.frontier.position(), self.frontier.hole_count());
        let (brought, complete) = (outcome.read.rows.len(), outcome.read.complete && outcome.above);
        let rows = self.frontier.absorb(outcome.read);
        self.seen_all |= complete && rows.len() == brought;
        self.remember(&rows);
        if (self.frontier.position(), self.frontier.hole_count()) != before || !rows.is_empty() {
            self.mandate.seat.progress();
            self.dirty_since.get_or_insert_with(Instant::now);
        }
        self.pace.after_read(rows.len(), self.frontier.hole_count() > 0);
        self.dispatch.admit(rows);
        self.report();
    }

    fn remember(&mut self, rows: &[Row]) {
        let sizes: usize = events(rows).map(Event::size).sum();
        if let Some(average) = sizes.checked_div(events(rows).count()) {
            self.pace.average_size = average;
        }
        self.trail.follow(rows);
    }

    /// Hands ready events to the publisher, while the lease is surely held.
    fn start_calls(&mut self, now: Instant) {
        let stopping = self.stopping_since.is_some() || self.mandate.stop.is_cancelled();
        if stopping || now < self.pace.call_at || !self.mandate.seat.is_trusted() {
            return;
        }
        while let Some(call) = self.dispatch.next_call(now) {
            let publisher = Arc::clone(&self.mandate.subscription.publisher);
            self.calls.push(Box::pin(deliver(publisher, call)));
        }
    }

    fn call_done(
        &mut self,
        (call, outcome): (Vec<Delivery>, Result<Vec<Answer>, PublishError>),
    ) -> Result<(), RelayError> {
        let now = Instant::now();
        match outcome {
            Ok(answers) => {
                self.pace.call_failures.reset();
                let settled = self.dispatch.settle(call, answers, now);
                if settled.published > 0 {
                    self.unsaved += settled.published;
                    self.mandate.seat.progress();
                    self.dirty_since.get_or_insert(now);
                }
                if let Some(reason) = settled.failure {
                    self.dirty_since.get_or_insert(now);
                    self.trouble("an event was not published", &reason);
                }
                Ok(())
            }
            Err(error) if error.kind() == PublishErrorKind::Closed => {
                Err(RelayError::Publisher { subscription: self.mandate.subscription.name.clone(), error })
            }
            Err(error) => {
                self.dispatch.give_back(call, now);
                if now >= self.pace.call_at {
                    self.pace.call_at = now + self.pace.call_failures.next_delay();
                }
                self.trouble("the publisher failed, trying again", &reaction::chain(&error));
                Ok(())
            }
        }
    }

    /// Starts a checkpoint when enough has changed, or for long enough.
    fn start_write(&mut self, now: Instant) {
        let Some(since) = self.dirty_since else { return };
        let window = self.mandate.settings.window_events;
        let due = self.unsaved >= CHECKPOINT_EVENTS.min(window / 4)
            || now.duration_since(since) >= CHECKPOINT_DELAY
            || (!self.dispatch.is_moving() && (self.stopping_since.is_some() || self.target.is_some()));
        if !due || now < self.pace.write_at {
            return;
        }
        let Some(ledger) = self.ledger.take() else { return };
        let mut open = self.frontier.open();
        for range in self.dispatch.open().ranges() {
            open.insert(range.clone());
        }
        let events = self.trail.events();
        self.entry.checkpoint = Checkpoint { position: self.frontier.position(), open, events }.trimmed();
        self.entry.recorded.extend(self.dispatch.take_unrecorded());
        self.entry.forgiven.extend(self.dispatch.take_forgiven());
        self.being_saved = self.unsaved;
        self.dirty_since = None;
        self.writing = Some(Box::pin(ledger.write(self.entry.clone())));
    }

    fn write_done(&mut self, (ledger, outcome): (Ledger, Result<(), StoreError>)) -> Result<Option<End>, RelayError> {
        self.ledger = Some(ledger);
        match outcome {
            Ok(()) => {
                self.pace.write_failures.reset();
                self.unsaved -= self.being_saved;
                self.being_saved = 0;
                self.entry.recorded.clear();
                self.entry.forgiven.clear();
                self.report();
                Ok(None)
            }
            Err(error) => match reaction::to_store_error(&error, true) {
                Reaction::Stop => Err(RelayError::Store(error)),
                Reaction::StepDown => {
                    tracing::warn!(subscription = self.mandate.subscription.name, error = %error, "stepping down");
                    Ok(Some(End::Lost))
                }
                Reaction::Retry => {
                    let now = Instant::now();
                    self.dirty_since = Some(now);
                    self.pace.write_at = now + self.pace.write_failures.next_delay();
                    self.trouble("the checkpoint cannot be written, trying again", &reaction::chain(&error));
                    Ok(None)
                }
            },
        }
    }

    /// Whether the term is over.
    fn end(&self, now: Instant) -> Result<Option<End>, RelayError> {
        let settled = self.writing.is_none() && self.dirty_since.is_none();
        if let Some(since) = self.stopping_since {
            let limit = self.mandate.settings.shutdown_timeout;
            if self.reading.is_none() && self.calls.is_empty() && settled {
                return Ok(Some(End::Stopped));
            }
            if now.duration_since(since) >= limit {
                let subscription = self.mandate.subscription.name.clone();
                return Err(RelayError::NotDrained { subscription, waited: limit, unanswered: self.calls.len() });
            }
            return Ok(None);
        }
        let (Some(target), Some(limit)) = (self.target, self.mandate.settings.until_empty) else { return Ok(None) };
        let holes_closed = self.frontier.first_open().is_none_or(|open| open > target);
        let passed = self.dispatch.open().first().is_none_or(|open| open > target) || self.dispatch.only_blocked_left();
        let full = self.is_full() && self.dispatch.only_blocked_left();
        if ((self.seen_all && holes_closed && passed) || full) && settled {
            return Ok(Some(End::Emptied { blocked: self.dispatch.blocked().len() as u64 }));
        }
        if now.saturating_duration_since(self.mandate.seat.progressed_at()) >= limit {
            return Err(RelayError::Timeout {
                subscription: self.mandate.subscription.name.clone(),
                waited: limit,
                reason: self.waiting_for(),
            });
        }
        Ok(None)
    }

    fn next_timer(&self, now: Instant) -> Instant {
        let pace = &self.pace;
        let far = now + Duration::from_hours(1);
        let later = |at: Instant, wanted: bool| if wanted && at > now { at } else { far };
        let mut next = later(pace.read_at, self.reading.is_none())
            .min(later(pace.call_at, true))
            .min(later(pace.write_at, self.dirty_since.is_some()))
            .min(later(self.dispatch.next_wake().unwrap_or(far), true));
        if let Some(since) = self.dirty_since {
            next = next.min(later(since + CHECKPOINT_DELAY, self.writing.is_none()));
        }
        if let Some(since) = self.stopping_since {
            next = next.min(since + self.mandate.settings.shutdown_timeout);
        }
        if let (Some(limit), None) = (self.mandate.settings.until_empty, self.stopping_since) {
            next = next.min(self.mandate.seat.progressed_at() + limit);
        }
        if !self.mandate.seat.is_trusted() {
            next = next.min(now + HOLES_AT_MOST);
        }
        next
    }
}

/// Makes one call; an answer too few or too many is a failure of the publisher, not of an event.
async fn deliver(
    publisher: Arc<dyn Publisher>,
    call: Vec<Delivery>,
) -> (Vec<Delivery>, Result<Vec<Answer>, PublishError>) {
    let outcome = publisher.publish(&call).await.and_then(|answers| {
        let (sent, answered) = (call.len(), answers.len());
        let message =
            || format!("the publisher answered for {answered} of {sent} events; this is a mistake in its code");
        if sent == answered { Ok(answers) } else { Err(PublishError::new(PublishErrorKind::Closed, message())) }
    });
    (call, outcome)
}
