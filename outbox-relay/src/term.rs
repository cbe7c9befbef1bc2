//! One term: the work on a share of a subscription, between taking its leases and losing them, or handing some over.
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

mod drain;
mod end;
mod letters;
mod pace;
mod read;
mod report;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use outbox_core::checkpoint::{Checkpoint, Entry, Held};
use outbox_core::frontier::Frontier;
use outbox_core::publisher::{Answer, Delivery, Publisher};
use outbox_core::{Clock, Position, PublishError, PublishErrorKind, StoreError, StoreErrorKind};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Timer;
use crate::connections::{Ledger, ReadOutcome, Reader, Written};
use crate::dispatch::{Breaker, Dispatch};
use crate::error::RelayError;
use crate::failpoint::{self, Failpoint};
use crate::memory::Memory;
use crate::metrics::{self, Operation};
use crate::reaction::{self, Reaction};
use crate::seat::{Grant, Seat};
use crate::settings::Settings;
use crate::share::Share;
use crate::subscription::Subscription;
use crate::trail::Trail;
use crate::wake::Bell;
use drain::Drain;
use letters::Letters;
use pace::Pace;

/// A checkpoint is written after so many acknowledgements …
const CHECKPOINT_EVENTS: usize = 1000;
/// … or so long after the first of them.
const CHECKPOINT_DELAY: Duration = Duration::from_millis(100);

/// No more than so many events of a key in back-off wait in memory, nor more than a tenth of the window.
const SPILL: usize = 1000;

/// How a term ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The lease is another relay's.
    Lost,
    /// The relay was asked to stop.
    Stopped,
    /// What it works is to change; all that was in flight is done with.
    Reshaped,
    /// Everything that was to be published is; so many events will not pass. Partitions that other relays work are done
    /// when they have passed `others`.
    Emptied { blocked: u64, others: Option<Position> },
}

/// What one term works with.
pub(crate) struct Mandate {
    pub(crate) subscription: Subscription,
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Arc<dyn outbox_core::Store>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) stop: CancellationToken,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Reading = Boxed<(Reader, Result<ReadOutcome, StoreError>)>;
type Writing = Boxed<(Ledger, Result<Written, StoreError>)>;
type Call = Boxed<(Vec<Delivery>, Result<Vec<Answer>, PublishError>)>;

/// The state of one term.
struct Term<'m> {
    mandate: &'m Mandate,
    share: Share,
    frontier: Frontier,
    dispatch: Dispatch,
    trail: Trail,
    reader: Option<Reader>,
    reading: Option<Reading>,
    ledger: Option<Ledger>,
    writing: Option<Writing>,
    entry: Entry,
    letters: Letters,
    calls: FuturesUnordered<Call>,
    pace: Pace,
    drain: Drain,
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
    /// Whether it is only to begin anew with another share.
    reshaping: bool,
}

/// Works until the lease is lost, the relay is asked to stop, or everything is published.
///
/// # Errors
///
/// [`RelayError`] when a person must do something, or a relay that was to end made no progress.
pub(crate) async fn run(
    mandate: &Mandate,
    held: &[Held],
    mut grants: watch::Receiver<Grant>,
) -> Result<End, RelayError> {
    let mut orders = mandate.seat.orders();
    let mut term = match Term::open(mandate, held).await {
        Ok(Some(term)) => term,
        Ok(None) => {
            // What the heartbeat knew of the partitions is out of date.
            mandate.seat.vacate();
            return Ok(End::Reshaped);
        }
        Err(Refusal::Start(error)) => {
            return Err(RelayError::Configuration(format!("subscription `{}`: {error}", mandate.subscription.name)));
        }
        Err(Refusal::Store(error)) if error.kind() == StoreErrorKind::Fenced => return Ok(End::Lost),
        Err(Refusal::Store(error)) => return Err(RelayError::Store(error)),
    };
    let clock = mandate.settings.clock.as_ref();
    if mandate.seat.is_paused() || term.dispatch.cap().is_some() {
        term.report(clock.now());
    }
    let mut timer = Timer::new(clock);
    let mut drains = mandate.seat.drains.requests();
    drains.mark_changed();
    let mut bell = mandate.bell.listen();
    loop {
        let now = clock.now();
        term.tell_unfit(now);
        term.note_letters(now);
        if term.start_read(now) {
            // While the database works on it, what was read before is seen to.
            send(&mut term.reading).await;
        }
        let trusted = term.start_calls(now).await?;
        term.start_write(now);
        term.drain_settle(now);
        if let Some(end) = term.end(now)? {
            return Ok(end);
        }
        // Whoever winds down already has nothing to begin for another share.
        let (wake, winds_down) = (term.next_timer(now), term.stopping_since.is_some());
        mandate.seat.vitals.comes_round(wake);
        // In a fixed order, so that the same circumstances always come out the same. What others say comes first: it is
        // rare, and each of it is heard once. The database comes before the calls, so that a statement is sent before they
        // are seen to; neither can go on for ever without them, for the window would be full.
        tokio::select! {
            biased;
            granted = grants.wait_for(|grant| !grant.holds(held) || (!winds_down && grant.work() != held)) => {
                if granted.is_ok_and(|grant| grant.holds(held)) {
                    term.reshape(clock.now());
                } else {
                    return Ok(End::Lost);
                }
            }
            () = mandate.stop.cancelled(), if term.stopping_since.is_none() || term.reshaping => {
                failpoint::reached(Failpoint::StopBegun);
                term.stopping_since = Some(clock.now());
                term.reshaping = false;
            }
            Ok(()) = drains.changed() => term.drain_asked(*drains.borrow_and_update(), clock.now()),
            Ok(()) = orders.changed() => term.letters.ask(),
            Ok(()) = bell.changed() => term.pace.heard(*bell.borrow_and_update(), clock.now()),
            () = mandate.seat.trusted(), if !trusted => {}
            outcome = poll_if_some(&mut term.writing) => {
                if term.write_done(outcome, clock.now())? == Some(End::Lost) {
                    return Ok(End::Lost);
                }
            }
            outcome = poll_if_some(&mut term.reading) => term.read_done(outcome, clock.now())?,
            Some(call) = term.calls.next() => term.calls_done(call, clock.now())?,
            () = timer.until(wake) => {}
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

/// Polls the future in the slot once, so that what it asks for is on its way; what comes back at once waits there.
async fn send<T: Send + 'static>(slot: &mut Option<Boxed<T>>) {
    let Some(future) = slot else { return };
    if let Poll::Ready(outcome) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
        *slot = Some(Box::pin(std::future::ready(outcome)));
    }
}

/// Why a term does not begin.
enum Refusal {
    /// The log has no such place as the new subscription is to start at.
    Start(StoreError),
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'m> Term<'m> {
    /// Loads the checkpoints under the new epochs, or makes the first ones; `None` where nothing is to be worked.
    async fn open(mandate: &'m Mandate, held: &[Held]) -> Result<Option<Self>, Refusal> {
        let Subscription { name, filter, strict_order, retry, publisher, .. } = &mandate.subscription;
        let mut reader = Reader::new(mandate.store.clone(), filter.clone()).remembering(mandate.memory.clone());
        // Before anything is written: a database that was set back gave these leases, and its checkpoints fit its log.
        if let Some(log) = mandate.memory.log() {
            reader.verify(&log).await?;
        }
        let mut ledger = Ledger::new(mandate.store.clone(), name.clone(), held.to_vec());
        let mut claimed = ledger.claim().await?;
        // A rule without any checkpoint is what somebody left who deleted those, so that it begins anew.
        let is_new = claimed.checkpoints.is_empty() && ledger.lowest().await?.is_empty();
        if is_new {
            found(mandate, &mut reader, &mut ledger).await?;
            claimed = ledger.claim().await?;
        }
        let (recorded, queues) = (ledger.recorded().await?, ledger.queues().await?);
        let share = Share::new(held, claimed);
        let share_reached = share.reached();
        let Some(checkpoint) = share.start() else { return Ok(None) };
        ledger.wish(&mandate.seat);
        mandate.memory.keep(checkpoint.position, checkpoint.events.clone());
        let target = match mandate.settings.until_empty {
            Some(_) => Some(reader.last_position().await?),
            None => None,
        };
        // The first read verifies the stored proof, which a connection that is open already would not.
        reader.close();
        let holes = if *strict_order { 1 } else { outbox_core::frontier::MAX_HOLES };
        let now = mandate.settings.clock.now();
        let dispatch = Dispatch::new(publisher.discipline(), *retry, recorded).with_breaker(Breaker::new());
        let dispatch = dispatch.with_spill((mandate.settings.window_events / 10).clamp(1, SPILL));
        let dispatch = letters::known(dispatch, queues, &share);
        tracing::info!(
            subscription = name,
            partitions = held.len(),
            position = checkpoint.position,
            "subscription running"
        );
        Ok(Some(Self {
            mandate,
            share,
            frontier: Frontier::new(checkpoint.position, &checkpoint.open).with_max_holes(holes).first_seen_at(now),
            dispatch,
            trail: Trail::new(&checkpoint.events),
            reader: Some(reader),
            reading: None,
            ledger: Some(ledger),
            writing: None,
            entry: Entry::default(),
            letters: Letters::new(share_reached),
            calls: FuturesUnordered::new(),
            pace: Pace::new(now, mandate.settings.poll_max, mandate.bell.state()),
            drain: Drain::default(),
            unsaved: 0,
            being_saved: 0,
            dirty_since: None,
            target,
            seen_all: false,
            stopping_since: None,
            reshaping: false,
        }))
    }

    /// Begins to wind down, so that another share can be taken up.
    fn reshape(&mut self, now: Instant) {
        failpoint::reached(Failpoint::HandOverBegun);
        self.reshaping = true;
        self.stopping_since.get_or_insert(now);
    }

    /// Hands ready events to the publisher, while the lease is surely held, and returns whether it is.
    ///
    /// Each call is polled at once. One that waited here while the answer of an earlier one is taken would look to the
    /// publisher as if it had been made afterwards, and it would publish later events of a key that has just failed.
    async fn start_calls(&mut self, now: Instant) -> Result<bool, RelayError> {
        let trusted = self.mandate.seat.is_trusted(self.mandate.settings.clock.since_boot());
        let stopping = self.stopping_since.is_some() || self.mandate.stop.is_cancelled();
        if stopping || !trusted || self.mandate.seat.is_paused() {
            return Ok(trusted);
        }
        while now >= self.pace.call_at
            && let Some(call) = self.dispatch.next_call(now)
        {
            failpoint::reached(Failpoint::BeforePublish);
            let publisher = Arc::clone(&self.mandate.subscription.publisher);
            let (clock, limit) = (self.mandate.settings.clock.clone(), self.mandate.subscription.call_timeout);
            let call = deliver(publisher, call, clock, limit);
            let mut call: Call =
                Box::pin(self.mandate.seat.metrics.calls.time(&self.mandate.settings.clock, now, call));
            match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
                Poll::Ready(done) => self.call_done(done, now)?,
                Poll::Pending => self.calls.push(call),
            }
        }
        Ok(trusted)
    }

    /// Takes in a call that has come back, and all others that have.
    fn calls_done(
        &mut self,
        call: (Vec<Delivery>, Result<Vec<Answer>, PublishError>),
        now: Instant,
    ) -> Result<(), RelayError> {
        self.call_done(call, now)?;
        while let Some(Some(call)) = self.calls.next().now_or_never() {
            self.call_done(call, now)?;
        }
        Ok(())
    }

    fn call_done(
        &mut self,
        (call, outcome): (Vec<Delivery>, Result<Vec<Answer>, PublishError>),
        now: Instant,
    ) -> Result<(), RelayError> {
        let name = &self.mandate.subscription.name;
        match outcome.inspect_err(|error| metrics::publish_error(name, error)) {
            Ok(answers) => {
                self.pace.call_failures.reset();
                self.mandate.seat.metrics.answered(&answers);
                let settled = self.dispatch.settle(call, answers, now);
                failpoint::reached(Failpoint::AfterAcknowledgement);
                if settled.published > 0 {
                    self.unsaved += settled.published;
                    self.mandate.seat.progress(now);
                    self.dirty_since.get_or_insert(now);
                }
                if let Some((position, reason)) = settled.failure {
                    self.dirty_since.get_or_insert(now);
                    self.trouble(&format!("the event at position {position} was not published"), &reason);
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
        let drained = self.drain_done();
        let due = self.unsaved >= CHECKPOINT_EVENTS.min(window / 4)
            || now.duration_since(since) >= CHECKPOINT_DELAY
            || drained.is_some()
            || self.may_take_letters()
            || (self.drain.is_pending() && self.dispatch.wants_write() && !self.dispatch.is_moving())
            || (!self.dispatch.is_moving() && (self.stopping_since.is_some() || self.target.is_some()));
        if !due || now < self.pace.write_at {
            return;
        }
        let Some(ledger) = self.ledger.take() else { return };
        let unrecorded = self.dispatch.take_unrecorded();
        self.mandate.seat.metrics.parked(unrecorded.len());
        self.entry.recorded.extend(unrecorded);
        self.collect_letters();
        let (missing, owed) = (self.frontier.open(), self.dispatch.owed(&self.entry.parked));
        let (position, events) = (self.frontier.position(), self.trail.events());
        self.entry.checkpoints = self.share.checkpoints(position, missing, &owed, &events);
        let errand = self.errand();
        self.being_saved = self.unsaved;
        self.dirty_since = None;
        self.drain.write_begins(drained);
        let writing = ledger.write(errand);
        self.writing =
            Some(Box::pin(self.mandate.seat.metrics.checkpoints.time(&self.mandate.settings.clock, now, writing)));
    }

    fn write_done(
        &mut self,
        (ledger, outcome): (Ledger, Result<Written, StoreError>),
        now: Instant,
    ) -> Result<Option<End>, RelayError> {
        self.ledger = Some(ledger);
        match outcome.inspect_err(|error| metrics::database_error(Operation::Checkpoint, error)) {
            Ok(written) => {
                self.pace.write_failures.reset();
                self.unsaved -= self.being_saved;
                self.being_saved = 0;
                self.letters_written(written, now);
                self.entry = Entry::default();
                self.drain_saved(now);
                self.report(now);
                Ok(None)
            }
            Err(error) => match reaction::to_store_error(&error, true) {
                Reaction::Stop => Err(RelayError::Store(error)),
                Reaction::StepDown => {
                    tracing::warn!(subscription = self.mandate.subscription.name, error = %error, "stepping down");
                    Ok(Some(End::Lost))
                }
                Reaction::Retry => {
                    self.dirty_since = Some(now);
                    self.letters_unwritten();
                    self.pace.write_at = now + self.pace.write_failures.next_delay();
                    self.trouble("the checkpoint cannot be written, trying again", &reaction::chain(&error));
                    Ok(None)
                }
            },
        }
    }
}

/// Makes the first checkpoints, at the place where the subscription is to begin.
async fn found(mandate: &Mandate, reader: &mut Reader, ledger: &mut Ledger) -> Result<(), Refusal> {
    let located = reader.locate(mandate.subscription.start).await;
    let (position, open) = located.map_err(|error| match error.kind() {
        StoreErrorKind::Precondition => Refusal::Start(error),
        _ => Refusal::Store(error),
    })?;
    // As every later one is written: otherwise the next would seem to go back.
    let checkpoint = Checkpoint { position, open, events: Vec::new() }.trimmed();
    Ok(ledger.found(mandate.seat.partitions_at_first(), &checkpoint).await?)
}

/// Nobody knows what became of the call, and no event is to blame.
fn unanswered(limit: Duration) -> PublishError {
    let message = format!("the publisher did not answer within {limit:?}; the call was given up and is made again");
    PublishError::new(PublishErrorKind::Unavailable, message)
}

/// Makes one call; an answer too few or too many is a failure of the publisher, not of an event.
async fn deliver(
    publisher: Arc<dyn Publisher>,
    call: Vec<Delivery>,
    clock: Arc<dyn Clock>,
    limit: Duration,
) -> (Vec<Delivery>, Result<Vec<Answer>, PublishError>) {
    let late = async { clock.sleep(limit).await };
    let outcome = tokio::select! {
        // First: a call that is done is never late.
        biased;
        outcome = publisher.publish(&call) => outcome,
        () = late => Err(unanswered(limit)),
    };
    failpoint::reached(Failpoint::AfterPublish);
    let outcome = outcome.and_then(|answers| {
        let (sent, answered) = (call.len(), answers.len());
        let message =
            || format!("the publisher answered for {answered} of {sent} events; this is a mistake in its code");
        if sent == answered { Ok(answers) } else { Err(PublishError::new(PublishErrorKind::Closed, message())) }
    });
    (call, outcome)
}
