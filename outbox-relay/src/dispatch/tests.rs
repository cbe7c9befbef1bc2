//! Plain cases by name, and a model that a faulty publisher puts through all of them.

#![expect(clippy::disallowed_methods, reason = "a moment to count from, which the dispatch is told like any other")]

mod model;
mod parking;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use outbox_core::checkpoint::Recorded;
use outbox_core::dead_letter::{Queue, State, Taken, TakenLetter};
use outbox_core::publisher::{Answer, Delivery, Discipline};
use outbox_core::source::{Row, Unreadable};
use outbox_core::{Event, Filter, Payload, Position};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Dispatch;
use crate::retry::{Retry, Then};

const ONE_AT_A_TIME: Discipline = Discipline { keeps_order: false, batch: 1, calls: 1000, checks: true };
const PIPELINE: Discipline = Discipline { keeps_order: true, batch: 2, calls: 4, checks: true };

const RETRY: Retry = Retry {
    first: Duration::from_millis(100),
    max: Duration::from_secs(2),
    attempts: 3,
    budget: Duration::from_hours(1),
    then: Then::Block,
    max_parked: 1000,
    max_parked_keys: 1000,
};

fn event(position: Position, key: &str) -> Event {
    Event {
        position,
        event_id: Uuid::from_u64_pair(0, position.unsigned_abs()),
        topic: "shop.orders".into(),
        key: key.into(),
        event_type: None,
        aggregate_type: None,
        operation: None,
        payload: Some(Payload::Text(vec![b'1'; usize::try_from(position % 7).unwrap()])),
        old_payload: None,
        content_type: Cow::Borrowed("application/json"),
        headers: None,
        tenant_id: None,
        actor: None,
        schema_version: None,
        transaction_id: None,
        occurred_at: OffsetDateTime::UNIX_EPOCH,
    }
}

fn row(position: Position, key: &str) -> Row {
    Row::Event(Box::new(event(position, key)))
}

fn unreadable(position: Position, key: &str) -> Row {
    Row::Unreadable(Unreadable {
        position,
        event_id: Uuid::nil(),
        topic: "shop.orders".into(),
        key: key.into(),
        reason: "event_key is not UTF-8".into(),
        copy: None,
    })
}

/// Decided about at this second, where there is one.
fn recorded(position: Position, state: State, second: i64) -> Recorded {
    let settled_at = (second > 0).then(|| OffsetDateTime::from_unix_timestamp(second).unwrap());
    Recorded { position, state, settled_at }
}

fn retry(reason: &str) -> Answer {
    Answer::Retry { after: None, reason: reason.into() }
}

fn reject(reason: &str) -> Answer {
    Answer::Reject { reason: reason.into() }
}

fn dispatch(discipline: Discipline, rows: Vec<Row>) -> Dispatch {
    let mut dispatch = Dispatch::new(discipline, RETRY, []);
    dispatch.admit(rows);
    dispatch
}

fn positions(call: &[Delivery]) -> Vec<Position> {
    call.iter().map(|delivery| delivery.event.position).collect()
}

/// All calls that may be made now.
fn calls(dispatch: &mut Dispatch, now: Instant) -> Vec<Vec<Delivery>> {
    std::iter::from_fn(|| dispatch.next_call(now)).collect()
}

/// Publishes all that may be published at any time, and says in which order.
fn drain(dispatch: &mut Dispatch, mut now: Instant) -> Vec<Position> {
    let mut published = Vec::new();
    loop {
        while let Some(call) = dispatch.next_call(now) {
            published.extend(positions(&call));
            let answers = vec![Answer::Published; call.len()];
            dispatch.settle(call, answers, now);
        }
        match dispatch.next_wake() {
            Some(wake) => now = wake,
            None => return published,
        }
    }
}

#[test]
fn a_key_has_one_event_in_flight_and_keyless_ones_do_not_wait() {
    let now = Instant::now();
    let mut dispatch = dispatch(ONE_AT_A_TIME, vec![row(1, "a"), row(2, "a"), row(3, ""), row(4, ""), row(5, "b")]);
    let mut in_flight = calls(&mut dispatch, now);
    assert_eq!(in_flight.iter().flat_map(|call| positions(call)).collect::<Vec<_>>(), [1, 3, 4, 5]);
    dispatch.settle(in_flight.remove(0), vec![Answer::Published], now);
    assert_eq!(positions(&dispatch.next_call(now).unwrap()), [2]);
    assert_eq!(dispatch.open().to_string(), "{[2,5]}");
}

#[test]
fn a_resting_event_holds_its_own_key_alone() {
    let now = Instant::now();
    let mut dispatch = dispatch(ONE_AT_A_TIME, vec![row(1, "a"), row(2, "a"), row(3, "b")]);
    let call = dispatch.next_call(now).unwrap();
    let after = Duration::from_secs(9);
    let settled = dispatch.settle(call, vec![Answer::Retry { after: Some(after), reason: "busy".into() }], now);
    assert_eq!((settled.published, settled.failure), (0, Some((1, "busy".to_owned()))));
    assert_eq!(dispatch.next_wake(), Some(now + after));
    let call = dispatch.next_call(now).unwrap();
    assert_eq!(positions(&call), [3]);
    dispatch.settle(call, vec![Answer::Published], now);
    assert!(dispatch.next_call(now + after / 2).is_none() && !dispatch.is_moving() && !dispatch.only_blocked_left());
    let again = dispatch.next_call(now + after).unwrap();
    assert_eq!((positions(&again), again[0].attempt), (vec![1], 2));
}

#[test]
fn a_rejected_event_blocks_what_comes_after_it_in_its_key() {
    let now = Instant::now();
    for discipline in [ONE_AT_A_TIME, PIPELINE] {
        let mut dispatch = dispatch(discipline, vec![row(1, "a"), row(2, "a"), row(3, "b")]);
        let call = dispatch.next_call(now).unwrap();
        let answers = call.iter().map(|_| reject("too large")).collect();
        dispatch.settle(call, answers, now);
        dispatch.admit(vec![row(4, "a"), row(5, "b")]);
        assert_eq!(drain(&mut dispatch, now), [3, 5]);
        assert!(dispatch.only_blocked_left());
        assert_eq!(dispatch.open().to_string(), "{[1,2],[4,4]}");
        let letters = dispatch.take_unrecorded();
        assert_eq!((letters.len(), letters[0].position, letters[0].reason.as_str()), (1, 1, "too large"));
        assert!(dispatch.take_unrecorded().is_empty());
    }
}

#[test]
fn an_event_is_given_up_after_its_attempts() {
    let mut now = Instant::now();
    let mut dispatch = dispatch(ONE_AT_A_TIME, vec![row(1, "a")]);
    for attempt in 1..=3 {
        now += Duration::from_secs(3);
        let call = dispatch.next_call(now).unwrap();
        assert_eq!(call[0].attempt, attempt);
        dispatch.settle(call, vec![retry("busy")], now);
    }
    let letter = &dispatch.blocked()[&1];
    assert_eq!((letter.reason.as_str(), letter.attempts), ("gave up after 3 attempts: busy", 3));
}

#[test]
fn a_call_that_fails_as_a_whole_costs_no_attempt() {
    let now = Instant::now();
    for discipline in [ONE_AT_A_TIME, PIPELINE] {
        let mut dispatch = dispatch(discipline, vec![row(1, "a"), row(2, "a"), row(3, "b")]);
        for _ in 0..10 {
            for call in calls(&mut dispatch, now).into_iter().rev() {
                assert!(call.iter().all(|delivery| delivery.attempt == 1));
                dispatch.give_back(call, Instant::now());
            }
        }
        assert_eq!(
            drain(&mut dispatch, now).iter().filter(|position| **position < 3).copied().collect::<Vec<_>>(),
            [1, 2]
        );
    }
}

#[test]
fn a_pipeline_is_emptied_after_a_failure_and_goes_on_in_order() {
    let now = Instant::now();
    let mut dispatch = dispatch(PIPELINE, (1..=8).map(|position| row(position, "a")).collect());
    let first = dispatch.next_call(now).unwrap();
    let second = dispatch.next_call(now).unwrap();
    dispatch.settle(second, vec![retry("behind 2"), retry("behind 2")], now);
    assert!(dispatch.next_call(now + Duration::from_mins(1)).is_none(), "one call is still out");
    dispatch.settle(first, vec![Answer::Published, retry("busy")], now);
    assert_eq!(drain(&mut dispatch, now), [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn an_unreadable_event_blocks_its_key_even_while_an_earlier_one_rests() {
    let now = Instant::now();
    for discipline in [ONE_AT_A_TIME, PIPELINE] {
        let mut dispatch = dispatch(discipline, vec![row(1, "a")]);
        let call = dispatch.next_call(now).unwrap();
        dispatch.settle(call, vec![retry("busy")], now);
        dispatch.admit(vec![unreadable(2, "a"), row(3, "a")]);
        assert_eq!(drain(&mut dispatch, now), [1], "3 must not pass 2");
        dispatch.admit(vec![row(4, "a")]);
        assert_eq!(drain(&mut dispatch, now), [0; 0], "nor must 4");
        assert!(dispatch.only_blocked_left());
    }
}

#[test]
fn what_comes_before_a_blocked_event_still_passes() {
    let now = Instant::now();
    for discipline in [ONE_AT_A_TIME, PIPELINE] {
        let mut dispatch =
            dispatch(discipline, vec![row(1, "a"), row(2, "a"), row(3, "a"), unreadable(4, "a"), row(5, "a")]);
        let call = dispatch.next_call(now).unwrap();
        dispatch.give_back(call, Instant::now());
        assert_eq!(drain(&mut dispatch, now), [1, 2, 3]);
    }
}

#[test]
fn of_a_key_in_a_pipeline_only_the_first_that_fails_is_to_blame() {
    let now = Instant::now();
    let mut dispatch = dispatch(Discipline { batch: 1, ..PIPELINE }, vec![row(1, "a"), row(2, "a")]);
    let mut in_flight = calls(&mut dispatch, now);
    dispatch.settle(in_flight.remove(1), vec![reject("behind another")], now);
    assert!(dispatch.next_call(now).is_none(), "1 has not come back yet");
    dispatch.settle(in_flight.remove(0), vec![retry("busy")], now);
    assert!(dispatch.blocked().is_empty());
    assert_eq!(drain(&mut dispatch, now), [1, 2]);
}

#[test]
fn a_recorded_event_that_passes_is_forgiven() {
    let now = Instant::now();
    let mut dispatch =
        Dispatch::new(ONE_AT_A_TIME, RETRY, [1, 2].map(|position| recorded(position, State::Blocked, 0)));
    dispatch.admit(vec![row(1, "a"), row(3, "")]);
    drain(&mut dispatch, now);
    assert_eq!(dispatch.take_settled(), (vec![1], vec![]));
    assert_eq!(dispatch.take_settled(), (vec![], vec![]));
}

#[test]
fn what_an_operator_decides_about_a_blocked_event_is_done() {
    let now = Instant::now();
    for discipline in [ONE_AT_A_TIME, PIPELINE] {
        let rows = || vec![row(1, "a"), row(2, "a"), unreadable(3, "a"), row(4, "a"), row(5, "b")];
        let mut dispatch = dispatch(discipline, rows());
        let call = dispatch.next_call(now).unwrap();
        let answers = call.iter().map(|_| reject("too large")).collect();
        dispatch.settle(call, answers, now);
        assert_eq!((drain(&mut dispatch, now), dispatch.open().to_string()), (vec![5], "{[1,4]}".to_owned()));
        assert_eq!(dispatch.take_unrecorded().len(), 2);

        let (open, asked) = (recorded(3, State::Blocked, 0), recorded(1, State::Blocked, 7));
        assert!(!dispatch.decided(&[recorded(1, State::Blocked, 0), open]));
        assert!(dispatch.next_call(now).is_none(), "nobody decided");
        assert!(!dispatch.decided(&[asked, open]));
        let again = dispatch.next_call(now).unwrap();
        assert_eq!((positions(&again)[0], again[0].attempt), (1, 1));
        let answers = again.iter().map(|_| reject("still too large")).collect();
        dispatch.settle(again, answers, now);
        assert_eq!(dispatch.take_unrecorded().len(), 1);
        assert!(!dispatch.decided(&[asked, open]) && dispatch.next_call(now).is_none(), "that was followed");

        let skipped = recorded(1, State::Skipped, 8);
        assert!(dispatch.decided(&[skipped, recorded(3, State::Blocked, 8)]));
        assert_eq!(drain(&mut dispatch, now), [2], "3 cannot be read, and stands before 4");
        assert_eq!(dispatch.take_unrecorded().len(), 1, "trying 3 again came to nothing");
        assert!(dispatch.decided(&[skipped, recorded(3, State::Discarded, 9)]));
        assert_eq!((drain(&mut dispatch, now), dispatch.open().to_string()), (vec![4], "{}".to_owned()));
        assert_eq!((dispatch.events(), dispatch.bytes()), (0, 0));
        assert!(dispatch.blocked().is_empty() && dispatch.take_settled() == (vec![], vec![]));
    }
}

#[test]
fn what_was_given_up_while_nobody_worked_is_not_sent() {
    let now = Instant::now();
    let known = [recorded(1, State::Skipped, 7), recorded(3, State::Blocked, 7)];
    let mut dispatch = Dispatch::new(ONE_AT_A_TIME, RETRY, known);
    dispatch.admit(vec![row(1, "a"), row(2, "a"), row(3, "b")]);
    assert_eq!(drain(&mut dispatch, now), [2, 3]);
    assert_eq!((dispatch.take_settled(), dispatch.events()), ((vec![3], vec![]), 0));
}

#[test]
fn what_is_given_up_while_it_is_tried_is_not_tried_once_more() {
    let now = Instant::now();
    let mut dispatch = dispatch(ONE_AT_A_TIME, vec![row(1, "a"), row(2, "a")]);
    let call = dispatch.next_call(now).unwrap();
    assert!(!dispatch.decided(&[recorded(1, State::Skipped, 7)]), "it may pass");
    dispatch.settle(call, vec![reject("too large")], now);
    assert_eq!((drain(&mut dispatch, now), dispatch.open().to_string()), (vec![2], "{}".to_owned()));
    assert!(dispatch.take_unrecorded().is_empty());
}

#[test]
fn a_blocked_event_stays_behind_the_letters_of_its_key() {
    let now = Instant::now();
    for discipline in [ONE_AT_A_TIME, PIPELINE] {
        let mut dispatch = dispatch(discipline, vec![row(10, "a")]);
        let call = dispatch.next_call(now).unwrap();
        dispatch.settle(call, vec![reject("too large")], now);
        let queue = |first, letters| Queue { key: "a".into(), first, letters, is_parked: false };
        let taken = |positions: &[Position], more| {
            let letter = |position: &Position| TakenLetter { row: row(*position, "a"), attempts: 1, replayed: true };
            Some(Taken { letters: positions.iter().map(letter).collect(), more })
        };
        dispatch.look(vec![queue(3, 4)]);
        dispatch.admit(vec![row(12, "a")]);
        let gone = dispatch.take_parked();
        assert_eq!(gone.iter().map(|letter| letter.event.position).collect::<Vec<_>>(), [12], "10 stays owed");
        dispatch.parked(&gone);
        let [first] = &dispatch.start_taking()[..] else { panic!("the letters before it are not taken") };
        dispatch.taken(first, taken(&[3, 4], true), &Filter::default());
        assert_eq!(drain(&mut dispatch, now), [3, 4]);
        let [second] = &dispatch.start_taking()[..] else { panic!("the others are not taken") };
        assert!(!dispatch.is_draining(), "nobody waits for letters behind an event that is blocked");
        dispatch.taken(second, taken(&[5, 6, 12], false), &Filter::default());
        assert_eq!((drain(&mut dispatch, now), dispatch.is_draining()), (vec![5, 6], false), "12 stands behind 10");
        assert!(dispatch.decided(&[recorded(10, State::Skipped, 7)]));
        assert_eq!((drain(&mut dispatch, now), dispatch.open().to_string()), (vec![12], "{}".to_owned()));
        assert_eq!((dispatch.events(), dispatch.bytes(), dispatch.letters()), (0, 0, 0));
    }
}

#[test]
fn what_is_not_what_it_says_is_handed_to_nobody_who_does_not_check() {
    let now = Instant::now();
    for then in [Then::Park, Then::Skip, Then::Block] {
        let odd = |position, key| {
            let mut event = event(position, key);
            event.payload = Some(Payload::Text(b"{'n': 1}".to_vec()));
            Row::Event(Box::new(event))
        };
        let mut dispatch = Dispatch::new(Discipline::default(), Retry { then, ..RETRY }, []);
        dispatch.admit(vec![row(1, "a"), odd(2, "a"), odd(3, "a"), row(4, "a"), odd(5, ""), row(6, "b")]);
        let sent = drain(&mut dispatch, now);
        let parked = dispatch.take_parked();
        dispatch.parked(&parked);
        if then == Then::Skip {
            assert_eq!(sent, [1, 6, 4]);
        } else {
            assert_eq!(sent, [1, 6], "{then:?}");
        }
        let kept = if then == Then::Block { dispatch.events() } else { parked.len() };
        assert_eq!(kept, if then == Then::Skip { 3 } else { 4 }, "{then:?}");
    }
}

#[test]
fn nothing_wrong_gets_through_where_one_of_a_key_is_in_flight() {
    for seed in 0..500 {
        model::run(seed, false);
    }
}

#[test]
fn nothing_wrong_gets_through_where_the_publisher_keeps_order() {
    for seed in 0..500 {
        model::run(seed, true);
    }
}
