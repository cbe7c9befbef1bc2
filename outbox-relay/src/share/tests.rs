use std::collections::{BTreeMap, BTreeSet};

use outbox_core::source::Unreadable;

use super::*;

fn held(partition: u32) -> Held {
    Held { partition, epoch: 1 }
}

fn claimed(count: u32, checkpoints: BTreeMap<u32, Checkpoint>) -> Claimed {
    Claimed { partitioning: Some(Partitioning::new(count)), checkpoints }
}

fn at(position: Position, open: impl IntoIterator<Item = Position>) -> Checkpoint {
    let open = open.into_iter().map(|each| each..=each).collect();
    Checkpoint { position, open, events: Vec::new() }
}

/// The key of the event at a position.
fn key(position: Position) -> String {
    format!("key-{}", position % 5)
}

fn is_open(checkpoint: &Checkpoint, position: Position) -> bool {
    position > checkpoint.position || checkpoint.open.contains(position)
}

/// Random histories: a share is taken up, works a while in random order, is written down at random moments and taken up by
/// somebody else. What is done is never due again, what is not is always due, and no position goes back.
#[test]
fn whoever_takes_a_share_up_finds_what_was_left_and_nothing_else() {
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = rng.u32(1..6);
        let mut stored: BTreeMap<u32, Checkpoint> = (0..count).map(|each| (each, at(0, []))).collect();
        let mut done = BTreeSet::new();
        for _ in 0..6 {
            let mine: Vec<Held> = (0..count).filter(|_| rng.bool()).map(held).collect();
            let of_mine = stored.iter().filter(|(each, _)| mine.contains(&held(**each)));
            let mut share = Share::new(&mine, claimed(count, of_mine.map(|(a, b)| (*a, b.clone())).collect()));
            let Some(start) = share.start() else { continue };
            let mut position = start.position;
            let mut open: BTreeSet<Position> = start.open.ranges().cloned().flatten().collect();
            // A hole is open until a read shows whose it is.
            let mut unread: BTreeSet<_> = open.extract_if(.., |each| !share.is_due(&key(*each), *each)).collect();
            for _ in 0..rng.usize(0..30) {
                if rng.bool() && position < 60 {
                    position += 1;
                    let due = share.is_due(&key(position), position);
                    if due || rng.bool() {
                        share.gaps.follow(position, due);
                    } else {
                        unread.insert(position);
                    }
                    if due {
                        open.insert(position);
                    }
                }
                if rng.bool()
                    && let Some(each) = rng.choice(open.iter().copied().collect::<Vec<_>>())
                {
                    assert!(done.insert(each), "seed {seed}: {each} was done before");
                    open.remove(&each);
                }
                if rng.u8(..4) == 0 {
                    unread.clear();
                }
                if rng.u8(..4) == 0 {
                    save(&mut share, &mut stored, position, (&unread, &open));
                }
            }
            save(&mut share, &mut stored, position, (&unread, &open));
        }
        for position in 1..=60 {
            let row = &stored[&outbox_core::partition::partition_of(&key(position), position, count)];
            assert_eq!(is_open(row, position), !done.contains(&position), "seed {seed}: {position} in {row:?}");
        }
    }
}

fn save(
    share: &mut Share,
    stored: &mut BTreeMap<u32, Checkpoint>,
    position: Position,
    (missing, open): (&BTreeSet<Position>, &BTreeSet<Position>),
) {
    let [missing, open] = [missing, open].map(|each| each.iter().map(|each| *each..=*each).collect());
    for (held, checkpoint) in share.checkpoints(position, missing, &open, &[]) {
        assert!(stored[&held.partition].position <= checkpoint.position, "back");
        stored.insert(held.partition, checkpoint);
    }
}

/// An event as the log holds it.
fn row(position: Position) -> Row {
    let unreadable = Unreadable {
        position,
        event_id: Uuid::nil(),
        topic: String::new(),
        key: key(position),
        reason: String::new(),
        copy: None,
    };
    Row::Unreadable(unreadable)
}

#[test]
fn no_more_rows_are_kept_than_there_is_room_for() {
    let mut share = Share::new(&[held(0)], claimed(2, BTreeMap::from([(0, at(0, []))])));
    assert_eq!(share.rows_for(10), 20 + 2 * 4, "the variance is 20");
    let due = (1..=40).filter(|each| share.is_due(&key(*each), *each)).collect::<Vec<_>>();
    assert!(due.len() > 4 && due.len() < 40);
    let sifted = share.sift((1..=40).map(row).collect(), 4);
    assert_eq!(sifted.last().map(Row::position), Some(due[4] - 1), "up to the fifth that is due");
    let kept: Vec<_> = sifted.iter().filter(|row| !matches!(row, Row::Filtered(_))).map(Row::position).collect();
    assert_eq!(kept, due[..4]);
    assert_eq!(share.sift((1..=40).map(row).collect(), 40).len(), 40);
    share.follow(&sifted);
    let open = kept.iter().map(|each| *each..=*each).collect();
    assert_eq!(
        share.checkpoints(due[3], PositionSet::new(), &open, &[])[0].1.position,
        due[0] - 1,
        "one range to its end, left to be read again"
    );
}

#[test]
fn a_partition_that_there_is_no_longer_is_left_out() {
    let share = Share::new(&[held(0), held(7)], claimed(2, BTreeMap::from([(0, at(3, []))])));
    assert!(!share.is_whole());
    assert!((1..99).any(|position| share.is_due(&key(position), position)));
    assert!(Share::new(&[held(7)], claimed(2, BTreeMap::new())).start().is_none());
}
