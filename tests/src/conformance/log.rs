//! Writing numbered events, reading the log as it stands, and relays that look at it often.

use std::collections::BTreeMap;
use std::time::Duration;

use outbox_core::source::{Read, ReadRequest, Row};
use outbox_core::{Event, Filter, NewEvent, Store};
use outbox_relay::{Outcome, Relay, RelayBuilder, RelayError, Retry, Subscription, Then};

use super::waiting::{DEADLINE, within};
use super::{Backend, Business};

/// The name every subscription has that is alone in its test.
pub const SUBSCRIPTION: &str = "billing";

/// The `n`-th event of a key.
pub fn event(key: &str, n: u64) -> NewEvent<'static> {
    NewEvent::new("shop.orders", key.to_owned()).json(format!(r#"{{"n":{n}}}"#))
}

/// The number of an event made by [`event`].
///
/// # Panics
///
/// When its payload is another one.
pub fn number(event: &Event) -> u64 {
    let payload = event.payload.as_ref().expect("a numbered event has a payload");
    let json: serde_json::Value = serde_json::from_slice(payload.as_bytes()).expect("a numbered event holds JSON");
    json["n"].as_u64().expect("a numbered event holds its number")
}

/// Commits the events numbered `from..=to` of each key, one transaction a number.
///
/// # Panics
///
/// When the database refuses one.
pub async fn write<B: Backend>(backend: &B, keys: &[&str], from: u64, to: u64) {
    for n in from..=to {
        let mut tx = backend.begin().await;
        for key in keys {
            B::append(&mut tx, &event(key, n)).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}

/// What a sink that took `from..=to` of each key shows.
pub fn numbered(keys: &[&str], from: u64, to: u64) -> BTreeMap<String, Vec<u64>> {
    keys.iter().map(|key| ((*key).to_owned(), (from..=to).collect())).collect()
}

/// A request for everything there is.
pub fn everything() -> ReadRequest {
    ReadRequest { max_events: 10_000, ..ReadRequest::above(0) }
}

/// Reads once over a new connection.
///
/// # Panics
///
/// When the database cannot be read.
pub async fn read<B: Backend>(backend: &B, filter: &Filter, request: &ReadRequest) -> Read {
    let mut source = backend.store().source(filter).await.unwrap();
    source.read(request).await.unwrap()
}

/// Every event of the log.
///
/// # Panics
///
/// When a row is no event.
pub async fn events<B: Backend>(backend: &B) -> Vec<Event> {
    let rows = read(backend, &Filter::default(), &everything()).await.rows;
    rows.into_iter().map(expect_event).collect()
}

/// The one event of the log.
///
/// # Panics
///
/// When there are none or several.
pub async fn only_event<B: Backend>(backend: &B) -> Event {
    let mut events = events(backend).await;
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn expect_event(row: Row) -> Event {
    match row {
        Row::Event(event) => *event,
        other => panic!("no event: {other:?}"),
    }
}

/// A subscription whose events are tried again soon.
pub fn subscription(publisher: impl outbox_core::Publisher) -> Subscription {
    let retry = Retry { first: Duration::from_millis(20), max: Duration::from_millis(100), ..Retry::default() };
    Subscription::new(SUBSCRIPTION, publisher).retry(retry)
}

/// The same, where an event that will not pass stays owed.
pub fn blocking(publisher: impl outbox_core::Publisher) -> Subscription {
    let retry = Retry { first: Duration::from_millis(20), max: Duration::from_millis(100), ..Retry::default() };
    Subscription::new(SUBSCRIPTION, publisher).retry(Retry { then: Then::Block, ..retry })
}

/// A relay that looks at the log often.
pub fn relay(store: impl Store) -> RelayBuilder {
    Relay::builder(store).name("relay-a").poll_max(Duration::from_millis(20))
}

/// Publishes everything there is.
///
/// # Errors
///
/// How the relay ended.
pub async fn drain(relay: RelayBuilder) -> Result<Outcome, RelayError> {
    within("the relay to end", async { relay.until_empty(Some(DEADLINE)).start().await?.wait().await }).await
}
