use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[test]
fn partitions_are_named_by_ranges() {
    assert_eq!(named([3]), "partition 3");
    assert_eq!(named(0..8), "partitions 0-7");
    assert_eq!(named([9, 0, 1, 2, 5]), "partitions 0-2, 5, 9");
}

/// SHA-256 of `abc` begins with ba7816bf (FIPS 180-2, appendix B.1).
#[test]
fn the_partition_of_a_key_is_the_documented_one() {
    assert_eq!(partition_of("abc", 7, 8), 0xba78_16bf % 8);
    assert_eq!(partition_of("abc", 7, 1000.min(MAX_PARTITIONS)), 0xba78_16bf % MAX_PARTITIONS);
    assert_eq!((partition_of("abc", 7, 1), partition_of("abc", 7, 0)), (0, 0));
    assert_eq!((partition_of("", 7, 4), partition_of("", 8, 4)), (3, 0));
}

#[test]
fn keys_spread_over_all_partitions() {
    let mut events = [0_u32; 8];
    for key in 0..8000 {
        events[partition_of(&format!("order-{key}"), 1, 8) as usize] += 1;
    }
    assert!(events.iter().all(|events| (900..1100).contains(events)), "{events:?}");
}

#[test]
fn the_row_goes_there_and_back_and_rubbish_is_refused() {
    let checkpoints = BTreeMap::from([(0, at(12, &[3..=4])), (1, at(9, &[]))]);
    let changed = Partitioning::new(2).change(&checkpoints, 3).0;
    assert_eq!(Partitioning::from_text("s", &changed.to_text()).unwrap(), changed);
    assert_eq!(Partitioning::from_text("s", r#"{"count":4,"next":8}"#).unwrap().next, Some(8));
    for text in
        ["", "4", r#"{"count":0}"#, r#"{"count":257}"#, r#"{"count":1,"before":{"boundary":1,"partitions":[[1,"x"]]}}"#]
    {
        assert!(Partitioning::from_text("s", text).unwrap_err().to_string().contains("partitions:s"), "{text}");
    }
}

fn at(position: Position, open: &[std::ops::RangeInclusive<Position>]) -> Checkpoint {
    Checkpoint { position, open: open.iter().cloned().collect(), events: Vec::new() }
}

/// What a checkpoint has not done.
fn is_open(checkpoint: &Checkpoint, position: Position) -> bool {
    position > checkpoint.position || checkpoint.open.contains(position)
}

/// Thousands of random histories: an event is due after a change exactly if it was before it, whatever its partition.
#[test]
fn a_change_of_the_number_neither_repeats_nor_leaves_out() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut chance = |below: u32| rng.u32(..below);
        let (old, new) = (1 + chance(6), 1 + chance(6));
        let mut checkpoints = BTreeMap::new();
        for partition in 0..old {
            let position = Position::from(chance(40));
            let open = (1..=position).filter(|_| chance(4) == 0).map(|each| each..=each);
            checkpoints.insert(partition, Checkpoint { position, open: open.collect(), events: Vec::new() });
        }
        let (changed, start) = Partitioning::new(old).change(&checkpoints, new);
        let due: BTreeSet<_> = (1..60)
            .filter(|position| {
                let key = format!("key-{}", position % 7);
                is_open(&start, *position) && changed.is_due(&key, *position)
            })
            .collect();
        let before: BTreeSet<_> = (1..60)
            .filter(|position| {
                is_open(&checkpoints[&partition_of(&format!("key-{}", position % 7), *position, old)], *position)
            })
            .collect();
        assert_eq!(due, before, "seed {seed}: {checkpoints:?}");
    }
}

#[test]
fn a_change_is_settled_when_every_checkpoint_has_passed_the_boundary() {
    let (changed, _) = Partitioning::new(1).change(&BTreeMap::from([(0, at(20, &[5..=6]))]), 2);
    let rows = |a, b| BTreeMap::from([(0, a), (1, b)]);
    assert!(!changed.is_settled(&rows(at(30, &[]), at(19, &[]))));
    assert!(!changed.is_settled(&rows(at(30, &[5..=5]), at(20, &[]))));
    assert!(changed.is_settled(&rows(at(30, &[21..=22]), at(20, &[]))));
    assert!(Partitioning::new(4).is_settled(&rows(at(0, &[]), at(0, &[]))));
}
