//! Judges every step of a run as it happens. Each assertion has a name of its own.

mod account;
mod judge;
mod rest;

use std::collections::{BTreeMap, BTreeSet};

use outbox_core::Position;
use outbox_core::checkpoint::{Claimed, Held};
use uuid::Uuid;

pub(crate) use account::{Account, Stored};

use super::plan::Plan;
use super::process::Moment;

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// A checkpoint passed a position that an open transaction may still fill.
    PassedOpen,
    /// A checkpoint passed a position that a prepared transaction may still fill, or had filled.
    PassedPrepared,
    /// A checkpoint passed an event that was visible and left out of an answer for its limit.
    PassedUnread,
    /// A checkpoint passed an event that was committed after the snapshot it was judged by.
    PassedUnseen,
    /// A relay passed what the checkpoint owed that it began with.
    OwedForgotten,
    /// A checkpoint passed an event that did not pass, and no dead letter holds it.
    LetterLost,
    /// A checkpoint passed an event that the publisher does not hold.
    Unpublished,
    /// An event is in no checkpoint any more since the number of partitions changed, and nobody published it.
    BoundaryCrossed,
    /// An event was handed over that was not committed, or that a crash could still take back.
    Invented,
    /// An event was first published before an earlier one of its key.
    Swapped,
    /// An event was first published before an earlier one of its key that is a dead letter.
    OvertookParked,
    /// An event was published again that was in a checkpoint or acknowledged, or without a fault.
    Repeated,
    /// A claim succeeded under an epoch older than the one that worked last.
    StaleClaim,
    /// A checkpoint was written under such an epoch.
    StaleCheckpoint,
    /// A checkpoint was written over a connection that somebody claimed its row after.
    LateCheckpoint,
    /// Dead letters were written under such an epoch.
    StaleLetters,
    /// A relay was told that it keeps a lease that is another's.
    StaleRenewal,
    /// A checkpoint went back.
    WentBack,
    /// A checkpoint that was confirmed is not there.
    CheckpointLost,
    /// An event was handed over by a relay while the lease of its partition was another's, or nobody's.
    TwoOwners,
    /// Cleanup removed an event that a reader was not done with.
    EmptiedOwed,
    /// An event was late though its writer looked whether somebody was to be told.
    WokenLate,
    /// An event whose writer did not look was later than the safety poll.
    NeverWoken,
    /// An event waited for a transaction it had nothing to do with.
    Withheld,
    /// An event was not published though no trouble was made any more.
    Stuck,
    /// A checkpoint owed something for ever after all was over.
    HoleCarried,
    /// A relay went round in circles without waiting for anything.
    Spins,
    /// A part of a relay panicked.
    Panicked,
    /// A relay ended by itself though nothing was beyond it.
    GaveUp,
}

/// The first violation of a run.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which.
    pub violation: Violation,
    /// What happened.
    pub detail: String,
    /// When, in milliseconds since the beginning of the run.
    pub at: Moment,
}

/// A lease as the database has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leased {
    pub(crate) process: u32,
    pub(crate) epoch: i64,
    pub(crate) expires_at: Moment,
}

/// What a process works by.
#[derive(Debug, Default)]
pub(crate) struct Term {
    held: Vec<Held>,
    claimed: Claimed,
    acknowledged: BTreeSet<Position>,
}

/// Sees everything.
pub(crate) struct Oracle {
    pub(crate) found: Option<Found>,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) leases: BTreeMap<(String, u32), Leased>,
    /// The processes by the ids of their relays.
    pub(crate) relays: BTreeMap<Uuid, u32>,
    terms: BTreeMap<u32, Term>,
    /// So many connections that write checkpoints were opened.
    pub(crate) connections: u64,
    calm: bool,
    /// Whether something happened that excuses repeats.
    pub(crate) excused: bool,
    /// When a relay was last started: nobody is late for one that was not there.
    pub(crate) started_at: Moment,
    /// How long before now an event of a calm run must be published.
    pub(crate) nap: Moment,
}

impl Oracle {
    pub(crate) fn new(plan: &Plan) -> Self {
        let accounts = plan.subscriptions.iter().map(|each| (each.name.clone(), Account::new(each)));
        let nap = u64::try_from((plan.poll_max * 5 / 2).as_millis()).unwrap_or(Moment::MAX).min(5_000);
        Self {
            found: None,
            accounts: accounts.collect(),
            leases: BTreeMap::new(),
            relays: BTreeMap::new(),
            terms: BTreeMap::new(),
            connections: 0,
            calm: plan.calm,
            excused: false,
            started_at: 0,
            nap,
        }
    }

    /// Keeps the first violation.
    pub(crate) fn accuse(&mut self, violation: Violation, at: Moment, detail: impl FnOnce() -> String) {
        if self.found.is_none() {
            self.found = Some(Found { violation, detail: detail(), at });
        }
    }

    pub(crate) fn account(&mut self, subscription: &str) -> &mut Account {
        self.accounts.get_mut(subscription).expect("every relay serves a subscription of the plan")
    }
}
