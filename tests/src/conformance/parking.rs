//! Events that will not pass: what is kept aside, what waits behind it, and what operators do about it.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use outbox_core::dead_letter::{Letter, State};
use outbox_core::publisher::{Answer, Delivery, PublishError, Publisher};
use outbox_core::{NewEvent, Store, async_trait};
use outbox_relay::dead_letters::{By, DecisionError, Which, discard, list, pause, requeue, resume, skip, until_paused};
use outbox_relay::{Outcome, RelayBuilder, Retry, Then};

use super::interposed::Interposed;
use super::log::{SUBSCRIPTION, drain, event, number, numbered, relay, subscription, write};
use super::sink::{ORDERED, Sink, reject, retry};
use super::waiting::{DEADLINE, eventually, within};
use super::{Backend, Business, SqlBackend};

fn is(delivery: &Delivery, key: &str, n: u64) -> bool {
    delivery.event.key == key && number(&delivery.event) == n
}

pub(super) fn key(key: &str) -> Which {
    Which::Key(key.to_owned())
}

pub(super) fn by(actor: &str) -> By {
    By { actor: Some(actor.to_owned()), reason: Some("the far side was mended".to_owned()) }
}

async fn letters<B: Backend>(backend: &B) -> Vec<Letter> {
    backend.store().desk().await.unwrap().letters(SUBSCRIPTION, None).await.unwrap()
}

/// Position and state of each letter.
pub(super) async fn states<B: Backend>(backend: &B) -> Vec<(i64, State)> {
    letters(backend).await.iter().map(|letter| (letter.position, letter.state)).collect()
}

/// A relay that notices soon what operators do.
pub(super) fn quick(store: impl Store) -> RelayBuilder {
    relay(store).lease(Duration::from_secs(1))
}

/// Parks the key `a` with its second event, of the events `from..=to` of two keys.
pub(super) async fn park<B: Backend>(backend: &B, sink: &Sink, to: u64) {
    write(backend, &["a", "b"], 1, to).await;
    let wary = sink.with_script(|delivery| if is(delivery, "a", 2) { reject("poison") } else { Answer::Published });
    let outcome = drain(relay(backend.store()).subscription(subscription(wary))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: to - 1 });
}

pub async fn a_parked_key_waits_in_the_table_and_others_go_on<B: Backend>(backend: &B) {
    for discipline in [outbox_core::publisher::Discipline::default(), ORDERED] {
        let sink = Sink::new().with_discipline(discipline);
        if discipline == ORDERED {
            assert_eq!(discard(&backend.store(), SUBSCRIPTION, &key("a"), &by("ann")).await.unwrap().len(), 6);
            write(backend, &["c", "d"], 1, 5).await;
            let wary = sink.with_script(|delivery| {
                if delivery.event.key == "c" && number(&delivery.event) >= 2 {
                    reject("poison")
                } else {
                    Answer::Published
                }
            });
            let outcome = drain(relay(backend.store()).subscription(subscription(wary))).await.unwrap();
            assert_eq!(outcome, Outcome { blocked: 4 });
            assert_eq!((sink.by_key()["c"].clone(), sink.by_key()["d"].len()), (vec![1], 5));
            continue;
        }
        park(backend, &sink, 5).await;
        assert_eq!(sink.by_key()["a"], [1]);
        assert_eq!(sink.by_key()["b"], [1, 2, 3, 4, 5]);
        let waiting = |position| (position, State::Waiting);
        let wanted = vec![(3, State::Parked), waiting(5), waiting(7), waiting(9)];
        assert_eq!(states(backend).await, wanted);
        let first = &letters(backend).await[0];
        assert_eq!((first.reason.as_str(), first.attempts, first.key.as_str()), ("poison", 1, "a"));
        let status = backend.store().status().await.unwrap();
        assert_eq!(status.subscriptions[0].partitions[0].open, "{}", "the checkpoint owes them no more");
        assert_eq!((status.subscriptions[0].parked_keys, status.subscriptions[0].parked_events), (1, 4));

        write(backend, &["a", "b"], 6, 7).await;
        let outcome = drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
        assert_eq!(outcome, Outcome { blocked: 6 }, "a new relay knows what is parked");
        assert_eq!((sink.by_key()["a"].clone(), sink.by_key()["b"].len()), (vec![1], 7));
    }
}

pub async fn a_requeued_key_goes_in_order<B: Backend>(backend: &B) {
    let sink = Sink::new();
    park(backend, &sink, 5).await;
    assert_eq!(requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &by("ann")).await.unwrap(), [3]);
    write(backend, &["a", "b"], 6, 250).await;
    let outcome = drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 0 });
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 250));
    assert_eq!(states(backend).await, []);
}

pub async fn a_key_is_requeued_while_its_events_come<B: Backend>(backend: &B) {
    let (sink, mended) = (Sink::new(), Arc::new(AtomicBool::new(false)));
    let is_mended = mended.clone();
    let wary = sink.with_script(move |delivery| {
        if is(delivery, "a", 2) && !is_mended.load(Ordering::SeqCst) { reject("poison") } else { Answer::Published }
    });
    let running = quick(backend.store()).subscription(subscription(wary)).start().await.unwrap();
    write(backend, &["a", "b"], 1, 150).await;
    eventually("the queue", async || states(backend).await.len(), |letters| *letters == 149).await;
    mended.store(true, Ordering::SeqCst);
    requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &by("ann")).await.unwrap();
    for n in 151..=250 {
        write(backend, &["a", "b"], n, n).await;
    }
    sink.until_taken(500).await;
    eventually("no letters", async || states(backend).await.len(), |letters| *letters == 0).await;
    assert_eq!(within("the relay to stop", running.stop()).await.unwrap(), Outcome { blocked: 0 });
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 250), "in order, and nothing twice");
}

pub async fn a_requeued_event_that_fails_again_is_parked_again<B: Backend>(backend: &B) {
    let sink = Sink::new();
    park(backend, &sink, 5).await;
    requeue(&backend.store(), SUBSCRIPTION, &Which::Position(3), None, &By::default()).await.unwrap();
    let wary = sink.with_script(|delivery| if is(delivery, "a", 3) { reject("worse") } else { Answer::Published });
    let outcome = drain(relay(backend.store()).subscription(subscription(wary))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 3 });
    let waiting = |position| (position, State::Waiting);
    assert_eq!(states(backend).await, [(5, State::Parked), waiting(7), waiting(9)]);
    for attempts in 2..4 {
        requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &By::default()).await.unwrap();
        let wary = sink.with_script(|delivery| if is(delivery, "a", 3) { reject("still") } else { Answer::Published });
        drain(relay(backend.store()).subscription(subscription(wary))).await.unwrap();
        let first = &letters(backend).await[0];
        assert_eq!((first.state, first.reason.as_str(), first.attempts), (State::Parked, "still", attempts));
    }
    requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &By::default()).await.unwrap();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 5));
}

pub async fn a_corrected_payload_goes_under_the_same_id<B: Backend>(backend: &B) {
    let sink = Sink::new();
    park(backend, &sink, 3).await;
    let id = letters(backend).await[0].event_id;
    assert_eq!(list(&backend.store(), SUBSCRIPTION, Some(&key("a"))).await.unwrap().len(), 2);
    let refused = requeue(&backend.store(), SUBSCRIPTION, &key("a"), Some(b"{".to_vec()), &by("ann")).await;
    assert!(matches!(&refused, Err(DecisionError::Refused(say)) if say.contains("not JSON")), "{refused:?}");
    let payload = br#"{"n":2,"mended":true}"#.to_vec();
    requeue(&backend.store(), SUBSCRIPTION, &key("a"), Some(payload.clone()), &by("ann")).await.unwrap();
    assert!(letters(backend).await[0].corrected);
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 3));
    let taken = sink.taken();
    let sent = taken.iter().find(|event| event.position == 3).unwrap();
    assert_eq!((sent.event_id, sent.payload.as_ref().unwrap().as_bytes()), (id, payload.as_slice()));
}

pub async fn a_payload_for_another_event_of_its_key_is_refused<B: SqlBackend>(backend: &B) {
    write(backend, &["a"], 1, 3).await;
    let wary = Sink::scripted(|delivery| if is(delivery, "a", 2) { reject("poison") } else { Answer::Published });
    drain(relay(backend.store()).subscription(subscription(wary))).await.unwrap();
    let (store, payload) = (backend.store(), br#"{"n":3,"mended":true}"#.to_vec());
    let third = async || requeue(&store, SUBSCRIPTION, &Which::Position(3), Some(payload.clone()), &by("ann")).await;
    let late = third().await;
    assert!(matches!(&late, Err(DecisionError::Late(say)) if say.contains("waits behind another event")), "{late:?}");
    // A relay parks one event of a key and lets the others wait; a person may have done otherwise.
    backend.admin("UPDATE outbox_dead_letter SET state = 'parked' WHERE position = 3").await;
    let refused = third().await;
    let Err(DecisionError::Refused(say)) = &refused else { panic!("{refused:?}") };
    assert!(say.contains("position 2 of the same key is parked first"), "{say}");
    let untouched = letters(backend).await;
    assert!(untouched.iter().all(|letter| letter.state == State::Parked && !letter.corrected), "{untouched:?}");
    assert_eq!(skip(&store, SUBSCRIPTION, &Which::Position(2), &by("ann")).await.unwrap(), [2], "as it was told");
    assert_eq!(third().await.unwrap(), [3]);
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    let sent: Vec<_> = sink.taken().iter().map(|event| event.payload.clone().unwrap().as_bytes().to_vec()).collect();
    assert_eq!((sink.positions(), sent), (vec![3], vec![payload]));
}

pub async fn what_is_given_up_is_recorded_and_the_rest_goes_on<B: Backend>(backend: &B) {
    let sink = Sink::new();
    park(backend, &sink, 5).await;
    let store = backend.store();
    let unsaid = skip(&store, SUBSCRIPTION, &key("a"), &By { reason: None, ..by("ann") }).await;
    assert!(matches!(&unsaid, Err(DecisionError::Refused(say)) if say.contains("why")), "{unsaid:?}");
    assert_eq!(discard(&store, SUBSCRIPTION, &Which::Position(7), &by("bob")).await.unwrap(), [7]);
    assert_eq!(skip(&store, SUBSCRIPTION, &key("a"), &by("ann")).await.unwrap(), [3]);
    drain(relay(store.clone()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key()["a"], [1, 3, 5]);
    let kept = letters(backend).await;
    let told: Vec<_> =
        kept.iter().map(|letter| (letter.position, letter.state, letter.settled_by.as_deref())).collect();
    assert_eq!(told, [(3, State::Skipped, Some("ann")), (7, State::Discarded, Some("bob"))]);
    assert!(kept.iter().all(|letter| letter.settled_reason.is_some() && letter.settled_at.is_some()));
    let late = requeue(&store, SUBSCRIPTION, &Which::Position(3), None, &by("eve")).await;
    assert!(matches!(&late, Err(DecisionError::Late(say)) if say.contains("skipped already by ann")), "{late:?}");
    assert_eq!(store.status().await.unwrap().subscriptions[0].parked_events, 0);
}

pub async fn what_is_not_there_is_named<B: Backend>(backend: &B) {
    park(backend, &Sink::new(), 2).await;
    let store = backend.store();
    let asked = [
        ("other", key("a"), "there is billing"),
        (SUBSCRIPTION, key("z"), "no dead letter of key `z`"),
        (SUBSCRIPTION, Which::Position(99), "no dead letter at position 99"),
    ];
    for (name, which, wanted) in asked {
        let refused = requeue(&store, name, &which, None, &By::default()).await;
        assert!(matches!(&refused, Err(DecisionError::Refused(say)) if say.contains(wanted)), "{refused:?}");
    }
    let nameless = discard(&store, SUBSCRIPTION, &key(""), &by("ann")).await;
    assert!(matches!(&nameless, Err(DecisionError::Refused(say)) if say.contains("by its position")), "{nameless:?}");
}

pub async fn of_many_operators_one_is_first<B: Backend>(backend: &B) {
    let mut tx = backend.begin().await;
    for n in 1..=20 {
        B::append(&mut tx, &event("", n)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let sink = Sink::scripted(|_| reject("poison"));
    // One after the other, lest so many refusals look like an outage.
    for _ in 0..2 {
        let attempts = Retry { attempts: 1, ..Retry::default() };
        let relay = relay(backend.store()).subscription(subscription(sink.clone()).retry(attempts));
        let running = relay.start().await.unwrap();
        eventually("some letters", async || states(backend).await.len(), |letters| *letters >= 10).await;
        within("the relay to stop", running.stop()).await.unwrap();
    }
    let store = backend.store();
    for (position, _) in states(backend).await.into_iter().take(10) {
        let which = Which::Position(position);
        let operators: Vec<_> = (0..10).map(|n| by(&format!("operator {n}"))).collect();
        let skips = operators.iter().map(|by| skip(&store, SUBSCRIPTION, &which, by));
        let outcomes = within("all operators", join_all(skips)).await;
        let first = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(first, 1, "{outcomes:?}");
        for outcome in outcomes.iter().filter(|outcome| outcome.is_err()) {
            assert!(
                matches!(outcome, Err(DecisionError::Late(say)) if say.contains("skipped already by")),
                "{outcome:?}"
            );
        }
    }
}

pub async fn parking_and_the_checkpoint_are_one_write<B: Backend>(backend: &B) {
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let wary = sink.with_script(|delivery| if is(delivery, "a", 2) { reject("poison") } else { Answer::Published });
    let running = quick(store.clone()).subscription(subscription(wary)).start().await.unwrap();
    store.lose_answers(3);
    write(backend, &["a", "b"], 1, 5).await;
    eventually("three lost answers", async || store.answers_to_lose(), |left| *left == 0).await;
    eventually("the queue", async || states(backend).await.len(), |letters| *letters == 4).await;
    store.lose_answers(2);
    requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &by("ann")).await.unwrap();
    eventually("parked again", async || letters(backend).await[0].attempts, |attempts| *attempts >= 2).await;
    within("the relay to stop", running.stop()).await.unwrap();
    requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &by("ann")).await.unwrap();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 5), "nothing lost, nothing twice, nothing swapped");
}

pub async fn a_key_with_too_many_letters_stops_its_partition<B: Backend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["a"], 1, 6).await;
    let wary = sink.with_script(|delivery| if is(delivery, "a", 2) { reject("poison") } else { Answer::Published });
    let few = Retry { max_parked: 3, ..Retry::default() };
    let running = quick(backend.store()).subscription(subscription(wary).retry(few)).start().await.unwrap();
    let error = async || backend.store().status().await.unwrap().subscriptions.first()?.last_error.clone();
    eventually("the reason", error, |said| said.as_ref().is_some_and(|said| said.contains("3 dead letters"))).await;
    write(backend, &["b"], 1, 1).await;
    assert_eq!(states(backend).await.len(), 3);
    within("the relay to stop", running.stop()).await.unwrap();
    requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &by("ann")).await.unwrap();
    let outcome = drain(relay(backend.store()).subscription(subscription(sink.clone()).retry(few))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 0 });
    assert_eq!(sink.by_key()["a"], [1, 2, 3, 4, 5, 6]);
    assert_eq!(sink.by_key()["b"], [1]);
}

pub async fn too_many_keys_with_letters_stop_their_partition<B: Backend>(backend: &B) {
    let sink = Sink::new();
    let keys = ["a", "b", "c", "d", "e"];
    write(backend, &keys, 1, 1).await;
    let few = Retry { max_parked_keys: 3, ..Retry::default() };
    let wary =
        sink.with_script(|delivery| if delivery.event.key == "z" { Answer::Published } else { reject("poison") });
    let outcome = drain(relay(backend.store()).subscription(subscription(wary).retry(few))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 5 });

    write(backend, &["z"], 1, 3).await;
    let store = backend.store();
    let running = quick(backend.store()).subscription(subscription(sink.clone()).retry(few)).start().await.unwrap();
    let status = async || store.status().await.unwrap().subscriptions.remove(0);
    let full =
        |said: &Option<String>| said.as_ref().is_some_and(|said| said.contains("5 keys have dead letters, of 3"));
    eventually("the reason", status, |status| status.state == "blocked" && full(&status.last_error)).await;
    for (freed, keys) in [("a", 4), ("b", 3)] {
        discard(&store, SUBSCRIPTION, &key(freed), &by("ann")).await.unwrap();
        let known = |said: &Option<String>| said.as_ref().is_some_and(|said| said.starts_with(&format!("{keys} keys")));
        eventually("the decision to be seen", status, |status| known(&status.last_error)).await;
    }
    assert!(sink.taken().len() <= 1, "nothing is read beyond the first");
    requeue(&store, SUBSCRIPTION, &key("c"), None, &by("ann")).await.unwrap();
    sink.until_taken(4).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!((sink.by_key()["c"].len(), sink.by_key()["z"].clone()), (1, vec![1, 2, 3]));
}

pub async fn a_dead_letter_table_that_refuses_loses_nothing<B: SqlBackend>(backend: &B) {
    let sink = Sink::new();
    let wary = sink.with_script(|delivery| if is(delivery, "a", 2) { reject("poison") } else { Answer::Published });
    let store = Interposed::new(backend.store());
    let running = quick(store.clone()).window_events(50).subscription(subscription(wary)).start().await.unwrap();
    write(backend, &["a", "b"], 1, 1).await;
    sink.until_taken(2).await;
    backend.admin("ALTER TABLE outbox_dead_letter RENAME TO outbox_elsewhere").await;
    write(backend, &["a", "b"], 2, 100).await;
    let taken = async || sink.taken().len();
    eventually("the window to be full", taken, |taken| *taken >= 20).await;
    let told = async || backend.ask("SELECT last_error FROM outbox_lease").await;
    eventually("the trouble", told, |error| error.as_ref().is_some_and(|error| error.contains("outbox_dead_letter")))
        .await;
    let (stands, looks) = (taken().await, store.looks());
    eventually("heartbeats", async || store.looks(), |now| *now >= looks + 2).await;
    assert_eq!(taken().await, stands, "it stops where it cannot say what will not pass");
    assert!(stands < 60, "{stands}");
    backend.admin("ALTER TABLE outbox_elsewhere RENAME TO outbox_dead_letter").await;
    eventually("the rest", async || sink.by_key()["b"].len(), |taken| *taken == 100).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key()["a"], [1]);
    assert_eq!(states(backend).await.len(), 99);
}

pub async fn an_outage_that_looks_like_refusals_parks_few<B: Backend>(backend: &B) {
    let mut tx = backend.begin().await;
    let keys: Vec<_> = (0..400).map(|n| format!("key-{n}")).collect();
    for n in 1..=5 {
        let events: Vec<_> = keys.iter().map(|key| event(key, n)).collect();
        B::append_all(&mut tx, &events).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (down, refused) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (is_down, count) = (down.clone(), refused.clone());
    let sink = Sink::scripted(move |_| {
        if is_down.load(Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
            return reject("401 Unauthorized");
        }
        Answer::Published
    });
    let running = quick(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    let told = async || backend.store().status().await.unwrap().subscriptions.first().cloned();
    let seen = eventually("the reason", told, |seen| {
        let said = seen.as_ref().and_then(|seen| seen.last_error.as_ref());
        said.is_some_and(|said| said.contains("nearly every event fails"))
    });
    assert_eq!(seen.await.unwrap().state, "retrying");
    down.store(false, Ordering::SeqCst);
    let parked = |letters: &[Letter]| letters.iter().filter(|letter| letter.state == State::Parked).count();
    let count = parked(&letters(backend).await);
    assert!(count <= 20, "{count} events were given up in an outage");
    let free = 400 - count;
    eventually("all other keys", async || sink.by_key().len(), |keys| *keys >= free).await;
    assert!(parked(&letters(backend).await) <= 20);
    within("the relay to stop", running.stop()).await.unwrap();
}

pub async fn a_paused_subscription_hands_nothing_over<B: Backend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["a"], 1, 1).await;
    let interposed = Interposed::new(backend.store());
    let running = quick(interposed.clone()).subscription(subscription(sink.clone())).start().await.unwrap();
    sink.until_taken(1).await;
    let store = backend.store();
    assert!(pause(&store, SUBSCRIPTION, &by("ann")).await.unwrap());
    until_paused(&store, SUBSCRIPTION, DEADLINE).await.unwrap();
    assert!(!pause(&store, SUBSCRIPTION, &by("bob")).await.unwrap(), "it is paused already");
    let state = async || store.status().await.unwrap().subscriptions[0].state.clone();
    assert_eq!(state().await, "paused");
    let paused = async || store.status().await.unwrap().subscriptions.remove(0).paused;
    assert_eq!(paused().await.as_deref(), Some("ann: the far side was mended"));
    write(backend, &["a"], 2, 3).await;
    let looks = interposed.looks();
    eventually("heartbeats", async || interposed.looks(), |now| *now >= looks + 2).await;
    assert_eq!(sink.positions(), [1]);
    assert!(resume(&store, SUBSCRIPTION).await.unwrap());
    assert!(!resume(&store, SUBSCRIPTION).await.unwrap());
    sink.until_taken(3).await;
    eventually("the state", state, |state| state != "paused").await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!((sink.positions(), paused().await), (vec![1, 2, 3], None));
    assert!(pause(&store, SUBSCRIPTION, &by("bob")).await.unwrap());
    assert_eq!((state().await.as_str(), paused().await.is_some()), ("paused", true), "nobody works it");
}

pub async fn a_subscription_that_skips_passes_on<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 5).await;
    let sink = Sink::scripted(|delivery| if is(delivery, "a", 2) { reject("poison") } else { Answer::Published });
    let skips = Retry { then: Then::Skip, ..Retry::default() };
    let outcome = drain(relay(backend.store()).subscription(subscription(sink.clone()).retry(skips))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 0 });
    assert_eq!(sink.by_key()["a"], [1, 3, 4, 5]);
    assert_eq!(states(backend).await, [(3, State::Skipped)]);
    assert_eq!(letters(backend).await[0].reason, "poison");
}

pub async fn a_key_in_trouble_spills_and_comes_back<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 60).await;
    let (sink, mended) = (Sink::new(), Arc::new(AtomicBool::new(false)));
    let is_mended = mended.clone();
    let slow = sink.with_script(move |delivery| {
        if is(delivery, "a", 2) && !is_mended.load(Ordering::SeqCst) { retry("not yet") } else { Answer::Published }
    });
    let patient = Retry {
        attempts: u32::MAX,
        first: Duration::from_millis(10),
        max: Duration::from_millis(50),
        ..Retry::default()
    };
    let relay = quick(backend.store()).window_events(30).subscription(subscription(slow).retry(patient));
    let running = relay.start().await.unwrap();
    eventually("all of the other key", async || sink.by_key().get("b").map_or(0, Vec::len), |taken| *taken == 60).await;
    let spilled = eventually("what spills", async || states(backend).await, |letters| letters.len() > 40).await;
    assert!(spilled.iter().all(|(_, state)| *state == State::Waiting), "nobody has to do anything: {spilled:?}");
    mended.store(true, Ordering::SeqCst);
    sink.until_taken(120).await;
    eventually("no letters", async || states(backend).await.len(), |letters| *letters == 0).await;
    assert_eq!(within("the relay to stop", running.stop()).await.unwrap(), Outcome { blocked: 0 });
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 60));
}

pub async fn parked_events_outlive_the_log<B: SqlBackend>(backend: &B) {
    let mut tx = backend.begin().await;
    let whole = NewEvent { event_type: Some("Placed".into()), ..NewEvent::new("shop.orders", "a").json(r#"{"n":1}"#) };
    B::append(&mut tx, &whole).await.unwrap();
    tx.commit().await.unwrap();
    let (first, sink) = (Sink::scripted(|_| reject("poison")), Sink::new());
    drain(relay(backend.store()).subscription(subscription(first))).await.unwrap();
    let before = super::log::only_event(backend).await;
    backend.admin("DELETE FROM outbox_event; UPDATE outbox_meta SET value = '1' WHERE name = 'floor'").await;
    requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &By::default()).await.unwrap();
    let mut running = quick(backend.store()).until_empty(None);
    running = running.subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    sink.until_taken(1).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.taken(), [before]);
}

/// Never answers its first call.
struct Hangs(Sink, AtomicBool);

#[async_trait]
impl Publisher for Hangs {
    fn describe(&self) -> String {
        "hangs".into()
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        if !self.1.swap(true, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.0.publish(batch).await
    }
}

pub async fn a_call_that_hangs_is_given_up_and_made_again<B: Backend>(backend: &B) {
    write(backend, &["a"], 1, 3).await;
    let sink = Sink::scripted(|delivery| {
        assert_eq!(delivery.attempt, 1, "no event is to blame");
        Answer::Published
    });
    let hangs = Hangs(sink.clone(), AtomicBool::new(false));
    let subscription = subscription(hangs).call_timeout(Duration::from_millis(50));
    assert_eq!(drain(relay(backend.store()).subscription(subscription)).await.unwrap(), Outcome { blocked: 0 });
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 3));
}
