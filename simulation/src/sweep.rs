//! One fault at the n-th operation of a run that has no other.

use super::world::Op;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails without an effect.
    Refuse,
    /// It has its effect, and the answer is lost.
    LoseAnswer,
    /// It has its effect, and nobody answers in time.
    Hang,
    /// It fails, and has its effect afterwards.
    Late,
    /// The publisher answers for another number of events.
    Miscount,
    /// The relay's process is killed before the effect.
    CrashBefore,
    /// The relay's process is killed after the effect.
    CrashAfter,
}

impl Fault {
    /// What may happen to any call.
    pub const OF_ALL: [Self; 6] =
        [Self::Refuse, Self::LoseAnswer, Self::Hang, Self::Late, Self::CrashBefore, Self::CrashAfter];
}

/// One fault at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Single {
    /// Which call,
    pub op: Op,
    /// the how manieth of it, from 1,
    pub number: u64,
    /// and what happens to it.
    pub fault: Fault,
}

impl Single {
    pub(crate) fn is(&self, op: Op, number: u64) -> bool {
        self.op == op && self.number == number
    }
}
