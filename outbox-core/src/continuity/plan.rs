//! What is broken between the readers of a log and the log, and what mends it: no input, no output.
//!
//! ```text
//!              newest remembered event that is the same         where the reader was
//!  ──────────────────────────┤                                          ├─────────
//!   done, but for what is    │   published again: everything that is here now
//!   open, or another event   │   what was here before is gone
//! ```
//!
//! Below that event a position may still hold what nobody has read, where positions were given out a second time; such
//! positions become open. Repeats are the price: nothing that the log holds is lost.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use super::ReaderContinuity;
use crate::checkpoint::Checkpoint;
use crate::error::StoreError;
use crate::event::Position;

/// A reader of the log: a row of `outbox_checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The subscription, or an export by name as `export:NAME`.
    pub subscription: String,
    /// Its partition.
    pub partition: i32,
    /// How far it is.
    pub checkpoint: Checkpoint,
    /// The highest epoch that its checkpoint or its lease has seen.
    pub epoch: i64,
    /// The relay that works it, if one does.
    pub owner: Option<String>,
}

/// What the log shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The last position given out; `None` for a user who may not know it.
    pub last_drawn: Option<Position>,
    /// The lowest visible position.
    pub lowest: Option<Position>,
    /// The highest visible position.
    pub highest: Option<Position>,
    /// The highest position cleanup has removed.
    pub floor: Position,
    /// The highest position among the dead letters.
    pub letters: Option<Position>,
    /// The events that stand at the floor and at the positions that readers remember.
    pub found: BTreeMap<Position, Vec<Uuid>>,
}

/// What is to be done, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The readers that are set back.
    pub readers: Vec<Break>,
    /// How far positions are raised.
    pub positions: Option<Raise>,
    /// What the floor is set to, where events were written below it since.
    pub floor: Option<Position>,
    /// How many events share their position with an earlier one, and get one of their own. Only PostgreSQL can have such, where
    /// its sequence was reset.
    pub doubles: usize,
}

/// How far positions are raised, so that none is given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Raise {
    /// The last position given out.
    pub from: Position,
    /// The highest that anybody has seen.
    pub to: Position,
}

/// A reader that does not find the log as it left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The subscription, or an export by name as `export:NAME`.
    pub subscription: String,
    /// Its partition.
    pub partition: i32,
    /// What is not as it was.
    pub broken: String,
    /// Where it was.
    pub position: Position,
    /// Where it goes on: everything above is published again.
    pub back_to: Position,
    /// What it reads again below that, as `{[12,15],[20,20]}`.
    pub open: String,
    /// The remembered events that are no longer there. More may be gone that nobody remembers.
    pub missing: usize,
    /// The relay that works it, if one does.
    pub owner: Option<String>,
    /// Its checkpoint from now on.
    #[serde(skip)]
    pub checkpoint: Checkpoint,
    /// Its epoch from now on.
    #[serde(skip)]
    pub epoch: i64,
}

impl Plan {
    /// Compares readers and log; of one subscription, or of all.
    pub fn new(readers: &[Reader], log: &Log, subscription: Option<&str>) -> Self {
        let asked = |reader: &&Reader| subscription.is_none_or(|asked| asked == reader.subscription);
        // The floor is the highest position that was removed: where an event stands there, positions were given out again.
        let floor = log.lowest.filter(|_| log.found.get(&log.floor).is_some_and(|found| !found.is_empty()));
        let floor = floor.map(|lowest| lowest - 1);
        let removed = log.floor;
        let log = &Log { floor: floor.unwrap_or(log.floor), ..log.clone() };
        Self {
            readers: readers.iter().filter(asked).filter_map(|reader| Break::of(reader, log)).collect(),
            positions: raise(readers, log, removed),
            floor,
            doubles: 0,
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses to touch what a relay works.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`](crate::StoreErrorKind::Precondition) with the relay's name.
    pub fn refuse_at_work(&self) -> Result<(), StoreError> {
        let owned = self.readers.iter().find_map(|reader| Some((reader.owner.as_ref()?, &reader.subscription)));
        owned.map_or(Ok(()), |(owner, subscription)| Err(super::at_work(owner, subscription)))
    }

    /// What it says in `outbox_meta` that was done.
    pub fn done(&self) -> String {
        let back = self.readers.iter().map(|reader| {
            let Break { subscription, partition, position, back_to, .. } = reader;
            format!("{subscription}/{partition} from {position} back to {back_to}")
        });
        let raised = self.positions.iter().map(|raise| format!("positions from {} raised to {}", raise.from, raise.to));
        let floor = self.floor.iter().map(|floor| format!("floor set to {floor}"));
        let doubles = (self.doubles > 0).then(|| format!("{} doubles moved", self.doubles));
        back.chain(raised).chain(floor).chain(doubles).collect::<Vec<_>>().join(", ")
    }
}

/// Whether each reader would find the log as it left it.
pub(super) fn judge(readers: &[Reader], log: &Log) -> Vec<ReaderContinuity> {
    let judged = |reader: &Reader| ReaderContinuity {
        subscription: reader.subscription.clone(),
        partition: reader.partition,
        broken: broken(reader, log),
    };
    readers.iter().map(judged).collect()
}

/// The positions at which it must be known what stands there: the floor, and what readers remember.
pub fn asked_for(readers: &[Reader], floor: Position) -> Vec<Position> {
    let remembered = readers.iter().flat_map(|reader| &reader.checkpoint.events).map(|(position, _)| *position);
    let asked: BTreeSet<_> = remembered.chain([floor]).filter(|position| *position > 0).collect();
    asked.into_iter().collect()
}

/// What is not as this reader left it; `None` where all is.
fn broken(reader: &Reader, log: &Log) -> Option<String> {
    let position = reader.checkpoint.position;
    if let Some(last) = log.last_drawn.filter(|last| *last < position) {
        return Some(format!("it has read up to position {position}, and positions up to {last} only were given out"));
    }
    let (position, _) = strangers(reader, log).min()?;
    Some(match log.found.get(&position) {
        Some(_) => format!("position {position} holds another event than was read there"),
        None => format!("the event that was read at position {position} is gone, and cleanup has not been there"),
    })
}

/// The remembered events that are not there as they were, by their positions.
fn strangers(reader: &Reader, log: &Log) -> impl Iterator<Item = (Position, Uuid)> {
    let events = reader.checkpoint.events.iter().copied();
    events.filter(|(position, id)| *position > log.floor && !log.holds(*position, *id))
}

impl Log {
    /// Whether this event stands there, and no other.
    fn holds(&self, position: Position, id: Uuid) -> bool {
        self.found.get(&position).is_some_and(|found| *found == [id])
    }

    /// Whether events may share a position: where positions were given out again beside events that stayed. Only then it is
    /// worth a look at the whole log.
    pub fn may_have_doubles(&self) -> bool {
        self.last_drawn.zip(self.highest).is_some_and(|(last, highest)| last < highest)
            || self.found.values().any(|found| found.len() > 1)
    }

    /// The last position given out, as far as it is known.
    fn last(&self) -> Position {
        self.last_drawn.or(self.highest).unwrap_or_default()
    }
}

impl Break {
    fn of(reader: &Reader, log: &Log) -> Option<Self> {
        let broken = broken(reader, log)?;
        let checkpoint = set_back(reader, log);
        Some(Self {
            subscription: reader.subscription.clone(),
            partition: reader.partition,
            broken,
            position: reader.checkpoint.position,
            back_to: checkpoint.position,
            open: checkpoint.open.to_string(),
            missing: strangers(reader, log).count(),
            owner: reader.owner.clone(),
            checkpoint,
            epoch: reader.epoch + 1,
        })
    }
}

/// The checkpoint that a broken one becomes.
fn set_back(reader: &Reader, log: &Log) -> Checkpoint {
    let before = &reader.checkpoint;
    let same = |event: &&(Position, Uuid)| log.holds(event.0, event.1);
    let newest = before.events.iter().filter(same).map(|(position, _)| *position).max();
    // What is remembered may lie above the checkpoint: it was read and not yet acknowledged.
    let proven = newest.unwrap_or_default().min(before.position);
    let position = proven.max(log.floor);
    let mut open = before.open.clone();
    open.remove(position.saturating_add(1)..=Position::MAX);
    for (at, _) in strangers(reader, log).filter(|(at, _)| *at <= position && log.found.contains_key(at)) {
        open.insert(at..=at);
    }
    if proven < position && log.lowest.is_some_and(|lowest| lowest < position) {
        open.insert(proven + 1..=position - 1);
    }
    // Positions were set back, and drawn once more up to here.
    if (1..position).contains(&log.last()) {
        open.insert(1..=log.last());
    }
    let events = before.events.iter().filter(same).filter(|(at, _)| *at <= position).copied().collect();
    Checkpoint { position, open, events }.trimmed()
}

/// Positions go on above everything that anybody has seen.
fn raise(readers: &[Reader], log: &Log, removed: Position) -> Option<Raise> {
    let from = log.last_drawn?;
    let of = |checkpoint: &Checkpoint| {
        let remembered = checkpoint.events.iter().map(|(position, _)| *position).max();
        let open = checkpoint.open.last_range().map(|range| *range.end());
        checkpoint.position.max(remembered.unwrap_or_default()).max(open.unwrap_or_default())
    };
    let seen = readers.iter().map(|reader| of(&reader.checkpoint)).max().unwrap_or_default();
    let to = [log.highest, log.letters].into_iter().flatten().fold(seen.max(removed), Position::max);
    (to > from).then_some(Raise { from, to })
}

#[cfg(test)]
mod tests;
