//! The frontier loses, repeats and swaps nothing, whatever transactions do and wherever a read falls between them.

mod chance;
mod reader;
mod server;
mod simulation;

use outbox_core::frontier::{Frontier, MAX_HOLES};
use outbox_core::source::{Evidence, Holder, Read, Row};
use outbox_core::{Position, PositionSet};

use crate::reader::Variant;

fn assert_right(seeds: std::ops::Range<u64>, max_holes: usize) {
    for seed in seeds {
        if let Err(wrong) = simulation::run(seed, Variant::Right, max_holes) {
            panic!("seed {seed}, at most {max_holes} holes: {wrong}");
        }
    }
}

#[test]
fn nothing_is_lost_repeated_or_swapped() {
    assert_right(0..3000, MAX_HOLES);
}

#[test]
fn nothing_is_lost_where_few_holes_may_be_carried() {
    assert_right(0..1000, 3);
}

#[test]
fn strict_reading_keeps_the_order_of_positions() {
    assert_right(0..1000, 1);
}

/// The model is worth something only if it finds what is known to be wrong.
fn assert_loses(variant: Variant) {
    let found = (0..20_000).find_map(|seed| simulation::run(seed, variant, MAX_HOLES).err());
    let wrong = found.unwrap_or_else(|| panic!("{variant:?} got through"));
    assert!(wrong.contains("was lost") || wrong.contains("after version"), "{variant:?}: {wrong}");
}

#[test]
fn a_sample_taken_before_the_snapshot_loses() {
    assert_loses(Variant::SampleBeforeSnapshot);
}

#[test]
fn judging_beyond_the_limit_loses() {
    assert_loses(Variant::IgnoreIncomplete);
}

#[test]
fn judging_the_snapshot_that_came_before_the_sample_loses() {
    assert_loses(Variant::JudgeSameSnapshot);
}

#[test]
fn overlooking_prepared_transactions_loses() {
    assert_loses(Variant::ForgetPrepared);
}

#[test]
fn trusting_the_samples_of_another_server_loses() {
    assert_loses(Variant::NoDistrust);
}

#[test]
fn reading_above_the_position_alone_loses() {
    assert_loses(Variant::IdAboveLast);
}

fn session(name: &str) -> Holder {
    Holder { transaction: name.into(), pid: Some(1), prepared: false }
}

fn prepared(name: &str) -> Holder {
    Holder { transaction: name.into(), pid: None, prepared: true }
}

fn read(positions: &[Position], holders: &[Holder]) -> Read {
    let rows = positions.iter().map(|position| Row::Filtered(*position)).collect();
    Read { rows, complete: true, evidence: Evidence::Holders(holders.to_vec()) }
}

fn positions(rows: &[Row]) -> Vec<Position> {
    rows.iter().map(Row::position).collect()
}

fn from_the_beginning() -> Frontier {
    Frontier::new(0, &PositionSet::new())
}

#[test]
fn a_hole_dies_one_snapshot_after_its_holders_ended() {
    let mut frontier = from_the_beginning();
    let (a, b, stranger) = (session("1/1"), session("2/1"), session("3/1"));
    let rows = frontier.absorb(read(&[1, 2, 3, 4, 7], &[a.clone(), b, stranger.clone()]));
    assert_eq!(positions(&rows), [1, 2, 3, 4, 7]);
    assert_eq!(frontier.open().to_string(), "{[5,6]}");
    assert_eq!(positions(&frontier.absorb(read(&[6], &[a, stranger.clone()]))), [6]);
    frontier.absorb(read(&[], &[stranger]));
    frontier.absorb(read(&[], &[]));
    assert_eq!(frontier.open().to_string(), "{[5,5]}", "its last holder may have committed after this snapshot");
    frontier.absorb(read(&[], &[]));
    assert_eq!(frontier.hole_count(), 0);
    assert_eq!(frontier.position(), 7);
}

#[test]
fn a_transaction_that_begins_later_keeps_no_hole_open() {
    let mut frontier = from_the_beginning();
    frontier.absorb(read(&[2], &[session("1/1")]));
    frontier.absorb(read(&[], &[session("2/1")]));
    frontier.absorb(read(&[], &[session("2/1")]));
    assert_eq!(frontier.hole_count(), 0);
}

#[test]
fn a_prepared_transaction_takes_the_place_of_its_session() {
    let mut frontier = from_the_beginning();
    frontier.absorb(read(&[2], &[session("1/1")]));
    for _ in 0..3 {
        frontier.absorb(read(&[], &[prepared("1/1")]));
        assert_eq!(frontier.first_open(), Some(1));
    }
    assert_eq!(positions(&frontier.absorb(read(&[1], &[]))), [1]);
    assert_eq!(frontier.hole_count(), 0);
}

#[test]
fn another_server_may_still_hold_what_ended_on_the_first() {
    let mut frontier = from_the_beginning();
    frontier.absorb(read(&[2], &[]));
    frontier.distrust();
    frontier.absorb(read(&[], &[prepared("-1/7")]));
    assert_eq!(frontier.first_open(), Some(1));
    assert_eq!(positions(&frontier.absorb(read(&[1], &[]))), [1]);
}

#[test]
fn a_read_cut_short_judges_nothing_beyond_its_last_row() {
    let mut frontier = from_the_beginning();
    frontier.absorb(read(&[2, 4, 6], &[]));
    let cut = Read { complete: false, ..read(&[3], &[]) };
    assert_eq!(positions(&frontier.absorb(cut)), [3]);
    assert_eq!(frontier.open().to_string(), "{[5,5]}");
    frontier.absorb(Read { complete: false, ..read(&[], &[]) });
    assert_eq!(frontier.open().to_string(), "{[5,5]}");
}

#[test]
fn commit_order_needs_no_holders_but_a_whole_read() {
    let open: PositionSet = [3..=3, 5..=5, 8..=8].into_iter().collect();
    let mut frontier = Frontier::new(9, &open);
    let cut = Read { complete: false, evidence: Evidence::CommitOrder, ..read(&[5], &[]) };
    assert_eq!(positions(&frontier.absorb(cut)), [5]);
    assert_eq!(frontier.open().to_string(), "{[8,8]}", "an event not yet published must come again");
    let whole = Read { evidence: Evidence::CommitOrder, ..read(&[8, 12], &[]) };
    assert_eq!(positions(&frontier.absorb(whole)), [8, 12]);
    assert_eq!((frontier.position(), frontier.hole_count()), (12, 0));
}

#[test]
fn strict_reading_in_commit_order_passes_what_is_missing() {
    let mut frontier = Frontier::new(9, &[3..=3, 5..=5].into_iter().collect()).with_max_holes(1);
    let rows = frontier.absorb(Read { evidence: Evidence::CommitOrder, ..read(&[5], &[]) });
    assert_eq!(positions(&rows), [5]);
    assert_eq!(frontier.hole_count(), 0);
}

#[test]
fn strict_reading_waits_at_the_first_missing_position() {
    let mut frontier = from_the_beginning().with_max_holes(1);
    assert_eq!(positions(&frontier.absorb(read(&[1, 4], &[session("1/1"), session("2/1")]))), [1]);
    assert!(!frontier.request(10, 10).above);
    assert_eq!(positions(&frontier.absorb(read(&[3], &[session("1/1")]))), [0; 0], "2 may still come");
    assert_eq!(positions(&frontier.absorb(read(&[2, 3], &[]))), [2, 3]);
    assert_eq!(positions(&frontier.absorb(read(&[4], &[]))), [4]);
}

#[test]
fn what_is_known_of_a_hole_is_shown() {
    let mut frontier = from_the_beginning();
    frontier.absorb(read(&[3], &[session("1/1")]));
    let holes: Vec<_> = frontier.holes().collect();
    assert_eq!((holes[0].range.clone(), holes[0].holders.clone()), (1..=2, vec![session("1/1")]));
    frontier.distrust();
    assert!(frontier.holes().all(|hole| hole.holders.is_empty()));
}
