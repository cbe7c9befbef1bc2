//! What an application writes is what a relay reads.

use outbox_core::{CaptureError, Context, Entity, NewEvent, Operation, Payload};
use outbox_sqlx::SqliteOutbox;
use sqlx::Connection;

use crate::{Shop, event, numbered, positions};

#[tokio::test]
async fn an_event_is_there_if_and_only_if_its_transaction_commits() {
    let shop = Shop::open().await;
    let outbox = SqliteOutbox::new();
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    outbox.append(&mut tx, &NewEvent::new("t", "rolled back")).await.unwrap();
    tx.rollback().await.unwrap();

    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let first = outbox.append(&mut tx, &NewEvent::new("t", "kept").json("{}")).await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    outbox.append(&mut savepoint, &NewEvent::new("t", "savepoint rolled back")).await.unwrap();
    savepoint.rollback().await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    let second = outbox.append(&mut savepoint, &NewEvent::new("t", "savepoint kept")).await.unwrap();
    savepoint.commit().await.unwrap();
    assert_eq!(shop.all().await, []);
    tx.commit().await.unwrap();

    let rows = shop.all().await;
    let found: Vec<_> = rows.iter().map(|row| (event(row).event_id, event(row).key.as_str())).collect();
    assert_eq!(found, [(first, "kept"), (second, "savepoint kept")]);
}

#[tokio::test]
async fn every_field_comes_back_as_it_was_captured() {
    let shop = Shop::open().await;
    let mut captured = NewEvent::new("shop.orders", "k\u{0}ey").json("{\"a\":\u{0}1}");
    captured.event_type = Some("Placed".into());
    captured.aggregate_type = Some("orders".into());
    captured.operation = Some(Operation::Update);
    captured.old_payload = Some(Payload::Binary(vec![0, 255, 1]));
    captured.headers = Some(r#"{"traceparent":"x"}"#.into());
    captured.tenant_id = Some("acme".into());
    captured.actor = Some(String::new().into());
    captured.schema_version = Some(-3);
    shop.append(std::slice::from_ref(&captured)).await;
    let row = shop.only().await;
    let event = event(&row);
    let copy = NewEvent {
        event_id: event.event_id,
        topic: event.topic.as_str().into(),
        key: event.key.as_str().into(),
        event_type: event.event_type.clone().map(Into::into),
        aggregate_type: event.aggregate_type.clone().map(Into::into),
        operation: event.operation,
        payload: event.payload.clone(),
        old_payload: event.old_payload.clone(),
        content_type: event.content_type.clone(),
        headers: event.headers.clone().map(Into::into),
        tenant_id: event.tenant_id.clone().map(Into::into),
        actor: event.actor.clone().map(Into::into),
        schema_version: event.schema_version,
    };
    assert_eq!(copy, captured);
}

struct Order {
    state: &'static str,
}

impl Entity for Order {
    const TABLE: &'static str = "orders";
    const TOPIC: &'static str = "shop.orders";
    const VERSION: Option<i32> = Some(1);

    fn key(&self) -> std::borrow::Cow<'_, str> {
        "o-1".into()
    }

    fn tenant(&self) -> Option<std::borrow::Cow<'_, str>> {
        None
    }

    fn image(&self) -> Result<String, CaptureError> {
        Ok(format!(r#"{{"state":"{}"}}"#, self.state))
    }
}

#[tokio::test]
async fn entities_tell_what_changed_and_nothing_where_nothing_did() {
    let shop = Shop::open().await;
    let outbox = SqliteOutbox::new();
    let (new, paid) = (Order { state: "new" }, Order { state: "paid" });
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(outbox.insert(&mut tx, &new).await.unwrap().is_some());
    assert!(outbox.update(&mut tx, &new, &new).await.unwrap().is_none());
    assert!(outbox.update(&mut tx, &new, &paid).await.unwrap().is_some());
    assert!(outbox.delete(&mut tx, &paid).await.unwrap().is_some());
    tx.commit().await.unwrap();
    let rows = shop.all().await;
    let operations: Vec<_> = rows.iter().map(|row| event(row).operation.unwrap().as_str()).collect();
    assert_eq!(operations, ["insert", "update", "delete"]);
    assert_eq!(event(&rows[1]).old_payload.as_ref().unwrap().as_bytes(), br#"{"state":"new"}"#);
}

#[tokio::test]
async fn many_events_are_all_written_in_order_or_none_is() {
    let shop = Shop::open().await;
    let ids = shop.append(&numbered(1000)).await;
    let rows = shop.all().await;
    assert_eq!(positions(&rows), (1..=1000).collect::<Vec<_>>());
    assert_eq!(rows.iter().map(|row| event(row).event_id).collect::<Vec<_>>(), ids);
    assert_eq!(event(&rows[999]).payload, Some(Payload::Text(br#"{"n":1000}"#.to_vec())));

    shop.run(
        "CREATE TRIGGER refuse BEFORE INSERT ON outbox_event WHEN NEW.event_key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    let mut events = numbered(400);
    events.push(NewEvent::new("t", "bad"));
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(SqliteOutbox::new().append_all(&mut tx, &events).await.is_err());
    SqliteOutbox::new().append(&mut tx, &NewEvent::new("t", "after")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(event(shop.all().await.get(1000).unwrap()).key, "after");
    assert_eq!(shop.all().await.len(), 1001);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_captured_as_it_is() {
    let shop = Shop::open().await;
    let mut odd = NewEvent::new("t", "k");
    odd.payload = Some(Payload::Text(vec![b'{', 0xff, 0, b'}']));
    shop.append(std::slice::from_ref(&odd)).await;
    assert_eq!(event(&shop.only().await).payload, odd.payload);
}

#[tokio::test]
async fn plain_sql_needs_three_columns() {
    let shop = Shop::open().await;
    shop.run("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{\"a\":1}')").await;
    let row = shop.only().await;
    let event = event(&row);
    assert_eq!((event.topic.as_str(), event.key.as_str(), &*event.content_type), ("t", "k", "application/json"));
    assert_eq!(event.event_id.get_version_num(), 7);
    let age = time::OffsetDateTime::now_utc() - event.occurred_at;
    assert!(age.whole_seconds().abs() < 60, "{age}");
}

#[test]
fn a_context_can_be_built_upon() {
    let outbox = SqliteOutbox::new().with_context(Context::new().tenant("acme"));
    let outbox = outbox.with_context(outbox.context().clone().actor("ann"));
    assert_eq!(outbox.context(), &Context::new().tenant("acme").actor("ann"));
    assert_eq!(SqliteOutbox::new().context(), &Context::new());
}
