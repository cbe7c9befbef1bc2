//! Named places at which a test ends the process, to see what is left behind; nothing without the feature `failpoints`.
//!
//! The variable `OUTBOX_FAILPOINT` holds a name and how often the place is passed before the end, as `checkpoint_sent:3`. The
//! process ends by `SIGKILL`, as after a loss of power: no destructor runs and nothing is given back. With a third word, as in
//! `before_publish:1:stop`, it is stopped by `SIGSTOP` and can go on, as a suspended machine does.

#![cfg_attr(not(feature = "failpoints"), allow(dead_code, unreachable_pub, reason = "only a test asks for names"))]

/// A place. The comment says what stands and what does not when the process ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// Rows were read, and nobody knows of them.
    AfterRead,
    /// Rows were taken in, and nothing was handed over.
    AfterDispatch,
    /// A call is about to be made.
    BeforePublish,
    /// A call was answered, and nobody knows of the answer.
    AfterPublish,
    /// The answers were taken in, and no checkpoint tells of them.
    AfterAcknowledgement,
    /// A checkpoint is about to be sent.
    BeforeCheckpoint,
    /// A checkpoint is on its way; whether the database commits it is open.
    CheckpointSent,
    /// A checkpoint is durable, and nobody knows of it.
    AfterCheckpoint,
    /// Leases were taken, and nobody works them.
    LeaseAcquired,
    /// Leases are about to be renewed.
    BeforeRenewal,
    /// Leases were renewed, and nobody knows of it.
    LeaseRenewed,
    /// Leases are about to be given back.
    BeforeRelease,
    /// Leases were given back, and the process still runs.
    LeaseReleased,
    /// Partitions are to be handed over, and what is in flight is still out.
    HandOverBegun,
    /// All is done with that was in flight, and the partitions are not given back.
    HandOverSettled,
    /// Partitions were given back.
    HandedOver,
    /// The number of partitions is about to be changed.
    BeforeRepartition,
    /// The number of partitions was changed, and nobody works with it.
    Repartitioned,
    /// The relay was asked to stop, and reads no more.
    StopBegun,
    /// All that was in flight is done with, and the leases are held.
    StopSettled,
    /// Inserts are about to be turned to another segment.
    BeforeTurn,
    /// Inserts go into another segment.
    Turned,
    /// A segment is about to be emptied.
    BeforeEmptying,
    /// The order to empty a segment is on its way; whether the database carries it out is open.
    EmptyingSent,
    /// A segment was emptied.
    Emptied,
    /// An archive is written, and has no name yet.
    ArchiveWritten,
    /// An archive has its name, and its events are still in the log.
    Archived,
    /// Events that will not pass, or wait behind one, are about to be written with a checkpoint.
    BeforeParking,
    /// Events were parked, and nobody knows of it.
    Parked,
    /// Letters were taken from the table, and nothing was handed over.
    LettersTaken,
    /// A letter was published, and is still in the table.
    LetterSent,
    /// A letter that was published is no longer in the table.
    LetterRemoved,
    /// Letters that were taken are about to wait again, because one before them failed.
    BeforeReturn,
    /// Letters wait again that were taken.
    LettersReturned,
    /// An operator's command is about to decide.
    BeforeDecision,
    /// A decision is on its way; whether the database takes it is open.
    DecisionSent,
    /// It was decided, and nobody was told.
    Decided,
    /// A replay holds the log, and has handed nothing over.
    ReplayBegun,
    /// A page of a replay is on its way; whether the database takes it is open.
    PageSent,
    /// A page of a replay is among the letters.
    PageHandedOver,
    /// A replay has handed everything over, and still holds the log.
    ReplayDone,
}

impl Failpoint {
    /// All of them, in the order in which an event meets them.
    pub const ALL: [Self; 41] = [
        Self::AfterRead,
        Self::AfterDispatch,
        Self::BeforePublish,
        Self::AfterPublish,
        Self::AfterAcknowledgement,
        Self::BeforeCheckpoint,
        Self::CheckpointSent,
        Self::AfterCheckpoint,
        Self::LeaseAcquired,
        Self::BeforeRenewal,
        Self::LeaseRenewed,
        Self::BeforeRelease,
        Self::LeaseReleased,
        Self::HandOverBegun,
        Self::HandOverSettled,
        Self::HandedOver,
        Self::BeforeRepartition,
        Self::Repartitioned,
        Self::StopBegun,
        Self::StopSettled,
        Self::BeforeTurn,
        Self::Turned,
        Self::BeforeEmptying,
        Self::EmptyingSent,
        Self::Emptied,
        Self::ArchiveWritten,
        Self::Archived,
        Self::BeforeParking,
        Self::Parked,
        Self::LettersTaken,
        Self::LetterSent,
        Self::LetterRemoved,
        Self::BeforeReturn,
        Self::LettersReturned,
        Self::BeforeDecision,
        Self::DecisionSent,
        Self::Decided,
        Self::ReplayBegun,
        Self::PageSent,
        Self::PageHandedOver,
        Self::ReplayDone,
    ];

    /// Its name, as the variable holds it.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

/// Ends the process here, if the variable says so.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn reached(_place: Failpoint) {}

/// Ends the process once the future has begun to wait, if the variable says so.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) async fn reached_waiting<T>(_place: Failpoint, future: impl Future<Output = T>) -> T {
    future.await
}

/// Ends the process at one of the future's waits, if the variable says so.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) async fn reached_each_wait<T>(_place: Failpoint, future: impl Future<Output = T>) -> T {
    future.await
}

#[cfg(feature = "failpoints")]
pub(crate) use armed::{reached, reached_each_wait, reached_waiting};

#[cfg(feature = "failpoints")]
mod armed {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::Failpoint;

    const VARIABLE: &str = "OUTBOX_FAILPOINT";

    /// The place, and how often it is still to be passed.
    struct Armed {
        place: String,
        left: AtomicU32,
        signal: Signal,
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let read = || {
            let text = std::env::var(VARIABLE).ok()?;
            let mut words = text.split(':');
            let place = words.next()?.to_owned();
            let times = words.next().and_then(|times| times.parse().ok()).unwrap_or(1);
            let signal = if words.next() == Some("stop") { Signal::STOP } else { Signal::KILL };
            Some(Armed { place, left: AtomicU32::new(times), signal })
        };
        ARMED.get_or_init(read).as_ref()
    }

    /// Ends the process here, if the variable says so.
    pub(crate) fn reached(place: Failpoint) {
        let Some(armed) = armed().filter(|armed| armed.place == place.name()) else { return };
        if armed.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Nothing is written: whoever set the variable sees the signal that met the process.
            let _ = kill_process(getpid(), armed.signal);
            stand_still();
        }
    }

    /// A signal to a process may meet another thread first, and this one would go on for a moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "the process is about to be stopped or ended, by a signal on its way"
    )]
    fn stand_still() {
        std::thread::sleep(Duration::from_millis(100));
    }

    /// Ends the process once the future has begun to wait, if the variable says so: what it has to say is on its way.
    pub(crate) async fn reached_waiting<T>(place: Failpoint, future: impl Future<Output = T>) -> T {
        let mut waited = false;
        at_waits(future, || {
            if !std::mem::replace(&mut waited, true) {
                reached(place);
            }
        })
        .await
    }

    /// Ends the process at one of the future's waits, if the variable says so: each message of it is one.
    pub(crate) async fn reached_each_wait<T>(place: Failpoint, future: impl Future<Output = T>) -> T {
        at_waits(future, || reached(place)).await
    }

    /// Does something whenever the future waits.
    async fn at_waits<T>(future: impl Future<Output = T>, mut waits: impl FnMut()) -> T {
        let mut future = pin!(future);
        poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            if polled.is_pending() {
                waits();
            }
            polled
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_place_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Failpoint::ALL.iter().map(|place| place.name()).collect();
        assert_eq!(names.len(), Failpoint::ALL.len());
        assert_eq!(Failpoint::CheckpointSent.name(), "checkpoint_sent");
    }
}
