use super::*;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A reader that read everything up to a position and remembers the last few events, each by the id of its position.
fn reader(position: Position, remembered: std::ops::RangeInclusive<Position>) -> Reader {
    let events = remembered.map(|at| (at, id(at.unsigned_abs().into()))).collect();
    let checkpoint = Checkpoint { position, events, ..Checkpoint::default() };
    Reader { subscription: "billing".into(), partition: 0, checkpoint, epoch: 3, owner: None }
}

/// A log that holds its own events up to `same`, and after them others.
fn log(same: Position, last: Position) -> Log {
    let event = |at: Position| (at, vec![id(at.unsigned_abs().into())]);
    let other = |at: Position| (at, vec![id(1000 + u128::from(at.unsigned_abs()))]);
    Log {
        last_drawn: Some(last),
        lowest: (last > 0).then_some(1),
        highest: (last > 0).then_some(last),
        found: (1..=same).map(event).chain((same + 1..=last).map(other)).collect(),
        ..Log::default()
    }
}

fn only(plan: Plan) -> Break {
    assert_eq!(plan.readers.len(), 1, "{plan:?}");
    plan.readers.into_iter().next().unwrap()
}

#[test]
fn a_log_that_is_as_it_was_left_needs_nothing() {
    assert!(Plan::new(&[reader(10, 3..=10)], &log(12, 12), None).is_empty());
    let mut fresh = reader(0, 1..=1);
    fresh.checkpoint.events.clear();
    assert!(Plan::new(&[fresh], &log(0, 0), None).is_empty());
}

#[test]
fn what_cleanup_removed_is_not_missed() {
    let cleaned = Log { floor: 30, last_drawn: Some(30), ..Log::default() };
    assert!(Plan::new(&[reader(30, 7..=30)], &cleaned, None).is_empty());
}

#[test]
fn a_reader_goes_back_to_the_newest_event_that_is_the_same() {
    let plan = Plan::new(&[reader(100, 77..=100)], &log(80, 95), None);
    assert_eq!(plan.positions, Some(Raise { from: 95, to: 100 }));
    let found = only(plan);
    assert_eq!((found.position, found.back_to, found.missing, found.epoch), (100, 80, 20, 4));
    assert_eq!(found.checkpoint.events.len(), 4);
    assert!(found.broken.contains("up to position 100, and positions up to 95"), "{}", found.broken);
}

#[test]
fn a_log_that_overtook_its_reader_is_known_by_its_events() {
    let plan = Plan::new(&[reader(100, 77..=100)], &log(80, 300), None);
    assert_eq!(plan.positions, None);
    let found = only(plan);
    assert_eq!(found.back_to, 80);
    assert_eq!(found.broken, "position 81 holds another event than was read there");
    let removed = Log { found: BTreeMap::new(), ..log(0, 300) };
    let found = only(Plan::new(&[reader(100, 77..=100)], &removed, None));
    assert!(found.broken.contains("read at position 77 is gone"), "{}", found.broken);
}

#[test]
fn what_was_read_and_not_acknowledged_is_no_reason_to_skip_it() {
    let found = only(Plan::new(&[reader(50, 77..=100)], &log(80, 300), None));
    assert_eq!(found.back_to, 50);
}

#[test]
fn open_positions_above_are_dropped_and_those_below_stay() {
    let mut behind = reader(100, 77..=100);
    behind.checkpoint.open = [5..=6, 90..=91].into_iter().collect();
    let found = only(Plan::new(&[behind], &log(80, 300), None));
    assert_eq!((found.back_to, found.open.as_str()), (80, "{[5,6]}"));
}

#[test]
fn another_event_below_one_that_is_the_same_is_read() {
    let mut replaced = log(100, 100);
    replaced.found.insert(80, vec![id(7)]);
    replaced.found.remove(&79);
    let found = only(Plan::new(&[reader(100, 77..=100)], &replaced, None));
    assert_eq!((found.back_to, found.open.as_str(), found.missing), (100, "{[80,80]}", 2));
    let mut last = log(100, 100);
    last.found.insert(100, vec![id(7)]);
    let found = only(Plan::new(&[reader(99, 77..=101)], &last, None));
    assert_eq!((found.back_to, found.open.as_str()), (99, "{}"));
}

#[test]
fn an_emptied_log_that_counts_from_1_again_is_read_whole() {
    let plan = Plan::new(&[reader(100, 77..=100)], &log(0, 5), None);
    assert_eq!(plan.positions, Some(Raise { from: 5, to: 100 }));
    let found = only(plan);
    assert_eq!((found.back_to, found.open.as_str()), (0, "{}"));
    assert!(found.checkpoint.events.is_empty());
}

#[test]
fn below_a_floor_it_is_read_whole_too() {
    let few = Log { floor: 30, found: BTreeMap::new(), ..log(0, 5) };
    let plan = Plan::new(&[reader(100, 77..=100)], &few, None);
    assert_eq!((plan.floor, only(plan.clone()).back_to, only(plan).open.as_str()), (None, 30, "{[1,29]}"));
    // Positions given out again have reached the floor: nothing was ever removed from this log.
    let many = Log { floor: 30, ..log(0, 150) };
    let plan = Plan::new(&[reader(100, 77..=100)], &many, None);
    assert_eq!((plan.floor, only(plan.clone()).back_to, only(plan).open.as_str()), (Some(0), 0, "{}"));
}

#[test]
fn positions_set_back_among_events_that_are_still_there_are_read_again() {
    let set_back = Log { last_drawn: Some(5), ..log(100, 100) };
    let plan = Plan::new(&[reader(100, 77..=100)], &set_back, None);
    assert_eq!(plan.positions, Some(Raise { from: 5, to: 100 }));
    let found = only(plan);
    assert_eq!((found.back_to, found.open.as_str(), found.missing), (100, "{[1,5]}", 0));
}

#[test]
fn events_share_a_position_only_where_positions_were_set_back() {
    assert!(!log(100, 100).may_have_doubles() && !log(80, 300).may_have_doubles() && !log(0, 0).may_have_doubles());
    assert!(Log { last_drawn: Some(5), ..log(100, 100) }.may_have_doubles());
    let mut overtaken = log(100, 300);
    overtaken.found.insert(80, vec![id(80), id(7)]);
    assert!(overtaken.may_have_doubles());
    assert_eq!(only(Plan::new(&[reader(100, 77..=100)], &overtaken, None)).open, "{[80,80]}");
}

#[test]
fn positions_go_on_above_all_that_anybody_has_seen() {
    let mut waiting = reader(40, 30..=45);
    waiting.checkpoint.open = [50..=60].into_iter().collect();
    let raised = |log: Log| Plan::new(&[waiting.clone()], &log, Some("nobody")).positions.map(|raise| raise.to);
    assert_eq!(raised(Log { last_drawn: Some(59), ..log(45, 45) }), Some(60));
    assert_eq!(raised(Log { letters: Some(70), last_drawn: Some(59), ..log(45, 45) }), Some(70));
    assert_eq!(raised(Log { highest: Some(80), last_drawn: Some(59), ..log(45, 45) }), Some(80));
    assert_eq!(raised(Log { floor: 90, last_drawn: Some(59), ..log(45, 45) }), Some(90));
    assert_eq!(raised(Log { last_drawn: Some(60), ..log(45, 45) }), None);
    assert_eq!(raised(Log { last_drawn: None, ..log(45, 45) }), None);
}

#[test]
fn only_the_subscription_that_is_asked_for_is_set_back() {
    let export = Reader { subscription: "export:daily".into(), ..reader(100, 77..=100) };
    let readers = [export, reader(100, 77..=100)];
    assert_eq!(Plan::new(&readers, &log(80, 95), None).readers.len(), 2);
    let plan = Plan::new(&readers, &log(80, 95), Some("export:daily"));
    assert_eq!(plan.done(), "export:daily/0 from 100 back to 80, positions from 95 raised to 100");
    assert_eq!(only(plan).subscription, "export:daily");
}
