//! The outbox in memory draws positions before commit, as PostgreSQL does. What else it shares with the databases, the
//! conformance suite of the workspace shows.

use outbox_core::testing::{ManualClock, MemoryStore, RecordingPublisher};
use outbox_core::{Filter, Start, Store};
use outbox_relay::{Outcome, Relay, RelayBuilder, RunningRelay, Subscription};
use time::OffsetDateTime;

use super::event;

fn relay(store: &MemoryStore, subscription: Subscription) -> RelayBuilder {
    Relay::builder(store.clone()).clock(ManualClock::new()).subscription(subscription)
}

async fn running(store: &MemoryStore, publisher: &RecordingPublisher) -> RunningRelay {
    relay(store, Subscription::new("billing", publisher.clone())).start().await.unwrap()
}

fn positions(publisher: &RecordingPublisher) -> Vec<i64> {
    publisher.published().events().iter().map(|event| event.position).collect()
}

#[test]
fn a_transaction_that_does_not_commit_leaves_a_gap_and_nothing_else() {
    let store = MemoryStore::new();
    let mut rolled_back = store.begin();
    rolled_back.append(&event("a", 1)).unwrap();
    rolled_back.rollback();
    let mut dropped = store.begin();
    dropped.append_all(&[event("a", 2), event("a", 3)]).unwrap();
    drop(dropped);
    store.captured().assert_none();
    let mut tx = store.begin();
    tx.append(&event("a", 4)).unwrap();
    tx.commit();
    assert_eq!(store.captured().events()[0].position, 4);
}

#[tokio::test]
async fn positions_commit_out_of_order_and_none_is_lost() {
    let (store, publisher) = (MemoryStore::new(), RecordingPublisher::new());
    let running = running(&store, &publisher).await;
    let (mut slow, mut never, mut quick) = (store.begin(), store.begin(), store.begin());
    slow.append(&event("slow", 1)).unwrap();
    never.append(&event("never", 2)).unwrap();
    quick.append(&event("quick", 3)).unwrap();
    quick.commit();
    running.drain().await.unwrap();
    let checkpoint = store.checkpoint("billing").unwrap();
    assert_eq!((checkpoint.position, checkpoint.open.to_string().as_str()), (3, "{[1,2]}"), "two may still come");

    never.rollback();
    running.drain().await.unwrap();
    slow.commit();
    running.drain().await.unwrap();
    assert_eq!(positions(&publisher), [3, 1]);
    // The writers have ended; a read that begins later finds that 2 will never come.
    running.drain().await.unwrap();
    running.drain().await.unwrap();
    assert!(store.checkpoint("billing").unwrap().open.is_empty());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn strict_order_waits_for_what_may_still_come() {
    let (store, publisher) = (MemoryStore::new(), RecordingPublisher::new());
    let clock = ManualClock::new();
    let strict = Subscription::new("billing", publisher.clone()).strict_order(true);
    let running = Relay::builder(store.clone()).clock(clock.clone()).subscription(strict).start().await.unwrap();
    let (mut first, mut second) = (store.begin(), store.begin());
    first.append(&event("a", 1)).unwrap();
    second.append(&event("b", 2)).unwrap();
    second.commit();
    let both = async {
        let drained = running.drain();
        publisher.published().assert_none();
        first.commit();
        drained.await
    };
    clock.advance_until(both).await.unwrap();
    assert_eq!(positions(&publisher), [1, 2]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_is_found_by_each_name() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let hour = std::time::Duration::from_hours(1);
    for n in 1..=3 {
        let mut tx = store.begin();
        tx.append(&event("k", n)).unwrap();
        tx.commit();
        clock.advance(hour);
    }
    let mut open = store.begin();
    open.append(&event("k", 4)).unwrap();
    let at = |hours: u32| Start::Time(time::macros::datetime!(2000-01-01 0:00 UTC) + hour * hours);
    let cases = [
        (Start::Beginning, 0, "{}"),
        (Start::Now, 4, "{[4,4]}"),
        (Start::Position(3), 2, "{}"),
        (at(1), 1, "{}"),
        (at(9), 4, "{[4,4]}"),
        (Start::Time(OffsetDateTime::UNIX_EPOCH), 0, "{}"),
    ];
    let mut source = store.source(&Filter::default()).await.unwrap();
    for (start, position, positions) in cases {
        let (found, open) = source.locate(start).await.unwrap();
        assert_eq!((found, open.to_string().as_str()), (position, positions), "{start:?}");
    }
    let beyond = source.locate(Start::Position(6)).await.unwrap_err();
    assert!(beyond.to_string().contains("the log ends at 4"), "{beyond}");
}

#[tokio::test]
async fn the_same_calls_come_out_the_same() {
    let run = async || {
        let (store, publisher) = (MemoryStore::new(), RecordingPublisher::new());
        publisher.on_key("b").reject("poison");
        let running = running(&store, &publisher).await;
        for n in 1..=20 {
            let mut tx = store.begin();
            for key in ["a", "b", "c"] {
                tx.append(&event(key, n)).unwrap();
            }
            if n % 3 == 0 { tx.rollback() } else { tx.commit() }
        }
        assert_eq!(running.drain().await.unwrap(), Outcome { blocked: 14 });
        running.stop().await.unwrap();
        let letters: Vec<_> = store.dead_letters("billing").iter().map(|letter| letter.position).collect();
        (store.captured().to_string(), positions(&publisher), letters)
    };
    let (first, second) = (run().await, run().await);
    assert_eq!(first, second);
    assert_eq!((first.1.len(), first.2.len(), first.2[0]), (28, 14, 2));
}
