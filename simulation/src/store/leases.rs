//! Keeps leases, in the memory that the conformance suite judges, and shows who is known to be dead.

use std::time::Duration;

use outbox_core::checkpoint::Held;
use outbox_core::lease::{Claim, Leases, RelayIdentity, Renewal, Roster};
use outbox_core::{Store as _, StoreError, async_trait};

use crate::mutant::Mutant;
use crate::oracle::{Leased, Oracle, Violation};
use crate::process::{Moment, Process};
use crate::world::{Line, Op, State, World, at_once};

pub(super) struct SimLeases {
    pub(super) line: Line,
}

#[async_trait]
impl Leases for SimLeases {
    async fn acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        partitions: &[u32],
        length: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let (world, process, relay) = (self.line.world.clone(), self.line.process.clone(), relay.clone());
        let (subscription, partitions) = (subscription.to_owned(), partitions.to_vec());
        let call = async move {
            let mut claims = at_once(table(&world)?.acquire(&relay, &subscription, &partitions, length))?;
            let mut state = world.state();
            state.oracle.relays.insert(relay.relay_id, process.number);
            let expires_at = process.now() + millis(length);
            for (partition, claim) in partitions.iter().zip(&mut claims) {
                match claim {
                    Claim::Held { epoch } => {
                        let leased = Leased { process: process.number, epoch: *epoch, expires_at };
                        state.oracle.leased((subscription.clone(), *partition), leased);
                    }
                    Claim::Taken { owner, .. } => state.show(owner),
                }
            }
            Ok(claims)
        };
        self.line.call(Op::Acquire, call).await
    }

    async fn take_over(&mut self, subscription: &str, partition: u32, epoch: i64) -> Result<(), StoreError> {
        let (world, subscription) = (self.line.world.clone(), subscription.to_owned());
        let call = async move {
            at_once(table(&world)?.take_over(&subscription, partition, epoch))?;
            world.state().oracle.end_lease(&(subscription, partition), |lease| lease.epoch == epoch);
            Ok(())
        };
        self.line.call(Op::TakeOver, call).await
    }

    async fn renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        serves: &[String],
        held: &[Renewal],
    ) -> Result<Roster, StoreError> {
        let (world, process, relay) = (self.line.world.clone(), self.line.process.clone(), relay.clone());
        let (serves, held) = (serves.to_vec(), held.to_vec());
        let call = async move {
            let mut roster = at_once(table(&world)?.renew(&relay, length, &serves, &held))?;
            if world.has(Mutant::ForgetEpochOfRenewal) {
                roster.kept.iter_mut().for_each(|kept| *kept = true);
            }
            let mut state = world.state();
            state.oracle.relays.insert(relay.relay_id, process.number);
            let kept = held.iter().zip(&roster.kept).filter(|(_, kept)| **kept).map(|(renewal, _)| renewal);
            for renewal in kept {
                state.oracle.renewed(&process, renewal, millis(length));
            }
            roster.relays.iter_mut().for_each(|(relay, _)| state.show(relay));
            roster.leases.iter_mut().for_each(|(_, _, owner)| state.show(owner));
            Ok(roster)
        };
        self.line.call(Op::Renew, call).await
    }

    async fn give_back(&mut self, relay: &RelayIdentity, subscription: &str, held: &[Held]) -> Result<(), StoreError> {
        let (world, process, relay) = (self.line.world.clone(), self.line.process.clone(), relay.clone());
        let (subscription, held) = (subscription.to_owned(), held.to_vec());
        let call = async move {
            at_once(table(&world)?.give_back(&relay, &subscription, &held))?;
            let oracle = &mut world.state().oracle;
            for Held { partition, epoch } in held {
                let own = |lease: &Leased| lease.process == process.number && lease.epoch == epoch;
                oracle.end_lease(&(subscription.clone(), partition), own);
            }
            Ok(())
        };
        self.line.call(Op::GiveBack, call).await
    }

    async fn release(&mut self, relay: &RelayIdentity) -> Result<(), StoreError> {
        let (world, process, relay) = (self.line.world.clone(), self.line.process.clone(), relay.clone());
        let call = async move {
            at_once(table(&world)?.release(&relay))?;
            let own = |lease: &&mut Leased| lease.process == process.number;
            world.state().oracle.leases.values_mut().filter(own).for_each(|lease| lease.expires_at = 0);
            Ok(())
        };
        self.line.call(Op::Release, call).await
    }
}

fn table(world: &World) -> Result<Box<dyn Leases>, StoreError> {
    at_once(world.memory.leases())
}

fn millis(length: Duration) -> Moment {
    u64::try_from(length.as_millis()).unwrap_or(Moment::MAX)
}

impl State {
    /// Shows of a relay whether its process is known to be dead, as the start of a process says it.
    fn show(&self, relay: &mut RelayIdentity) {
        let number = self.oracle.relays.get(&relay.relay_id);
        let is_dead = self.processes.iter().any(|each| Some(&each.number) == number && each.is_dead());
        relay.process_started = if is_dead { "before all others".to_owned() } else { String::new() };
    }
}

impl Oracle {
    /// A relay got a lease.
    fn leased(&mut self, row: (String, u32), leased: Leased) {
        // Whoever takes what nobody gave back begins with what was in flight.
        let before = self.leases.insert(row, leased);
        self.excused |= before.is_some_and(|before| before.expires_at > 0);
    }

    fn end_lease(&mut self, row: &(String, u32), is_it: impl FnOnce(&Leased) -> bool) {
        if let Some(lease) = self.leases.get_mut(row)
            && is_it(lease)
        {
            lease.expires_at = 0;
        }
    }

    /// A relay was told that it keeps a lease.
    fn renewed(&mut self, process: &Process, renewal: &Renewal, length: Moment) {
        let now = process.now();
        let row = (renewal.subscription.clone(), renewal.partition);
        match self.leases.get_mut(&row) {
            Some(lease) if lease.process == process.number && lease.epoch == renewal.epoch => {
                lease.expires_at = now + length;
            }
            other => {
                let other = other.copied();
                self.accuse(Violation::StaleRenewal, now, || {
                    format!("{process:?} keeps partition {} under epoch {}, which is {other:?}", row.1, renewal.epoch)
                });
            }
        }
    }
}
