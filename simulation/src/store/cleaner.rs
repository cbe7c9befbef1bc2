//! Empties segments, after checking everything again at the moment of the removal.

use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::cleanup::{Cleaner, Ends, Obstacle, Reader, Removal, Removed, Segment, Survey};
use outbox_core::{Position, StoreError, async_trait};

use crate::log::Written;
use crate::mutant::Mutant;
use crate::oracle::{Account, Violation};
use crate::process::Process;
use crate::trace::Step;
use crate::world::{Line, Op, State, World};

pub(super) struct SimCleaner {
    pub(super) line: Line,
}

#[async_trait]
impl Cleaner for SimCleaner {
    async fn survey(&mut self) -> Result<Survey, StoreError> {
        let world = self.line.world.clone();
        self.line.call(Op::Survey, async move { Ok(survey(&world)) }).await
    }

    async fn turn(&mut self, from: i16, to: i16) -> Result<bool, StoreError> {
        let world = self.line.world.clone();
        let call = async move {
            let log = &mut world.state().log;
            let may = log.current_segment == from && !log.events().any(|written| written.segment == to);
            if may {
                log.current_segment = to;
            }
            Ok(may)
        };
        self.line.call(Op::Turn, call).await
    }

    async fn preview(&mut self, _: &Removal) -> Result<Removed, StoreError> {
        Ok(Removed::Kept(Obstacle::Changing))
    }

    async fn remove(&mut self, removal: &Removal) -> Result<Removed, StoreError> {
        let (world, process, removal) = (self.line.world.clone(), self.line.process.clone(), removal.clone());
        self.line.call(Op::Remove, async move { Ok(remove(&world, &process, &removal)) }).await
    }

    /// Letters are kept, so that the oracle can count them.
    async fn forget(&mut self, _: Duration, _: bool) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn note(&mut self, _: Option<&str>) -> Result<(), StoreError> {
        self.line.call(Op::Note, async { Ok(()) }).await
    }
}

fn survey(world: &World) -> Survey {
    let state = world.state();
    let used = world.plan.retention.as_ref().map_or(1, |retention| retention.segments);
    let segments = (0..i16::from(used)).map(|number| segment(world, &state, number)).collect();
    Survey { segments, readers: readers(&state), used, one_by_one: false, trouble: None }
}

fn segment(world: &World, state: &State, number: i16) -> Segment {
    let events: Vec<&Written> = state.log.events().filter(|written| written.segment == number).collect();
    let ends = events.first().zip(events.last());
    let ends =
        ends.map(|(first, last)| Ends { first: first.event.position, last: last.event.position, first_age: Some(1.0) });
    let first_owed = |account: &Account| {
        let positions = events.iter().map(|written| written.event.position);
        positions
            .into_iter()
            .find(|position| account.stored.values().any(|stored| stored.checkpoint.open.contains(*position)))
    };
    let owed = state.oracle.accounts.iter().filter_map(|(name, account)| Some((name.clone(), first_owed(account)?)));
    let owed = if world.has(Mutant::EmptyOnMax) { Vec::new() } else { owed.collect() };
    let bytes = Some(events.len() as u64);
    Segment { number, bytes, current: state.log.current_segment == number, ends, owed, holders: Vec::new() }
}

/// Every subscription that has begun.
fn readers(state: &State) -> Vec<Reader> {
    let lowest = |account: &Account| account.stored.values().map(|stored| stored.checkpoint.position).min();
    let reader = |(name, account): (&String, &Account)| {
        let position = lowest(account)?;
        Some(Reader { name: name.clone(), position, leased: true, silent_seconds: 0.0, cut_off: false })
    };
    state.oracle.accounts.iter().filter_map(reader).collect()
}

fn remove(world: &World, process: &Process, removal: &Removal) -> Removed {
    let survey = survey(world);
    let mut guard = world.state();
    let state = &mut *guard;
    let number = removal.segment;
    let Some(segment) = survey.segments.iter().find(|segment| segment.number == number) else {
        return Removed::Kept(Obstacle::Changing);
    };
    if segment.ends.is_none_or(|ends| ends.last != removal.last) {
        return Removed::Kept(Obstacle::Changing);
    }
    if let Some(obstacle) = survey.obstacle(segment) {
        return Removed::Kept(obstacle);
    }
    // An open transaction holds the locks of all it wrote into.
    if state.log.transactions.iter().any(|each| each.rows.iter().any(|(_, written_to)| *written_to == number)) {
        return Removed::Kept(Obstacle::Locked(Vec::new()));
    }
    for written in state.log.written.values_mut().filter(|written| written.segment == number) {
        written.removed = true;
    }
    state.log.floor = state.log.floor.max(removal.last);
    state.trace.note(process.now(), process.number, Step::Empty(number, removal.last));
    judge(state, process, (number, removal.last));
    Removed::Gone(None)
}

/// Nothing that a checkpoint owes may be gone.
fn judge(state: &mut State, process: &Process, (number, last): (i16, Position)) {
    let removed = || state.log.written.values().filter(|written| written.segment == number && written.removed);
    let owed = |account: &Account| {
        let owes = |written: &&Written| {
            let position = written.event.position;
            let by = |checkpoint: &Checkpoint| position > checkpoint.position || checkpoint.open.contains(position);
            account.wants(written)
                && !account.lettered.contains(&position)
                && !account.delivered.contains_key(&position)
                && account.stored.values().any(|stored| by(&stored.checkpoint))
        };
        removed().find(owes).map(|written| written.event.position)
    };
    let gone = state.oracle.accounts.iter().find_map(|(name, account)| Some((name.clone(), owed(account)?)));
    if let Some((name, position)) = gone {
        state.oracle.accuse(Violation::EmptiedOwed, process.now(), || {
            format!("{process:?} emptied segment {number} up to {last} with position {position}, which `{name}` owes")
        });
    }
}
