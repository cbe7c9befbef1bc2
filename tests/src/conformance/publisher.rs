//! The publishers that need nothing but this machine.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use outbox_core::dead_letter::State;
use outbox_core::{NewEvent, Store};
use outbox_relay::dead_letters::{By, Which, list, requeue};
use outbox_relay::publisher::{File, Null, channel, closure};
use outbox_relay::{Outcome, RelayError, Subscription};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::log::{SUBSCRIPTION, blocking, drain, event, number, relay, subscription, write};
use super::sink::{ORDERED, Sink};
use super::waiting::{eventually, within};
use super::{Backend, Business, Order};

/// The lines of a file, each a JSON object.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line: {text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The numbers in a file, by line.
fn numbers(path: &Path) -> Vec<u64> {
    lines(path).iter().map(|line| line["data"]["n"].as_u64().unwrap()).collect()
}

pub async fn every_kind_takes_every_event_once<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 20).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let (sender, mut receiver) = channel(1);
    let (told, mut heard) = mpsc::unbounded_channel();
    let tell = closure(move |event| {
        let told = told.clone();
        async move { told.send(event) }
    });
    let all = relay(backend.store())
        .subscription(Subscription::new("file", File::new(&path)))
        .subscription(Subscription::new("null", Null))
        .subscription(Subscription::new("channel", sender))
        .subscription(Subscription::new("closure", tell));
    let receive = async {
        let mut numbers = Vec::new();
        while let Some(event) = receiver.recv().await {
            numbers.push(number(event.event()));
            event.acknowledge();
        }
        numbers
    };
    let (outcome, mut sent) = tokio::join!(drain(all), receive);
    assert_eq!(outcome.unwrap(), Outcome { blocked: 0 });

    let twice: Vec<u64> = (1..=20).flat_map(|n| [n, n]).collect();
    assert_eq!(numbers(&path), twice);
    sent.sort_unstable();
    assert_eq!(sent, twice);
    let mut heard: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).map(|event| number(&event)).collect();
    heard.sort_unstable();
    assert_eq!(heard, twice);
}

pub async fn a_closure_that_fails_is_called_again<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 3).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let moody = closure(move |_| {
        let call = counter.fetch_add(1, Ordering::SeqCst);
        async move { if call < 2 { Err("not now") } else { Ok(()) } }
    });
    assert_eq!(drain(relay(backend.store()).subscription(subscription(moody))).await.unwrap(), Outcome { blocked: 0 });
    assert_eq!(calls.load(Ordering::SeqCst), 5);
}

pub async fn an_event_dropped_by_the_receiver_comes_again<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 3).await;
    let (sender, mut receiver) = channel(10);
    let receive = async {
        let mut attempts = Vec::new();
        while let Some(event) = receiver.recv().await {
            attempts.push((number(event.event()), event.delivery.attempt));
            if attempts.len() > 2 {
                event.acknowledge();
            }
        }
        attempts
    };
    let (outcome, attempts) = tokio::join!(drain(relay(backend.store()).subscription(subscription(sender))), receive);
    assert_eq!(outcome.unwrap(), Outcome { blocked: 0 });
    assert_eq!(attempts, [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1)]);
}

pub async fn a_dropped_receiver_ends_the_relay<B: Backend>(backend: &B) {
    let (sender, receiver) = channel(1);
    let running = relay(backend.store()).subscription(subscription(sender)).start().await.unwrap();
    drop(receiver);
    write(backend, &["k"], 1, 1).await;
    let error = within("the relay to end", running.wait()).await.unwrap_err();
    assert!(matches!(&error, RelayError::Publisher { subscription, .. } if subscription == SUBSCRIPTION), "{error}");
}

pub async fn a_torn_line_is_removed_before_the_file_grows<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    fs::write(&path, "{\"data\":{\"n\":0}}\n{\"data\":{\"n\":").unwrap();
    drain(relay(backend.store()).subscription(subscription(File::new(&path)))).await.unwrap();
    assert_eq!(numbers(&path), [0, 1, 2, 3]);
}

pub async fn a_rotated_file_is_followed<B: Backend>(backend: &B) {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("out.jsonl"), folder.path().join("out.jsonl.1"));
    let running = relay(backend.store()).subscription(subscription(File::new(&path))).start().await.unwrap();
    write(backend, &["k"], 1, 3).await;
    eventually("the first three", async || lines(&path).len(), |count| *count == 3).await;
    fs::rename(&path, &rotated).unwrap();
    write(backend, &["k"], 4, 6).await;
    eventually("the next three", async || lines(&path).len(), |count| *count == 3).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!((numbers(&rotated), numbers(&path)), (vec![1, 2, 3], vec![4, 5, 6]));
}

pub async fn a_full_disk_loses_nothing<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 5).await;
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("real.jsonl"), folder.path().join("out.jsonl"));
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    let running = relay(backend.store()).lease(std::time::Duration::from_secs(1));
    let running = running.subscription(subscription(File::new(&link))).start().await.unwrap();
    let look = async || {
        let status = backend.store().status().await.unwrap();
        status.subscriptions.first().and_then(|subscription| subscription.last_error.clone())
    };
    let says_why = |error: &Option<String>| error.as_ref().is_some_and(|error| error.contains("cannot be written"));
    eventually("status to say why", look, says_why).await;

    let spare = folder.path().join("spare");
    std::os::unix::fs::symlink(&path, &spare).unwrap();
    fs::rename(&spare, &link).unwrap();
    eventually("all lines", async || lines(&path).len(), |count| *count == 10).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(numbers(&path), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
}

/// Of four events the second is no JSON; it and its neighbours have the key `bad`, the last has `good`.
async fn write_with_one_that_is_not_json<B: Backend>(backend: &B) {
    let mut tx = backend.begin().await;
    B::append(&mut tx, &event("bad", 1)).await.unwrap();
    B::append(&mut tx, &NewEvent::new("t", "bad").json("{'n': 2}")).await.unwrap();
    B::append(&mut tx, &event("bad", 3)).await.unwrap();
    B::append(&mut tx, &event("good", 4)).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn a_payload_that_is_not_json_blocks_its_key<B: Backend>(backend: &B) {
    write_with_one_that_is_not_json(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let outcome = drain(relay(backend.store()).subscription(blocking(File::new(&path)))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 1 });
    assert_eq!(numbers(&path), [1, 4]);

    let reason = backend.last_dead_letter().await.unwrap();
    assert!(reason.starts_with("2 bad ") && reason.contains("payload is not JSON"), "{reason}");
    let status = backend.store().status().await.unwrap();
    assert_eq!((status.subscriptions[0].parked_keys, status.subscriptions[0].parked_events), (1, 1));
    assert_eq!(status.subscriptions[0].partitions[0].open, "{[2,3]}");
}

pub async fn what_is_not_json_reaches_no_publisher<B: Backend>(backend: &B) {
    write_with_one_that_is_not_json(backend).await;
    let (one, ordered) = (Sink::new(), Sink::new().with_discipline(ORDERED));
    let all = || {
        relay(backend.store())
            .subscription(Subscription::new("null", Null))
            .subscription(Subscription::new("one", one.clone()))
            .subscription(Subscription::new("ordered", ordered.clone()))
    };
    assert_eq!(drain(all()).await.unwrap(), Outcome { blocked: 6 }, "the second and what waits behind it, three times");
    for sink in [&one, &ordered] {
        assert_eq!((sink.by_key()["bad"].clone(), sink.by_key()["good"].clone()), (vec![1], vec![4]));
    }
    let (which, by, mended) = (Which::Position(2), By::default(), Some(br#"{"n":2}"#.to_vec()));
    requeue(&backend.store(), "one", &which, mended, &by).await.unwrap();
    requeue(&backend.store(), "ordered", &which, None, &by).await.unwrap();
    assert_eq!(drain(all()).await.unwrap(), Outcome { blocked: 4 });
    assert_eq!((one.by_key()["bad"].clone(), ordered.by_key()["bad"].clone()), (vec![1, 2, 3], vec![1]));
    let parked = list(&backend.store(), "ordered", Some(&which)).await.unwrap();
    assert!(parked[0].reason.contains("payload is not JSON") && parked[0].state == State::Parked, "{parked:?}");
}

pub async fn a_line_holds_what_was_captured<B: Backend>(backend: &B) {
    let order = |total| Order { id: "o\u{1b}\n\"7\"".into(), tenant: "eu".into(), total };
    let mut tx = backend.begin().await;
    let id = B::change(&mut tx, Some(&order(1)), Some(&order(2))).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    drain(relay(backend.store()).subscription(subscription(File::new(&path)))).await.unwrap();

    let mut lines = lines(&path);
    assert_eq!(lines.len(), 1);
    let line = lines.remove(0);
    let wanted = json!({
        "specversion": "1.0", "id": id.to_string(), "type": "shop.orders", "topic": "shop.orders",
        "partitionkey": "o\u{1b}\n\"7\"", "sequence": "00000000000000000001", "datacontenttype": "application/json",
        "subject": "orders", "operation": "update", "tenantid": "eu", "schemaversion": 3,
        "data": {
            "before": {"id": "o\u{1b}\n\"7\"", "tenant": "eu", "total": 1},
            "after": {"id": "o\u{1b}\n\"7\"", "tenant": "eu", "total": 2},
        },
    });
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name}");
    }
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
    assert!(line["source"].as_str().unwrap().starts_with("/outbox/"), "{line}");
}
