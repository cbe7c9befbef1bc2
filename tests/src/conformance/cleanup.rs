//! Cleanup: what everybody has passed goes, and nothing else.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::lease::RelayIdentity;
use outbox_core::publisher::Answer;
use outbox_core::{PositionSet, Retention, Start, Store, StoreErrorKind};
use outbox_relay::Subscription;
use outbox_relay::cleanup::{Outcome, Report, clean};
use outbox_relay::dead_letters::{By, Which, discard};
use uuid::Uuid;

use super::SqlBackend;
use super::continuity::is_continuity;
use super::interposed::Interposed;
use super::log::{SUBSCRIPTION, blocking, drain, events, numbered, relay, subscription, write};
use super::sink::{Sink, reject};
use super::waiting::{eventually, within};

/// What is left of an emptied log.
pub const NOTHING: [i64; 0] = [];

/// Removes at once what everybody has passed, and looks often.
pub fn at_once() -> Retention {
    Retention { keep: Duration::ZERO, every: Duration::from_millis(20), ..Retention::default() }
}

/// One pass of cleanup.
///
/// # Panics
///
/// When the database does not answer.
pub async fn pass<B: SqlBackend>(backend: &B, retention: &Retention) -> Report {
    clean(&backend.store(), retention, false).await.unwrap()
}

/// The positions that are left.
///
/// # Panics
///
/// When the log cannot be read.
pub async fn left<B: SqlBackend>(backend: &B) -> Vec<i64> {
    events(backend).await.iter().map(|event| event.position).collect()
}

/// Makes a subscription that has passed everything up to here, but for the open positions.
///
/// # Panics
///
/// When the database refuses it.
pub async fn reader<B: SqlBackend>(backend: &B, name: &str, position: i64, open: &str) {
    let checkpoint = Checkpoint { position, open: open.parse().unwrap(), events: Vec::new() };
    backend.store().checkpoints().await.unwrap().create(name, 1, &checkpoint).await.unwrap();
}

/// The reasons why segments were kept.
pub fn reasons(report: &Report) -> Vec<&'static str> {
    report.segments.iter().filter_map(|segment| segment.reason).collect()
}

async fn floor<B: SqlBackend>(backend: &B) -> Option<String> {
    backend.ask("SELECT value FROM outbox_meta WHERE name = 'floor'").await
}

pub async fn what_everybody_has_passed_is_removed<B: SqlBackend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["a", "b"], 1, 20).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    let report = pass(backend, &at_once()).await;
    assert!(report.segments.iter().any(|segment| segment.outcome == Outcome::Emptied), "{report:?}");
    assert_eq!((left(backend).await, floor(backend).await.as_deref()), (NOTHING.to_vec(), Some("40")));
    write(backend, &["a", "b"], 21, 22).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 22), "the log goes on behind what is gone");
    assert!(!pass(backend, &at_once()).await.segments.is_empty());
    assert_eq!(left(backend).await, NOTHING);
}

pub async fn the_slowest_subscription_keeps_what_it_has_not_passed<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 20).await;
    reader(backend, "fast", 20, "{}").await;
    reader(backend, "billing", 7, "{}").await;
    pass(backend, &at_once()).await;
    assert!(left(backend).await.contains(&8), "{:?}", left(backend).await);
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions(), (8..=20).collect::<Vec<_>>());
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}

pub async fn an_event_that_is_still_owed_is_kept<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 20).await;
    reader(backend, "billing", 20, "{[4,4],[9,10]}").await;
    pass(backend, &at_once()).await;
    let kept = left(backend).await;
    assert!([4, 9, 10].iter().all(|position| kept.contains(position)), "{kept:?}");
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions(), [4, 9, 10]);
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}

/// The first subscription may want every event.
pub async fn without_a_subscription_nothing_is_removed<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 5).await;
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await.len(), 5);
}

pub async fn young_events_are_kept<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 5).await;
    reader(backend, "billing", 5, "{}").await;
    let retention = Retention { keep: Duration::from_hours(1), ..Retention::default() };
    pass(backend, &retention).await;
    assert_eq!(left(backend).await.len(), 5);
    backend.admin("UPDATE outbox_event SET occurred_at = '2020-01-01T00:00:00.000000Z' WHERE position <> 3").await;
    pass(backend, &retention).await;
    assert!(left(backend).await.contains(&3), "one is young");
    backend.admin("UPDATE outbox_event SET occurred_at = '2020-01-01T00:00:00.000000Z' WHERE position = 3").await;
    // Who looks at the segment anew has nothing remembered of it.
    pass(backend, &retention).await;
    assert_eq!(left(backend).await, NOTHING);
}

pub async fn a_dry_run_changes_nothing<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 5).await;
    reader(backend, "billing", 5, "{}").await;
    let report = clean(&backend.store(), &at_once(), true).await.unwrap();
    assert!(report.segments.iter().any(|segment| segment.outcome == Outcome::WouldBeEmptied), "{report:?}");
    assert_eq!((left(backend).await.len(), floor(backend).await.as_deref()), (5, Some("0")));
    assert!(pass(backend, &at_once()).await.has_changed());
    assert_eq!(left(backend).await, NOTHING);
}

/// An export holds for good, a reader at work as long as its lease runs.
pub async fn holds_keep_what_lies_above_them<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 10).await;
    reader(backend, "billing", 10, "{}").await;
    reader(backend, "export:audit", 4, "{}").await;
    pass(backend, &at_once()).await;
    assert!(left(backend).await.contains(&5));
    backend.admin("UPDATE outbox_checkpoint SET position = 10 WHERE subscription = 'export:audit'").await;

    let hold = format!("hold:{}", Uuid::now_v7());
    let exporter = RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: "export".into(),
        host: "host-a".into(),
        process_id: 1,
        process_started: String::new(),
    };
    let mut leases = backend.store().leases().await.unwrap();
    leases.acquire_one(&exporter, &hold, Duration::from_mins(1)).await.unwrap();
    reader(backend, &hold, 6, "{}").await;
    pass(backend, &at_once()).await;
    assert!(left(backend).await.contains(&7));
    leases.release(&exporter).await.unwrap();
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING, "its lease has ended");
}

pub async fn a_new_subscription_begins_with_what_cleanup_has_left<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 10).await;
    reader(backend, "old", 10, "{}").await;
    pass(backend, &at_once()).await;
    write(backend, &["a"], 11, 13).await;
    for (name, start) in [("all", Start::Beginning), ("early", Start::Position(3))] {
        let sink = Sink::new();
        let subscription = Subscription::new(name, sink.clone()).start(start);
        drain(relay(backend.store()).subscription(subscription)).await.unwrap();
        assert_eq!(sink.positions(), [11, 12, 13], "{name}");
    }
}

/// Its start was found before cleanup went by, and is written after.
pub async fn a_start_that_cleanup_overtook_is_refused<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 10).await;
    let (position, open) = {
        let mut source = backend.store().source(&outbox_core::Filter::default()).await.unwrap();
        source.locate(Start::Beginning).await.unwrap()
    };
    assert_eq!((position, &open), (0, &PositionSet::new()));
    reader(backend, "old", 10, "{}").await;
    pass(backend, &at_once()).await;
    let mut checkpoints = backend.store().checkpoints().await.unwrap();
    let late = Checkpoint { position, open, events: Vec::new() };
    let error = checkpoints.create("new", 1, &late).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    let mut checkpoints = backend.store().checkpoints().await.unwrap();
    checkpoints.create("new", 1, &Checkpoint { position: 10, ..Checkpoint::default() }).await.unwrap();
}

pub async fn a_subscription_below_the_floor_is_told<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 10).await;
    reader(backend, "billing", 5, "{}").await;
    backend.admin("DELETE FROM outbox_event WHERE position <= 7").await;
    backend.admin("UPDATE outbox_meta SET value = '7' WHERE name = 'floor'").await;
    let sink = Sink::new();
    let ended = drain(relay(backend.store()).subscription(subscription(sink.clone()))).await;
    let said = ended.as_ref().unwrap_err().to_string();
    assert!(
        said.contains("is at position 5, and events up to 7 were removed") && said.contains("begin anew"),
        "{said}"
    );
    is_continuity(ended);
    assert!(sink.taken().is_empty(), "nothing of what is left is published");
}

pub async fn a_relay_cleans_while_it_works<B: SqlBackend>(backend: &B) {
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let running =
        relay(store.clone()).retention(at_once()).subscription(subscription(sink.clone())).start().await.unwrap();
    for n in 1..=3 {
        write(backend, &["a"], n, n).await;
        eventually("the log is empty", async || left(backend).await, Vec::is_empty).await;
        // The chore opens another connection and goes on.
        store.break_connections();
    }
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 3));
}

/// The records of what was given up stay as long as events are kept, and until cleanup has come past their events.
pub async fn letters_given_up_are_forgotten_in_time<B: SqlBackend>(backend: &B) {
    let hour = Retention { keep: Duration::from_hours(1), ..Retention::default() };
    let letters = async || backend.store().desk().await.unwrap().letters(SUBSCRIPTION, None).await.unwrap();
    write(backend, &["a", "b"], 1, 3).await;
    let wary = Sink::scripted(|delivery| if delivery.event.key == "a" { reject("poison") } else { Answer::Published });
    drain(relay(backend.store()).subscription(subscription(wary))).await.unwrap();
    let by = By { actor: Some("ann".into()), reason: Some("sent by hand".into()) };
    discard(&backend.store(), SUBSCRIPTION, &Which::Key("a".into()), &by).await.unwrap();
    backend.admin("UPDATE outbox_dead_letter SET settled_at = '2020-01-01T00:00:00.000000Z' WHERE position > 1").await;
    assert_eq!((pass(backend, &hour).await.letters, letters().await.len()), (0, 3), "the log has their events");
    backend.admin("UPDATE outbox_event SET occurred_at = '2020-01-01T00:00:00.000000Z'").await;
    assert_eq!((pass(backend, &hour).await.letters, left(backend).await), (2, NOTHING.to_vec()));
    assert_eq!(letters().await[0].position, 1, "it was decided just now");
    let dry = clean(&backend.store(), &at_once(), true).await.unwrap();
    assert_eq!((dry.letters, letters().await.len()), (1, 1));
    assert_eq!((pass(backend, &at_once()).await.letters, letters().await.len()), (1, 0));
}

/// Else the next relay would try an event again that an operator gave up.
pub async fn a_decision_that_no_relay_has_seen_is_kept<B: SqlBackend>(backend: &B) {
    write(backend, &["a", "b"], 1, 1).await;
    let sink = Sink::new();
    let wary =
        sink.with_script(|delivery| if delivery.event.key == "a" { reject("poison") } else { Answer::Published });
    drain(relay(backend.store()).subscription(blocking(wary.clone()))).await.unwrap();
    let by = By { actor: Some("ann".into()), reason: Some("a test order".into()) };
    discard(&backend.store(), SUBSCRIPTION, &Which::Position(1), &by).await.unwrap();
    for _ in 0..2 {
        assert_eq!(pass(backend, &at_once()).await.letters, 0);
    }
    assert_eq!(drain(relay(backend.store()).subscription(blocking(wary))).await.unwrap().blocked, 0);
    assert_eq!(sink.positions(), [2]);
    let gone = async || pass(backend, &at_once()).await.letters;
    eventually("the record to go", gone, |letters| *letters == 1).await;
}

pub async fn letters_of_a_subscription_that_is_no_more_are_forgotten<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 2).await;
    for name in [SUBSCRIPTION, "former"] {
        let wary = Sink::scripted(|_| reject("poison"));
        drain(relay(backend.store()).subscription(Subscription::new(name, wary))).await.unwrap();
    }
    backend.admin("DELETE FROM outbox_checkpoint WHERE subscription = 'former'").await;
    assert_eq!(pass(backend, &Retention::default()).await.letters, 0, "they failed just now");
    assert_eq!(pass(backend, &at_once()).await.letters, 2);
    let mut desk = backend.store().desk().await.unwrap();
    assert_eq!(desk.letters("former", None).await.unwrap(), []);
    assert_eq!(desk.letters(SUBSCRIPTION, None).await.unwrap().len(), 2, "nobody decided about these");
}
