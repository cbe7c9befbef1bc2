//! Continuity: a relay that finds another log than the one it knows stops, and publishes nothing of it.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::time::Duration;

use outbox_core::StoreErrorKind;
use outbox_relay::{Outcome, RelayError, RunningRelay};
use uuid::Uuid;

use super::interposed::Interposed;
use super::log::{drain, numbered, relay, subscription, write};
use super::sink::Sink;
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

/// Five events published, by a relay at work.
pub(super) async fn running<B: Backend>(backend: &B) -> (Sink, Interposed<B::Store>, RunningRelay) {
    write(backend, &["k"], 1, 5).await;
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let running = relay(store.clone()).lease(Duration::from_secs(1));
    let running = running.subscription(subscription(sink.clone())).start().await.unwrap();
    sink.until_taken(5).await;
    (sink, store, running)
}

pub(super) async fn ends_for_continuity(running: RunningRelay) {
    is_continuity(within("the relay to end", running.wait()).await);
}

/// Asserts that this is how the relay ended.
pub(super) fn is_continuity(ended: Result<Outcome, RelayError>) {
    match ended.unwrap_err() {
        RelayError::Store(error) => assert_eq!(error.kind(), StoreErrorKind::Continuity, "{error}"),
        other => panic!("{other}"),
    }
}

pub async fn a_log_set_back_under_a_running_relay_stops_it<B: SqlBackend>(backend: &B) {
    let (sink, store, running) = running(backend).await;
    backend.admin(B::SET_BACK).await;
    store.break_connections();
    ends_for_continuity(running).await;
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 5));
}

pub async fn another_event_under_a_known_position_stops_it<B: SqlBackend>(backend: &B) {
    let (sink, store, running) = running(backend).await;
    backend.admin(&format!("UPDATE outbox_event SET event_id = '{}' WHERE position = 4", Uuid::now_v7())).await;
    store.break_connections();
    ends_for_continuity(running).await;
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 5));
}

pub async fn a_log_set_back_while_no_relay_ran_is_noticed<B: SqlBackend>(backend: &B) {
    let (sink, _, running) = running(backend).await;
    within("the relay to stop", running.stop()).await.unwrap();
    backend.admin(B::SET_BACK).await;
    write(backend, &["k"], 6, 6).await;
    is_continuity(drain(relay(backend.store()).subscription(subscription(sink.clone()))).await);
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 5), "nothing of another log is published");
}

pub async fn the_same_log_after_a_reconnect_goes_on<B: Backend>(backend: &B) {
    let (sink, store, running) = running(backend).await;
    store.break_connections();
    write(backend, &["k"], 6, 9).await;
    sink.until_taken(9).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 9));
}

/// A lease is lost with the database that gave it; the next one, and its checkpoint, come from the older database.
pub async fn a_lost_lease_makes_no_relay_forget_what_it_read<B: SqlBackend>(backend: &B) {
    let (sink, store, running) = running(backend).await;
    checkpointed(backend, 5).await;
    // The reader learns nothing: the heartbeat finds its lease gone, and takes the next one from the older database.
    let waker = running.waker();
    tokio::join!(biased; within("a read under way", store.hold_back_a_read()), async { waker.wake() });
    backend.admin(B::SET_BACK).await;
    // As a restored backup has it: a checkpoint that fits its log, and no lease.
    let forget =
        "UPDATE outbox_checkpoint SET position = 0, proof = '', open_positions = '{}'; DELETE FROM outbox_lease";
    backend.admin(forget).await;
    write(backend, &["k"], 6, 20).await;
    ends_for_continuity(running).await;
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 5), "nothing of the older database is published");
    let position = backend.ask("SELECT CAST(max(position) AS text) FROM outbox_checkpoint").await;
    assert_eq!(position.as_deref(), Some("0"), "an older log gets no newer checkpoint");
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.taken().len(), 5 + 1 + 15, "a relay that starts anew loses nothing and repeats what it must");
}

/// Waits until the checkpoint stands there.
pub(super) async fn checkpointed<B: SqlBackend>(backend: &B, position: i64) {
    let stored = async || backend.ask("SELECT CAST(max(position) AS text) FROM outbox_checkpoint").await;
    eventually("the checkpoint", stored, |stored| *stored == Some(position.to_string())).await;
}

/// Rows that a person removed are not missed when the floor says so.
pub async fn rows_pruned_below_the_floor_are_not_missed<B: SqlBackend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["a"], 1, 30).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    backend.admin("DELETE FROM outbox_event WHERE position <= 30").await;
    backend.admin("UPDATE outbox_meta SET value = '30' WHERE name = 'floor'").await;
    write(backend, &["a"], 31, 32).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 32));
}
