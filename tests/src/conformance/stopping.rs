//! Stopping and starting again: what is in flight is waited for, and nothing of it repeats.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::time::Duration;

use outbox_core::Store;
use outbox_relay::publisher::channel;
use outbox_relay::{Outcome, RelayError};

use super::Backend;
use super::log::{SUBSCRIPTION, drain, number, numbered, relay, subscription, write};
use super::sink::Sink;
use super::waiting::{eventually, within};

pub async fn a_stop_waits_for_what_is_in_flight<B: Backend>(backend: &B) {
    write(backend, &["a", "b", "c"], 1, 2).await;
    let (sender, mut receiver) = channel(10);
    let running = relay(backend.store()).subscription(subscription(sender)).start().await.unwrap();
    let mut in_flight = Vec::new();
    for _ in 0..3 {
        in_flight.push(within("an event", receiver.recv()).await.unwrap());
    }
    running.handle().stop();
    let acknowledge = async {
        for event in in_flight {
            assert_eq!(number(event.event()), 1);
            tokio::task::yield_now().await;
            event.acknowledge();
        }
        // What was on its way when the stop came may still be handed over; it is answered for as well.
        let mut late = Vec::new();
        while let Some(event) = receiver.recv().await {
            late.push(event.event().position);
            event.acknowledge();
        }
        late
    };
    let (outcome, late) = tokio::join!(within("the relay to stop", running.wait()), acknowledge);
    assert_eq!(outcome.unwrap(), Outcome { blocked: 0 });

    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    let rest: Vec<_> = [4, 5, 6].into_iter().filter(|position| !late.contains(position)).collect();
    assert_eq!(sink.positions(), rest, "what was acknowledged does not come again");
}

pub async fn the_checkpoint_is_written_before_a_stop_returns<B: Backend>(backend: &B) {
    write(backend, &["a", "b"], 1, 20).await;
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    sink.until_taken(40).await;
    within("the relay to stop", running.stop()).await.unwrap();
    let stored = backend.store().checkpoints().await.unwrap().claim_one(SUBSCRIPTION, i64::MAX).await.unwrap().unwrap();
    assert_eq!((stored.position, stored.open.is_empty()), (40, true));
    let (last, id) = *stored.events.last().unwrap();
    assert!(sink.taken().iter().any(|event| (event.position, event.event_id) == (last, id)), "{last} {id}");
}

pub async fn a_relay_starts_again_in_the_same_process<B: Backend>(backend: &B) {
    let sink = Sink::new();
    for n in 1..=3 {
        let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
        write(backend, &["a", "b"], n, n).await;
        sink.until_taken(usize::try_from(2 * n).unwrap()).await;
        assert_eq!(within("the relay to stop", running.stop()).await.unwrap(), Outcome { blocked: 0 });
    }
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 3));
}

pub async fn a_stop_that_nobody_answers_is_bounded<B: Backend>(backend: &B) {
    write(backend, &["a"], 1, 2).await;
    let (sender, mut receiver) = channel(10);
    let running = relay(backend.store()).shutdown_timeout(Duration::from_millis(100));
    let running = running.subscription(subscription(sender)).start().await.unwrap();
    let stuck = within("an event", receiver.recv()).await;
    let stopped = within("the relay to stop", running.stop()).await;
    assert!(matches!(stopped, Err(RelayError::NotDrained { unanswered: 1, .. })), "{stopped:?}");
    drop(stuck);
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 2));
}

pub async fn a_dropped_relay_stops<B: Backend>(backend: &B) {
    let (sender, mut receiver) = channel(10);
    let running = relay(backend.store()).subscription(subscription(sender)).start().await.unwrap();
    drop(running);
    assert!(within("the publisher to be let go", receiver.recv()).await.is_none());
    let relays = async || backend.store().status().await.unwrap().relays.len();
    eventually("the relay to leave the list", relays, |count| *count == 0).await;
}
