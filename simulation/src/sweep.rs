//! One fault at the n-th operation of a run that has no other.

use super::run_fixed;
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
    /// What may happen to such a call.
    fn of(op: Op) -> &'static [Self] {
        match op {
            Op::Acknowledge => &[Self::LoseAnswer, Self::CrashBefore],
            Op::Publish => &[
                Self::Refuse,
                Self::LoseAnswer,
                Self::Hang,
                Self::Late,
                Self::Miscount,
                Self::CrashBefore,
                Self::CrashAfter,
            ],
            _ => &[Self::Refuse, Self::LoseAnswer, Self::Hang, Self::Late, Self::CrashBefore, Self::CrashAfter],
        }
    }
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
    /// Every fault at every call of the fixed scenario.
    pub fn all() -> Vec<Self> {
        let calls = run_fixed(None).calls.into_iter();
        let of_call = |op, number| Fault::of(op).iter().map(move |fault| Self { op, number, fault: *fault });
        calls.flat_map(|(op, count)| (1..=count).flat_map(move |number| of_call(op, number))).collect()
    }

    pub(crate) fn is(&self, op: Op, number: u64) -> bool {
        self.op == op && self.number == number
    }
}
