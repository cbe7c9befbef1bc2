//! Keeps checkpoints and dead letters, in the memory that the conformance suite judges.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outbox_core::checkpoint::{Checkpoint, Checkpoints, Claimed, Entry, Held, Recorded};
use outbox_core::dead_letter::{Queue, Taken};
use outbox_core::partition::Change;
use outbox_core::status::PartitionStatus;
use outbox_core::{Position, PositionSet, Store as _, StoreError, StoreErrorKind, async_trait};

use crate::mutant::Mutant;
use crate::oracle::Stored;
use crate::process::{Process, pass};
use crate::trace::Step;
use crate::world::{Line, Op, World, at_once, away};

pub(super) struct SimCheckpoints {
    line: Line,
    table: Table,
}

/// One connection's way to the rows, which knows its claims. Calls that were given up go over it too.
#[derive(Clone)]
struct Table {
    world: Arc<World>,
    process: Arc<Process>,
    number: u64,
    rows: Arc<Mutex<Box<dyn Checkpoints>>>,
}

impl SimCheckpoints {
    pub(super) fn new(line: Line) -> Result<Self, StoreError> {
        let rows = Arc::new(Mutex::new(fresh(&line.world)?));
        let mut state = line.world.state();
        state.oracle.connections += 1;
        let number = state.oracle.connections;
        drop(state);
        let table = Table { world: line.world.clone(), process: line.process.clone(), number, rows };
        Ok(Self { line, table })
    }
}

impl Table {
    fn get(&self) -> MutexGuard<'_, Box<dyn Checkpoints>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, subscription: &str, held: &[Held]) -> Result<Claimed, StoreError> {
        let world = &self.world;
        let mut outcome = at_once(self.get().claim(subscription, held));
        if world.has(Mutant::ForgetEpochOfClaim) && is_fenced(&outcome) {
            let held: Vec<_> = held.iter().map(|held| under_stored_epochs(world, subscription, *held)).collect();
            outcome = at_once(self.get().claim(subscription, &held));
        }
        let mut claimed = outcome?;
        let mut state = world.state();
        state.oracle.claimed(&self.process, self.number, held, &claimed);
        if world.has(Mutant::HoleLostOnRestart) {
            claimed.checkpoints.values_mut().for_each(|checkpoint| checkpoint.open = PositionSet::new());
        }
        Ok(claimed)
    }

    fn save(&self, subscription: &str, entry: &Entry) -> Result<(), StoreError> {
        let world = &self.world;
        let outcome = self.write(subscription, entry);
        if !is_fenced(&outcome) {
            return outcome;
        }
        let older = |(held, _): &(Held, Checkpoint)| under_stored_epochs(world, subscription, *held).epoch > held.epoch;
        let is_stale = entry.checkpoints.iter().any(older);
        let is_lower = entry.checkpoints.iter().any(|(held, checkpoint)| {
            let mut state = world.state();
            let stored = state.oracle.account(subscription).stored.get(&held.partition);
            stored.is_some_and(|stored| stored.checkpoint.position > checkpoint.position)
        });
        if world.has(Mutant::ForgetClaim) && !is_stale && !is_lower {
            write_anew(world, subscription, entry)?;
            self.note(entry);
            return Ok(());
        }
        if world.has(Mutant::ForgetEpochOfCheckpoint) && is_stale {
            let renamed = |(held, checkpoint): &(Held, Checkpoint)| {
                (under_stored_epochs(world, subscription, *held), checkpoint.clone())
            };
            let forced = Entry { checkpoints: entry.checkpoints.iter().map(renamed).collect(), ..entry.clone() };
            write_anew(world, subscription, &forced)?;
            self.note(entry);
            return Ok(());
        }
        if world.has(Mutant::ForgetEpochOfLetters) && is_stale && !entry.is_bare() {
            at_once(fresh(world)?.save(subscription, &Entry { checkpoints: Vec::new(), ..entry.clone() }))?;
            world.state().oracle.letters_written(&self.process, entry);
        }
        if world.has(Mutant::DropLowerPosition) && !is_stale && is_lower {
            self.note(entry);
            return Ok(());
        }
        outcome
    }

    /// Writes an entry as it is to be written, but for the mutants that leave something of it out.
    fn write(&self, subscription: &str, entry: &Entry) -> Result<(), StoreError> {
        let world = &self.world;
        if world.has(Mutant::ConfirmUnwritten) && world.state().chance.u32(..10) == 0 {
            return Ok(());
        }
        if !world.has(Mutant::ParkOutside) || entry.parked.is_empty() {
            at_once(self.get().save(subscription, entry))?;
            self.note(entry);
            return Ok(());
        }
        let bare = Entry { checkpoints: entry.checkpoints.clone(), ..Entry::default() };
        let letters = Entry { checkpoints: Vec::new(), ..entry.clone() };
        at_once(self.get().save(subscription, &bare))?;
        self.note(&bare);
        let (table, subscription) = (self.clone(), subscription.to_owned());
        tokio::spawn(async move {
            pass(1).await;
            if !table.process.is_dead()
                && let Ok(mut rows) = fresh(&table.world)
                && rows.save(&subscription, &letters).await.is_ok()
            {
                table.note(&letters);
            }
        });
        Ok(())
    }

    /// Lets the oracle know what was written.
    fn note(&self, entry: &Entry) {
        let process = &self.process;
        let mut guard = self.world.state();
        let state = &mut *guard;
        for (held, checkpoint) in &entry.checkpoints {
            let step = Step::Save(held.partition, checkpoint.position, checkpoint.open.range_count());
            state.trace.note(process.now(), process.number, step);
        }
        for letter in &entry.parked {
            state.trace.note(process.now(), process.number, Step::Park(letter.event.position));
        }
        state.oracle.saved(process, self.number, entry, &state.log);
    }
}

#[async_trait]
impl Checkpoints for SimCheckpoints {
    async fn claim(&mut self, subscription: &str, held: &[Held]) -> Result<Claimed, StoreError> {
        let (table, subscription, held) = (self.table.clone(), subscription.to_owned(), held.to_vec());
        self.line.call(Op::Claim, async move { table.claim(&subscription, &held) }).await
    }

    async fn found(&mut self, subscription: &str, partitions: u32, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let world = self.line.world.clone();
        let (subscription, checkpoint) = (subscription.to_owned(), checkpoint.clone());
        let call = async move {
            let mut state = world.state();
            if checkpoint.position < state.log.floor {
                return Err(away());
            }
            let account = state.oracle.account(&subscription);
            if account.stored.is_empty() {
                account.found(partitions, &checkpoint);
            }
            at_once(fresh(&world)?.found(&subscription, partitions, &checkpoint))
        };
        self.line.call(Op::Found, call).await
    }

    async fn create(&mut self, _: &str, _: i64, _: &Checkpoint) -> Result<(), StoreError> {
        Err(away())
    }

    async fn save(&mut self, subscription: &str, entry: &Entry) -> Result<(), StoreError> {
        let (table, subscription, written) = (self.table.clone(), subscription.to_owned(), entry.clone());
        self.line.call(Op::Save, async move { table.save(&subscription, &written) }).await?;
        self.line.world.state().oracle.promised(&self.line.process, entry);
        Ok(())
    }

    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Recorded>, StoreError> {
        let (world, subscription) = (self.line.world.clone(), subscription.to_owned());
        self.line.call(Op::Recorded, async move { at_once(fresh(&world)?.recorded(&subscription)) }).await
    }

    async fn queues(&mut self, subscription: &str) -> Result<Vec<Queue>, StoreError> {
        let (world, subscription) = (self.line.world.clone(), subscription.to_owned());
        self.line.call(Op::Queues, async move { at_once(fresh(&world)?.queues(&subscription)) }).await
    }

    async fn take(&mut self, subscription: &str, queue: &Queue, letters: u32, bytes: u64) -> Result<Taken, StoreError> {
        let (world, subscription, queue) = (self.line.world.clone(), subscription.to_owned(), queue.clone());
        let call = async move {
            let mut taken = at_once(fresh(&world)?.take(&subscription, &queue, letters, bytes))?;
            if world.has(Mutant::RequeueAtTail) && taken.letters.len() > 1 {
                let first = taken.letters.remove(0).row.position();
                taken.more = true;
                let entry = Entry { returned: vec![first], ..Entry::default() };
                at_once(fresh(&world)?.save(&subscription, &entry))?;
            }
            Ok(taken)
        };
        self.line.call(Op::Take, call).await
    }

    async fn lowest(&mut self, subscription: &str) -> Result<BTreeMap<u32, Position>, StoreError> {
        let (world, subscription) = (self.line.world.clone(), subscription.to_owned());
        self.line.call(Op::Lowest, async move { at_once(fresh(&world)?.lowest(&subscription)) }).await
    }

    async fn ask_partitions(&mut self, subscription: &str, partitions: u32) -> Result<bool, StoreError> {
        let (world, subscription) = (self.line.world.clone(), subscription.to_owned());
        let call = async move { at_once(fresh(&world)?.ask_partitions(&subscription, partitions)) };
        self.line.call(Op::AskPartitions, call).await
    }

    async fn repartition(&mut self, subscription: &str) -> Result<Change, StoreError> {
        let (world, process) = (self.line.world.clone(), self.line.process.clone());
        let subscription = subscription.to_owned();
        self.line.call(Op::Repartition, async move { repartition(&world, &process, &subscription) }).await
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A way to the rows that has claimed nothing.
fn fresh(world: &World) -> Result<Box<dyn Checkpoints>, StoreError> {
    at_once(world.memory.checkpoints())
}

fn is_fenced<T>(outcome: &Result<T, StoreError>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Fenced)
}

/// The same partitions under the epochs that the database has.
fn under_stored_epochs(world: &World, subscription: &str, held: Held) -> Held {
    let mut state = world.state();
    let stored = state.oracle.account(subscription).stored.get(&held.partition).map(|stored| stored.epoch);
    Held { epoch: stored.unwrap_or(held.epoch), ..held }
}

/// Writes an entry under a claim of its own.
fn write_anew(world: &World, subscription: &str, entry: &Entry) -> Result<(), StoreError> {
    let held: Vec<_> = entry.checkpoints.iter().map(|(held, _)| *held).collect();
    let mut table = fresh(world)?;
    at_once(table.claim(subscription, &held))?;
    at_once(table.save(subscription, entry))
}

fn repartition(world: &World, process: &Process, subscription: &str) -> Result<Change, StoreError> {
    let mut table = fresh(world)?;
    let before = at_once(table.claim(subscription, &[]))?.partitioning;
    let changed = at_once(table.repartition(subscription))?;
    let after = at_once(table.claim(subscription, &[]))?.partitioning;
    let Some(partitioning) = after.filter(|after| before.as_ref() != Some(after)) else { return Ok(changed) };
    if world.has(Mutant::ForgetTheSlowest) {
        skip_the_slowest(world, subscription)?;
    }
    let status = at_once(world.memory.status())?;
    let rows =
        status.subscriptions.into_iter().filter(|each| each.name == subscription).flat_map(|each| each.partitions);
    let row = |row: PartitionStatus| {
        let checkpoint = Checkpoint::from_columns(subscription, row.position, &row.open, "")?;
        Ok((row.partition, Stored { epoch: row.epoch, saved_under: row.epoch, checkpoint }))
    };
    let stored = rows.map(row).collect::<Result<_, StoreError>>()?;
    let mut guard = world.state();
    let state = &mut *guard;
    state.trace.note(process.now(), process.number, Step::Repartition(partitioning.count));
    state.oracle.repartitioned(process, &state.log, partitioning, stored);
    Ok(changed)
}

/// Lets every new checkpoint begin where the fastest of the old ones was.
fn skip_the_slowest(world: &World, subscription: &str) -> Result<(), StoreError> {
    let stored = world.state().oracle.account(subscription).stored.clone();
    let Some(fastest) = stored.into_values().map(|stored| stored.checkpoint).max_by_key(|each| each.position) else {
        return Ok(());
    };
    let status = at_once(world.memory.status())?;
    let rows =
        status.subscriptions.into_iter().filter(|each| each.name == subscription).flat_map(|each| each.partitions);
    let held = rows.map(|row| (Held { partition: row.partition, epoch: row.epoch }, fastest.clone()));
    write_anew(world, subscription, &Entry { checkpoints: held.collect(), ..Entry::default() })
}
