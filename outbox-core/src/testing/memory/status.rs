//! What is known of the outbox.

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;

use super::dead_letter::StoredLetter;
use super::{StoredCheckpoint, StoredRelay, Tables};
use crate::checkpoint::{Checkpoint, is_reserved};
use crate::dead_letter::PAUSED;
use crate::event::Event;
use crate::status::{
    DatabaseStatus, HolderStatus, HoleStatus, LogStatus, PartitionStatus, RelayStatus, ReportedHolder, ReportedHole,
    SILENT_AFTER_SECONDS, SegmentStatus, Status, SubscriptionStatus, overall,
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
        let subscriptions: BTreeSet<&String> = self
            .checkpoints
            .keys()
            .chain(self.leases.keys())
            .map(|(name, _)| name)
            .filter(|name| !is_reserved(name))
            .collect();
        Status {
            version: FORM,
            database: DatabaseStatus { kind, server_version, instance },
            log: LogStatus {
                first_position: self.events.keys().next().copied(),
                last_position: self.events.keys().next_back().copied(),
                bytes: None,
                segments: vec![SegmentStatus {
                    segment: 0,
                    bytes: None,
                    state: "current",
                    blocked_by: None,
                    remedy: None,
                }],
            },
            relays: self.relay_statuses(now),
            subscriptions: subscriptions.into_iter().map(|name| self.subscription(name, now)).collect(),
            continuity: None,
        }
    }

    fn relay_statuses(&self, now: Moment) -> Vec<RelayStatus> {
        let relays = self.relays.values().map(|StoredRelay { relay, seen_at, .. }| {
            let seen_seconds_ago = now.since_boot.saturating_sub(*seen_at).as_secs_f64();
            let state = if seen_seconds_ago > SILENT_AFTER_SECONDS { "silent" } else { "alive" };
            RelayStatus { name: relay.name.clone(), state, seen_seconds_ago }
        });
        let mut relays: Vec<_> = relays.collect();
        relays.sort_by(|a, b| a.name.cmp(&b.name));
        relays
    }

    fn subscription(&self, name: &str, now: Moment) -> SubscriptionStatus {
        let leases: Vec<_> = self.leases.iter().filter(|((of, _), _)| of == name).map(|(_, lease)| lease).collect();
        let running: Vec<_> = leases.iter().filter(|lease| lease.expires_at > now.since_boot).collect();
        let together = Checkpoint::together(self.checkpoints_of(name).values());
        let keys: BTreeSet<_> =
            self.letters_left(name).filter(|letter| !letter.is_replay()).map(StoredLetter::key).collect();
        let waiting: Option<Vec<&Event>> = together.map(|checkpoint| self.waiting(checkpoint).collect());
        let age = |event: &&Event| (now.time_of_day - event.occurred_at).as_seconds_f64().max(0.0);
        let paused = self.rules.get(&format!("{PAUSED}{name}")).filter(|note| !note.is_empty()).cloned();
        SubscriptionStatus {
            name: name.to_owned(),
            publisher: leases
                .iter()
                .map(|lease| lease.report.publisher.clone())
                .find(|publisher| !publisher.is_empty()),
            state: overall(running.iter().map(|lease| lease.report.state.as_str()), paused.is_some()),
            lag_events: waiting.as_ref().map(|waiting| waiting.len() as u64),
            lag_seconds: waiting.map(|waiting| waiting.first().map_or(0.0, age)),
            last_error: leases.iter().find_map(|lease| lease.report.last_error.clone()),
            parked_keys: keys.len() as u64,
            parked_events: self.letters_left(name).filter(|letter| !letter.is_replay()).count() as u64,
            paused,
            holes: running
                .first()
                .into_iter()
                .flat_map(|lease| &lease.report.holes)
                .map(|hole| shown(hole, now))
                .collect(),
            partitions: self.partitions(name, now),
        }
    }

    /// Committed events that are not done with.
    fn waiting(&self, checkpoint: Checkpoint) -> impl Iterator<Item = &Event> {
        let waits =
            move |event: &&Event| event.position > checkpoint.position || checkpoint.open.contains(event.position);
        self.events.values().filter(waits)
    }

    fn partitions(&self, name: &str, now: Moment) -> Vec<PartitionStatus> {
        let rows = self.checkpoints.iter().filter(|((of, _), _)| of == name);
        let partition = |((_, partition), stored): (&(String, u32), &StoredCheckpoint)| {
            let lease =
                self.leases.get(&(name.to_owned(), *partition)).filter(|lease| lease.expires_at > now.since_boot);
            let owner = lease.and_then(|lease| self.relays.get(&lease.relay_id)).map(|known| known.relay.name.clone());
            let StoredCheckpoint { epoch, checkpoint, .. } = stored;
            let open = checkpoint.open.to_string();
            PartitionStatus { partition: *partition, owner, epoch: *epoch, position: checkpoint.position, open }
        };
        rows.map(partition).collect()
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
