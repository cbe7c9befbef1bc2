//! Events that stay owed because the policy is to block, and what operators do about them.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use outbox_core::Store as _;
use outbox_core::dead_letter::State;
use outbox_core::publisher::{Answer, Delivery};
use outbox_relay::Outcome;
use outbox_relay::dead_letters::{By, DecisionError, Which, discard, list, requeue, skip};

use super::Backend;
use super::log::{SUBSCRIPTION, blocking, drain, number, numbered, relay, write};
use super::parking::{by, key, quick, states};
use super::sink::{Sink, reject};
use super::waiting::{eventually, within};

/// The second event of the key `a`.
fn is_poison(delivery: &Delivery) -> bool {
    delivery.event.key == "a" && number(&delivery.event) == 2
}

pub async fn a_blocked_event_is_tried_again_when_somebody_asks<B: Backend>(backend: &B) {
    let (sink, mended, tried) = (Sink::new(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_mended, count) = (mended.clone(), tried.clone());
    let wary = sink.with_script(move |delivery| {
        count.fetch_add(usize::from(is_poison(delivery)), Ordering::SeqCst);
        if is_poison(delivery) && !is_mended.load(Ordering::SeqCst) { reject("poison") } else { Answer::Published }
    });
    let running = quick(backend.store()).subscription(blocking(wary)).start().await.unwrap();
    write(backend, &["a", "b"], 1, 5).await;
    eventually("the record", async || states(backend).await, |states| *states == [(3, State::Blocked)]).await;
    sink.until_taken(6).await;

    let failed_at = async || list(&backend.store(), SUBSCRIPTION, None).await.unwrap()[0].last_failed_at;
    let first = failed_at().await;
    assert_eq!(requeue(&backend.store(), SUBSCRIPTION, &key("a"), None, &by("ann")).await.unwrap(), [3]);
    eventually("another failure", failed_at, |at| *at > first).await;
    assert_eq!((states(backend).await, tried.load(Ordering::SeqCst)), (vec![(3, State::Blocked)], 2));

    let payload = Some(b"{}".to_vec());
    let refused = requeue(&backend.store(), SUBSCRIPTION, &key("a"), payload, &by("ann")).await;
    assert!(
        matches!(&refused, Err(DecisionError::Refused(said)) if said.contains("position 3 is blocked")),
        "{refused:?}"
    );

    mended.store(true, Ordering::SeqCst);
    requeue(&backend.store(), SUBSCRIPTION, &Which::Position(3), None, &By::default()).await.unwrap();
    sink.until_taken(10).await;
    eventually("no record", async || states(backend).await.len(), |letters| *letters == 0).await;
    assert_eq!(within("the relay to stop", running.stop()).await.unwrap(), Outcome { blocked: 0 });
    assert_eq!((sink.by_key(), tried.load(Ordering::SeqCst)), (numbered(&["a", "b"], 1, 5), 3));
}

pub async fn a_blocked_event_is_given_up_and_its_key_goes_on<B: Backend>(backend: &B) {
    let sink = Sink::new();
    let wary = sink.with_script(|delivery| if is_poison(delivery) { reject("poison") } else { Answer::Published });
    let running = quick(backend.store()).subscription(blocking(wary)).start().await.unwrap();
    write(backend, &["a", "b"], 1, 5).await;
    eventually("the record", async || states(backend).await, |states| *states == [(3, State::Blocked)]).await;
    let refused = discard(&backend.store(), SUBSCRIPTION, &key("a"), &by("ann")).await;
    assert!(matches!(&refused, Err(DecisionError::Refused(said)) if said.contains("is in the log")), "{refused:?}");
    assert_eq!(skip(&backend.store(), SUBSCRIPTION, &key("a"), &by("ann")).await.unwrap(), [3]);
    sink.until_taken(9).await;
    let late = skip(&backend.store(), SUBSCRIPTION, &key("a"), &by("bob")).await;
    assert!(matches!(&late, Err(DecisionError::Late(said)) if said.contains("by ann")), "{late:?}");
    assert_eq!(within("the relay to stop", running.stop()).await.unwrap(), Outcome { blocked: 0 });
    assert_eq!((sink.by_key()["a"].clone(), states(backend).await), (vec![1, 3, 4, 5], vec![(3, State::Skipped)]));
    let status = backend.store().status().await.unwrap();
    assert_eq!(status.subscriptions[0].partitions[0].open, "{}", "the checkpoint owes it no more");
}

pub async fn a_blocked_event_is_given_up_while_no_relay_runs<B: Backend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["a", "b"], 1, 5).await;
    let wary = sink.with_script(|delivery| if is_poison(delivery) { reject("poison") } else { Answer::Published });
    let outcome = drain(relay(backend.store()).subscription(blocking(wary.clone()))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 1 });
    assert_eq!(discard(&backend.store(), SUBSCRIPTION, &Which::Position(3), &by("ann")).await.unwrap(), [3]);
    let outcome = drain(relay(backend.store()).subscription(blocking(wary))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 0 });
    assert_eq!((sink.by_key()["a"].clone(), states(backend).await), (vec![1, 3, 4, 5], vec![(3, State::Discarded)]));
    write(backend, &["a", "b"], 6, 6).await;
    assert_eq!(
        drain(relay(backend.store()).subscription(blocking(sink.clone()))).await.unwrap(),
        Outcome { blocked: 0 }
    );
    assert_eq!((sink.by_key()["a"].clone(), sink.by_key()["b"].len()), (vec![1, 3, 4, 5, 6], 6));
}
