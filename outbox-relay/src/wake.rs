//! Sleeping until there is something to read: one connection of the relay that is told, and all its subscriptions by it.
//!
//! ```text
//!                 a subscription found nothing for 20 ms
//!   ┌─► awake ───────────────────────────────────────────► arm ─► look who writes
//!   │     ▲                                                              │
//!   │     │ told: everybody reads,                                       ▼
//!   │     │ then disarm                                        settling: everybody polls,
//!   │     ├────────────────────────────────────────────────────  2 ms to 50 ms apart
//!   │     │                                                              │ all who wrote then have ended
//!   │     │ told, or the log has moved untold                            ▼
//!   │     └────────────────────────────────────────────────────  clear: whoever now reads
//!   │                                                             and finds nothing sleeps
//!   └── the connection breaks: everybody reads, and polls                 │  ▲
//!       until there is another                                            └──┘ armed anew before the time is up
//! ```
//!
//! *Why nothing is lost.* A writer locks the log first and then looks whether a relay is armed; the relay arms first and
//! then looks who holds the lock. Whoever held it then is waited for, and a read that began afterwards follows: it sees what
//! they committed. Whoever took it later found the relay armed, and tells. A read counts for this only if it began after
//! [`Phase::Clear`] was announced, which is why a subscription compares the state it began to read under with the state at
//! its end. What decides is always the position that is read, never the notification.
//!
//! *Why it waits 20 ms.* A relay that armed after each read without a row would turn each of them into a burst of
//! notifications, which under load are as dear as telling of every commit.
//!
//! *What is left.* In each of these an event is late, by [`NAP_AT_MOST`] at most, and none is lost: its writer did not look
//! (plain SQL without the trigger), or found the server's queue of notifications half full; it was prepared and its coordinator told nobody; the database's clock jumped ahead by
//! more than half an arming; the connection is half dead. Before each arming runs out the relay arms again, and learns from
//! the same statement whether a position was drawn that nobody told of. If the arming had run out after all, it begins anew
//! with a look at who writes.
//!
//! A relay that ends does not disarm: others may sleep by the same arming, which runs out by itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_core::source::Holder;
use outbox_core::wake::{Wake, WakeMode, Waking};
use outbox_core::{Clock, Position, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::reaction;
use crate::retry::Schedule;

/// The log must have been quiet for so long before anybody asks to sleep.
const LINGER: Duration = Duration::from_millis(20);
/// How often the log is looked at meanwhile.
const LINGERING: Duration = Duration::from_millis(2);
/// How often it is looked at least while the relay is about to sleep.
const SETTLING: Duration = Duration::from_millis(50);
/// A subscription that sleeps is told by a bell alone; the relay looks for it so often at least, however long `poll_max` is.
const NAP_AT_MOST: Duration = Duration::from_secs(5);
/// Whoever was woken has read by then. Not sooner: disarming writes to the database's log, and a read would wait for that to be
/// on disk.
const DISARM_AFTER: Duration = Duration::from_millis(10);
/// An arming lasts so long at least: it must not run out because a machine is slow.
const ARMED_AT_LEAST: Duration = Duration::from_secs(5);

/// How near everybody is to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody tells, so everybody polls as their settings say.
    Deaf,
    /// Nobody was asked to tell.
    Awake,
    /// Writers tell, but for those who began before.
    Settling,
    /// Every writer tells. The number tells one such time from another.
    Clear(u64),
}

/// What everybody who reads goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// How often all were woken.
    rung: u64,
    phase: Phase,
}

impl State {
    /// Whether all were woken since an earlier state.
    pub(crate) fn rung_since(self, earlier: Self) -> bool {
        self.rung != earlier.rung
    }

    /// Whether the next read may be the last before sleep.
    pub(crate) fn is_clear(self) -> bool {
        matches!(self.phase, Phase::Clear(_))
    }
}

/// What a subscription does after a read that brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Polls as its settings say.
    AsSet,
    /// Polls, with pauses of at most so long.
    AtMost(Duration),
    /// Waits for the bell.
    Asleep,
}

/// Wakes the subscriptions of a relay, and hears from them that nothing happens.
#[derive(Debug)]
pub(crate) struct Bell {
    state: watch::Sender<State>,
    /// What a subscription had heard of the bell when the log had been quiet for long enough.
    quiet: watch::Sender<Option<u64>>,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(State { rung: 0, phase: Phase::Deaf }), quiet: watch::Sender::new(None) }
    }

    pub(crate) fn listen(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Has everybody read at once.
    pub(crate) fn ring(&self) {
        self.state.send_modify(|state| state.rung += 1);
    }

    fn enter(&self, phase: Phase) {
        self.state.send_modify(|state| state.phase = phase);
    }

    /// Has everybody read at once, in another phase.
    fn ring_in(&self, phase: Phase) {
        self.state.send_modify(|state| *state = State { rung: state.rung + 1, phase });
    }

    /// What to do after a read that began in the state `under` and saw that the log holds nothing more, as it has for so long.
    pub(crate) fn rest(&self, under: State, quiet_for: Duration) -> Rest {
        let state = self.state();
        match state.phase {
            Phase::Deaf => Rest::AsSet,
            Phase::Clear(_) if state == under => Rest::Asleep,
            Phase::Clear(_) => Rest::AtMost(Duration::ZERO),
            Phase::Settling => Rest::AtMost(SETTLING),
            Phase::Awake if quiet_for < LINGER => Rest::AtMost(LINGERING),
            Phase::Awake => {
                self.quiet.send_replace(Some(state.rung));
                Rest::AtMost(SETTLING)
            }
        }
    }

    /// Returns once the log has been quiet since everybody was last woken.
    async fn quiet(&self) {
        let mut quiet = self.quiet.subscribe();
        // The bell holds the sender.
        let _ = quiet.wait_for(|rung| *rung == Some(self.state().rung)).await;
    }
}

/// Wakes a relay of the same process, from anywhere in it. Clones wake the same one.
///
/// Call it after a commit: what was committed before the call is read at once, whatever the relay's polling says. To forget
/// it, or to call it for nothing, is harmless.
#[derive(Debug, Clone)]
pub struct Waker(pub(crate) Arc<Bell>);

impl Waker {
    /// Has every subscription read now.
    pub fn wake(&self) {
        self.0.ring();
    }
}

/// The chore that lets a relay sleep.
pub(crate) struct Sleeping {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) mode: WakeMode,
    pub(crate) poll_max: Duration,
    pub(crate) end: CancellationToken,
}

impl Sleeping {
    /// Keeps a connection that is told, until the end or until it is known that there is none to be had.
    pub(crate) async fn run(self) {
        let mut schedule = Schedule::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut trouble = None;
        let _deaf = Deafen(Arc::clone(&self.bell));
        metrics::woken(false);
        loop {
            let kept = tokio::select! {
                biased;
                () = self.end.cancelled() => return,
                kept = self.keep(&mut trouble, &mut schedule) => kept,
            };
            deafen(&self.bell);
            let Err(error) = kept else { return };
            let reason = reaction::chain(&error);
            if trouble.as_ref() != Some(&reason) {
                tracing::warn!(reason, "nobody wakes this relay, polling until somebody does");
            }
            trouble = Some(reason);
            tokio::select! {
                biased;
                () = self.end.cancelled() => return,
                () = self.clock.sleep(schedule.next_delay()) => {}
            }
        }
    }

    /// Sleeps and wakes over one connection, for as long as it lasts.
    async fn keep(&self, trouble: &mut Option<String>, schedule: &mut Schedule) -> Result<(), StoreError> {
        let wake = match self.store.wake(self.mode).await? {
            Waking::Told(wake) => wake,
            Waking::Polling(reason) => {
                tracing::info!(reason, "nobody wakes this relay, polling");
                return Ok(());
            }
        };
        let nap = (self.poll_max * 5 / 2).min(NAP_AT_MOST);
        let (clock, bell) = (self.clock.as_ref(), self.bell.as_ref());
        let mut night = Night { wake, clock, bell, nap, baseline: 0, armed_at: clock.now(), nights: 0 };
        // Whoever polled until now has missed nothing, but may not look again for long.
        bell.ring_in(Phase::Awake);
        metrics::woken(true);
        loop {
            night.pass().await?;
            // Not sooner: a connection that opens and breaks, again and again, is no better than none.
            if trouble.take().is_some() {
                tracing::info!("this relay is woken again");
            }
            schedule.reset();
        }
    }
}

/// Has everybody poll when the chore ends, in whatever way.
struct Deafen(Arc<Bell>);

impl Drop for Deafen {
    fn drop(&mut self) {
        deafen(&self.0);
    }
}

fn deafen(bell: &Bell) {
    bell.ring_in(Phase::Deaf);
    metrics::woken(false);
}

/// One connection, from one sleep to the next.
struct Night<'c> {
    wake: Box<dyn Wake>,
    clock: &'c dyn Clock,
    bell: &'c Bell,
    /// How long after arming the relay arms again.
    nap: Duration,
    /// The last position drawn when the relay first armed: whoever draws a later one tells of it.
    baseline: Position,
    armed_at: Instant,
    nights: u64,
}

/// Why a wait ended.
enum Waited {
    /// A writer told.
    Told,
    /// So long it was.
    Over,
}

impl Night<'_> {
    /// Waits until the log is quiet, sleeps, and wakes everybody.
    async fn pass(&mut self) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            // Whoever told while everybody was awake is heard too: until the relay disarms, others go on telling.
            told = self.wake.told() => {
                told?;
                return self.woken().await;
            }
            () = self.bell.quiet() => {}
        }
        loop {
            self.baseline = self.arm().await?.1;
            let mut writers = self.wake.writers().await?;
            self.bell.enter(Phase::Settling);
            if !self.settle(&mut writers).await? {
                return self.woken().await;
            }
            if !writers.is_empty() {
                continue;
            }
            self.nights += 1;
            self.bell.enter(Phase::Clear(self.nights));
            match self.sleep().await? {
                Slept::Told => return self.woken().await,
                Slept::Moved => {
                    self.bell.ring_in(Phase::Awake);
                    return Ok(());
                }
                Slept::Unarmed => {}
            }
        }
    }

    /// Waits for those who write to end; returns false where another told, and with some left where the arming ran out.
    async fn settle(&mut self, writers: &mut BTreeSet<Holder>) -> Result<bool, StoreError> {
        let mut pause = LINGERING;
        while !writers.is_empty() {
            if let Waited::Told = self.wait(pause).await? {
                return Ok(false);
            }
            if self.clock.now().duration_since(self.armed_at) >= self.nap && !self.arm().await?.0 {
                return Ok(true);
            }
            Holder::keep_open(writers, &self.wake.writers().await?);
            pause = (pause * 2).min(SETTLING);
        }
        Ok(true)
    }

    /// Arms again and again, until somebody tells or the log has moved.
    async fn sleep(&mut self) -> Result<Slept, StoreError> {
        loop {
            let left = (self.armed_at + self.nap).saturating_duration_since(self.clock.now());
            if let Waited::Told = self.wait(left).await? {
                return Ok(Slept::Told);
            }
            match self.arm().await? {
                (_, position) if position != self.baseline => return Ok(Slept::Moved),
                (true, _) => {}
                (false, _) => return Ok(Slept::Unarmed),
            }
        }
    }

    /// Arms; whether the arming before was still in force, and the last position drawn.
    async fn arm(&mut self) -> Result<(bool, Position), StoreError> {
        let armed_at = self.clock.now();
        let armed = self.wake.arm((self.nap * 2).max(ARMED_AT_LEAST)).await?;
        self.armed_at = armed_at;
        Ok((armed.continued, armed.last_position))
    }

    async fn wait(&mut self, length: Duration) -> Result<Waited, StoreError> {
        tokio::select! {
            biased;
            told = self.wake.told() => told.map(|()| Waited::Told),
            () = self.clock.sleep(length) => Ok(Waited::Over),
        }
    }

    /// Wakes everybody, and lets writers be silent.
    async fn woken(&mut self) -> Result<(), StoreError> {
        self.bell.ring_in(Phase::Awake);
        self.clock.sleep(DISARM_AFTER).await;
        self.wake.disarm().await
    }
}

/// How a sleep ended.
enum Slept {
    /// A writer told.
    Told,
    /// The log has moved, and nobody told.
    Moved,
    /// The arming had run out, so a writer may have passed unseen.
    Unarmed,
}

#[cfg(test)]
mod tests;
