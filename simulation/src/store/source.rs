//! Reads the log: the rows at one moment, the holders at a later one.

use outbox_core::source::{Evidence, Proof, Read, ReadRequest, Row, Source};
use outbox_core::{Filter, Position, PositionSet, Start, StoreError, StoreErrorKind, async_trait};

use crate::log::{Log, Stage, Written};
use crate::mutant::Mutant;
use crate::plan::Pick as _;
use crate::process::{Moment, pass};
use crate::world::{Line, Op, World};

pub(super) struct SimSource {
    line: Line,
    filter: Filter,
    /// The commits that the last read saw.
    seen: u64,
}

impl SimSource {
    pub(super) fn new(line: Line, filter: Filter) -> Self {
        Self { line, filter, seen: 0 }
    }
}

/// The rows of one snapshot.
struct Snapshot {
    rows: Vec<Row>,
    complete: bool,
    durable_at: Moment,
}

#[async_trait]
impl Source for SimSource {
    fn server_started(&self) -> Option<i64> {
        Some(self.line.incarnation)
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<Read, StoreError> {
        let (world, process) = (self.line.world.clone(), self.line.process.clone());
        let (request, filter, seen) = (request.clone(), self.filter.clone(), self.seen);
        let call = async move {
            let gap = gap(&world);
            let early = sample(&world);
            if world.has(Mutant::SampleBeforeSnapshot) {
                pass(gap).await;
            }
            let commits = world.state().log.commits;
            let asleep = world.state().asleep.get(&process.number).copied();
            let visible = if world.has(Mutant::BuryOnOldSnapshot) {
                seen
            } else {
                asleep.filter(|_| world.has(Mutant::WakeWithoutReread)).unwrap_or(commits)
            };
            let Snapshot { rows, complete, durable_at } =
                snapshot(&world, &process.subscription, &request, &filter, visible);
            if !world.has(Mutant::ReadBeforeDurable) {
                pass(durable_at.saturating_sub(world.now())).await;
            }
            pass(gap).await;
            let holders = if world.has(Mutant::SampleBeforeSnapshot) { early } else { sample(&world) };
            let complete = complete || world.has(Mutant::JudgeBeyondLimit);
            Ok((Read { rows, complete, evidence: holders }, commits))
        };
        let (read, commits) = self.line.call(Op::Read, call).await?;
        self.seen = commits;
        Ok(read)
    }

    async fn last_position(&mut self) -> Result<Position, StoreError> {
        let world = self.line.world.clone();
        self.line.call(Op::LastPosition, async move { Ok(world.state().log.last_position) }).await
    }

    async fn locate(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError> {
        let world = self.line.world.clone();
        let call = async move {
            let now = world.now();
            let mut state = world.state();
            let last = state.log.last_position;
            match start {
                Start::Now => Ok((last, state.log.missing(0, last, now))),
                _ => Ok((state.log.floor, PositionSet::new())),
            }
        };
        self.line.call(Op::Locate, call).await
    }

    async fn open_positions(&mut self, above: Position, to: Position) -> Result<PositionSet, StoreError> {
        let world = self.line.world.clone();
        self.line.call(Op::OpenPositions, async move { Ok(world.state().log.missing(above, to, world.now())) }).await
    }

    async fn verify(&mut self, proof: &Proof) -> Result<(), StoreError> {
        let (world, proof) = (self.line.world.clone(), proof.clone());
        let call = async move {
            let state = world.state();
            let there = |written: &Written, id| !written.removed && written.event.event_id == id;
            let known = proof.events.iter().all(|(position, id)| {
                *position <= state.log.floor
                    || state.log.written.get(position).is_some_and(|written| there(written, *id))
            });
            if known && state.log.last_position >= proof.position {
                return Ok(());
            }
            Err(StoreError::new(StoreErrorKind::Continuity, "this is not the log the relay knows"))
        };
        self.line.call(Op::Verify, call).await
    }
}

/// How long after the rows the holders are looked up.
fn gap(world: &World) -> Moment {
    let chance = &mut world.state().chance;
    if chance.per_mille(300) { chance.u64(1..12) } else { 0 }
}

fn sample(world: &World) -> Evidence {
    let mut state = world.state();
    let mut holders = state.log.holders(world.now());
    if world.has(Mutant::ForgetPrepared) {
        for holder in &mut holders {
            holder.prepared = false;
        }
    }
    if world.has(Mutant::HoldersNeverEnd) {
        holders.extend(state.log.past_holders.iter().cloned());
    }
    Evidence::Holders(holders)
}

/// The rows asked for that so many commits had made visible.
fn snapshot(world: &World, subscription: &str, request: &ReadRequest, filter: &Filter, commits: u64) -> Snapshot {
    let mut state = world.state();
    let oldest = state.log.unfinished().map(|each| each.number).min().filter(|_| world.has(Mutant::WaitForStrangers));
    let asked = |written: &&Written| {
        let position = written.event.position;
        let above = request.above && position > request.after;
        (above || (position <= request.after && request.open.contains(position)))
            && written.commit <= commits
            && oldest.is_none_or(|oldest| written.transaction < oldest)
    };
    let most = request.max_events.max(1) as usize;
    let mut rows = Vec::new();
    let (mut durable_at, mut cut) = (0, Vec::new());
    for written in state.log.events().filter(asked) {
        if rows.len() == most {
            cut.push(written.event.position);
            continue;
        }
        durable_at = written.durable_at.max(durable_at);
        let event = &written.event;
        let mine = request.portion.as_ref().is_none_or(|portion| portion.holds(&event.key, event.position));
        let passes = mine && filter.passes(event);
        rows.push(if passes { Row::Event(event.clone()) } else { Row::Filtered(event.position) });
    }
    let complete = cut.is_empty();
    state.oracle.account(subscription).cut.extend(cut);
    Snapshot { rows, complete, durable_at }
}

impl Log {
    /// The positions in between that nobody sees and somebody may still fill.
    fn missing(&mut self, above: Position, to: Position, now: Moment) -> PositionSet {
        let mut open = PositionSet::new();
        let writers =
            self.holders(now).len() + self.transactions.iter().filter(|each| each.stage == Stage::Prepared).count();
        if writers > 0 && to > above {
            open.insert(above + 1..=to);
            open.remove_all(self.events().map(|written| written.event.position).collect::<Vec<_>>());
        }
        open
    }
}
