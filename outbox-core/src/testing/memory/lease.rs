//! Keeps leases.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryStore, StoredLease, StoredRelay, Tables};
use crate::checkpoint::Held;
use crate::error::StoreError;
use crate::lease::{Claim, Leases, RelayIdentity, Renewal, Report, Roster};
use crate::partition::PARTITIONS;

/// A relay silent for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_hours(24);

/// The leases of a [`MemoryStore`].
pub(super) struct MemoryLeases {
    pub(super) store: MemoryStore,
}

impl Tables {
    /// Notes that a relay lives, and forgets those that have been silent for long.
    fn announce(&mut self, relay: &RelayIdentity, serves: Option<&[String]>, now: Duration) {
        let known = self.relays.remove(&relay.relay_id).map(|known| known.serves);
        let serves = serves.map_or_else(|| known.unwrap_or_default(), <[String]>::to_vec);
        self.relays.insert(relay.relay_id, StoredRelay { relay: relay.clone(), serves, seen_at: now });
        self.relays.retain(|_, known| now.saturating_sub(known.seen_at) < FORGET_AFTER);
    }

    /// Takes a relay off the list, unless a lease of its own still runs, whose taker asks the list who that is.
    fn leave(&mut self, relay_id: Uuid, now: Duration) {
        if !self.leases.values().any(|lease| lease.relay_id == relay_id && lease.expires_at > now) {
            self.relays.remove(&relay_id);
        }
    }

    /// Takes a lease, or says whose it is.
    fn acquire(&mut self, relay: &RelayIdentity, row: (String, u32), length: Duration, now: Duration) -> Claim {
        if let Some(taken) = self.taken(&row, relay, now) {
            return taken;
        }
        let epoch = self.next_epoch(&row);
        let report = Report { state: "idle".into(), ..Report::default() };
        let lease = StoredLease { relay_id: relay.relay_id, epoch, expires_at: now + length, report };
        self.leases.insert(row, lease);
        Claim::Held { epoch }
    }

    /// Whose lease it is, where it is another's and still runs; an owner that left the list is known by its id alone.
    fn taken(&self, row: &(String, u32), relay: &RelayIdentity, now: Duration) -> Option<Claim> {
        let lease = self.leases.get(row)?;
        let expires_in = lease.expires_at.checked_sub(now).filter(|left| !left.is_zero())?;
        if lease.relay_id == relay.relay_id {
            return None;
        }
        Some(Claim::Taken { owner: self.owner(lease.relay_id), epoch: lease.epoch, expires_in })
    }

    /// Who that is; a relay that left the list is known by its id alone.
    fn owner(&self, relay_id: Uuid) -> RelayIdentity {
        let known = self.relays.get(&relay_id).map(|known| known.relay.clone());
        known.unwrap_or_else(|| RelayIdentity {
            relay_id,
            name: String::new(),
            host: String::new(),
            process_id: 0,
            process_started: String::new(),
        })
    }

    /// An epoch higher than any before, the checkpoint's among them.
    fn next_epoch(&self, row: &(String, u32)) -> i64 {
        let of_lease = self.leases.get(row).map_or(0, |lease| lease.epoch);
        let of_checkpoint = self.checkpoints.get(row).map_or(0, |stored| stored.epoch);
        1 + of_lease.max(of_checkpoint)
    }

    /// The lease, if it is this relay's under this epoch.
    fn own(&mut self, relay: Uuid, row: &(String, u32), epoch: i64) -> Option<&mut StoredLease> {
        self.leases.get_mut(row).filter(|lease| lease.relay_id == relay && lease.epoch == epoch)
    }

    fn roster(&self, serves: &[String], length: Duration, now: Duration) -> Roster {
        let alive = |known: &&StoredRelay| now.saturating_sub(known.seen_at) < length;
        let relays = self.relays.values().filter(alive).map(|known| (known.relay.clone(), known.serves.clone()));
        let runs = |((subscription, _), lease): &(&(String, u32), &StoredLease)| {
            serves.contains(subscription) && lease.expires_at > now
        };
        let leases = self.leases.iter().filter(runs);
        let rules = serves
            .iter()
            .filter_map(|name| Some((format!("{PARTITIONS}{name}"), self.partitionings.get(name)?.to_text())));
        let rules_it = |rule: &str| serves.iter().any(|name| rule.split_once(':').is_some_and(|(_, of)| of == name));
        let others = self.rules.iter().filter(|(rule, _)| rules_it(rule));
        let others = others.map(|(rule, value)| (rule.clone(), value.clone()));
        Roster {
            kept: Vec::new(),
            relays: relays.collect(),
            leases: leases
                .map(|((subscription, partition), lease)| {
                    (subscription.clone(), *partition, self.owner(lease.relay_id))
                })
                .collect(),
            rules: rules.chain(others).collect::<BTreeMap<_, _>>(),
        }
    }
}

impl StoredLease {
    /// Ends its epoch with it, so that a renewal on its way does not revive what was given back.
    fn give_back(&mut self, now: Duration) {
        self.epoch += 1;
        self.expires_at = self.expires_at.min(now);
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        partitions: &[u32],
        length: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        tables.announce(relay, None, now);
        let row = |partition: &u32| (subscription.to_owned(), *partition);
        Ok(partitions.iter().map(|partition| tables.acquire(relay, row(partition), length, now)).collect())
    }

    async fn take_over(&mut self, subscription: &str, partition: u32, epoch: i64) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        let lease = tables.leases.get_mut(&(subscription.to_owned(), partition));
        if let Some(lease) = lease.filter(|lease| lease.epoch == epoch) {
            lease.expires_at = Duration::ZERO;
            let owner = lease.relay_id;
            tables.leave(owner, now);
        }
        Ok(())
    }

    async fn renew(
        &mut self,
        relay: &RelayIdentity,
        length: Duration,
        serves: &[String],
        held: &[Renewal],
    ) -> Result<Roster, StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        tables.announce(relay, Some(serves), now);
        let mut renew = |Renewal { subscription, partition, epoch, report }: &Renewal| {
            let Some(lease) = tables.own(relay.relay_id, &(subscription.clone(), *partition), *epoch) else {
                return false;
            };
            lease.expires_at = now + length;
            lease.report = report.clone();
            true
        };
        let kept = held.iter().map(&mut renew).collect();
        Ok(Roster { kept, ..tables.roster(serves, length, now) })
    }

    async fn give_back(&mut self, relay: &RelayIdentity, subscription: &str, held: &[Held]) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        for Held { partition, epoch } in held {
            if let Some(lease) = tables.own(relay.relay_id, &(subscription.to_owned(), *partition), *epoch) {
                lease.give_back(now);
            }
        }
        Ok(())
    }

    async fn release(&mut self, relay: &RelayIdentity) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        for lease in tables.leases.values_mut().filter(|lease| lease.relay_id == relay.relay_id) {
            lease.give_back(now);
        }
        tables.leave(relay.relay_id, now);
        Ok(())
    }
}
