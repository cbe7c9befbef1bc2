//! Capture: an event is stored if and only if its transaction commits, and comes back as it was written.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use outbox_core::event::JSON;
use outbox_core::{NewEvent, Operation, Payload};
use serde_json::json;
use sqlx::Connection;
use time::OffsetDateTime;

use super::log::{event, events, number, only_event, write};
use super::{Backend, Business, Order, SqlBackend};

/// Business rows and events of an order.
async fn rows_and_events<B: SqlBackend>(backend: &B, id: &str) -> (String, String) {
    // In one statement, and so of one moment.
    let sql = format!(
        "SELECT CAST((SELECT count(*) FROM orders WHERE id = '{id}') AS text) || ' ' || \
         CAST((SELECT count(*) FROM outbox_event WHERE event_key = '{id}') AS text)"
    );
    let both = backend.ask(&sql).await.unwrap();
    let (rows, events) = both.split_once(' ').unwrap();
    (rows.to_owned(), events.to_owned())
}

async fn place<B: SqlBackend>(tx: &mut sqlx::Transaction<'_, B::Database>, id: &str) {
    B::execute(tx, &format!("INSERT INTO orders (id, total) VALUES ('{id}', 1)")).await;
    B::append(tx, &event(id, 1)).await.unwrap();
}

pub async fn an_event_is_stored_if_and_only_if_its_transaction_commits<B: SqlBackend>(backend: &B) {
    let mut tx = backend.begin().await;
    place::<B>(&mut tx, "committed").await;
    tx.commit().await.unwrap();
    let mut tx = backend.begin().await;
    place::<B>(&mut tx, "rolled-back").await;
    tx.rollback().await.unwrap();
    let mut tx = backend.begin().await;
    place::<B>(&mut tx, "dropped").await;
    drop(tx);

    for (id, there) in [("committed", "1"), ("rolled-back", "0"), ("dropped", "0")] {
        assert_eq!(rows_and_events(backend, id).await, (there.to_owned(), there.to_owned()), "{id}");
    }
    assert_eq!(only_event(backend).await.key, "committed");
}

pub async fn a_savepoint_rolled_back_takes_its_event_along<B: SqlBackend>(backend: &B) {
    let mut tx = backend.begin().await;
    place::<B>(&mut tx, "before").await;
    let mut savepoint = tx.begin().await.unwrap();
    place::<B>(&mut savepoint, "inside").await;
    savepoint.rollback().await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    place::<B>(&mut savepoint, "dropped").await;
    drop(savepoint);
    let mut savepoint = tx.begin().await.unwrap();
    place::<B>(&mut savepoint, "kept").await;
    savepoint.commit().await.unwrap();
    place::<B>(&mut tx, "after").await;
    tx.commit().await.unwrap();

    let keys: Vec<_> = events(backend).await.into_iter().map(|event| event.key).collect();
    assert_eq!(keys, ["before", "kept", "after"]);
}

pub async fn a_future_dropped_at_any_await_leaves_both_or_none<B: SqlBackend>(backend: &B) {
    let mut polls = 0;
    loop {
        polls += 1;
        let id = format!("order-{polls}");
        let mut tx = backend.begin().await;
        let work = async {
            // The application waits for other things too; a fast database alone might never make it wait.
            B::execute(&mut tx, &format!("INSERT INTO orders (id, total) VALUES ('{id}', 1)")).await;
            tokio::task::yield_now().await;
            B::append(&mut tx, &event(&id, 1)).await.unwrap();
            tokio::task::yield_now().await;
            tx.commit().await.unwrap();
        };
        let finished = poll_at_most(polls, work).await;
        let (rows, events) = rows_and_events(backend, &id).await;
        assert_eq!(rows, events, "dropped after {polls} polls");
        if finished {
            assert_eq!(rows, "1");
            break;
        }
    }
    // A connection left inside a transaction would take this one along when it goes.
    let mut tx = backend.begin().await;
    place::<B>(&mut tx, "last").await;
    tx.commit().await.unwrap();
    assert_eq!(rows_and_events(backend, "last").await, ("1".to_owned(), "1".to_owned()));
    assert!(polls > 2, "the work was done after {polls} polls, so nothing was cancelled");
}

/// Polls so often and then drops the future; returns whether it had finished.
async fn poll_at_most(polls: usize, future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

pub async fn a_retried_transaction_leaves_one_event<B: SqlBackend>(backend: &B) {
    for attempt in 1..=3 {
        let mut tx = backend.begin().await;
        place::<B>(&mut tx, "retried").await;
        if attempt < 3 {
            tx.rollback().await.unwrap();
        } else {
            tx.commit().await.unwrap();
        }
    }
    assert_eq!(rows_and_events(backend, "retried").await, ("1".to_owned(), "1".to_owned()));
}

pub async fn what_a_transaction_captured_is_told_and_no_more<B: Backend>(backend: &B) {
    write(backend, &["before"], 1, 2).await;
    let mut tx = backend.begin().await;
    backend.captured(&mut tx).await.unwrap().assert_none();
    B::append(&mut tx, &event("k", 1)).await.unwrap();
    B::change(&mut tx, Some(&order(1)), Some(&order(2))).await.unwrap();
    let image = |total| json!({"id": "o-7", "tenant": "eu", "total": total});
    backend
        .captured(&mut tx)
        .await
        .unwrap()
        .assert_topics(["shop.orders", "shop.orders"])
        .assert_event("shop.orders", "k", json!({"n": 1}))
        .assert_updated("shop.orders", "o-7", image(1), image(2));
    tx.commit().await.unwrap();
    let mut tx = backend.begin().await;
    backend.captured(&mut tx).await.unwrap().assert_none();
    B::append(&mut tx, &event("k", 2)).await.unwrap();
    backend.captured(&mut tx).await.unwrap().assert_topics(["shop.orders"]);
    tx.rollback().await.unwrap();
}

pub async fn append_all_keeps_the_order_of_its_events<B: Backend>(backend: &B) {
    let wanted: Vec<_> = (1..=700).map(|n| event(&format!("key-{}", n % 7), n)).collect();
    let mut tx = backend.begin().await;
    let ids = B::append_all(&mut tx, &wanted).await.unwrap();
    tx.commit().await.unwrap();

    let stored = events(backend).await;
    assert!(stored.is_sorted_by_key(|event| event.position));
    assert_eq!(stored.iter().map(number).collect::<Vec<_>>(), (1..=700).collect::<Vec<_>>());
    assert_eq!(stored.iter().map(|event| event.event_id).collect::<Vec<_>>(), ids);
    assert_eq!(ids, wanted.iter().map(|event| event.event_id).collect::<Vec<_>>());
}

pub async fn append_all_of_nothing_writes_nothing<B: Backend>(backend: &B) {
    let mut tx = backend.begin().await;
    assert!(B::append_all(&mut tx, &[]).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    assert!(events(backend).await.is_empty());
}

fn order(total: i64) -> Order {
    Order { id: "o-7".into(), tenant: "eu".into(), total }
}

pub async fn an_entity_tells_before_and_after<B: Backend>(backend: &B) {
    let (small, large) = (order(1), order(2));
    for (before, after) in [(None, Some(&small)), (Some(&small), Some(&large)), (Some(&large), None)] {
        let mut tx = backend.begin().await;
        assert!(B::change(&mut tx, before, after).await.unwrap().is_some());
        tx.commit().await.unwrap();
    }
    let image = |total| Some(Payload::Text(format!(r#"{{"id":"o-7","tenant":"eu","total":{total}}}"#).into_bytes()));
    let mut told = Vec::new();
    for event in events(backend).await {
        assert_eq!((event.topic.as_str(), event.key.as_str()), ("shop.orders", "o-7"));
        assert_eq!((event.aggregate_type.as_deref(), event.tenant_id.as_deref()), (Some("orders"), Some("eu")));
        assert_eq!(event.schema_version, Some(3));
        told.push((event.operation, event.old_payload, event.payload));
    }
    let wanted = [
        (Some(Operation::Insert), None, image(1)),
        (Some(Operation::Update), image(1), image(2)),
        (Some(Operation::Delete), image(2), None),
    ];
    assert_eq!(told, wanted);
}

pub async fn an_update_that_changes_nothing_writes_nothing<B: Backend>(backend: &B) {
    let mut tx = backend.begin().await;
    assert_eq!(B::change(&mut tx, Some(&order(1)), Some(&order(1))).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert!(events(backend).await.is_empty());
}

/// JSON that a database's own JSON type refuses, reorders or rounds.
const DIFFICULT_JSON: [&str; 9] = [
    r#"{"nul":"\u0000"}"#,
    r#"{"surrogate":"\ud800"}"#,
    r#"{"digits":12345678901234567890123456789012345678.98765432109876543210987654321098765432}"#,
    r#"{"z":1,"a":2,"z":3}"#,
    r#"{"exponent":1e400,"minus":-0.0}"#,
    "{\n  \"pretty\" :\t[ ]\r\n}",
    r#""☃ \u2603 𝄞 \ud834\udd1e""#,
    "null",
    r#"{"quotes":"'\"\\ $1 ?1 :a %s"}"#,
];

pub async fn json_comes_back_to_the_last_byte<B: Backend>(backend: &B) {
    let wanted: Vec<_> = DIFFICULT_JSON.iter().map(|json| NewEvent::new("t", "k").json(*json)).collect();
    let mut tx = backend.begin().await;
    B::append_all(&mut tx, &wanted).await.unwrap();
    for event in &wanted {
        B::append(&mut tx, event).await.unwrap();
    }
    tx.commit().await.unwrap();

    let stored: Vec<_> = events(backend).await.into_iter().map(|event| event.payload.unwrap()).collect();
    let text = |json: &&str| Payload::Text(json.as_bytes().to_vec());
    assert_eq!(stored[..9], DIFFICULT_JSON.iter().map(text).collect::<Vec<_>>());
    assert_eq!(stored[9..], stored[..9]);
}

pub async fn text_that_no_database_likes_is_stored_all_the_same<B: Backend>(backend: &B) {
    let texts = [b"a raw \0 NUL".to_vec(), b"not \xff UTF-8".to_vec(), b"\xed\xa0\x80".to_vec(), Vec::new()];
    let mut wanted = Vec::new();
    for text in &texts {
        let mut event = NewEvent::new("t", "k");
        event.payload = Some(Payload::Text(text.clone()));
        wanted.push(event);
    }
    wanted.push(NewEvent::new("t", "k").binary("application/protobuf", vec![0, 255, 10]));
    wanted.push(NewEvent::new("t", "k"));
    let mut tx = backend.begin().await;
    B::append_all(&mut tx, &wanted).await.unwrap();
    tx.commit().await.unwrap();

    let stored = events(backend).await;
    let bytes: Vec<_> = stored.iter().map(|event| event.payload.as_ref().map(|p| p.as_bytes().to_vec())).collect();
    let mut expected: Vec<_> = texts.into_iter().map(Some).collect();
    expected.extend([Some(vec![0, 255, 10]), None]);
    assert_eq!(bytes, expected);
    assert_eq!(stored[4].payload, Some(Payload::Binary(vec![0, 255, 10])));
    assert_eq!(stored[4].content_type, "application/protobuf");
}

pub async fn large_payloads_and_keys_pass<B: Backend>(backend: &B) {
    let key = "k".repeat(64 << 10);
    let json = format!(r#"{{"n":1,"blob":"{}"}}"#, "x".repeat(5 << 20));
    let mut tx = backend.begin().await;
    B::append(&mut tx, &NewEvent::new("t", key.as_str()).json(json.as_str())).await.unwrap();
    tx.commit().await.unwrap();

    let stored = only_event(backend).await;
    assert!(stored.key == key && stored.payload == Some(Payload::Text(json.into_bytes())));
}

pub async fn keys_of_any_characters_come_back<B: Backend>(backend: &B) {
    let keys =
        ["", " ", "it's \"quoted\"", "line\nfeed\r\n", "\u{1b}[31mred", "\\x00 \\", "ключ-鍵-🗝", "a\u{301}", "%_*?["];
    let mut tx = backend.begin().await;
    for key in keys {
        B::append(&mut tx, &event(key, 1)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let stored: Vec<_> = events(backend).await.into_iter().map(|event| event.key).collect();
    assert_eq!(stored, keys);
}

pub async fn plain_sql_needs_three_columns<B: SqlBackend>(backend: &B) {
    let before = OffsetDateTime::now_utc();
    backend.admin("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop', 'k', '{\"n\":1}')").await;
    backend.admin("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop', 'k', '{\"n\":2}')").await;
    let [first, second]: [_; 2] = events(backend).await.try_into().unwrap();

    assert_ne!(first.event_id, second.event_id);
    assert_eq!(first.event_id.get_version_num(), 7);
    assert_eq!(first.event_id.get_variant(), uuid::Variant::RFC4122);
    let (seconds, _) = first.event_id.get_timestamp().unwrap().to_unix();
    assert!(before.unix_timestamp().abs_diff(i64::try_from(seconds).unwrap()) <= 5, "{}", first.event_id);
    assert!((first.occurred_at - before).abs() < time::Duration::seconds(5), "{}", first.occurred_at);
    assert_eq!(first.content_type, Cow::Borrowed(JSON));
    assert_eq!((first.operation, first.old_payload, first.headers, first.tenant_id), (None, None, None, None));
    assert_eq!(second.position, first.position + 1);
}
