//! The relay in foul weather: failing events, failing publishers, failing connections.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outbox_core::publisher::{Answer, Delivery, Discipline, PublishError, PublishErrorKind};
use outbox_core::testing::ManualClock;
use outbox_core::{Clock as _, Retention, Store};
use outbox_relay::dead_letters::requeue;
use outbox_relay::{Complaint, Outcome, RelayError, Retry, Then};

use super::interposed::{Interposed, Part};
use super::log::{SUBSCRIPTION, blocking, drain, number, numbered, relay, subscription, write};
use super::parking::{by, key, quick, states};
use super::postgres::Postgres;
use super::sink::{ORDERED, Sink, reject, retry};
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

fn is(delivery: &Delivery, key: &str, n: u64) -> bool {
    delivery.event.key == key && number(&delivery.event) == n
}

pub async fn a_retried_event_holds_up_its_key_alone<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 10).await;
    let others = Arc::new(AtomicUsize::new(0));
    let sink = Sink::scripted(move |delivery| {
        if delivery.event.key == "b" {
            others.fetch_add(1, Ordering::SeqCst);
        }
        // As long as one event of the other key waits as well, this one is not taken.
        if is(delivery, "a", 1) && others.load(Ordering::SeqCst) < 10 { retry("not yet") } else { Answer::Published }
    });
    assert_eq!(drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap().blocked, 0);
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 10));
}

pub async fn a_rejected_event_blocks_its_key_until_it_passes<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 5).await;
    let sink = Sink::new();
    let wary =
        sink.with_script(|delivery| if is(delivery, "a", 2) { reject("it's poison") } else { Answer::Published });
    let blocked = drain(relay(backend.store()).subscription(blocking(wary))).await.unwrap();
    assert_eq!(blocked, Outcome { blocked: 1 });
    let mut wanted = numbered(&["b"], 1, 5);
    wanted.insert("a".into(), vec![1]);
    assert_eq!(sink.by_key(), wanted);
    assert_eq!(backend.last_dead_letter().await.as_deref(), Some("3 a it's poison 1"));

    let blocked = drain(relay(backend.store()).subscription(blocking(sink.clone()))).await.unwrap();
    assert_eq!(blocked, Outcome { blocked: 0 });
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 5), "nothing repeated, nothing swapped");
    assert_eq!(backend.last_dead_letter().await, None);
}

pub async fn an_order_keeping_publisher_in_trouble_keeps_order<B: Backend>(backend: &B) {
    const KEYS: [&str; 3] = ["a", "b", "c"];
    write(backend, &KEYS, 1, 30).await;
    // As the contract asks: once an event is not published, no later one of its key is until it comes again.
    let held = Mutex::new(BTreeMap::new());
    let sink = Sink::scripted(move |delivery| {
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, n) = (delivery.event.key.clone(), number(&delivery.event));
        if held.get(&key).is_some_and(|first| *first < n) {
            return retry("an earlier event of its key was not published");
        }
        held.remove(&key);
        if n % 7 == 3 && delivery.attempt < 3 {
            held.insert(key, n);
            return retry("not yet");
        }
        Answer::Published
    });
    let sink = sink.with_discipline(Discipline { batch: 8, ..ORDERED });
    let outcome = drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!((outcome, backend.last_dead_letter().await), (Outcome { blocked: 0 }, None));
    assert_eq!(sink.by_key(), numbered(&KEYS, 1, 30));
}

pub async fn an_event_is_given_up_after_its_attempts<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 2).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let most = attempts.clone();
    let sink = Sink::scripted(move |delivery| {
        if is(delivery, "a", 1) {
            most.fetch_max(delivery.attempt, Ordering::SeqCst);
            return retry("never");
        }
        Answer::Published
    });
    let retry = Retry { first: Duration::from_millis(1), attempts: 4, then: Then::Block, ..Retry::default() };
    let outcome = drain(relay(backend.store()).subscription(blocking(sink.clone()).retry(retry))).await.unwrap();
    assert_eq!((outcome, attempts.load(Ordering::SeqCst)), (Outcome { blocked: 1 }, 4));
    assert_eq!(sink.by_key(), numbered(&["b"], 1, 2));
    let reason = backend.last_dead_letter().await.unwrap();
    assert!(reason.contains("4 attempts") && reason.contains("never"), "{reason}");
}

pub async fn a_publisher_that_is_down_costs_no_attempts<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 5).await;
    let (down, refused) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (is_down, count) = (down.clone(), refused.clone());
    let sink = Sink::calls(move |batch| {
        if is_down.load(Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
            return Err(PublishError::new(PublishErrorKind::Unavailable, "the far side is down"));
        }
        assert!(batch.iter().all(|delivery| delivery.attempt == 1));
        Ok(vec![Answer::Published; batch.len()])
    });
    let once = Retry { attempts: 1, ..Retry::default() };
    let running = relay(backend.store()).subscription(subscription(sink.clone()).retry(once)).start().await.unwrap();
    eventually("several refused calls", async || refused.load(Ordering::SeqCst), |calls| *calls >= 6).await;
    down.store(false, Ordering::SeqCst);
    sink.until_taken(10).await;
    assert_eq!(within("the relay to stop", running.stop()).await.unwrap(), Outcome { blocked: 0 });
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 5));
}

pub async fn a_wrong_number_of_answers_ends_the_relay<B: Backend>(backend: &B) {
    write(backend, &["a"], 1, 5).await;
    for answers in [0, 2] {
        let sink = Sink::calls(move |_| Ok(vec![Answer::Published; answers]));
        let running = relay(backend.store()).subscription(subscription(sink)).start().await.unwrap();
        let error = within("the relay to end", running.wait()).await.unwrap_err();
        assert!(
            matches!(&error, RelayError::Publisher { subscription, .. } if subscription == SUBSCRIPTION),
            "{error}"
        );
        assert!(error.to_string().contains("of 1 events"), "{error}");
    }
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 5), "an answer that counts for nothing loses nothing");
}

pub async fn a_panic_ends_the_relay<B: Backend>(backend: &B) {
    write(backend, &["a"], 1, 5).await;
    let sink = Sink::new();
    let broken = sink.with_script(|delivery| {
        assert!(!is(delivery, "a", 3), "a mistake in the publisher");
        Answer::Published
    });
    let running = relay(backend.store()).subscription(subscription(broken)).start().await.unwrap();
    let error = within("the relay to end", running.wait()).await.unwrap_err();
    assert!(matches!(&error, RelayError::Panicked(_)), "{error}");
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions().into_iter().collect::<BTreeSet<_>>(), (1..=5).collect());
}

pub async fn broken_connections_lose_nothing<B: Backend>(backend: &B) {
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let running = relay(store.clone()).lease(Duration::from_secs(1));
    let running = running.subscription(subscription(sink.clone())).start().await.unwrap();
    for n in 1..=10 {
        write(backend, &["a", "b"], n, n).await;
        store.break_connections();
        sink.until_taken(usize::try_from(2 * n).unwrap()).await;
    }
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 10));
}

pub async fn a_panic_in_the_heartbeat_ends_the_relay<B: Backend>(backend: &B) {
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let running = relay(store.clone()).lease(Duration::from_secs(1));
    let running = running.subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["a"], 1, 5).await;
    sink.until_taken(5).await;
    store.make_a_mistake_in(Part::Leases);
    store.break_connections();
    let error = within("the relay to end", running.wait()).await.unwrap_err();
    assert!(matches!(&error, RelayError::Panicked(_)), "{error}");
}

/// Nobody waits for a chore: a relay without it goes on publishing, and whoever watches its health starts it anew.
pub async fn a_panic_in_a_chore_is_told_and_stops_nothing<B: Backend>(backend: &B) {
    for (n, part) in (1..).zip([Part::Cleaner, Part::Wake]) {
        let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
        store.make_a_mistake_in(part);
        let running = relay(store).retention(Retention::default()).subscription(subscription(sink.clone()));
        let running = running.start().await.unwrap();
        let health = running.health();
        let told = |dead: &Vec<Complaint>| dead.iter().any(|complaint| complaint.reason.contains("panicked"));
        eventually("the complaint", async || health.dead(), told).await;
        write(backend, &["a"], n, n).await;
        sink.until_taken(1).await;
        within("the relay to stop", running.stop()).await.unwrap();
        assert_eq!(sink.by_key(), numbered(&["a"], n, n));
    }
}

/// A relay that waits for its database asks for it a few times a second, all its parts together.
pub async fn a_database_that_is_down_is_asked_a_few_times_a_second<B: Backend>(backend: &B) {
    const OUTAGE: Duration = Duration::from_mins(10);
    let (clock, sink, store) = (ManualClock::new(), Sink::new(), Interposed::new(backend.store()));
    let running = relay(store.clone()).clock(clock.clone()).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    write(backend, &["a"], 1, 5).await;
    within("the first", clock.advance_until(sink.until_taken(5))).await;
    store.take_down();
    let before = store.dials();
    within("the outage", clock.advance_until(clock.sleep(OUTAGE))).await;
    let each_second = (store.dials() - before).div_ceil(OUTAGE.as_secs());
    assert!((1..=10).contains(&each_second), "{each_second} connections a second");
    store.bring_up();
    write(backend, &["a"], 6, 8).await;
    within("what came later", clock.advance_until(sink.until_taken(8))).await;
    within("the relay to stop", clock.advance_until(running.stop())).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 8));
}

pub async fn an_unknown_outcome_of_a_checkpoint_repeats_nothing<B: Backend>(backend: &B) {
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let running = relay(store.clone()).subscription(subscription(sink.clone())).start().await.unwrap();
    store.lose_answers(3);
    write(backend, &["a", "b"], 1, 5).await;
    eventually("three lost answers", async || store.answers_to_lose(), |left| *left == 0).await;
    write(backend, &["a", "b"], 6, 8).await;
    sink.until_taken(16).await;
    within("the relay to stop", running.stop()).await.unwrap();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 8));
    assert_eq!(backend.store().status().await.unwrap().subscriptions[0].lag_events, Some(0));
}

/// As where the disk is full: what would not pass can be written nowhere, so nothing is passed over for it.
pub async fn dead_letters_that_find_no_room_stop_the_checkpoint_and_say_why(backend: &Postgres) {
    let sink = Sink::new();
    let wary = sink.with_script(|delivery| if is(delivery, "a", 2) { reject("poison") } else { Answer::Published });
    backend
        .admin(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'could not extend file: no space left on device' USING ERRCODE = 'disk_full'; END $$;
            CREATE TRIGGER no_room BEFORE INSERT ON outbox_dead_letter EXECUTE FUNCTION no_room()",
        )
        .await;
    let running = quick(backend.store()).subscription(subscription(wary)).start().await.unwrap();
    write(backend, &["a", "b"], 1, 5).await;
    let told = async || backend.store().status().await.unwrap().subscriptions.first().cloned();
    let seen = eventually("the reason", told, |seen| {
        seen.as_ref().and_then(|seen| seen.last_error.as_ref()).is_some_and(|said| said.contains("no space left"))
    });
    assert_eq!(seen.await.unwrap().state, "retrying");
    let position = async || backend.ask("SELECT CAST(position AS text) FROM outbox_checkpoint").await;
    let stands = position().await;
    write(backend, &["b"], 6, 10).await;
    sink.until_taken(1 + 10).await;
    assert_eq!((position().await, states(backend).await), (stands, vec![]), "nothing is passed over");
    backend.admin("DROP TRIGGER no_room ON outbox_dead_letter").await;
    eventually("the letters", async || states(backend).await.len(), |letters| *letters == 4).await;
    within("the relay to stop", running.stop()).await.unwrap();
    requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &by("ann")).await.unwrap();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(
        (&sink.by_key()["a"], sink.by_key()["b"].len()),
        (&vec![1, 2, 3, 4, 5], 10),
        "nothing lost, nothing twice"
    );
}
