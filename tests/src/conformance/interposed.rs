//! A store between relay and database: it breaks connections, refuses them, panics, loses answers and counts what passes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outbox_core::checkpoint::{Checkpoint, Checkpoints, Claimed, Entry, Held, Recorded};
use outbox_core::cleanup::{Cleaner, Removal, Removed, Survey};
use outbox_core::continuity::Mender;
use outbox_core::dead_letter::{Desk, Queue, Taken};
use outbox_core::lease::{Claim, Leases, RelayIdentity, Renewal, Roster};
use outbox_core::partition::Change;
use outbox_core::source::{Proof, Read, ReadRequest, Row, Source, Start};
use outbox_core::status::{Glance, Status};
use outbox_core::store::{Count, Database};
use outbox_core::wake::{WakeMode, Waking};
use outbox_core::{Event, Filter, Position, PositionSet, Store, StoreError, StoreErrorKind, async_trait};
use tokio::sync::watch;

/// A store that a test can disturb. Clones share the disturbances.
#[derive(Clone)]
pub struct Interposed<S> {
    inner: S,
    line: Line,
}

/// What all connections of a store have in common.
#[derive(Clone, Default)]
struct Line(Arc<Counters>);

/// Whether the answer of a read is held back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Gate {
    #[default]
    Open,
    Closed,
    /// An answer stands before it.
    Waiting,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The log, its checkpoints, or whatever an operator asks.
    Other,
    /// The leases: the heartbeat has it.
    Leases,
    /// Cleanup.
    Cleaner,
    /// What wakes a relay.
    Wake,
}

#[derive(Default)]
struct Counters {
    /// Connections of an earlier generation are broken.
    generation: AtomicU64,
    /// No connection is to be had.
    down: AtomicBool,
    dials: AtomicU64,
    /// Whoever asks for a connection of this kind panics.
    mistake: Mutex<Option<Part>>,
    /// So many checkpoints are still to be written without an answer.
    answers_to_lose: AtomicU64,
    bytes_read: AtomicU64,
    /// What becomes of the next read's answer.
    gate: watch::Sender<Gate>,
    looks: AtomicU64,
    glances: AtomicU64,
}

impl<S> Interposed<S> {
    /// Puts itself before a store.
    pub fn new(inner: S) -> Self {
        Self { inner, line: Line::default() }
    }

    /// Breaks every connection that is open now.
    pub fn break_connections(&self) {
        self.line.0.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Breaks every connection and refuses new ones until the database is up again.
    pub fn take_down(&self) {
        self.line.0.down.store(true, Ordering::SeqCst);
        self.break_connections();
    }

    /// Allows connections again.
    pub fn bring_up(&self) {
        self.line.0.down.store(false, Ordering::SeqCst);
    }

    /// Has whoever asks for such a connection panic from now on, as at a mistake in the relay.
    pub fn make_a_mistake_in(&self, part: Part) {
        *self.line.0.mistake.lock().unwrap_or_else(PoisonError::into_inner) = Some(part);
    }

    /// So often somebody asked for a connection.
    pub fn dials(&self) -> u64 {
        self.line.0.dials.load(Ordering::SeqCst)
    }

    /// Has the next checkpoints written, and breaks the connection before the relay learns of it.
    pub fn lose_answers(&self, checkpoints: u64) {
        self.line.0.answers_to_lose.store(checkpoints, Ordering::SeqCst);
    }

    /// How many answers are still to be lost.
    pub fn answers_to_lose(&self) -> u64 {
        self.line.0.answers_to_lose.load(Ordering::SeqCst)
    }

    /// Holds back the answer of the next read, and returns once the database has given it.
    ///
    /// # Panics
    ///
    /// Never: the store itself holds the sender.
    pub async fn hold_back_a_read(&self) {
        self.line.0.gate.send_replace(Gate::Closed);
        let mut gate = self.line.0.gate.subscribe();
        gate.wait_for(|gate| *gate == Gate::Waiting).await.expect("the store itself holds the sender");
    }

    /// Lets the answer that is held back through.
    pub fn let_through(&self) {
        self.line.0.gate.send_replace(Gate::Open);
    }

    /// So many bytes of payload were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.line.0.bytes_read.load(Ordering::SeqCst)
    }

    /// So often a relay has looked who holds the leases.
    pub fn looks(&self) -> u64 {
        self.line.0.looks.load(Ordering::SeqCst)
    }

    /// So often somebody asked how far subscriptions are behind.
    pub fn glances(&self) -> u64 {
        self.line.0.glances.load(Ordering::SeqCst)
    }
}

impl Line {
    /// Passes the gate, or waits before it.
    async fn pass(&self) {
        let gate = &self.0.gate;
        if gate.send_if_modified(|gate| {
            let closed = *gate == Gate::Closed;
            if closed {
                *gate = Gate::Waiting;
            }
            closed
        }) {
            gate.subscribe().wait_for(|gate| *gate == Gate::Open).await.expect("the line itself holds the sender");
        }
    }

    fn dial(&self, part: Part) -> Result<(), StoreError> {
        let mistake = *self.0.mistake.lock().unwrap_or_else(PoisonError::into_inner);
        assert_ne!(mistake, Some(part), "a mistake of the test");
        self.0.dials.fetch_add(1, Ordering::SeqCst);
        if self.0.down.load(Ordering::SeqCst) { Err(broken()) } else { Ok(()) }
    }

    fn connect<T: ?Sized>(&self, inner: Box<T>) -> Connected<T> {
        Connected { inner, line: self.clone(), generation: self.0.generation.load(Ordering::SeqCst) }
    }
}

#[async_trait]
impl<S: Store + Clone> Store for Interposed<S> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn check(&self) -> Result<Database, StoreError> {
        self.line.dial(Part::Other)?;
        self.inner.check().await
    }

    async fn recognise(&self) -> Result<Database, StoreError> {
        self.line.dial(Part::Other)?;
        self.inner.recognise().await
    }

    async fn wake(&self, mode: WakeMode) -> Result<Waking, StoreError> {
        self.line.dial(Part::Wake)?;
        self.inner.wake(mode).await
    }

    async fn mender(&self) -> Result<Option<Box<dyn Mender>>, StoreError> {
        self.line.dial(Part::Other)?;
        self.inner.mender().await
    }

    async fn inspect(&self) -> Result<Database, StoreError> {
        self.line.dial(Part::Other)?;
        self.inner.inspect().await
    }

    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError> {
        self.line.dial(Part::Other)?;
        Ok(Box::new(self.line.connect(self.inner.source(filter).await?)))
    }

    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        self.line.dial(Part::Other)?;
        Ok(Box::new(self.line.connect(self.inner.checkpoints().await?)))
    }

    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError> {
        self.line.dial(Part::Leases)?;
        Ok(Box::new(self.line.connect(self.inner.leases().await?)))
    }

    async fn cleaner(&self) -> Result<Option<Box<dyn Cleaner>>, StoreError> {
        self.line.dial(Part::Cleaner)?;
        let cleaner = self.inner.cleaner().await?;
        Ok(cleaner.map(|cleaner| Box::new(self.line.connect(cleaner)) as Box<dyn Cleaner>))
    }

    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        self.line.dial(Part::Other)?;
        self.inner.desk().await
    }

    async fn status(&self) -> Result<Status, StoreError> {
        self.line.dial(Part::Other)?;
        self.inner.status().await
    }

    async fn glance(&self, subscriptions: &[String]) -> Result<Glance, StoreError> {
        self.line.dial(Part::Other)?;
        self.line.0.glances.fetch_add(1, Ordering::SeqCst);
        self.inner.glance(subscriptions).await
    }

    async fn stats(&self, after: Position, filter: &Filter) -> Result<Vec<Count>, StoreError> {
        self.line.dial(Part::Other)?;
        self.inner.stats(after, filter).await
    }
}

/// One connection.
struct Connected<T: ?Sized> {
    inner: Box<T>,
    line: Line,
    generation: u64,
}

impl<T: ?Sized> Connected<T> {
    /// The connection, unless it is broken.
    fn up(&mut self) -> Result<&mut T, StoreError> {
        if self.generation < self.line.0.generation.load(Ordering::SeqCst) {
            return Err(broken());
        }
        Ok(&mut self.inner)
    }
}

fn broken() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the test broke the connection")
}

#[async_trait]
impl Source for Connected<dyn Source> {
    async fn read(&mut self, request: &ReadRequest) -> Result<Read, StoreError> {
        let read = self.up()?.read(request).await?;
        self.line.pass().await;
        self.line.0.bytes_read.fetch_add(read.rows.iter().map(payload_bytes).sum(), Ordering::SeqCst);
        Ok(read)
    }

    async fn last_position(&mut self) -> Result<Position, StoreError> {
        self.up()?.last_position().await
    }

    async fn locate(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError> {
        self.up()?.locate(start).await
    }

    async fn open_positions(&mut self, above: Position, to: Position) -> Result<PositionSet, StoreError> {
        self.up()?.open_positions(above, to).await
    }

    async fn verify(&mut self, proof: &Proof) -> Result<(), StoreError> {
        self.up()?.verify(proof).await
    }
}

#[async_trait]
impl Checkpoints for Connected<dyn Checkpoints> {
    async fn claim(&mut self, subscription: &str, held: &[Held]) -> Result<Claimed, StoreError> {
        self.up()?.claim(subscription, held).await
    }

    async fn found(&mut self, subscription: &str, partitions: u32, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.up()?.found(subscription, partitions, checkpoint).await
    }

    async fn create(&mut self, reader: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.up()?.create(reader, epoch, checkpoint).await
    }

    async fn save(&mut self, subscription: &str, entry: &Entry) -> Result<(), StoreError> {
        self.up()?.save(subscription, entry).await?;
        let one_less = |left: u64| left.checked_sub(1);
        let counter = &self.line.0.answers_to_lose;
        match counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Ok(_) => Err(broken()),
            Err(_) => Ok(()),
        }
    }

    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Recorded>, StoreError> {
        self.up()?.recorded(subscription).await
    }

    async fn queues(&mut self, subscription: &str) -> Result<Vec<Queue>, StoreError> {
        self.up()?.queues(subscription).await
    }

    async fn take(&mut self, subscription: &str, queue: &Queue, letters: u32, bytes: u64) -> Result<Taken, StoreError> {
        self.up()?.take(subscription, queue, letters, bytes).await
    }

    async fn lowest(&mut self, subscription: &str) -> Result<BTreeMap<u32, Position>, StoreError> {
        self.up()?.lowest(subscription).await
    }

    async fn ask_partitions(&mut self, subscription: &str, partitions: u32) -> Result<bool, StoreError> {
        self.up()?.ask_partitions(subscription, partitions).await
    }

    async fn repartition(&mut self, subscription: &str) -> Result<Change, StoreError> {
        self.up()?.repartition(subscription).await
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        self.up()?.sweep().await
    }
}

#[async_trait]
impl Leases for Connected<dyn Leases> {
    async fn acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        partitions: &[u32],
        length: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.up()?.acquire(relay, subscription, partitions, length).await
    }

    async fn take_over(&mut self, subscription: &str, partition: u32, epoch: i64) -> Result<(), StoreError> {
        self.up()?.take_over(subscription, partition, epoch).await
    }

    async fn renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        serves: &[String],
        held: &[Renewal],
    ) -> Result<Roster, StoreError> {
        self.line.0.looks.fetch_add(1, Ordering::SeqCst);
        self.up()?.renew(relay, length, serves, held).await
    }

    async fn give_back(&mut self, relay: &RelayIdentity, subscription: &str, held: &[Held]) -> Result<(), StoreError> {
        self.up()?.give_back(relay, subscription, held).await
    }

    async fn release(&mut self, relay: &RelayIdentity) -> Result<(), StoreError> {
        self.up()?.release(relay).await
    }
}

#[async_trait]
impl Cleaner for Connected<dyn Cleaner> {
    async fn survey(&mut self) -> Result<Survey, StoreError> {
        self.up()?.survey().await
    }

    async fn turn(&mut self, from: i16, to: i16) -> Result<bool, StoreError> {
        self.up()?.turn(from, to).await
    }

    async fn preview(&mut self, removal: &Removal) -> Result<Removed, StoreError> {
        self.up()?.preview(removal).await
    }

    async fn remove(&mut self, removal: &Removal) -> Result<Removed, StoreError> {
        self.up()?.remove(removal).await
    }

    async fn forget(&mut self, keep: Duration, dry_run: bool) -> Result<u64, StoreError> {
        self.up()?.forget(keep, dry_run).await
    }

    async fn note(&mut self, trouble: Option<&str>) -> Result<(), StoreError> {
        self.up()?.note(trouble).await
    }
}

fn payload_bytes(row: &Row) -> u64 {
    let event: &Event = match row {
        Row::Event(event) => event,
        Row::Filtered(_) | Row::Unreadable(_) => return 0,
    };
    let sizes = [&event.payload, &event.old_payload].into_iter().flatten().map(|payload| payload.as_bytes().len());
    sizes.sum::<usize>() as u64
}
