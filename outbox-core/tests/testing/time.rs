//! Time moved by hand: what a relay would wait for passes at once.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::testing::{ManualClock, MemoryStore, RecordingPublisher};
use outbox_core::{Clock, Filter};
use outbox_relay::{Relay, RelayBuilder, Replay, Retry, Subscription};

use super::event;

const DAY: Duration = Duration::from_hours(24);

fn write(store: &MemoryStore, n: u64) {
    let mut tx = store.begin();
    tx.append(&event("k", n)).unwrap();
    tx.commit();
}

fn shop() -> (ManualClock, MemoryStore, RecordingPublisher) {
    let clock = ManualClock::new();
    (clock.clone(), MemoryStore::with_clock(clock), RecordingPublisher::new())
}

fn relay(clock: &ManualClock, store: &MemoryStore, publisher: &RecordingPublisher) -> RelayBuilder {
    let subscription = Subscription::new("billing", publisher.clone());
    Relay::builder(store.clone()).clock(clock.clone()).lease(Duration::from_mins(1)).subscription(subscription)
}

#[tokio::test]
async fn whoever_sleeps_wakes_at_their_moment_and_in_order() {
    let clock = ManualClock::new();
    let begin = clock.now();
    let asleep = async |seconds| {
        clock.sleep_until(begin + Duration::from_secs(seconds)).await;
        clock.now().duration_since(begin).as_secs()
    };
    let all = async { tokio::join!(asleep(3), asleep(1), asleep(2)) };
    assert_eq!(clock.advance_until(all).await, (3, 1, 2));
    clock.sleep_until(begin).await;
}

#[tokio::test]
async fn time_stops_where_dates_end() {
    let clock = ManualClock::new();
    let begin = clock.now();
    clock.advance(DAY);
    let sleeper = clock.sleep(DAY);
    clock.advance(Duration::MAX);
    sleeper.await;
    let (end, elapsed) = (clock.time_of_day(), clock.now().duration_since(begin));
    assert!(end.year() > 9990, "{end}");
    clock.advance(Duration::MAX);
    assert_eq!((clock.time_of_day(), clock.now().duration_since(begin), clock.since_boot()), (end, elapsed, elapsed));
}

#[tokio::test]
async fn polling_takes_no_time() {
    let (clock, store, publisher) = shop();
    let running = relay(&clock, &store, &publisher).poll_max(DAY).start().await.unwrap();
    running.drain().await.unwrap();
    write(&store, 1);
    clock.advance_until(publisher.until_published(1)).await;
    running.stop().await.unwrap();
}

/// Only the end of the transaction that may still fill a gap is evidence that nothing will.
#[tokio::test]
async fn no_length_of_time_closes_a_gap() {
    let (clock, store, publisher) = shop();
    let running = relay(&clock, &store, &publisher).start().await.unwrap();
    let mut slow = store.begin();
    slow.append(&event("slow", 1)).unwrap();
    write(&store, 1);
    clock.advance_until(publisher.until_published(1)).await;
    for _ in 0..30 {
        clock.advance(DAY);
        clock.advance_until(running.drain()).await.unwrap();
    }
    assert_eq!(publisher.deliveries().len(), 1);
    slow.commit();
    clock.advance_until(publisher.until_published(2)).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_replay_is_no_faster_than_its_rate() {
    let (clock, store, publisher) = shop();
    let running = relay(&clock, &store, &publisher).start().await.unwrap();
    for n in 1..=500 {
        write(&store, n);
    }
    clock.advance_until(running.drain()).await.unwrap();
    let (begin, replay) = (clock.now(), Replay::new(Filter::default()).rate(Some(100)).clock(clock.clone()));
    let done = clock.advance_until(replay.run(Arc::new(store), "billing")).await.unwrap();
    assert_eq!(done.events, 500);
    let took = clock.now().duration_since(begin);
    assert!(took >= Duration::from_secs(5), "500 at 100 a second in {took:?}");
    clock.advance_until(publisher.until_published(1000)).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn back_off_takes_no_time() {
    let (clock, store, publisher) = shop();
    publisher.on_key("k").retry("the far side is busy");
    let hour = Duration::from_hours(1);
    let retry = Retry { first: hour, max: hour, attempts: 5, budget: DAY, ..Retry::default() };
    let subscription = Subscription::new("billing", publisher.clone()).retry(retry);
    let relay = Relay::builder(store.clone()).clock(clock.clone()).lease(Duration::from_mins(1));
    let running = relay.subscription(subscription).start().await.unwrap();
    write(&store, 1);
    let outcome = clock.advance_until(running.drain()).await.unwrap();
    assert_eq!((outcome.blocked, publisher.deliveries().len()), (1, 5));
    let [letter] = &store.dead_letters("billing")[..] else { panic!("one event does not pass") };
    assert_eq!(letter.reason, "gave up after 5 attempts: the far side is busy");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_outage_takes_no_time_and_no_attempts() {
    let (clock, store, publisher) = shop();
    for n in 1..=10 {
        publisher.on_delivery(n).fail("the far side is down");
    }
    let running = relay(&clock, &store, &publisher).start().await.unwrap();
    write(&store, 1);
    clock.advance_until(running.drain()).await.unwrap();
    let attempts: Vec<_> = publisher.deliveries().iter().map(|delivery| delivery.attempt).collect();
    assert_eq!(attempts, [1; 11]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_lease_that_ran_out_is_renewed_and_the_work_goes_on() {
    let (clock, store, publisher) = shop();
    let running = relay(&clock, &store, &publisher).start().await.unwrap();
    running.drain().await.unwrap();
    // Nobody hands anything to a publisher under a lease that may be another's; it is renewed without further ado.
    clock.advance(DAY);
    write(&store, 1);
    running.drain().await.unwrap();
    publisher.published().assert_topics(["shop.orders"]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_silent_relay_is_replaced_when_its_lease_has_run_out() {
    let (clock, store, publisher) = shop();
    // Its clock stands still, so it renews nothing and publishes what it finds: it is gone as far as others can see.
    let silent = relay(&ManualClock::new(), &store, &RecordingPublisher::new()).name("a").start().await.unwrap();
    silent.drain().await.unwrap();
    let running = relay(&clock, &store, &publisher).name("b").start().await.unwrap();
    write(&store, 1);
    clock.advance_until(running.drain()).await.unwrap();
    let waited = clock.since_boot();
    assert!(waited >= Duration::from_mins(1), "the lease of the other had so long to run, not {waited:?}");
    publisher.published().assert_topics(["shop.orders"]);
    running.stop().await.unwrap();
    silent.stop().await.unwrap();
}
