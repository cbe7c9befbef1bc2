//! The two connections a worker reads and writes over, opened again whenever one breaks.
//!
//! Each value moves into the future that uses it and comes back with the outcome, so that a worker can have a read, a
//! write and its calls under way together. A future that is dropped takes its connection with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use outbox_core::checkpoint::{Checkpoint, Checkpoints, Claimed, Entry, Held, Recorded};
use outbox_core::dead_letter::{Queue, Taken};
use outbox_core::frontier::Frontier;
use outbox_core::partition::Change;
use outbox_core::source::{Proof, Read, ReadRequest, Source};
use outbox_core::{Filter, Position, PositionSet, Start, Store, StoreError, StoreErrorKind};

use crate::failpoint::{self, Failpoint};
use crate::memory::Memory;
use crate::seat::Seat;

/// Reads the log.
pub(crate) struct Reader {
    store: Arc<dyn Store>,
    filter: Filter,
    source: Option<Box<dyn Source>>,
    /// The start of the server last read from.
    server: Option<i64>,
    has_read: bool,
    /// By which a database is recognised after a connection broke.
    memory: Option<Arc<Memory>>,
}

/// What a read brought.
pub(crate) struct ReadOutcome {
    pub(crate) read: Read,
    /// Whether the connection is a new one, and to what.
    reopened: Option<Reopened>,
    /// Whether the read looked above the frontier at all.
    pub(crate) above: bool,
}

impl ReadOutcome {
    /// Lets the frontier forget what no longer holds over a new connection, before it takes the read in.
    pub(crate) fn tell(&self, frontier: &mut Frontier) {
        match self.reopened {
            None | Some(Reopened::SameServer) => {}
            Some(Reopened::RestartedServer) => frontier.outlive_server(),
            Some(Reopened::Unknown) => frontier.distrust(),
        }
    }
}

/// What a new connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reopened {
    /// The server of before, which has been running since.
    SameServer,
    /// A server that was started since.
    RestartedServer,
    /// Nobody knows.
    Unknown,
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn Store>, filter: Filter) -> Self {
        Self { store, filter, source: None, server: None, has_read: false, memory: None }
    }

    /// The same for a worker, which goes on only where its database is recognised.
    pub(crate) fn remembering(self, memory: Arc<Memory>) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// Checks over a new connection that the log is the one the proof was taken from.
    pub(crate) async fn verify(&mut self, proof: &Proof) -> Result<(), StoreError> {
        self.source = None;
        self.open().await?.verify(proof).await
    }

    /// Reads; over a new connection only when it leads to the log the proof was taken from.
    pub(crate) async fn read(mut self, request: ReadRequest, proof: Proof) -> (Self, Result<ReadOutcome, StoreError>) {
        let outcome = self.try_read(&request, &proof).await;
        if outcome.is_err() {
            self.source = None;
        }
        (self, outcome)
    }

    async fn try_read(&mut self, request: &ReadRequest, proof: &Proof) -> Result<ReadOutcome, StoreError> {
        let fresh = self.source.is_none();
        let before = self.server;
        if fresh && let (true, Some(memory)) = (self.has_read, &self.memory) {
            memory.recognise().await?;
        }
        let source = self.open().await?;
        if fresh {
            source.verify(proof).await?;
        }
        let server = source.server_started();
        let reopened = fresh.then_some(match (before, server) {
            (Some(before), Some(server)) if before == server => Reopened::SameServer,
            (Some(_), Some(_)) => Reopened::RestartedServer,
            _ => Reopened::Unknown,
        });
        let read = source.read(request).await?;
        self.server = server;
        self.has_read = true;
        Ok(ReadOutcome { read, reopened, above: request.above })
    }

    /// The highest position given out so far.
    pub(crate) async fn last_position(&mut self) -> Result<Position, StoreError> {
        self.open().await?.last_position().await
    }

    /// Where a new subscription begins.
    pub(crate) async fn locate(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError> {
        self.open().await?.locate(start).await
    }

    /// The highest position cleanup has removed.
    pub(crate) async fn floor(&mut self) -> Result<Position, StoreError> {
        Ok(self.locate(Start::Beginning).await?.0)
    }

    /// Drops the connection, so that the next use opens a new one.
    pub(crate) fn close(&mut self) {
        self.source = None;
    }

    async fn open(&mut self) -> Result<&mut Box<dyn Source>, StoreError> {
        match &mut self.source {
            Some(source) => Ok(source),
            none => Ok(none.insert(self.store.source(&self.filter).await?)),
        }
    }
}

/// What is to be done with one write.
pub(crate) struct Errand {
    pub(crate) entry: Entry,
    /// Keys whose letters are to be taken afterwards, so many and so many bytes of each.
    pub(crate) take: Vec<Queue>,
    pub(crate) letters: u32,
    pub(crate) bytes: u64,
    /// Whether to look at the dead letters at last.
    pub(crate) look: bool,
}

impl Errand {
    /// A write and nothing more.
    pub(crate) fn of(entry: Entry) -> Self {
        Self { entry, take: Vec::new(), letters: 0, bytes: 0, look: false }
    }
}

/// What a write brought back.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) taken: Vec<(Queue, Taken)>,
    /// What the table holds, where it was looked at.
    pub(crate) seen: Option<Seen>,
}

/// What the table of the dead letters holds.
pub(crate) struct Seen {
    pub(crate) queues: Vec<Queue>,
    pub(crate) recorded: Vec<Recorded>,
}

/// Writes checkpoints and dead letters.
pub(crate) struct Ledger {
    store: Arc<dyn Store>,
    subscription: String,
    held: Vec<Held>,
    checkpoints: Option<Box<dyn Checkpoints>>,
    /// Whose number of partitions is to be asked for after a write.
    wish: Option<Arc<Seat>>,
}

impl Ledger {
    pub(crate) fn new(store: Arc<dyn Store>, subscription: String, held: Vec<Held>) -> Self {
        Self { store, subscription, held, checkpoints: None, wish: None }
    }

    /// Shuts older epochs out and returns what is known of the subscription.
    pub(crate) async fn claim(&mut self) -> Result<Claimed, StoreError> {
        let mut checkpoints = self.store.checkpoints().await?;
        let claimed = checkpoints.claim(&self.subscription, &self.held).await?;
        self.checkpoints = Some(checkpoints);
        Ok(claimed)
    }

    /// The events recorded as not passing.
    pub(crate) async fn recorded(&mut self) -> Result<Vec<Recorded>, StoreError> {
        let subscription = self.subscription.clone();
        self.open().await?.recorded(&subscription).await
    }

    /// The keys that have dead letters.
    pub(crate) async fn queues(&mut self) -> Result<Vec<Queue>, StoreError> {
        let subscription = self.subscription.clone();
        self.open().await?.queues(&subscription).await
    }

    /// Makes a new subscription of so many partitions.
    pub(crate) async fn found(&mut self, partitions: u32, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let subscription = self.subscription.clone();
        self.open().await?.found(&subscription, partitions, checkpoint).await
    }

    /// Writes the first checkpoint of a reader of one row.
    pub(crate) async fn create(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let (reader, epoch) = (self.subscription.clone(), self.held.first().map_or(0, |held| held.epoch));
        self.open().await?.create(&reader, epoch, checkpoint).await
    }

    /// The lowest position that is not done with, by partition.
    pub(crate) async fn lowest(&mut self) -> Result<BTreeMap<u32, Position>, StoreError> {
        let subscription = self.subscription.clone();
        self.open().await?.lowest(&subscription).await
    }

    /// Changes the number of partitions, where somebody asked for it and all leases are free.
    pub(crate) async fn repartition(&mut self) -> Result<Change, StoreError> {
        let subscription = self.subscription.clone();
        let checkpoints = self.open().await?;
        failpoint::reached(Failpoint::BeforeRepartition);
        let changed = checkpoints.repartition(&subscription).await?;
        failpoint::reached(Failpoint::Repartitioned);
        Ok(changed)
    }

    /// Asks for the number of partitions that the configuration says after each write, until it is granted.
    pub(crate) fn wish(&mut self, seat: &Arc<Seat>) {
        self.wish = Some(seat.clone());
    }

    /// Asks for the number of partitions that the configuration says, where it says one and it is not granted yet.
    pub(crate) async fn ask(&mut self, seat: &Seat) -> Result<(), StoreError> {
        let Some(partitions) = seat.wish() else { return Ok(()) };
        let subscription = self.subscription.clone();
        if self.open().await?.ask_partitions(&subscription, partitions).await? {
            seat.wish_granted();
        }
        Ok(())
    }

    /// Writes an entry, and then sees after the dead letters.
    ///
    /// A new connection claims first, because the outcome of the write that broke the last one is unknown.
    pub(crate) async fn write(mut self, errand: Errand) -> (Self, Result<Written, StoreError>) {
        let outcome = self.try_write(errand).await;
        if outcome.is_err() {
            self.checkpoints = None;
        }
        (self, outcome)
    }

    async fn try_write(&mut self, errand: Errand) -> Result<Written, StoreError> {
        let subscription = self.subscription.clone();
        let latest = errand.entry.checkpoints.iter().map(|(_, checkpoint)| checkpoint).max_by_key(|each| each.position);
        if let (None, Some(latest)) = (&self.checkpoints, latest) {
            self.claim().await?;
            // What broke the last connection may have been a restore: an older log must not get a newer checkpoint.
            self.store.source(&Filter::default()).await?.verify(&latest.proof()).await?;
        }
        let checkpoints = self.open().await?;
        failpoint::reached(Failpoint::BeforeCheckpoint);
        steps(&errand.entry).for_each(|(before, _)| failpoint::reached(before));
        failpoint::reached_waiting(Failpoint::CheckpointSent, checkpoints.save(&subscription, &errand.entry)).await?;
        failpoint::reached(Failpoint::AfterCheckpoint);
        steps(&errand.entry).for_each(|(_, after)| failpoint::reached(after));
        let mut written = Written::default();
        for queue in errand.take {
            let taken = checkpoints.take(&subscription, &queue, errand.letters, errand.bytes).await?;
            if !taken.letters.is_empty() {
                failpoint::reached(Failpoint::LettersTaken);
            }
            written.taken.push((queue, taken));
        }
        if errand.look {
            let (queues, recorded) =
                (checkpoints.queues(&subscription).await?, checkpoints.recorded(&subscription).await?);
            written.seen = Some(Seen { queues, recorded });
        }
        if let Some(seat) = self.wish.clone() {
            self.ask(&seat).await?;
        }
        Ok(written)
    }

    async fn open(&mut self) -> Result<&mut (dyn Checkpoints + 'static), StoreError> {
        if self.checkpoints.is_none() {
            self.claim().await?;
        }
        let given_up = || StoreError::new(StoreErrorKind::Unavailable, "the connection to the database was given up");
        self.checkpoints.as_deref_mut().ok_or_else(given_up)
    }
}

/// What an entry does with dead letters, by the places before and after it.
fn steps(entry: &Entry) -> impl Iterator<Item = (Failpoint, Failpoint)> {
    let step = |some: bool, before, after| some.then_some((before, after));
    [
        step(!entry.parked.is_empty(), Failpoint::BeforeParking, Failpoint::Parked),
        step(!entry.forgiven.is_empty(), Failpoint::LetterSent, Failpoint::LetterRemoved),
        step(!entry.returned.is_empty(), Failpoint::BeforeReturn, Failpoint::LettersReturned),
    ]
    .into_iter()
    .flatten()
}
