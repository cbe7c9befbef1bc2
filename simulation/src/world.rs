//! What all parts of a run share: the database, who is alive, the choices of the seed, and the oracle that looks on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use futures_util::FutureExt as _;
use outbox_core::testing::MemoryStore;
use outbox_core::{StoreError, StoreErrorKind};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::log::Log;
use super::mutant::Mutant;
use super::oracle::Oracle;
use super::plan::{Pick as _, Plan};
use super::process::{Moment, Process, SimClock, pass};
use super::sweep::{Fault, Single};
use super::trace::{Step, Trace};

/// A call of a relay to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they are the methods of the traits")]
pub enum Op {
    Check,
    OpenSource,
    Read,
    LastPosition,
    Locate,
    OpenPositions,
    Verify,
    OpenCheckpoints,
    Claim,
    Found,
    Save,
    Recorded,
    Queues,
    Take,
    Lowest,
    AskPartitions,
    Repartition,
    OpenLeases,
    Acquire,
    TakeOver,
    Renew,
    GiveBack,
    Release,
    OpenCleaner,
    Survey,
    Turn,
    Remove,
    Note,
    OpenWake,
    Arm,
    Writers,
    Disarm,
    Publish,
    Acknowledge,
}

/// How long a client waits for an answer of the database.
const BOUND: Moment = 1_000;

/// One run.
pub(crate) struct World {
    pub(crate) begin: Instant,
    pub(crate) plan: Plan,
    pub(crate) mutant: Option<Mutant>,
    /// Everything but the log.
    pub(crate) memory: MemoryStore,
    state: Mutex<State>,
}

/// What changes in a run.
pub(crate) struct State {
    pub(crate) chance: Rng,
    pub(crate) log: Log,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) processes: Vec<Arc<Process>>,
    /// Who waits to be told by writers.
    pub(crate) listeners: Vec<Arc<Notify>>,
    /// The commits that a process had seen when it armed, by its number: what it goes on seeing, as a mutant.
    pub(crate) asleep: BTreeMap<u32, u64>,
    /// How often each was called.
    pub(crate) calls: BTreeMap<Op, u64>,
    /// The one fault of a sweep.
    pub(crate) single: Option<Single>,
    /// Whether faults may happen still.
    pub(crate) troubled: bool,
    /// Whether writers are to end.
    pub(crate) closing: bool,
}

/// How a call fares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passage {
    /// Until its effect.
    pub(crate) before: Moment,
    /// From there to the answer.
    pub(crate) after: Moment,
    pub(crate) fault: Option<Fault>,
}

impl World {
    pub(crate) fn new((seed, mut chance): (u64, Rng), plan: Plan, mutant: Option<Mutant>) -> Self {
        let begin = Instant::now();
        let clock = SimClock(Process::new(0, "", begin, false));
        let log = Log::new(plan.prepare_renames);
        let oracle = Oracle::new(&plan);
        let state = State {
            chance: chance.fork(),
            log,
            oracle,
            trace: Trace::new(seed),
            processes: Vec::new(),
            listeners: Vec::new(),
            asleep: BTreeMap::new(),
            calls: BTreeMap::new(),
            single: None,
            troubled: true,
            closing: false,
        };
        Self { begin, plan, mutant, memory: MemoryStore::with_clock(clock), state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Moment {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(Moment::MAX)
    }

    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Draws how a call fares.
    pub(crate) fn enter(&self, process: &Process, op: Op) -> Passage {
        let now = self.now();
        let mut state = self.state();
        let State { chance, calls, single, trace, troubled, oracle, .. } = &mut *state;
        let count = calls.entry(op).or_default();
        *count += 1;
        let mut fault = single.as_ref().filter(|single| single.is(op, *count)).map(|single| single.fault);
        let rate = if op == Op::Publish { self.plan.rates.publish } else { self.plan.rates.call };
        if *troubled && chance.per_mille(rate) {
            fault = Some(if op == Op::Publish {
                chance.pick(&[Fault::Refuse, Fault::LoseAnswer, Fault::Hang, Fault::Late, Fault::Miscount])
            } else {
                chance.pick(&[Fault::Refuse, Fault::LoseAnswer, Fault::Hang, Fault::Late])
            });
        }
        let mut delay = || match chance.u32(..100) {
            0 if !self.plan.calm => chance.u64(20..400),
            0..=9 => chance.u64(1..20),
            10..=59 => 1,
            _ => 0,
        };
        let passage = Passage { before: delay(), after: delay(), fault };
        if oracle.found.is_some() {
            trace.close();
        }
        trace.note(now, process.number, Step::Call(op, fault));
        oracle.excused |= fault.is_some();
        passage
    }
}

/// A connection of a process to the database.
pub(crate) struct Line {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
    pub(crate) incarnation: i64,
    broken: bool,
}

impl Line {
    /// Opens one.
    pub(crate) async fn open(world: &Arc<World>, process: &Arc<Process>, op: Op) -> Result<Self, StoreError> {
        let mut line = Self { world: world.clone(), process: process.clone(), incarnation: 0, broken: false };
        line.incarnation = line.world.state().log.incarnation;
        let world = world.clone();
        line.call(op, async move { if world.now() < world.state().log.up_at { Err(away()) } else { Ok(()) } }).await?;
        Ok(line)
    }

    /// Whether the server is the one it was opened to.
    pub(crate) fn is_alive(&self) -> bool {
        self.world.state().log.incarnation == self.incarnation
    }

    /// Has the server do something. It does it whether or not anybody waits for the answer.
    pub(crate) async fn call<T: Send + 'static>(
        &mut self,
        op: Op,
        effect: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.broken {
            self.process.runs().await;
            return Err(away());
        }
        let passage = self.world.enter(&self.process, op);
        let (answer, answered) = oneshot::channel();
        let (world, process, incarnation) = (self.world.clone(), self.process.clone(), self.incarnation);
        tokio::spawn(async move {
            let outcome = serve(&world, &process, incarnation, passage, effect).await;
            let _ = answer.send(outcome);
        });
        let outcome = answered.await.unwrap_or_else(|_| Err(away()));
        self.process.runs().await;
        self.broken = outcome.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Unavailable);
        outcome
    }
}

/// The server's side of a call.
async fn serve<T: Send + 'static>(
    world: &Arc<World>,
    process: &Process,
    incarnation: i64,
    Passage { before, after, fault }: Passage,
    effect: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let lives = |world: &World| world.state().log.incarnation == incarnation;
    pass(before).await;
    match fault {
        Some(Fault::Refuse) => return Err(away()),
        Some(Fault::CrashBefore) => process.kill(),
        _ => {}
    }
    if !lives(world) || fault == Some(Fault::CrashBefore) {
        return Err(away());
    }
    if fault == Some(Fault::Late) {
        // The client has given up, and the server has not.
        let world = world.clone();
        tokio::spawn(async move {
            pass(after + 5 * before + 30).await;
            if world.state().log.incarnation == incarnation {
                let _ = effect.await;
            }
        });
        return Err(away());
    }
    let outcome = effect.await;
    match fault {
        Some(Fault::Hang) => pass(BOUND).await,
        Some(Fault::CrashAfter) => process.kill(),
        _ => pass(after).await,
    }
    if fault.is_some() || !lives(world) { Err(away()) } else { outcome }
}

/// The database cannot be reached, or did not answer.
pub(crate) fn away() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the simulated connection broke")
}

/// What the memory answers: it never waits.
pub(crate) fn at_once<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    future.now_or_never().unwrap_or_else(|| Err(away()))
}
