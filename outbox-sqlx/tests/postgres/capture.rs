use std::borrow::Cow;

use outbox_core::source::Row;
use outbox_core::{CaptureError, Context, Entity, Event, NewEvent, Operation, Payload};
use outbox_sqlx::{AppendError, PgOutbox};
use sqlx::Connection;

use crate::database::{TestDatabase, above, execute};

struct Order {
    id: u32,
    status: &'static str,
}

impl Entity for Order {
    const TABLE: &'static str = "orders";
    const TOPIC: &'static str = "shop.orders";
    const VERSION: Option<i32> = Some(2);

    fn key(&self) -> Cow<'_, str> {
        Cow::Owned(self.id.to_string())
    }

    fn tenant(&self) -> Option<Cow<'_, str>> {
        Some("acme".into())
    }

    fn image(&self) -> Result<String, CaptureError> {
        Ok(format!("{{\"status\":\"{}\"}}", self.status))
    }
}

async fn events(database: &TestDatabase) -> Vec<Event> {
    let read = database.source().await.read(&above(0)).await.unwrap();
    read.rows
        .into_iter()
        .map(|row| match row {
            Row::Event(event) => *event,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn text(text: &str) -> Payload {
    Payload::Text(text.as_bytes().to_vec())
}

#[tokio::test]
async fn an_event_is_there_exactly_if_its_transaction_commits() {
    let database = TestDatabase::migrated().await;
    let (outbox, mut session) = (PgOutbox::new(), database.writer().await);
    let mut tx = session.begin().await.unwrap();
    let kept = outbox.append(&mut tx, &NewEvent::new("t", "kept").json("1")).await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    outbox.append(&mut savepoint, &NewEvent::new("t", "undone").json("2")).await.unwrap();
    savepoint.rollback().await.unwrap();
    assert!(events(&database).await.is_empty(), "nothing is visible before the commit");
    tx.commit().await.unwrap();
    let mut tx = session.begin().await.unwrap();
    outbox.append(&mut tx, &NewEvent::new("t", "rolled back").json("3")).await.unwrap();
    tx.rollback().await.unwrap();
    let events = events(&database).await;
    assert_eq!(events.iter().map(|event| (event.key.as_str(), event.event_id)).collect::<Vec<_>>(), [("kept", kept)]);
}

#[tokio::test]
async fn append_all_keeps_the_order_of_the_slice() {
    let database = TestDatabase::migrated().await;
    let (outbox, mut session) = (PgOutbox::new(), database.writer().await);
    let new: Vec<_> =
        (0..1000).map(|n| NewEvent::new("t", format!("key-{}", (n * 7919) % 1000)).json(n.to_string())).collect();
    let mut tx = session.begin().await.unwrap();
    let ids = outbox.append_all(&mut tx, &new).await.unwrap();
    assert!(outbox.append_all::<NewEvent<'_>>(&mut tx, &[]).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    let events = events(&database).await;
    assert_eq!(events.iter().map(|event| event.event_id).collect::<Vec<_>>(), ids);
    assert!(events.windows(2).all(|pair| pair[0].position + 1 == pair[1].position));
    assert!(events.iter().zip(&new).all(|(event, new)| event.key == new.key && event.payload == new.payload));
}

#[tokio::test]
async fn every_column_goes_there_and_back() {
    let database = TestDatabase::migrated().await;
    let (outbox, mut session) = (PgOutbox::new(), database.writer().await);
    let new = NewEvent {
        event_type: Some("Placed".into()),
        aggregate_type: Some("orders".into()),
        operation: Some(Operation::Snapshot),
        old_payload: Some(Payload::Binary(vec![0, 255])),
        headers: Some("{\"traceparent\":\"00\"}".into()),
        tenant_id: Some("acme".into()),
        actor: Some("ann".into()),
        schema_version: Some(-3),
        ..NewEvent::new("töpic", "kéy").binary("application/protobuf", [1, 0, 2])
    };
    let mut tx = session.begin().await.unwrap();
    outbox.append_all(&mut tx, std::slice::from_ref(&new)).await.unwrap();
    tx.commit().await.unwrap();
    let event = events(&database).await.remove(0);
    let got = NewEvent {
        event_id: event.event_id,
        topic: event.topic.into(),
        key: event.key.into(),
        event_type: event.event_type.map(Cow::Owned),
        aggregate_type: event.aggregate_type.map(Cow::Owned),
        operation: event.operation,
        payload: event.payload,
        old_payload: event.old_payload,
        content_type: event.content_type,
        headers: event.headers.map(Cow::Owned),
        tenant_id: event.tenant_id.map(Cow::Owned),
        actor: event.actor.map(Cow::Owned),
        schema_version: event.schema_version,
    };
    assert_eq!(got, new);
    assert!(event.transaction_id.unwrap().parse::<u64>().is_ok());
    assert!((time::OffsetDateTime::now_utc() - event.occurred_at).abs() < time::Duration::minutes(1));
}

#[tokio::test]
async fn entities_are_told_with_before_and_after() {
    let database = TestDatabase::migrated().await;
    let (outbox, mut session) = (PgOutbox::default(), database.writer().await);
    let (new, paid) = (Order { id: 7, status: "new" }, Order { id: 7, status: "paid" });
    let mut tx = session.begin().await.unwrap();
    assert!(outbox.insert(&mut tx, &new).await.unwrap().is_some());
    assert!(outbox.update(&mut tx, &new, &paid).await.unwrap().is_some());
    assert!(outbox.update(&mut tx, &paid, &paid).await.unwrap().is_none(), "nothing changed");
    assert!(outbox.delete(&mut tx, &paid).await.unwrap().is_some());
    tx.commit().await.unwrap();
    let events = events(&database).await;
    let (before, after) = (Some(text("{\"status\":\"new\"}")), Some(text("{\"status\":\"paid\"}")));
    let told: Vec<_> =
        events.iter().map(|event| (event.operation.unwrap(), &event.old_payload, &event.payload)).collect();
    assert_eq!(
        told,
        [(Operation::Insert, &None, &before), (Operation::Update, &before, &after), (Operation::Delete, &after, &None)]
    );
    assert!(events.iter().all(|event| event.aggregate_type.as_deref() == Some("orders") && event.key == "7"));
}

#[tokio::test]
async fn text_postgres_cannot_store_never_harms_the_transaction() {
    let database = TestDatabase::migrated().await;
    let (outbox, mut session) = (PgOutbox::new(), database.writer().await);
    let mut tx = session.begin().await.unwrap();
    let odd = |bytes: &[u8]| NewEvent { payload: Some(Payload::Text(bytes.to_vec())), ..NewEvent::new("t", "odd") };
    outbox.append(&mut tx, &odd(b"a\0b")).await.unwrap();
    outbox.append_all(&mut tx, &[odd(b"\xff"), odd("\"\\u0000 \\ud800 ä\"".as_bytes())]).await.unwrap();
    let error = outbox.append(&mut tx, &NewEvent::new("t", "a\0b").json("1")).await.unwrap_err();
    assert!(matches!(&error, AppendError::Database(cause) if cause.to_string().contains("NUL")), "{error:?}");
    tx.commit().await.unwrap();
    let payloads: Vec<_> = events(&database).await.into_iter().map(|event| event.payload.unwrap()).collect();
    let expected =
        [Payload::Binary(b"a\0b".to_vec()), Payload::Binary(b"\xff".to_vec()), text("\"\\u0000 \\ud800 ä\"")];
    assert_eq!(payloads, expected);
}

#[tokio::test]
async fn other_names_and_any_search_path() {
    let database = TestDatabase::empty().await;
    let names = outbox_sqlx::Names::new(Some("shop"), Some("ob_")).unwrap();
    database.store_with(names.clone()).migrate(1).await.unwrap();
    let mut session = database.session().await;
    execute(&mut session, "SET search_path = pg_catalog").await;
    let mut tx = session.begin().await.unwrap();
    PgOutbox::with_names(names).append(&mut tx, &NewEvent::new("t", "k").json("1")).await.unwrap();
    tx.commit().await.unwrap();
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM shop.ob_event").fetch_one(&mut session).await.unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_context_can_be_built_upon() {
    let outbox = PgOutbox::new().with_context(Context::new().tenant("acme"));
    let outbox = outbox.with_context(outbox.context().clone().actor("ann"));
    assert_eq!(outbox.context(), &Context::new().tenant("acme").actor("ann"));
    assert_eq!(PgOutbox::new().context(), &Context::new());
}
