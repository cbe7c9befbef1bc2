//! The relay in fair weather: everything once, in key order, within its window.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::collections::VecDeque;
use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::publisher::Discipline;
use outbox_core::{Filter, NewEvent, Operation, Start, Store, StoreErrorKind};
use outbox_relay::publisher::channel;
use outbox_relay::{Outcome, RelayError, Subscription};

use super::interposed::Interposed;
use super::log::{SUBSCRIPTION, drain, event, numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::{ORDERED, Sink};
use super::waiting::{eventually, within};
use super::{Backend, Business, Order, SqlBackend};

const KEYS: [&str; 3] = ["a", "b", "c"];

pub async fn everything_is_published_once_and_in_key_order<B: Backend>(backend: &B) {
    write(backend, &KEYS, 1, 60).await;
    for discipline in [Discipline::default(), ORDERED, Discipline { batch: 7, ..Discipline::default() }] {
        let sink = Sink::new().with_discipline(discipline);
        let name = format!("{discipline:?}");
        let outcome = drain(relay(backend.store()).subscription(Subscription::new(name, sink.clone()))).await.unwrap();
        assert_eq!(outcome, Outcome { blocked: 0 });
        assert_eq!(sink.by_key(), numbered(&KEYS, 1, 60), "{discipline:?}");
    }
}

pub async fn events_captured_later_follow<B: Backend>(backend: &B) {
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    for n in 1..=5 {
        write(backend, &KEYS, n, n).await;
        sink.until_taken(usize::try_from(n).unwrap() * KEYS.len()).await;
    }
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&KEYS, 1, 5));
}

pub async fn subscriptions_are_independent<B: Backend>(backend: &B) {
    let order = Order { id: "o".into(), tenant: "eu".into(), total: 1 };
    let mut tx = backend.begin().await;
    B::append(&mut tx, &event("a", 1)).await.unwrap();
    B::append(&mut tx, &NewEvent::new("mail.sent", "m").json("1")).await.unwrap();
    B::change(&mut tx, None, Some(&order)).await.unwrap();
    B::change(&mut tx, Some(&order), None).await.unwrap();
    tx.commit().await.unwrap();
    let (orders, mails, deletes, all) = (Sink::new(), Sink::new(), Sink::new().with_discipline(ORDERED), Sink::new());
    let only_deletes = Filter { operations: vec![Operation::Delete], ..Filter::default() };
    let relay = relay(backend.store())
        .subscription(Subscription::new("orders", orders.clone()).topics(["shop.*"]))
        .subscription(Subscription::new("mails", mails.clone()).topics(["mail.sent"]))
        .subscription(Subscription::new("deletes", deletes.clone()).filter(only_deletes))
        .subscription(Subscription::new("all", all.clone()));
    assert_eq!(drain(relay).await.unwrap(), Outcome { blocked: 0 });
    let taken = [orders.positions(), mails.positions(), deletes.positions(), all.positions()];
    assert_eq!(taken, [vec![1, 3, 4], vec![2], vec![4], vec![1, 2, 3, 4]]);
    let status = backend.store().status().await.unwrap();
    let at: Vec<_> =
        status.subscriptions.iter().map(|each| (each.name.as_str(), each.partitions[0].position)).collect();
    assert_eq!(at, [("all", 4), ("deletes", 4), ("mails", 4), ("orders", 4)]);
}

pub async fn a_new_subscription_starts_where_it_says<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    let (now, fourth) = (Sink::new(), Sink::new());
    let from = |name, sink: &Sink, start| Subscription::new(name, sink.clone()).start(start);
    let both = || {
        relay(backend.store()).subscription(from("now", &now, Start::Now)).subscription(from(
            "fourth",
            &fourth,
            Start::Position(4),
        ))
    };
    drain(both()).await.unwrap();
    assert_eq!((now.positions(), fourth.positions()), (vec![], vec![4, 5]));
    write(backend, &["k"], 6, 7).await;
    drain(both()).await.unwrap();
    assert_eq!((now.positions(), fourth.positions()), (vec![6, 7], vec![4, 5, 6, 7]));
}

pub async fn small_windows_let_everything_through<B: Backend>(backend: &B) {
    write(backend, &KEYS, 1, 20).await;
    for (events, bytes) in [(1, 1 << 20), (16, 1 << 20), (10_000, 1), (10_000, 2000)] {
        for discipline in [Discipline::default(), ORDERED] {
            let sink = Sink::new().with_discipline(discipline);
            let subscription = Subscription::new(format!("{events} {bytes} {discipline:?}"), sink.clone());
            let relay = relay(backend.store()).window_events(events).window_bytes(bytes).subscription(subscription);
            assert_eq!(drain(relay).await.unwrap(), Outcome { blocked: 0 });
            assert_eq!(sink.by_key(), numbered(&KEYS, 1, 20), "{events} events, {bytes} bytes, {discipline:?}");
        }
    }
}

pub async fn memory_is_bounded_by_the_window<B: Backend>(backend: &B) {
    const EVENTS: usize = 60;
    const EVENT: u64 = 50_000;
    const WINDOW: u64 = 400_000;
    let large = |n: usize| NewEvent::new("t", format!("key-{n}")).json(format!("\"{}\"", "x".repeat(50_000 - 2)));
    let mut tx = backend.begin().await;
    B::append_all(&mut tx, &(0..EVENTS).map(large).collect::<Vec<_>>()).await.unwrap();
    tx.commit().await.unwrap();
    let store = Interposed::new(backend.store());
    let (sender, mut receiver) = channel(100);
    let relay = relay(store.clone()).window_bytes(WINDOW).subscription(subscription(sender));
    let receive = async {
        let (mut held, mut seen, mut answered) = (VecDeque::new(), 0, 0);
        while let Some(event) = receiver.recv().await {
            seen += 1;
            held.push_back(event);
            let unanswered = store.bytes_read() - answered * EVENT;
            assert!(unanswered <= WINDOW + EVENT, "{unanswered} bytes read and not answered for");
            while held.len() > 2 || (seen == EVENTS && !held.is_empty()) {
                held.pop_front().expect("there is one").acknowledge();
                answered += 1;
            }
        }
    };
    let (outcome, ()) = tokio::join!(drain(relay), receive);
    assert_eq!(outcome.unwrap(), Outcome { blocked: 0 });
    assert_eq!(store.bytes_read(), EVENTS as u64 * EVENT, "nothing was read twice");
}

pub async fn open_positions_are_published_and_no_others<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 12).await;
    let checkpoint = Checkpoint { position: 10, open: [2..=3, 7..=7].into_iter().collect(), events: Vec::new() };
    backend.store().checkpoints().await.unwrap().create(SUBSCRIPTION, 1, &checkpoint).await.unwrap();
    for discipline in [Discipline::default(), ORDERED] {
        let sink = Sink::new().with_discipline(discipline);
        drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
        let wanted = if discipline == ORDERED { vec![] } else { vec![2, 3, 7, 11, 12] };
        assert_eq!(sink.positions(), wanted);
    }
}

pub async fn an_empty_log_ends_at_once<B: Backend>(backend: &B) {
    let sink = Sink::new();
    assert_eq!(drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap().blocked, 0);
    write(backend, &["k"], 1, 3).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions(), [1, 2, 3]);
}

pub async fn a_publisher_that_never_answers_runs_out_of_time<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 1).await;
    let (sender, mut receiver) = channel(1);
    let limit = Duration::from_millis(300);
    let relay = relay(backend.store()).shutdown_timeout(Duration::ZERO).until_empty(Some(limit));
    let running = relay.subscription(subscription(sender)).start().await.unwrap();
    let stuck = within("the event", receiver.recv()).await;
    let error = within("the relay to give up", running.wait()).await.unwrap_err();
    assert!(matches!(&error, RelayError::Timeout { waited, .. } if *waited == limit), "{error}");
    drop(stuck);
}

pub async fn a_schema_of_another_version_is_refused<B: SqlBackend>(backend: &B) {
    backend.admin("UPDATE outbox_meta SET value = '99' WHERE name = 'schema_version'").await;
    let refused = relay(backend.store()).subscription(subscription(Sink::new())).start().await;
    match refused {
        Err(RelayError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Precondition),
        other => panic!("{:?}", other.map(drop)),
    }
    backend.admin("UPDATE outbox_meta SET value = '1' WHERE name = 'schema_version'").await;
    drain(relay(backend.store()).subscription(subscription(Sink::new()))).await.unwrap();
}

/// One that stays open holds vacuum back, on every table of the database.
pub async fn no_transaction_stays_open_while_something_is_published(backend: &Postgres) {
    write(backend, &["k"], 1, 2).await;
    let (sender, mut receiver) = channel(10);
    let store = Interposed::new(backend.store());
    let running = relay(store.clone()).lease(Duration::from_secs(1)).subscription(subscription(sender));
    let running = running.start().await.unwrap();
    let held = within("an event", receiver.recv()).await.unwrap();
    let since = backend.ask("SELECT clock_timestamp()::text").await.unwrap();
    let looks = store.looks();
    eventually("the relay to go on meanwhile", async || store.looks(), |now| *now >= looks + 3).await;
    let open = format!(
        "SELECT string_agg(query, '; ') FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'outbox-relay' AND xact_start <= '{since}'"
    );
    assert_eq!(backend.ask(&open).await, None);
    held.acknowledge();
    within("the next event", receiver.recv()).await.unwrap().acknowledge();
    within("the relay to stop", running.stop()).await.unwrap();
}
