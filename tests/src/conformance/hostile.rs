//! Hostile texts through every entry: nothing is executed, nothing is lost, nothing is changed.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use outbox_core::checkpoint::{Checkpoint, DeadLetter};
use outbox_core::lease::{Claim, RelayIdentity};
use outbox_core::source::{ReadRequest, Row};
use outbox_core::{Context, Event, Filter, Names, NewEvent, Position, Store};
use uuid::Uuid;

use super::adapter::Adapter;
use super::checkpoint::{letters, recorded};
use super::corpus::corpus;
use super::log::{events, everything, read};
use super::{Order, SqlBackend};

const ORDERS: &str = "SELECT CAST(count(*) AS text) || ' ' || CAST(min(total) AS text) FROM orders";

/// What may not change: the tables, and the rows of a table of the application.
async fn surroundings<B: SqlBackend>(backend: &B) -> (Option<String>, Option<String>) {
    (backend.ask(B::TABLES).await, backend.ask(ORDERS).await)
}

/// An event with the text in each of its places.
fn event(text: &str) -> NewEvent<'_> {
    NewEvent {
        event_type: Some(text.into()),
        aggregate_type: Some(text.into()),
        tenant_id: Some(text.into()),
        actor: Some(text.into()),
        ..NewEvent::new(text, text).json(serde_json::to_string(text).unwrap())
    }
}

fn assert_holds(event: &Event, text: &str) {
    let texts = [&event.event_type, &event.aggregate_type, &event.tenant_id, &event.actor];
    assert!(texts.iter().all(|found| found.as_deref() == Some(text)), "{text:?}");
    assert_eq!((event.topic.as_str(), event.key.as_str()), (text, text));
    assert_payload_and_header(event, text);
}

fn assert_payload_and_header(event: &Event, text: &str) {
    let json = serde_json::to_string(text).unwrap();
    assert_eq!(event.payload.as_ref().unwrap().as_bytes(), json.as_bytes(), "{text:?}");
    assert_eq!(event.header(text).as_deref(), Some(text), "{text:?}");
}

pub async fn five_hundred_hostile_texts_come_back_and_break_nothing<B: SqlBackend>(backend: &B) {
    let corpus = corpus();
    assert!(corpus.len() >= 500, "only {} texts", corpus.len());
    backend.admin("INSERT INTO orders (id, total) VALUES ('o-1', 1)").await;
    let before = surroundings(backend).await;

    let stored = stores_each(backend, &corpus).await;
    finds_each_by_its_filter(backend, &stored).await;
    keeps_each_as_a_subscription(backend, &corpus).await;

    assert_eq!(surroundings(backend).await, before);
    assert!(backend.store().status().await.is_ok());
}

/// Writes each text in one transaction and reads it back; the texts this database can store, with their positions.
async fn stores_each<B: SqlBackend>(backend: &B, corpus: &[String]) -> Vec<(String, Position)> {
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    let mut tx = backend.begin().await;
    for text in corpus {
        if writes::<B>(&mut tx, text).await { stored.push(text) } else { refused.push(text) }
    }
    tx.commit().await.unwrap();

    let (nul, all): (Vec<_>, Vec<_>) = events(backend).await.into_iter().partition(|event| event.topic == "nul");
    assert_eq!((nul.len(), all.len()), (refused.len(), stored.len() * 4));
    for (event, text) in nul.iter().zip(refused) {
        assert_payload_and_header(event, text);
    }
    for (four, text) in all.chunks(4).zip(&stored) {
        for event in &four[..3] {
            assert_holds(event, text);
        }
        assert_eq!((&four[3].key, four[3].tenant_id.as_ref()), (*text, Some(*text)));
    }
    stored.into_iter().cloned().zip(all.iter().step_by(4).map(|event| event.position)).collect()
}

/// Writes four events with the text in every place. Where the database has no NUL in a text, it is refused without harm
/// to the transaction, and the JSON of one event holds it.
async fn writes<B: SqlBackend>(tx: &mut sqlx::Transaction<'_, B::Database>, text: &str) -> bool {
    let outbox = B::Adapter::default().with_context(Context::new().header(text, text));
    let order = Order { id: text.into(), tenant: text.into(), total: 1 };
    if let Err(refused) = outbox.append(tx, &event(text)).await {
        assert!(text.contains('\0'), "{text:?}: {refused}");
        assert!(!refused.to_string().chars().any(char::is_control), "{refused:?}");
        assert!(outbox.append_all(tx, &[event(text)]).await.is_err());
        assert!(outbox.change(tx, None, Some(&order)).await.is_err());
        let json = NewEvent::new("nul", "k").json(serde_json::to_string(text).unwrap());
        outbox.append(tx, &json).await.unwrap();
        return false;
    }
    outbox.append_all(tx, &[event(text), event(text)]).await.unwrap();
    outbox.change(tx, None, Some(&order)).await.unwrap();
    true
}

/// A filter by a few texts passes the events of those alone, and none of those before and behind them.
async fn finds_each_by_its_filter<B: SqlBackend>(backend: &B, stored: &[(String, Position)]) {
    for few in stored.chunks(8) {
        let texts: Vec<_> = few.iter().map(|(text, _)| text.clone()).collect();
        let (topics, tables, keys) = (texts.clone(), texts.clone(), texts.clone());
        let filter = Filter { topics, tables, keys, tenants: texts.clone(), ..Filter::default() };
        let request = ReadRequest { after: few[0].1 - 20, max_events: 80, ..everything() };
        let rows = read(backend, &filter, &request).await.rows;
        let found: Vec<_> = rows.iter().filter_map(event_in).collect();
        assert_eq!(found.len(), 3 * texts.len(), "{texts:?}");
        for (three, text) in found.chunks(3).zip(&texts) {
            three.iter().copied().for_each(|event| assert_holds(event, text));
        }
    }
}

fn event_in(row: &Row) -> Option<&Event> {
    if let Row::Event(event) = row { Some(event) } else { None }
}

/// Lease, checkpoint and dead letter of a subscription of that name belong to it alone.
async fn keeps_each_as_a_subscription<B: SqlBackend>(backend: &B, corpus: &[String]) {
    let store = backend.store();
    let (mut leases, mut checkpoints) = (store.leases().await.unwrap(), store.checkpoints().await.unwrap());
    let mut claimed = Vec::new();
    for (text, position) in corpus.iter().zip(1..) {
        let relay = RelayIdentity {
            relay_id: Uuid::now_v7(),
            name: text.clone(),
            host: text.clone(),
            process_id: 1,
            process_started: text.clone(),
        };
        let claim = leases.acquire_one(&relay, text, std::time::Duration::from_mins(5)).await;
        let Ok(claim) = claim else {
            assert!(text.contains('\0'), "{text:?}: {claim:?}");
            leases = store.leases().await.unwrap();
            continue;
        };
        assert!(matches!(claim, Claim::Held { .. }), "{text:?}: {claim:?}");
        let checkpoint = Checkpoint { position, ..Checkpoint::default() };
        checkpoints.create(text, 1, &checkpoint).await.unwrap();
        letters(checkpoints.as_mut(), text, 1, &[letter(position, text)], &[]).await.unwrap();
        claimed.push((text, position, checkpoint));
    }
    for (text, position, checkpoint) in claimed {
        assert_eq!(checkpoints.claim_one(text, 1).await.unwrap(), Some(checkpoint), "{text:?}");
        assert_eq!(recorded(checkpoints.as_mut(), text).await, [position], "{text:?}");
    }
}

fn letter(position: i64, text: &str) -> DeadLetter {
    DeadLetter {
        position,
        event_id: Uuid::now_v7(),
        topic: text.into(),
        key: text.into(),
        reason: text.into(),
        attempts: 1,
    }
}

pub async fn five_hundred_hostile_names_are_refused<B: SqlBackend>(backend: &B) {
    let corpus = corpus();
    assert!(corpus.len() >= 500, "only {} names", corpus.len());
    let before = surroundings(backend).await;
    let mut harmless = Vec::new();
    for text in &corpus {
        match [Names::new(None, Some(text)), Names::new(Some(text), None)] {
            [Ok(prefix), Ok(schema)] => {
                assert_eq!(prefix.quoted("event"), format!("\"{text}event\""));
                assert_eq!(schema.quoted("event"), format!("\"{text}\".\"outbox_event\""));
                harmless.push(prefix);
            }
            [Err(prefix), Err(schema)] => {
                for shown in [prefix.to_string(), schema.to_string()] {
                    assert!(shown.contains("a-z, A-Z, 0-9 and _"), "{shown:?}");
                    assert!(!shown.chars().any(|c| c.is_control() || "\u{202e}\u{200b}".contains(c)), "{shown:?}");
                }
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
    assert_eq!(surroundings(backend).await, before);
    assert!((3..100).contains(&harmless.len()), "{harmless:?}");
    for names in harmless {
        works_under(backend, names).await;
    }
}

/// A word of SQL is a name as any other, once it is quoted.
async fn works_under<B: SqlBackend>(backend: &B, names: Names) {
    let (outbox, store) = backend.another(names.clone()).await;
    let mut tx = backend.begin().await;
    outbox.append(&mut tx, &NewEvent::new("t", "k").json("1")).await.unwrap();
    tx.commit().await.unwrap();
    let mut source = store.source(&Filter::default()).await.unwrap();
    assert_eq!(source.read(&everything()).await.unwrap().rows.len(), 1, "{names}");
}
