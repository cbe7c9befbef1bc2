//! Leases: who may work a partition of a subscription, and until when.
//!
//! A lease is a row with an owner, an expiry by the database's clock, and an *epoch* that grows with every new owner.
//!
//! ```text
//!            acquire: free, expired, my own,            renew: relay and epoch match
//!            or its process is dead                          ┌────────┐
//!  waiting ───────────────────────────────────────► held ────┤        │
//!     ▲                                              │  ▲    └────────┘
//!     └──────────────────────────────────────────────┘  └── trusted again by a later renewal of the same epoch
//!            renew: another owner's epoch; release
//! ```
//!
//! # Lease safety
//!
//! Three things are promised, and each stands on another leg.
//!
//! *A relay that lost its lease moves no checkpoint.* This stands on the epoch alone, the fencing token: a new owner raises
//! it above every one before, [`claims`](crate::checkpoint::Checkpoints::claim) its checkpoints under it before it reads, and
//! each write names its epoch. No clock is asked, so no clock can be wrong.
//!
//! *Two relays rarely hand out the same event, and never swap two.* This stands on time. The holder trusts its lease until nine
//! tenths of its length after the moment *before* the renewal was sent, by a clock that goes on while the machine is suspended;
//! the database counts the whole length from a later moment:
//!
//! ```text
//!  holder    renewal sent ───────── answered      trusted until │ hands nothing out
//!            │◄──────────────── 9/10 of the length ────────────►│
//!  database        │ expiry set                                        │ another may acquire: epoch + 1
//!                  │◄─────────────────── the whole length ────────────►│
//! ```
//!
//! The clocks need not agree on the time, only on how fast it passes, to a tenth. What is on its way to the publisher when
//! trust ends may arrive late, beside the same event from the new owner: a repeat. It is no swap. The new owner begins where the
//! checkpoint stands, so it hands out everything of a key that came before, in order, before anything that comes after; and
//! so did the old one. The first time each event of a key arrives is the earlier of two series that are both in order.
//!
//! *A dead relay is missed for a lease and a third at most.* Its leases expire; the others renew theirs three times a lease,
//! see in the same statement which leases run and which relays have lately said that they live, and take their fair share of
//! what is free. On the host of the dead process another of the same name need not wait: process id, start and boot prove
//! that it is gone.
//!
//! # What may go wrong
//!
//! | | then |
//! |---|---|
//! | The relay is stopped, or its machine suspended, past its lease | it trusts nothing when it goes on; its next renewal shows the new epoch, or its checkpoint is refused |
//! | It is stopped between the look at the clock and the call | that call repeats what the new owner hands out |
//! | The renewal arrives and its answer does not | the holder trusts less than it might |
//! | It arrives late, after the lease was given back | the epoch ended with the lease, and it changes nothing |
//! | The database cannot be reached | trust runs out and nothing is handed out; nobody else can take over either |
//! | The database's clock jumps ahead | leases end early, others take over, the epoch does the rest |
//! | It jumps back | leases of the dead last longer by so much |
//! | Somebody deletes the row of a lease | the next epoch still lies above that of the checkpoint |
//! | The database is restored, and its epochs with it | the holder compares the log with its memory before it writes: [`continuity`](crate::continuity) |
//! | A share changes | the holder finishes what is in flight, writes, gives back, and only then another acquires |

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::checkpoint::Held;
use crate::error::{StoreError, StoreErrorKind};
use crate::status::ReportedHole;

/// A relay, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayIdentity {
    /// Unique to this run of this relay.
    pub relay_id: Uuid,
    /// The name from the configuration.
    pub name: String,
    /// The host, and which boot and process namespace of it: process ids mean something only within one.
    pub host: String,
    /// The process.
    pub process_id: i64,
    /// When the process began, which tells it from a later one of the same id; empty where that is unknown.
    pub process_started: String,
}

/// What a relay says of a subscription it works; the table of `status` shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The publisher, without user and password.
    pub publisher: String,
    /// `running`, `idle`, `retrying` or `blocked`.
    pub state: String,
    /// The last error, until things go well again.
    pub last_error: Option<String>,
    /// The holes the subscription waits for.
    pub holes: Vec<ReportedHole>,
}

/// The answer to a relay that wants to work a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It may, under this epoch.
    Held {
        /// The fencing token.
        epoch: i64,
    },
    /// Another relay does.
    Taken {
        /// Who that is.
        owner: RelayIdentity,
        /// The epoch of its lease, for [`Leases::take_over`].
        epoch: i64,
        /// How long its lease still runs.
        expires_in: Duration,
    },
}

/// A lease to be renewed.
#[derive(Debug, Clone, PartialEq)]
pub struct Renewal {
    /// Of which subscription.
    pub subscription: String,
    /// Of which of its partitions.
    pub partition: u32,
    /// The fencing token.
    pub epoch: i64,
    /// What the relay says of the subscription.
    pub report: Report,
}

/// What a relay sees of the others when it renews its leases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Roster {
    /// For each renewal, in order, whether the lease is still this relay's under that epoch.
    pub kept: Vec<bool>,
    /// The relays that have said something within the length of a lease and may work a subscription asked about, with the
    /// subscriptions each serves. This relay may be missing.
    pub relays: Vec<(RelayIdentity, Vec<String>)>,
    /// The leases that run, of the subscriptions asked about: subscription, partition and owner. An owner that left the list
    /// is known by its id alone.
    pub leases: Vec<(String, u32, RelayIdentity)>,
    /// The rows of `outbox_meta` that rule a subscription asked about, by their names.
    pub rules: BTreeMap<String, String>,
}

/// Keeps leases, over a connection of its own.
#[async_trait]
pub trait Leases: Send {
    /// Takes the leases of these partitions, each if it is free, expired, or this relay's own; the answers are in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after any error this value is of no further use.
    async fn acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        partitions: &[u32],
        length: Duration,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Ends the lease of an owner whose process is known to be dead, if its epoch is still `epoch`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Leases::acquire`].
    async fn take_over(&mut self, subscription: &str, partition: u32, epoch: i64) -> Result<(), StoreError>;

    /// Says that the relay lives and what it serves, renews its leases, stores what it reports, and looks at the others, in
    /// one statement or transaction.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Leases::acquire`].
    async fn renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        serves: &[String],
        held: &[Renewal],
    ) -> Result<Roster, StoreError>;

    /// Gives back leases of one subscription, each unless it is no longer this relay's under that epoch, which ends with it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Leases::acquire`].
    async fn give_back(&mut self, relay: &RelayIdentity, subscription: &str, held: &[Held]) -> Result<(), StoreError>;

    /// Gives all leases back and takes the relay off the list.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Leases::acquire`].
    async fn release(&mut self, relay: &RelayIdentity) -> Result<(), StoreError>;
}

/// For readers of one row: those that are no subscription, and subscriptions of one partition.
impl dyn Leases + '_ {
    /// [`Leases::acquire`] of the one partition.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn acquire_one(
        &mut self,
        relay: &RelayIdentity,
        reader: &str,
        length: Duration,
    ) -> Result<Claim, StoreError> {
        let claim = self.acquire(relay, reader, &[0], length).await?.into_iter().next();
        claim.ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable, "the database gave no answer about the lease"))
    }
}
