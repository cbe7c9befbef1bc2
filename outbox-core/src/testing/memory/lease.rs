//! Keeps leases.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryStore, StoredLease, Tables};
use crate::error::StoreError;
use crate::lease::{Claim, Leases, RelayIdentity, Report};

/// A relay silent for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_hours(24);

/// The leases of a [`MemoryStore`].
pub(super) struct MemoryLeases {
    pub(super) store: MemoryStore,
}

impl Tables {
    /// Notes that a relay lives, and forgets those that have been silent for long.
    fn announce(&mut self, relay: &RelayIdentity, now: Duration) {
        self.relays.insert(relay.relay_id, (relay.clone(), now));
        self.relays.retain(|_, (_, seen_at)| now.saturating_sub(*seen_at) < FORGET_AFTER);
    }

    /// Takes a relay off the list, unless a lease of its own still runs, whose taker asks the list who that is.
    fn leave(&mut self, relay_id: Uuid, now: Duration) {
        if !self.leases.values().any(|lease| lease.relay_id == relay_id && lease.expires_at > now) {
            self.relays.remove(&relay_id);
        }
    }

    /// Whose lease it is, where it is another's and still runs; an owner that left the list is known by its id alone.
    fn taken(&self, subscription: &str, relay: &RelayIdentity, now: Duration) -> Option<Claim> {
        let lease = self.leases.get(subscription)?;
        let expires_in = lease.expires_at.checked_sub(now).filter(|left| !left.is_zero())?;
        if lease.relay_id == relay.relay_id {
            return None;
        }
        let owner = self.relays.get(&lease.relay_id).map(|(owner, _)| owner.clone());
        let owner = owner.unwrap_or_else(|| RelayIdentity {
            relay_id: lease.relay_id,
            name: String::new(),
            host: String::new(),
            process_id: 0,
            process_started: String::new(),
        });
        Some(Claim::Taken { owner, epoch: lease.epoch, expires_in })
    }

    /// An epoch higher than any before, the checkpoint's among them.
    fn next_epoch(&self, subscription: &str) -> i64 {
        let of_lease = self.leases.get(subscription).map_or(0, |lease| lease.epoch);
        let of_checkpoint = self.checkpoints.get(subscription).map_or(0, |stored| stored.epoch);
        1 + of_lease.max(of_checkpoint)
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(
        &mut self,
        relay: &RelayIdentity,
        subscription: &str,
        length: Duration,
    ) -> Result<Claim, StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        tables.announce(relay, now);
        if let Some(taken) = tables.taken(subscription, relay, now) {
            return Ok(taken);
        }
        let epoch = tables.next_epoch(subscription);
        let report = Report { state: "idle".into(), ..Report::default() };
        let lease = StoredLease { relay_id: relay.relay_id, epoch, expires_at: now + length, report };
        tables.leases.insert(subscription.to_owned(), lease);
        Ok(Claim::Held { epoch })
    }

    async fn take_over(&mut self, subscription: &str, epoch: i64) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        let lease = tables.leases.get_mut(subscription).filter(|lease| lease.epoch == epoch);
        if let Some(lease) = lease {
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
        held: &[(String, i64, Report)],
    ) -> Result<Vec<bool>, StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        tables.announce(relay, now);
        let mut renew = |(subscription, epoch, report): &(String, i64, Report)| {
            let lease = tables.leases.get_mut(subscription);
            let Some(lease) = lease.filter(|lease| lease.relay_id == relay.relay_id && lease.epoch == *epoch) else {
                return false;
            };
            lease.expires_at = now + length;
            lease.report = report.clone();
            true
        };
        Ok(held.iter().map(&mut renew).collect())
    }

    async fn release(&mut self, relay: &RelayIdentity) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        for lease in tables.leases.values_mut().filter(|lease| lease.relay_id == relay.relay_id) {
            lease.expires_at = Duration::ZERO;
        }
        tables.leave(relay.relay_id, now);
        Ok(())
    }
}
