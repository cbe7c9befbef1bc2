//! PostgreSQL over a network that cuts, delays and falls silent.

use std::time::Duration;

use outbox_core::{Names, Store};
use outbox_sqlx::PgStore;

use super::log::{numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::Sink;
use super::waiting::{DEADLINE, eventually, within};
use super::{Backend, SqlBackend};
use crate::proxy::Proxy;

/// What the protocol calls the message that has a prepared statement carried out.
const BIND: u8 = b'B';

async fn proxied(backend: &Postgres) -> (Proxy, PgStore) {
    let options = backend.relay();
    let proxy = Proxy::to(format!("{}:{}", options.get_host(), options.get_port())).await.unwrap();
    let through = options.clone().host("127.0.0.1").port(proxy.port());
    (proxy, PgStore::from_options(through, Names::default()))
}

/// A network that breaks down again and again loses nothing.
pub async fn cut_connections_lose_nothing(backend: &Postgres) {
    let (proxy, store) = proxied(backend).await;
    let sink = Sink::new();
    let running = relay(store).lease(Duration::from_secs(1)).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    for n in 1..=10 {
        write(backend, &["a", "b"], n, n).await;
        proxy.cut();
        sink.until_taken(usize::try_from(2 * n).unwrap()).await;
    }
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 10));
}

/// A checkpoint that the server commits, and whose answer never comes, is found again and nothing repeats.
pub async fn a_commit_whose_answer_is_cut_off_repeats_nothing(backend: &Postgres) {
    let (proxy, store) = proxied(backend).await;
    // Laid before the relay connects: the connection that writes checkpoints is known by what it sends first.
    proxy.swallow_answer("SET position = new.position", BIND);
    let sink = Sink::new();
    let running = relay(store).subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["a", "b"], 1, 5).await;
    within("the answer to be cut off", proxy.until_sprung(1)).await;
    write(backend, &["a", "b"], 6, 8).await;
    sink.until_taken(16).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 8));
    assert_eq!(backend.store().status().await.unwrap().subscriptions[0].lag_events, Some(0));
}

/// A slow network is merely slow.
pub async fn a_slow_network_is_merely_slow(backend: &Postgres) {
    let (proxy, store) = proxied(backend).await;
    proxy.delay(Duration::from_millis(10));
    let sink = Sink::new();
    let running = relay(store).subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["a", "b"], 1, 50).await;
    sink.until_taken(100).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 50));
}

/// A relay that its database no longer hears is replaced, and does not publish meanwhile.
pub async fn a_relay_cut_off_from_its_database_is_replaced(backend: &Postgres) {
    let (proxy, store) = proxied(backend).await;
    let (first, second) = (Sink::new(), Sink::new());
    write(backend, &["k"], 1, 5).await;
    let short = Duration::from_secs(1);
    let a = relay(store).lease(short).subscription(subscription(first.clone())).start().await.unwrap();
    first.until_taken(5).await;
    let stored = async || backend.ask("SELECT max(position)::text FROM outbox_checkpoint").await;
    eventually("the checkpoint", stored, |position| position.as_deref() == Some("5")).await;
    proxy.silence();
    let b = relay(backend.store()).name("relay-b").lease(short).subscription(subscription(second.clone()));
    let b = b.start().await.unwrap();
    write(backend, &["k"], 6, 10).await;
    second.until_taken(5).await;
    proxy.cut();
    within("the second relay to stop", b.stop()).await.unwrap();
    within("the first relay to stop", a.stop()).await.unwrap();
    assert_eq!((first.by_key(), second.by_key()), (numbered(&["k"], 1, 5), numbered(&["k"], 6, 10)));
}

/// Connections that are half open are given up after their time limits, and everything goes on over new ones.
pub async fn half_open_connections_are_given_up(backend: &Postgres) {
    let (proxy, store) = proxied(backend).await;
    let sink = Sink::new();
    let running = relay(store).lease(Duration::from_secs(1)).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    write(backend, &["a", "b"], 1, 5).await;
    sink.until_taken(10).await;
    proxy.silence();
    write(backend, &["a", "b"], 6, 10).await;
    // A read may take half a minute before it counts as lost.
    tokio::time::timeout(DEADLINE * 2, sink.taking(20)).await.unwrap();
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 10));
}
