//! What an export keeps while it runs: its name, and the log it has not read yet.
//!
//! Both are a row of `outbox_checkpoint` under a lease, as [`outbox_core::checkpoint`] tells: `export:NAME`, or `hold:ID` for
//! an export without a name. The lease says that somebody is at work; its epoch is compared when the cursor moves.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::checkpoint::{Checkpoint, EXPORT, Entry, HOLD, Held};
use outbox_core::lease::{Claim as Answer, RelayIdentity};
use outbox_core::{Clock, Position, Store, StoreError, StoreErrorKind};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::setbacks::Setbacks;
use crate::connections::{Errand, Ledger};
use crate::heartbeat::{self, Heartbeat};
use crate::seat::Seat;
use crate::wake::Bell;
use crate::{identity, reaction};

/// How long the lease lasts without renewal: a program that writes to a slow target may keep the runtime busy for a while.
const LEASE: Duration = Duration::from_secs(30);

/// The claim of one export. Dropping it gives the lease back.
pub(super) struct Claim {
    store: Arc<dyn Store>,
    seat: Arc<Seat>,
    held: Held,
    /// There unless a write is under way.
    ledger: Option<Ledger>,
    end: CancellationToken,
    heartbeat: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Claim {
    /// Takes the lease, and keeps it by a task of its own.
    pub(super) async fn take(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        name: Option<&str>,
    ) -> Result<Self, StoreError> {
        let row = row_name(name)?;
        let relay = identity::of_this_process(&row);
        let mut leases = store.leases().await?;
        let epoch = match heartbeat::claim(leases.as_mut(), &relay, &row, LEASE).await? {
            Answer::Held { epoch } => epoch,
            Answer::Taken { owner, expires_in, .. } => return Err(taken(&row, &owner, expires_in)),
        };
        let held = Held { partition: 0, epoch };
        let hurry = Arc::new(Notify::new());
        let seat = Arc::new(Seat::new(row.clone(), String::new(), hurry.clone(), clock.now()));
        seat.grant(&[held]);
        let end = CancellationToken::new();
        let heartbeat = Heartbeat {
            store: store.clone(),
            clock,
            relay,
            length: LEASE,
            seats: vec![seat.clone()],
            bell: Arc::new(Bell::new()),
            hurry,
            end: end.clone(),
        };
        let ledger = Some(Ledger::new(store.clone(), row, vec![held]));
        Ok(Self { store, seat, held, ledger, end, heartbeat: Some(tokio::spawn(heartbeat.run(Some(leases)))) })
    }

    /// Where the last export of the name ended, if there was one. Shuts out whoever had the name before.
    pub(super) async fn cursor(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        match &mut self.ledger {
            Some(ledger) => Ok(ledger.claim().await?.checkpoints.into_values().next()),
            None => Err(self.lost()),
        }
    }

    /// Writes the row for the first time: from now on nothing above its position is removed. Refused as
    /// [`Unavailable`](StoreErrorKind::Unavailable) where cleanup has removed something above it already.
    pub(super) async fn begin(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        match &mut self.ledger {
            Some(ledger) => ledger.create(checkpoint).await,
            None => Err(self.lost()),
        }
    }

    /// Moves the cursor; durable on return. A write whose outcome is unknown is made again after a look.
    pub(super) async fn save(&mut self, checkpoint: Checkpoint, setbacks: &mut Setbacks) -> Result<(), StoreError> {
        let entry = Entry { checkpoints: vec![(self.held, checkpoint)], ..Entry::default() };
        while let Some(ledger) = self.ledger.take() {
            let (ledger, outcome) = ledger.write(Errand::of(entry.clone())).await;
            self.ledger = Some(ledger);
            match outcome {
                Err(error) if error.kind() != StoreErrorKind::Fenced => setbacks.bear(error).await?,
                Err(_) => return Err(self.lost()),
                Ok(_) => return Ok(()),
            }
        }
        Err(self.lost())
    }

    /// Refuses to go on once the lease is another's.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.seat.grants().borrow().holds(&[self.held]) { Ok(()) } else { Err(self.lost()) }
    }

    /// Gives the lease back, and removes what is left of holds whose time is over, its own among them.
    pub(super) async fn release(mut self) {
        self.end.cancel();
        if let Some(heartbeat) = self.heartbeat.take() {
            // However it ended: the lease runs out by itself.
            let _ = heartbeat.await;
        }
        sweep(self.store.as_ref()).await;
    }

    fn lost(&self) -> StoreError {
        let message = format!(
            "`{}` was taken by another process while this export stood still for longer than {} s; nothing was moved, export again",
            self.seat.subscription,
            LEASE.as_secs()
        );
        StoreError::new(StoreErrorKind::Fenced, message)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Removes the holds of exports that ended without doing it themselves.
pub(super) async fn sweep(store: &dyn Store) {
    let swept = async { store.checkpoints().await?.sweep().await };
    if let Err(error) = swept.await {
        tracing::warn!(error = %reaction::chain(&error), "holds that ended were not removed; the next export does it");
    }
}

/// Refuses to end an export during which events were removed that it had still to read.
///
/// What is open below its position does not count: cleanup leaves it where it is, and what was never there is not missed.
pub(super) fn refuse_removed(cursor: &Checkpoint, floor: Position) -> Result<(), StoreError> {
    if floor <= cursor.position {
        return Ok(());
    }
    let message = format!(
        "events up to {floor} were removed from the log while the export read those above {}; export again, and find out who \
         removes events although an export holds them",
        cursor.position
    );
    Err(StoreError::new(StoreErrorKind::Continuity, message))
}

fn row_name(name: Option<&str>) -> Result<String, StoreError> {
    match name {
        None => Ok(format!("{HOLD}{}", Uuid::now_v7())),
        Some(name) if name.trim().is_empty() || name.chars().any(char::is_control) => Err(StoreError::new(
            StoreErrorKind::Precondition,
            "the name of an export is empty or holds control characters; write a plain one that stays the same",
        )),
        Some(name) => Ok(format!("{EXPORT}{name}")),
    }
}

fn taken(row: &str, owner: &RelayIdentity, expires_in: Duration) -> StoreError {
    let host = owner.host.split(' ').next().unwrap_or_default();
    let who =
        if host.is_empty() { "another process".to_owned() } else { format!("process {} on {host}", owner.process_id) };
    let message = format!(
        "`{row}` is at work already: {who} holds it, for {} s more unless it goes on; wait until it has ended",
        expires_in.as_secs() + 1
    );
    StoreError::new(StoreErrorKind::Unavailable, message)
}
