//! What the writers and the relay did, and what is to be thought of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use uuid::Uuid;

use super::Outcome;

/// What a writer knows of an event that it committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Whether it told the relay, by itself or for it.
    pub(super) announced: bool,
    /// When it looked whether a relay sleeps: not before, and not after. `None` where it never looks.
    pub(super) looked: Option<(Instant, Instant)>,
}

/// Keeps everything that happened.
#[derive(Debug, Default)]
pub(super) struct Judge(Mutex<Record>);

#[derive(Debug, Default)]
struct Record {
    written: HashMap<Uuid, Written>,
    read: HashSet<Uuid>,
    /// Events of a first read after a sleep, and when everybody was woken.
    first: Vec<(Uuid, Instant)>,
    sleeps: u64,
}

impl Judge {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn committed(&self, event: Uuid, written: Written) {
        self.record().written.insert(event, written);
    }

    /// Notes what a read brought; `woken` says when, if it was the first after a sleep.
    pub(super) fn was_read(&self, events: impl IntoIterator<Item = Uuid>, woken: Option<Instant>) {
        let record = &mut *self.record();
        record.sleeps += u64::from(woken.is_some());
        for event in events {
            record.read.insert(event);
            record.first.extend(woken.map(|woken| (event, woken)));
        }
    }

    pub(super) fn sleeps(&self) -> u64 {
        self.record().sleeps
    }

    /// How many events were committed and not read yet.
    pub(super) fn unread(&self) -> usize {
        let record = self.record();
        record.written.keys().filter(|event| !record.read.contains(event)).count()
    }

    pub(super) fn verdict(&self) -> Outcome {
        let lost = self.unread() as u64;
        let record = self.record();
        let announced = record.written.values().filter(|written| written.announced).count() as u64;
        let mut outcome = Outcome {
            sleeps: record.sleeps,
            events: record.written.len() as u64,
            announced,
            lost,
            ..Outcome::default()
        };
        for (event, woken) in &record.first {
            // The others were announced, or are of writers that look at nothing.
            if let Some(Written { announced: false, looked: Some((begun, ended)) }) = record.written.get(event) {
                outcome.missed += u64::from(ended < woken);
                outcome.unclear += u64::from(ended >= woken && begun < woken);
            }
        }
        outcome
    }
}
