//! Dead letters: what goes there with a checkpoint, and what is taken back after one.

use std::time::Instant;

use outbox_core::Position;
use outbox_core::dead_letter::Queue;

use super::Term;
use crate::connections::{Errand, Seen, Written};
use crate::dispatch::{Dispatch, LETTERS};
use crate::share::Share;

/// What a term has to do with dead letters.
#[derive(Debug)]
pub(super) struct Letters {
    /// No letter is taken before a read has looked at everything up to here: an earlier event of its key may be there.
    after: Option<Position>,
    /// Whether the table is to be looked at.
    asked: bool,
    /// Whether it is being looked at.
    looking: bool,
    /// What is being taken.
    taking: Vec<Queue>,
}

impl Letters {
    pub(super) fn new(reached: Position) -> Self {
        Self { after: Some(reached), asked: false, looking: false, taking: Vec::new() }
    }

    /// An operator decided something.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether letters may be taken at all.
    pub(super) fn are_within_reach(&self) -> bool {
        self.after.is_none()
    }

    /// Notes that a read saw everything up to this position, or everything there is.
    pub(super) fn saw(&mut self, to: Option<Position>) {
        if to.is_none_or(|to| self.after.is_some_and(|after| to >= after)) {
            self.after = None;
        }
    }
}

/// Tells a new dispatch of the keys that have letters.
pub(super) fn known(dispatch: Dispatch, queues: Vec<Queue>, share: &Share) -> Dispatch {
    // No letter is taken before all of that is read, so nothing could make room for it.
    let mut dispatch = dispatch.with_uncapped(share.reached());
    dispatch.look(owned(queues, share));
    dispatch
}

/// Those that this share works; all together are told of those without a key that stay where they are.
fn owned(queues: Vec<Queue>, share: &Share) -> Vec<Queue> {
    let stays = |queue: &Queue| queue.key.is_empty() && queue.is_parked;
    queues.into_iter().filter(|queue| stays(queue) || share.owns(&queue.key, queue.first)).collect()
}

impl Term<'_> {
    /// Lets a checkpoint be written where the dead letters want one.
    pub(super) fn note_letters(&mut self, now: Instant) {
        if self.letters.asked || self.dispatch.wants_write() || self.may_take_letters() {
            self.dirty_since.get_or_insert(now);
        }
    }

    /// Whether letters are to be taken now.
    pub(super) fn may_take_letters(&self) -> bool {
        let free = self.stopping_since.is_none() && !self.mandate.seat.is_paused();
        free && self.letters.are_within_reach() && self.dispatch.wants_letters()
    }

    /// Puts into the next entry what goes over to the dead letters.
    pub(super) fn collect_letters(&mut self) {
        let parked = self.dispatch.take_parked();
        self.mandate.seat.metrics.parked(parked.len());
        self.entry.parked.extend(parked);
        let (forgiven, returned) = self.dispatch.take_settled();
        self.entry.forgiven.extend(forgiven);
        self.entry.returned.extend(returned);
    }

    /// What is to be done with the entry, and after it.
    pub(super) fn errand(&mut self) -> Errand {
        if self.may_take_letters() {
            self.letters.taking = self.dispatch.start_taking();
        }
        self.letters.looking = std::mem::take(&mut self.letters.asked) || self.dispatch.is_stale();
        let room = self.mandate.settings.window_bytes.saturating_sub(self.dispatch.bytes() as u64);
        let share = room / (self.letters.taking.len().max(1) as u64);
        let look = self.letters.looking;
        Errand { entry: self.entry.clone(), take: self.letters.taking.clone(), letters: LETTERS, bytes: share, look }
    }

    /// Takes in what a write brought back.
    pub(super) fn letters_written(&mut self, written: Written, now: Instant) {
        self.dispatch.parked(&self.entry.parked);
        for (queue, taken) in written.taken {
            self.dispatch.taken(&queue, Some(taken), &self.mandate.subscription.filter);
        }
        // In the order in which the database did it: a key that was found empty and is not listed is free.
        if let Some(Seen { queues, recorded }) = written.seen {
            self.dispatch.look(owned(queues, &self.share));
            if self.dispatch.decided(&recorded) {
                self.dirty_since.get_or_insert(now);
            }
        }
        self.letters.taking.clear();
        self.letters.looking = false;
    }

    /// A write came to nothing, or nobody knows to what.
    pub(super) fn letters_unwritten(&mut self) {
        for queue in std::mem::take(&mut self.letters.taking) {
            self.dispatch.taken(&queue, None, &self.mandate.subscription.filter);
        }
        self.letters.asked |= std::mem::take(&mut self.letters.looking);
    }
}
