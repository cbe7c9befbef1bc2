//! What is known of the outbox.

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;

use super::{StoredCheckpoint, StoredLease, Tables};
use crate::checkpoint::is_reserved;
use crate::event::Event;
use crate::status::{
    DatabaseStatus, HolderStatus, HoleStatus, LogStatus, PartitionStatus, RelayStatus, ReportedHolder, ReportedHole,
    SILENT_AFTER_SECONDS, SegmentStatus, Status, SubscriptionStatus,
};
use crate::store::Database;

/// The version of the form that [`Status`] has.
const FORM: u32 = 1;

/// The moment a status is of.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// What leases go by.
    pub(super) since_boot: Duration,
    pub(super) time_of_day: OffsetDateTime,
}

impl Tables {
    pub(super) fn status(&self, database: Database, now: Moment) -> Status {
        let Database { kind, server_version, instance, .. } = database;
        let subscriptions: BTreeSet<&String> =
            self.checkpoints.keys().chain(self.leases.keys()).filter(|name| !is_reserved(name)).collect();
        Status {
            version: FORM,
            database: DatabaseStatus { kind, server_version, instance },
            log: LogStatus {
                first_position: self.events.keys().next().copied(),
                last_position: self.events.keys().next_back().copied(),
                bytes: None,
                segments: vec![SegmentStatus { segment: 0, bytes: None, state: "current", blocked_by: None }],
            },
            relays: self.relay_statuses(now),
            subscriptions: subscriptions.into_iter().map(|name| self.subscription(name, now)).collect(),
            continuity: None,
        }
    }

    fn relay_statuses(&self, now: Moment) -> Vec<RelayStatus> {
        let relays = self.relays.values().map(|(relay, seen_at)| {
            let seen_seconds_ago = now.since_boot.saturating_sub(*seen_at).as_secs_f64();
            let state = if seen_seconds_ago > SILENT_AFTER_SECONDS { "silent" } else { "alive" };
            RelayStatus { name: relay.name.clone(), state, seen_seconds_ago }
        });
        let mut relays: Vec<_> = relays.collect();
        relays.sort_by(|a, b| a.name.cmp(&b.name));
        relays
    }

    fn subscription(&self, name: &str, now: Moment) -> SubscriptionStatus {
        let (stored, lease) = (self.checkpoints.get(name), self.leases.get(name));
        let running = lease.filter(|lease| lease.expires_at > now.since_boot);
        let letters = self.dead_letters.get(name);
        let keys: BTreeSet<_> =
            letters.into_iter().flat_map(|letters| letters.values()).map(|each| &each.key).collect();
        let waiting: Option<Vec<&Event>> = stored.map(|stored| self.waiting(stored).collect());
        let age = |event: &&Event| (now.time_of_day - event.occurred_at).as_seconds_f64().max(0.0);
        SubscriptionStatus {
            name: name.to_owned(),
            publisher: lease.map(|lease| lease.report.publisher.clone()).filter(|publisher| !publisher.is_empty()),
            state: running.map_or_else(|| "unowned".to_owned(), |lease| lease.report.state.clone()),
            lag_events: waiting.as_ref().map(|waiting| waiting.len() as u64),
            lag_seconds: waiting.map(|waiting| waiting.first().map_or(0.0, age)),
            last_error: lease.and_then(|lease| lease.report.last_error.clone()),
            parked_keys: keys.len() as u64,
            parked_events: letters.map_or(0, |letters| letters.len() as u64),
            holes: running.into_iter().flat_map(|lease| &lease.report.holes).map(|hole| shown(hole, now)).collect(),
            partitions: stored.map(|stored| self.partition(stored, running)).into_iter().collect(),
        }
    }

    /// Committed events that are not done with.
    fn waiting(&self, stored: &StoredCheckpoint) -> impl Iterator<Item = &Event> {
        let checkpoint = stored.checkpoint.clone();
        let waits =
            move |event: &&Event| event.position > checkpoint.position || checkpoint.open.contains(event.position);
        self.events.values().filter(waits)
    }

    fn partition(&self, stored: &StoredCheckpoint, lease: Option<&StoredLease>) -> PartitionStatus {
        let owner = lease.and_then(|lease| self.relays.get(&lease.relay_id)).map(|(relay, _)| relay.name.clone());
        let checkpoint = &stored.checkpoint;
        let open = checkpoint.open.to_string();
        PartitionStatus { partition: 0, owner, epoch: stored.epoch, position: checkpoint.position, open }
    }
}

fn shown(hole: &ReportedHole, now: Moment) -> HoleStatus {
    let holder = |holder: &ReportedHolder| HolderStatus {
        pid: holder.pid,
        user: None,
        application: None,
        age_seconds: None,
        prepared: holder.prepared,
    };
    let seconds = (now.time_of_day - OffsetDateTime::UNIX_EPOCH).as_seconds_f64();
    HoleStatus {
        from: hole.from,
        to: hole.to,
        age_seconds: (seconds - hole.first_seen).max(0.0),
        holders: hole.holders.iter().map(holder).collect(),
    }
}
