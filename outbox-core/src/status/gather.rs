//! What the partitions of a subscription have in common.

use std::collections::BTreeSet;

use super::{PartitionStatus, ReportedHole, SubscriptionStatus};
use crate::checkpoint::Checkpoint;
use crate::event::Position;

/// What is stored of one partition of a subscription.
#[derive(Debug, Clone, Default)]
pub struct StoredPartition {
    /// Whose partition it is.
    pub subscription: String,
    /// Its number, from 0.
    pub partition: u32,
    /// The relay whose lease runs.
    pub owner: Option<String>,
    /// Whether a lease runs.
    pub owned: bool,
    /// The epoch of the checkpoint.
    pub epoch: i64,
    /// Position and open positions, where there is a checkpoint.
    pub checkpoint: Option<(Position, String)>,
    /// The publisher, as the owner last reported it.
    pub publisher: Option<String>,
    /// The state, as the owner last reported it.
    pub state: Option<String>,
    /// The last error, as the owner last reported it.
    pub last_error: Option<String>,
    /// The holes, as the owner last reported them.
    pub holes: Vec<ReportedHole>,
    /// Keys with an event that will not pass; told with the first partition.
    pub parked_keys: u64,
    /// Events that will not pass; told with the first partition.
    pub parked_events: u64,
    /// Who paused the subscription, and why.
    pub paused: Option<String>,
}

/// A subscription with what its partitions have in common.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Without its lag and its holes.
    pub status: SubscriptionStatus,
    /// What is not done with, at most; `None` without a checkpoint, or where one is damaged.
    pub checkpoint: Option<Checkpoint>,
    /// The holes its owners reported, each once.
    pub holes: Vec<ReportedHole>,
}

/// Makes subscriptions of partitions in the order of their subscriptions.
pub fn gather(partitions: &[StoredPartition]) -> Vec<Gathered> {
    partitions.chunk_by(|a, b| a.subscription == b.subscription).map(gathered).collect()
}

fn gathered(rows: &[StoredPartition]) -> Gathered {
    let owned = || rows.iter().filter(|row| row.owned);
    let mut holes: Vec<ReportedHole> = Vec::new();
    for hole in owned().flat_map(|row| &row.holes) {
        if !holes.iter().any(|known| (known.from, known.to) == (hole.from, hole.to)) {
            holes.push(hole.clone());
        }
    }
    let read = |row: &StoredPartition| {
        let (position, open) = row.checkpoint.as_ref()?;
        Checkpoint::from_columns(&row.subscription, *position, open, "").ok()
    };
    let checkpoints: Option<Vec<_>> = rows.iter().filter(|row| row.checkpoint.is_some()).map(read).collect();
    let partitions = rows.iter().filter_map(|row| {
        let (position, open) = row.checkpoint.clone()?;
        Some(PartitionStatus { partition: row.partition, owner: row.owner.clone(), epoch: row.epoch, position, open })
    });
    let paused = rows.iter().find_map(|row| row.paused.clone());
    let status = SubscriptionStatus {
        name: rows.first().map(|row| row.subscription.clone()).unwrap_or_default(),
        publisher: publishers(owned()).or_else(|| rows.iter().find_map(|row| row.publisher.clone())),
        state: overall(owned().filter_map(|row| row.state.as_deref()), paused.is_some()),
        lag_events: None,
        lag_seconds: None,
        last_error: rows.iter().find_map(|row| row.last_error.clone()),
        parked_keys: rows.iter().map(|row| row.parked_keys).sum(),
        parked_events: rows.iter().map(|row| row.parked_events).sum(),
        paused,
        holes: Vec::new(),
        partitions: partitions.collect(),
    };
    Gathered { status, checkpoint: checkpoints.and_then(|all| Checkpoint::together(&all)), holes }
}

/// Where the relays at work publish to. Each is meant to publish to the same place, and nothing but this shows that one does not.
fn publishers<'p>(owned: impl Iterator<Item = &'p StoredPartition>) -> Option<String> {
    let publishers: BTreeSet<&str> = owned.filter_map(|row| row.publisher.as_deref()).collect();
    (!publishers.is_empty()).then(|| publishers.into_iter().collect::<Vec<_>>().join(", "))
}

/// The state of a subscription whose partitions are in these: the one that says most. Where nobody works it, it may still be
/// paused.
pub fn overall<'s>(states: impl IntoIterator<Item = &'s str>, paused: bool) -> String {
    const TELLING: [&str; 5] = ["blocked", "retrying", "paused", "running", "idle"];
    let rank = |state: &str| TELLING.iter().position(|known| *known == state);
    let first = states.into_iter().min_by_key(|state| rank(state).unwrap_or(TELLING.len()));
    first.unwrap_or(if paused { "paused" } else { "unowned" }).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subscription: &str, partition: u32, state: Option<&str>) -> StoredPartition {
        StoredPartition {
            subscription: subscription.into(),
            partition,
            owned: state.is_some(),
            state: state.map(str::to_owned),
            checkpoint: Some((10 + Position::from(partition), "{[3,3]}".into())),
            ..StoredPartition::default()
        }
    }

    #[test]
    fn a_subscription_is_as_far_as_its_last_partition_and_as_well_as_its_worst() {
        let rows = [row("a", 0, Some("idle")), row("a", 1, Some("retrying")), row("b", 0, None)];
        let [a, b] = gather(&rows).try_into().unwrap();
        assert_eq!((a.status.state.as_str(), a.status.partitions.len()), ("retrying", 2));
        assert_eq!(a.checkpoint.unwrap().position, 10);
        assert_eq!((b.status.name.as_str(), b.status.state.as_str()), ("b", "unowned"));
    }

    #[test]
    fn relays_that_publish_to_different_places_are_shown() {
        let to = |publisher: &str, partition, state| {
            let publisher = Some(publisher.to_owned());
            StoredPartition { publisher, ..row("a", partition, state) }
        };
        let shown = |rows: &[StoredPartition]| gather(rows).pop().unwrap().status.publisher;
        let running = Some("running");
        let rows =
            [to("file:b", 0, running), to("file:a", 1, running), to("file:a", 2, running), to("stdout", 3, None)];
        assert_eq!(shown(&rows).as_deref(), Some("file:a, file:b"));
        assert_eq!(shown(&[to("stdout", 0, None)]).as_deref(), Some("stdout"), "where the last one published to");
    }

    #[test]
    fn a_subscription_is_paused_whoever_works_it() {
        let paused = |state| StoredPartition { paused: Some("ann: moving".into()), ..row("a", 0, state) };
        for (row, state) in
            [(paused(None), "paused"), (paused(Some("paused")), "paused"), (paused(Some("running")), "running")]
        {
            let status = gather(&[row]).pop().unwrap().status;
            assert_eq!((status.state.as_str(), status.paused.as_deref()), (state, Some("ann: moving")));
        }
    }

    #[test]
    fn of_a_damaged_checkpoint_nothing_is_said() {
        let damaged = StoredPartition { checkpoint: Some((7, "{".into())), ..row("a", 1, None) };
        assert!(gather(&[row("a", 0, None), damaged]).pop().unwrap().checkpoint.is_none());
    }
}
