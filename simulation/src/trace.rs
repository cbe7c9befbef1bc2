//! What happened in a run, for people and to compare two runs by.

use std::collections::VecDeque;
use std::fmt;

use outbox_core::Position;

use super::process::Moment;
use super::sweep::Fault;
use super::world::Op;

/// So many of the last steps are kept.
const KEPT: usize = 2_000;

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// A process called something.
    Call(Op, Option<Fault>),
    /// An event is handed to the publisher.
    Hand(Position),
    /// The publisher holds an event.
    Publish(Position),
    /// The publisher's answer came in, for so many events.
    Answer(usize),
    /// A checkpoint of a partition is durable, and owes so many ranges below it.
    Save(u32, Position, usize),
    /// So many events up to a position were committed.
    Commit(Position, usize),
    /// An event went over to the dead letters.
    Park(Position),
    /// An operator decided about so many letters.
    Decide(usize),
    /// Everything up to a position in a segment was removed.
    Empty(i16, Position),
    /// The number of partitions is this now.
    Repartition(u32),
    /// A process began.
    Start,
    /// A process was killed.
    Kill,
    /// A process stands still for so long.
    Freeze(Moment),
    /// A process was asked to stop.
    Stop,
    /// A relay ended by itself or as asked; whether that was well.
    End(bool),
    /// The server crashed.
    Restart,
    /// A subscription was paused, or goes on.
    Pause(bool),
    /// No more trouble is made.
    Settle,
}

/// The last steps, and a number for all of them.
pub(crate) struct Trace {
    last: VecDeque<(Moment, u32, Step)>,
    hash: u64,
    pub(crate) steps: u64,
    is_closed: bool,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self { last: VecDeque::with_capacity(KEPT), hash: seed, steps: 0, is_closed: false }
    }

    /// Takes in nothing more: what comes after a violation only hides it.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn note(&mut self, at: Moment, process: u32, step: Step) {
        if self.is_closed {
            return;
        }
        self.mix(at);
        self.mix(u64::from(process));
        let (kind, first, second) = step.numbers();
        self.mix(kind);
        self.mix(first);
        self.mix(second);
        self.steps += 1;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((at, process, step));
    }

    /// FNV-1a, a word at a time.
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Equal for equal runs.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(at, process, step): &(Moment, u32, Step)| format!("{at:>7} ms  process {process:>2}  {step}");
        self.last.iter().map(line).collect()
    }
}

impl Step {
    fn numbers(self) -> (u64, u64, u64) {
        let at = |position: Position| position.unsigned_abs();
        match self {
            Self::Call(op, fault) => (1, op as u64, fault.map_or(0, |fault| 1 + fault as u64)),
            Self::Publish(position) => (2, at(position), 0),
            Self::Answer(count) => (3, count as u64, 0),
            Self::Save(partition, position, open) => (4 + (u64::from(partition) << 8), at(position), open as u64),
            Self::Commit(position, count) => (5, at(position), count as u64),
            Self::Park(position) => (6, at(position), 0),
            Self::Decide(count) => (7, count as u64, 0),
            Self::Empty(segment, position) => (8, u64::from(segment.unsigned_abs()), at(position)),
            Self::Repartition(count) => (9, u64::from(count), 0),
            Self::Start => (10, 0, 0),
            Self::Kill => (11, 0, 0),
            Self::Freeze(length) => (12, length, 0),
            Self::Stop => (13, 0, 0),
            Self::End(well) => (14, u64::from(well), 0),
            Self::Restart => (15, 0, 0),
            Self::Pause(paused) => (16, u64::from(paused), 0),
            Self::Settle => (17, 0, 0),
            Self::Hand(position) => (18, at(position), 0),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(op, None) => write!(f, "{op:?}"),
            Self::Call(op, Some(fault)) => write!(f, "{op:?}, which meets {fault:?}"),
            step => write!(f, "{step:?}"),
        }
    }
}
