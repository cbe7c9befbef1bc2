//! Events that were published and are sent once more.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outbox_core::publisher::Answer;
use outbox_core::{Filter, NewEvent, Store};
use outbox_relay::dead_letters::{DecisionError, discard};
use outbox_relay::{Outcome, Replay};
use time::OffsetDateTime;

use super::log::{SUBSCRIPTION, drain, number, relay, subscription, write};
use super::parking::{by, key, park, quick, states};
use super::sink::Sink;
use super::waiting::{eventually, within};
use super::{Backend, Business, SqlBackend};

pub async fn what_was_published_is_sent_once_more_marked_and_in_order<B: Backend>(backend: &B) {
    let marks = Arc::new(Mutex::new(Vec::new()));
    let marked = marks.clone();
    let sink = Sink::scripted(move |delivery| {
        if delivery.replayed {
            marked.lock().unwrap().push((delivery.event.key.clone(), number(&delivery.event)));
        }
        Answer::Published
    });
    let running = quick(backend.store()).subscription(subscription(sink.clone()).topics(["shop.*"])).start();
    let running = running.await.unwrap();
    let mut tx = backend.begin().await;
    B::append(&mut tx, &NewEvent::new("other", "a").json(r#"{"n":0}"#)).await.unwrap();
    tx.commit().await.unwrap();
    write(backend, &["a", "b"], 1, 300).await;
    within("the drain", running.drain()).await.unwrap();
    let replay = Replay::new(Filter { keys: vec!["a".into()], ..Filter::default() });
    let store: Arc<dyn Store> = Arc::new(backend.store());
    let dry = replay.clone().dry_run(true).run(store.clone(), SUBSCRIPTION).await.unwrap();
    assert_eq!((dry.events, dry.first), (301, Some(1)));
    assert_eq!(states(backend).await, [], "nothing is done");
    let live = async {
        for n in 301..=340 {
            write(backend, &["a", "b"], n, n).await;
        }
    };
    let (done, ()) = tokio::join!(within("the replay", replay.run(store, SUBSCRIPTION)), live);
    assert_eq!(done.unwrap().events, 301);
    sink.until_taken(600 + 300 + 80).await;
    eventually("no letters", async || states(backend).await.len(), |letters| *letters == 0).await;
    within("the relay to stop", running.stop()).await.unwrap();
    let again: Vec<_> = (1..=300).map(|n| ("a".to_owned(), n)).collect();
    assert_eq!(*marks.lock().unwrap(), again, "in order, and nothing that the subscription does not want");
    assert_eq!(sink.by_key()["b"], (1..=340).collect::<Vec<_>>());
    let taken = &sink.by_key()["a"];
    let mut firsts = std::collections::BTreeSet::new();
    let first: Vec<_> = taken.iter().filter(|n| firsts.insert(**n)).copied().collect();
    assert_eq!(first, (1..=340).collect::<Vec<_>>(), "first deliveries in order");
}

pub async fn a_replay_counts_what_it_hands_over<B: Backend>(backend: &B) {
    let sink = Sink::new();
    park(backend, &sink, 4).await;
    discard(&backend.store(), SUBSCRIPTION, &key("a"), &by("ann")).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(backend.store());
    let replay = Replay::new(Filter::default());
    for replay in [replay.clone().dry_run(true), replay] {
        let done = within("the replay", replay.run(store.clone(), SUBSCRIPTION)).await.unwrap();
        let counted = (done.events, done.letters, done.unreadable, done.first, done.last);
        assert_eq!(counted, (5, 3, 0, Some(1), Some(8)), "what was given up stays given up");
    }
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.taken().len(), 10);
}

pub async fn a_replay_survives_a_restart_and_waits_for_a_relay<B: Backend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["a", "b"], 1, 500).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(backend.store());
    let replay = Replay::new(Filter::default()).from(101).patience(Duration::from_millis(500));
    let late = within("the replay", replay.run(store.clone(), SUBSCRIPTION)).await;
    let Err(DecisionError::Late(said)) = &late else { panic!("{late:?}") };
    let next: usize = said.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((500..=800).contains(&next), "{said}");
    assert_eq!(store.status().await.unwrap().subscriptions[0].parked_events, 0, "they will pass");
    let outcome = drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!((outcome, sink.taken().len()), (Outcome { blocked: 0 }, 1000 + next - 101));
    let unknown = replay.run(store, "other").await;
    assert!(matches!(&unknown, Err(DecisionError::Refused(_))), "{unknown:?}");
}

pub async fn two_replays_at_once_send_nothing_more_than_twice<B: Backend>(backend: &B) {
    let times = Arc::new(Mutex::new(BTreeMap::new()));
    let counted = times.clone();
    let sink = Sink::scripted(move |delivery| {
        if delivery.replayed {
            *counted.lock().unwrap().entry(delivery.event.position).or_insert(0) += 1;
        }
        Answer::Published
    });
    let running = quick(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["a", "b"], 1, 300).await;
    within("the drain", running.drain()).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(backend.store());
    let replay = Replay::new(Filter::default());
    let both = async { tokio::join!(replay.run(store.clone(), SUBSCRIPTION), replay.run(store.clone(), SUBSCRIPTION)) };
    let (one, other) = within("the replays", both).await;
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.events + one.letters, other.events + other.letters), (600, 600));
    eventually("no letters", async || states(backend).await.len(), |letters| *letters == 0).await;
    within("the relay to stop", running.stop()).await.unwrap();
    let times = times.lock().unwrap();
    assert!(times.len() == 600 && times.values().all(|times| (1..=2).contains(times)), "{times:?}");
}

pub async fn a_replay_tells_what_cleanup_took_from_it<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 6).await;
    drain(relay(backend.store()).subscription(subscription(Sink::new()))).await.unwrap();
    let removed = async |from: i64, since: Option<i64>| {
        let since = since.map(|year| OffsetDateTime::from_unix_timestamp((year - 1970) * 31_557_600).unwrap());
        let replay = Replay::new(Filter { since, ..Filter::default() }).from(from).dry_run(true);
        replay.run(Arc::new(backend.store()), SUBSCRIPTION).await.unwrap().removed
    };
    assert_eq!((removed(1, None).await, removed(1, Some(2000)).await), (None, None));
    let remove_to = async |floor: i64| {
        backend.admin(&format!("DELETE FROM outbox_event WHERE position <= {floor}")).await;
        backend.admin(&format!("UPDATE outbox_meta SET value = '{floor}' WHERE name = 'floor'")).await;
    };
    backend.admin("UPDATE outbox_event SET occurred_at = '2020-01-01T00:00:00.000000Z' WHERE position <= 4").await;
    remove_to(2).await;
    assert_eq!((removed(1, None).await, removed(3, None).await), (Some(2), None));
    assert_eq!((removed(1, Some(2010)).await, removed(1, Some(2022)).await), (Some(2), None), "it goes back to 2020");
    remove_to(6).await;
    assert_eq!(removed(1, Some(2022)).await, Some(6), "nothing says from when they were");
}
