//! The assertions about time: what is late in a calm run, and what must be over when all is over.

use super::judge::is_late;
use super::{Account, Oracle, Stored, Violation};
use crate::log::{Log, Written};
use crate::process::Moment;

/// A calm relay begins its work within this after its start.
const WARM_UP: Moment = 1_000;
/// An event of a calm run is published so soon where its writer told.
const SOON: Moment = 1_000;

impl Oracle {
    /// Looks for events that are late in a calm run.
    pub(crate) fn judge_lateness(&mut self, log: &Log, now: Moment) {
        if !self.calm {
            return;
        }
        let (nap, at_work) = (self.nap, self.started_at + WARM_UP);
        let mut late = None;
        for account in self.accounts.values() {
            let waits = |written: &&Written| account.waits(written);
            let within = |written: &Written| if written.looked { SOON } else { nap + SOON };
            late = log
                .events()
                .filter(waits)
                .find(|written| is_late(written.committed_at.max(at_work), within(written), now));
            if late.is_some() {
                break;
            }
        }
        let Some(late) = late else { return };
        let stranger = |began_at: Moment| began_at <= late.committed_at;
        let violation = if log.unfinished().any(|each| stranger(each.began_at) && each.number < late.transaction) {
            Violation::Withheld
        } else if late.looked {
            Violation::WokenLate
        } else {
            Violation::NeverWoken
        };
        let (position, committed_at) = (late.event.position, late.committed_at);
        self.accuse(violation, now, || format!("position {position}, committed at {committed_at} ms, waits"));
    }

    /// Whether every event is done with and no checkpoint owes anything.
    pub(crate) fn is_at_rest(&self, log: &Log) -> bool {
        let last = log.written.last_key_value().map_or(0, |(position, _)| *position);
        self.accounts.values().all(|account| account.unfinished(log).is_none() && account.owes_nothing(last))
    }

    /// Says what kept a run from coming to rest.
    pub(crate) fn judge_unrest(&mut self, log: &Log, now: Moment, letters: &str) {
        let stuck = self.accounts.values().find_map(|account| account.unfinished(log));
        let Some((position, key)) = stuck.map(|written| (written.event.position, written.event.key.clone())) else {
            let told = self.accounts.iter().map(|(name, account)| format!("{name}: {}", account.told()));
            let (told, last) = (told.collect::<Vec<_>>().join("; "), log.last_position);
            return self.accuse(Violation::HoleCarried, now, || format!("the last is {last}; {told}"));
        };
        self.accuse(Violation::Stuck, now, || {
            format!("position {position} of key `{key}` was never published; dead letters: {letters}")
        });
    }
}

impl Account {
    fn waits(&self, written: &Written) -> bool {
        self.wants(written) && !self.is_done(written.event.position)
    }

    fn unfinished<'l>(&self, log: &'l Log) -> Option<&'l Written> {
        log.written.values().find(|written| self.waits(written))
    }

    /// How far the partitions are.
    fn told(&self) -> String {
        let row = |(partition, Stored { checkpoint, .. }): (&u32, &Stored)| {
            format!("{partition} at {} owes {}", checkpoint.position, checkpoint.open)
        };
        self.stored.iter().map(row).collect::<Vec<_>>().join(", ")
    }

    fn owes_nothing(&self, last: outbox_core::Position) -> bool {
        let done = |stored: &Stored| stored.checkpoint.open.is_empty() && stored.checkpoint.position >= last;
        !self.stored.is_empty() && self.stored.values().all(done)
    }
}
