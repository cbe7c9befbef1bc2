//! Keeps the leases of a relay, on a connection and a task of its own: no publisher, however slow, delays a renewal.
//!
//! See [`outbox_core::lease`] for what a lease is and when it is trusted, and [`fair`](crate::fair) for who takes what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use outbox_core::checkpoint::Held;
use outbox_core::lease::{Claim, Leases, RelayIdentity, Renewal, Roster};
use outbox_core::partition::{self, PARTITIONS, Partitioning};
use outbox_core::{Clock, Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::failpoint::{self, Failpoint};
use crate::fair::{self, Plan};
use crate::identity::is_dead_predecessor;
use crate::metrics::{self, Operation};
use crate::reaction::{self, Reaction};
use crate::retry::Schedule;
use crate::seat::Seat;
use crate::wake::Bell;

/// Asks for the lease of a reader of one row, and once more where the process that holds it is known to be dead.
pub(crate) async fn claim(
    leases: &mut dyn Leases,
    relay: &RelayIdentity,
    reader: &str,
    length: Duration,
) -> Result<Claim, StoreError> {
    match leases.acquire_one(relay, reader, length).await? {
        Claim::Taken { owner, epoch, .. } if is_dead_predecessor(&owner, relay) => {
            tracing::info!(reader, "the process that held the lease is dead, taking over");
            leases.take_over(reader, 0, epoch).await?;
            leases.acquire_one(relay, reader, length).await
        }
        claim => Ok(claim),
    }
}

fn partitions(held: &[Held]) -> String {
    partition::named(held.iter().map(|held| held.partition))
}

/// The epochs of leases for the log, each once.
fn epochs(held: &[Held]) -> String {
    let epochs: BTreeSet<_> = held.iter().map(|held| held.epoch).collect();
    epochs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The loop that keeps the leases.
pub(crate) struct Heartbeat {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) relay: RelayIdentity,
    pub(crate) length: Duration,
    pub(crate) seats: Vec<Arc<Seat>>,
    /// Rung when the database was away: whoever sleeps is to look whether it is still the same.
    pub(crate) bell: Arc<Bell>,
    /// Told when there is something to be given back or asked for at once.
    pub(crate) hurry: Arc<Notify>,
    /// Cancelled when all workers have ended.
    pub(crate) end: CancellationToken,
}

impl Heartbeat {
    /// Beats until the end, then gives the leases back; over a connection that is open already, so that leases taken over it
    /// are given back however soon the end comes, or over one of its own.
    ///
    /// # Errors
    ///
    /// The [`StoreError`] that needs a person.
    pub(crate) async fn run(self, mut leases: Option<Box<dyn Leases>>) -> Result<(), StoreError> {
        let mut schedule = Schedule::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut trouble: Option<String> = None;
        let mut at_work = false;
        while !self.end.is_cancelled() {
            let pause = match self.beat(&mut leases).await {
                Ok(()) => {
                    at_work = true;
                    if trouble.take().is_some() {
                        tracing::info!("leases are renewed again");
                        self.bell.ring();
                    }
                    schedule.reset();
                    self.length / 3
                }
                Err(error) => {
                    leases = None;
                    metrics::database_error(Operation::Lease, &error);
                    if reaction::to_store_error(&error, at_work) == Reaction::Stop {
                        return Err(error);
                    }
                    let reason = reaction::chain(&error);
                    if trouble.as_ref() != Some(&reason) {
                        tracing::warn!(reason, "leases cannot be renewed, trying again");
                        self.blame(&reason);
                    }
                    trouble = Some(reason);
                    schedule.next_delay()
                }
            };
            self.seats.iter().for_each(|seat| seat.vitals.beat(trouble.is_none(), self.clock.now() + pause));
            tokio::select! {
                biased;
                () = self.end.cancelled() => {}
                () = self.hurry.notified(), if trouble.is_none() => {}
                () = self.clock.sleep(pause) => {}
            }
        }
        if let Some(leases) = leases
            && let Err(error) = self.leave(leases).await
        {
            tracing::warn!(error = %reaction::chain(&error), "leases could not be given back, they will expire");
        }
        Ok(())
    }

    /// Leaves the last report behind and gives the leases back.
    async fn leave(&self, mut leases: Box<dyn Leases>) -> Result<(), StoreError> {
        self.renew(leases.as_mut()).await.map(drop)?;
        failpoint::reached(Failpoint::BeforeRelease);
        leases.release(&self.relay).await?;
        failpoint::reached(Failpoint::LeaseReleased);
        Ok(())
    }

    /// Tells those who wait for a lease why there is none.
    fn blame(&self, reason: &str) {
        for seat in self.seats.iter().filter(|seat| seat.holds_nothing()) {
            seat.report(|report| report.last_error = Some(reason.to_owned()));
        }
    }

    async fn beat(&self, connection: &mut Option<Box<dyn Leases>>) -> Result<(), StoreError> {
        let leases = match connection {
            Some(leases) => leases,
            none => none.insert(self.store.leases().await?),
        };
        let roster = self.renew(leases.as_mut()).await?;
        let (mut gained, mut paused) = (false, false);
        for seat in self.seats.iter().filter(|seat| seat.shares()) {
            paused |= seat.follow(&roster.rules);
            let plan = self.plan(seat, &roster)?;
            seat.keep(&plan.keep);
            let idle = seat.idle();
            if !idle.is_empty() {
                leases.give_back(&self.relay, &seat.subscription, &idle).await?;
                failpoint::reached(Failpoint::HandedOver);
                seat.lose(&idle);
            }
            gained |= self.take(leases.as_mut(), seat, &plan.take).await?;
            Self::report_waiting(seat, &roster);
        }
        // Trust begins with a renewal of all there is, and whoever paused a subscription waits to be told.
        if gained || paused { self.renew(leases.as_mut()).await.map(drop) } else { Ok(()) }
    }

    /// What to do about one subscription: nothing is taken and all handed over while the number of partitions changes.
    fn plan(&self, seat: &Seat, roster: &Roster) -> Result<Plan, StoreError> {
        let name = &seat.subscription;
        let rule = roster.rules.get(&format!("{PARTITIONS}{name}"));
        let rule = rule.map(|text| Partitioning::from_text(name, text)).transpose()?;
        let asked = rule.as_ref().and_then(|rule| Some((rule.count, rule.next?)));
        let news = seat.set_changing(asked.is_some());
        if let Some((from, to)) = asked {
            if news {
                tracing::info!(subscription = name, from, to, "the number of partitions is to change");
            }
            return Ok(Plan::default());
        }
        let count = rule.map_or_else(|| seat.partitions_at_first(), |rule| rule.count);
        let is_dead = |relay: &RelayIdentity| is_dead_predecessor(relay, &self.relay);
        Ok(fair::plan(self.relay.relay_id, name, count, &seat.partitions_held(), roster, is_dead))
    }

    /// Asks for leases; returns whether some were got.
    async fn take(&self, leases: &mut dyn Leases, seat: &Seat, wanted: &[u32]) -> Result<bool, StoreError> {
        if wanted.is_empty() {
            return Ok(false);
        }
        let name = &seat.subscription;
        let mut claims = leases.acquire(&self.relay, name, wanted, self.length).await?;
        let mut buried = false;
        for (partition, claim) in wanted.iter().zip(&claims) {
            if let Claim::Taken { owner, epoch, .. } = claim
                && is_dead_predecessor(owner, &self.relay)
            {
                leases.take_over(name, *partition, *epoch).await?;
                buried = true;
            }
        }
        if buried {
            tracing::info!(subscription = name, "the process that held the lease is dead, taking over");
            // Those that are this relay's by now get an epoch more.
            claims = leases.acquire(&self.relay, name, wanted, self.length).await?;
        }
        let got = wanted.iter().zip(claims).filter_map(|(partition, claim)| match claim {
            Claim::Held { epoch } => Some(Held { partition: *partition, epoch }),
            Claim::Taken { .. } => None,
        });
        let got: Vec<_> = got.collect();
        if !got.is_empty() {
            tracing::info!(subscription = name, epochs = epochs(&got), "lease of {} taken", partitions(&got));
        }
        failpoint::reached(Failpoint::LeaseAcquired);
        seat.grant(&got);
        Ok(!got.is_empty())
    }

    /// Says whom a subscription waits for that has nothing to work.
    fn report_waiting(seat: &Seat, roster: &Roster) {
        if !seat.holds_nothing() || seat.is_changing() {
            return;
        }
        let leases = roster.leases.iter().filter(|(name, _, _)| *name == seat.subscription);
        let owners: BTreeMap<_, _> = leases.map(|(_, _, owner)| (owner.relay_id, owner)).collect();
        let owners: Vec<_> = owners.into_values().collect();
        let shown = |relay: &RelayIdentity| format!("relay `{}` (process {})", relay.name, relay.process_id);
        let waiting = match owners.as_slice() {
            [] => return,
            [owner] => format!("waiting: {} holds the lease", shown(owner)),
            owners => {
                let owners: Vec<_> = owners.iter().map(|owner| shown(owner)).collect();
                format!("waiting: {} hold the leases", owners.join(", "))
            }
        };
        if seat.last_error().as_ref() != Some(&waiting) {
            tracing::info!(subscription = seat.subscription, "{waiting}");
            seat.report(|report| report.last_error = Some(waiting));
        }
    }

    async fn renew(&self, leases: &mut dyn Leases) -> Result<Roster, StoreError> {
        let serves: Vec<_> =
            self.seats.iter().filter(|seat| seat.shares()).map(|seat| seat.subscription.clone()).collect();
        let held: Vec<(&Arc<Seat>, Vec<Held>)> = self.seats.iter().map(|seat| (seat, seat.held())).collect();
        let renewal = |seat: &Seat, held: &Held| Renewal {
            subscription: seat.subscription.clone(),
            partition: held.partition,
            epoch: held.epoch,
            report: seat.snapshot(),
        };
        let renewals: Vec<_> =
            held.iter().flat_map(|(seat, held)| held.iter().map(|each| renewal(seat, each))).collect();
        failpoint::reached(Failpoint::BeforeRenewal);
        let asked_at = self.clock.since_boot();
        let roster = leases.renew(&self.relay, self.length, &serves, &renewals).await?;
        failpoint::reached(Failpoint::LeaseRenewed);
        let mut kept = roster.kept.iter();
        for (seat, held) in held {
            let lost: Vec<_> = held.iter().zip(&mut kept).filter(|(_, kept)| !**kept).map(|(held, _)| *held).collect();
            if !lost.is_empty() {
                let (subscription, partitions) = (&seat.subscription, partitions(&lost));
                tracing::warn!(subscription, epochs = epochs(&lost), "lease of {partitions} lost to another relay");
                for _ in &lost {
                    seat.metrics.lost_lease();
                }
            }
            // Of a share some of which is lost nothing is trusted, until its worker has begun anew.
            let trusted = if lost.is_empty() { asked_at + self.length * 9 / 10 } else { Duration::ZERO };
            seat.trust(trusted);
            seat.lose(&lost);
        }
        Ok(roster)
    }
}
