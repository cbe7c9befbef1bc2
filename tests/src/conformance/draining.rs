//! Draining: it returns when everything committed before is published and in the checkpoint, and says where it cannot.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_core::publisher::Answer;
use outbox_core::{PositionSet, Store};
use outbox_relay::publisher::{Null, channel};
use outbox_relay::{Outcome, RelayError, Subscription};

use super::Backend;
use super::interposed::Interposed;
use super::log::{SUBSCRIPTION, blocking, numbered, relay, subscription, write};
use super::sink::{ORDERED, Sink, reject, retry};
use super::waiting::within;

/// Longer than a test may take: what comes out sooner did not wait for the relay to look by itself.
const NEVER: Duration = Duration::from_hours(1);

/// Position and open positions of the stored checkpoint. Asking shuts the relay out.
async fn stored<B: Backend>(backend: &B, subscription: &str) -> (i64, PositionSet) {
    let claimed = backend.store().checkpoints().await.unwrap().claim_one(subscription, i64::MAX).await.unwrap();
    claimed.map(|checkpoint| (checkpoint.position, checkpoint.open)).unwrap()
}

pub async fn a_drain_returns_when_all_is_published_and_in_the_checkpoint<B: Backend>(backend: &B) {
    for discipline in [ORDERED, outbox_core::publisher::Discipline::default()] {
        let (sink, name) = (Sink::new().with_discipline(discipline), format!("{discipline:?}"));
        let running = relay(backend.store()).poll_max(NEVER).subscription(Subscription::new(&name, sink.clone()));
        let running = running.start().await.unwrap();
        let before = sink.taken().len();
        for round in 1..=3 {
            write(backend, &["a", "b", "c"], round, round).await;
            assert_eq!(within("the drain", running.drain()).await.unwrap(), Outcome { blocked: 0 });
            assert!(sink.taken().len() >= before + usize::try_from(3 * round).unwrap(), "round {round}");
        }
        let last = *sink.positions().last().unwrap();
        assert_eq!(stored(backend, &name).await, (last, PositionSet::new()));
        within("the relay to stop", running.stop()).await.unwrap();
    }
}

pub async fn a_drain_of_an_empty_outbox_returns_at_once<B: Backend>(backend: &B) {
    let running = relay(backend.store()).poll_max(NEVER).subscription(subscription(Null)).start().await.unwrap();
    for _ in 0..3 {
        assert_eq!(within("the drain", running.drain()).await.unwrap(), Outcome { blocked: 0 });
    }
    within("the relay to stop", running.stop()).await.unwrap();
}

pub async fn a_drain_waits_for_an_event_in_back_off<B: Backend>(backend: &B) {
    let attempts = Arc::new(AtomicU32::new(0));
    let most = attempts.clone();
    let sink = Sink::scripted(move |delivery| {
        most.fetch_max(delivery.attempt, Ordering::SeqCst);
        if delivery.attempt < 4 { retry("not yet") } else { Answer::Published }
    });
    let running =
        relay(backend.store()).poll_max(NEVER).subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["k"], 1, 1).await;
    within("the drain", running.drain()).await.unwrap();
    assert_eq!((sink.by_key(), attempts.load(Ordering::SeqCst)), (numbered(&["k"], 1, 1), 4));
    within("the relay to stop", running.stop()).await.unwrap();
}

pub async fn a_drain_counts_what_will_not_pass<B: Backend>(backend: &B) {
    let sink =
        Sink::scripted(|delivery| if delivery.event.key == "bad" { reject("poison") } else { Answer::Published });
    let running = relay(backend.store()).poll_max(NEVER).subscription(blocking(sink.clone())).start().await.unwrap();
    write(backend, &["bad", "good"], 1, 5).await;
    assert_eq!(within("the drain", running.drain()).await.unwrap(), Outcome { blocked: 1 });
    assert_eq!(sink.by_key(), numbered(&["good"], 1, 5));
    assert_eq!(backend.last_dead_letter().await.as_deref(), Some("1 bad poison 1"));
    write(backend, &["bad", "good"], 6, 6).await;
    assert_eq!(within("the drain", running.drain()).await.unwrap(), Outcome { blocked: 1 });
    assert_eq!(sink.by_key(), numbered(&["good"], 1, 6));
    let open: PositionSet = [1..=1, 3..=3, 5..=5, 7..=7, 9..=9, 11..=11].into_iter().collect();
    assert_eq!(stored(backend, SUBSCRIPTION).await, (12, open));
    within("the relay to stop", running.stop()).await.unwrap();
}

pub async fn a_read_that_began_before_answers_no_drain<B: Backend>(backend: &B) {
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let running = relay(store.clone()).subscription(subscription(sink.clone())).start().await.unwrap();
    within("a read", store.hold_back_a_read()).await;
    write(backend, &["k"], 1, 1).await;
    let late = async {
        // The drain is asked for first: it is polled first.
        store.let_through();
    };
    let (drained, ()) = tokio::join!(biased; within("the drain", running.drain()), late);
    drained.unwrap();
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 1));
    within("the relay to stop", running.stop()).await.unwrap();
}

pub async fn a_drain_behind_a_full_window_is_an_error<B: Backend>(backend: &B) {
    let sink = Sink::scripted(|_| reject("poison"));
    let running = relay(backend.store()).window_events(3).subscription(blocking(sink)).start().await.unwrap();
    write(backend, &["a", "b"], 1, 3).await;
    let refused = within("the drain", running.drain()).await;
    assert!(
        matches!(&refused, Err(RelayError::WindowFull { subscription }) if subscription == SUBSCRIPTION),
        "{refused:?}"
    );
    within("the relay to stop", running.stop()).await.unwrap();
}

pub async fn a_drain_of_a_relay_that_ends_is_an_error<B: Backend>(backend: &B) {
    let (sender, mut receiver) = channel(1);
    let running = relay(backend.store()).subscription(subscription(sender)).start().await.unwrap();
    write(backend, &["k"], 1, 1).await;
    let handle = running.handle();
    let stop = async {
        let stuck = within("the event", receiver.recv()).await.unwrap();
        handle.stop();
        drop(stuck);
    };
    let (drained, ()) = tokio::join!(within("the drain", running.drain()), stop);
    assert!(matches!(drained, Err(RelayError::Ended)), "{drained:?}");
    let again = within("the drain", running.drain()).await;
    assert!(matches!(again, Err(RelayError::Ended)), "{again:?}");
    within("the relay to stop", running.wait()).await.unwrap();
}

pub async fn drains_together_are_all_answered<B: Backend>(backend: &B) {
    let (first, second) = (Sink::new(), Sink::new());
    let running = relay(backend.store())
        .poll_max(NEVER)
        .subscription(Subscription::new("first", first.clone()))
        .subscription(Subscription::new("second", second.clone()));
    let running = running.start().await.unwrap();
    let writer = async |key: &'static str| {
        for n in 1..=10 {
            write(backend, &[key], n, n).await;
            within("the drain", running.drain()).await.unwrap();
            for sink in [&first, &second] {
                assert_eq!(sink.by_key()[key].len() as u64, n, "what was committed before is published");
            }
        }
    };
    tokio::join!(writer("a"), writer("b"), writer("c"));
    within("the relay to stop", running.stop()).await.unwrap();
}
