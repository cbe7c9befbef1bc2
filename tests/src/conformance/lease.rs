//! Leases: one relay at a time, taken over when it is silent, dead or gone.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::collections::BTreeSet;
use std::time::Duration;

use outbox_core::checkpoint::Held;
use outbox_core::lease::{Claim, Leases, RelayIdentity, Renewal, Report};
use outbox_core::{Store, StoreErrorKind};
use outbox_relay::publisher::channel;
use uuid::Uuid;

use super::Backend;
use super::interposed::Interposed;
use super::log::{SUBSCRIPTION, number, numbered, relay, subscription, write};
use super::sink::Sink;
use super::waiting::{eventually, within};

const LONG: Duration = Duration::from_hours(1);

fn stranger(name: &str) -> RelayIdentity {
    RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: name.into(),
        host: "elsewhere".into(),
        process_id: 7,
        process_started: "5".into(),
    }
}

async fn leases<B: Backend>(backend: &B) -> Box<dyn Leases> {
    backend.store().leases().await.unwrap()
}

async fn acquire(leases: &mut dyn Leases, relay: &RelayIdentity, length: Duration) -> Claim {
    leases.acquire_one(relay, SUBSCRIPTION, length).await.unwrap()
}

async fn epoch_of(leases: &mut dyn Leases, relay: &RelayIdentity, length: Duration) -> i64 {
    match acquire(leases, relay, length).await {
        Claim::Held { epoch } => epoch,
        Claim::Taken { owner, .. } => panic!("taken by {owner:?}"),
    }
}

async fn is_kept(leases: &mut dyn Leases, relay: &RelayIdentity, epoch: i64) -> bool {
    let report = Report { state: "running".into(), ..Report::default() };
    let held = [Renewal { subscription: SUBSCRIPTION.to_owned(), partition: 0, epoch, report }];
    leases.renew(relay, LONG, &[], &held).await.unwrap().kept == [true]
}

pub async fn one_relay_at_a_time_holds_a_lease<B: Backend>(backend: &B) {
    let mut leases = leases(backend).await;
    let (a, b) = (stranger("a"), stranger("b"));
    let epoch = epoch_of(leases.as_mut(), &a, LONG).await;
    match acquire(leases.as_mut(), &b, LONG).await {
        Claim::Taken { owner, epoch: theirs, expires_in } => {
            assert_eq!((owner, theirs), (a.clone(), epoch));
            assert!(expires_in > LONG / 2 && expires_in <= LONG, "{expires_in:?}");
        }
        Claim::Held { .. } => panic!("held twice"),
    }
    assert!(is_kept(leases.as_mut(), &a, epoch).await);
    assert!(!is_kept(leases.as_mut(), &b, epoch).await, "the epoch alone is not enough");
    assert!(epoch_of(leases.as_mut(), &a, LONG).await > epoch, "its own lease, taken anew");
    assert!(!is_kept(leases.as_mut(), &a, epoch).await);
}

pub async fn an_expired_lease_is_anybodys<B: Backend>(backend: &B) {
    let mut leases = leases(backend).await;
    let (a, b) = (stranger("a"), stranger("b"));
    let old = epoch_of(leases.as_mut(), &a, Duration::ZERO).await;
    let new = epoch_of(leases.as_mut(), &b, LONG).await;
    assert!(new > old);
    assert!(!is_kept(leases.as_mut(), &a, old).await);
    assert!(is_kept(leases.as_mut(), &b, new).await);
}

pub async fn a_lease_given_back_is_free_at_once<B: Backend>(backend: &B) {
    let mut leases = leases(backend).await;
    let (a, b) = (stranger("a"), stranger("b"));
    let old = epoch_of(leases.as_mut(), &a, LONG).await;
    leases.release(&b).await.unwrap();
    assert!(matches!(acquire(leases.as_mut(), &b, LONG).await, Claim::Taken { .. }));
    leases.release(&a).await.unwrap();
    assert!(epoch_of(leases.as_mut(), &b, LONG).await > old);
}

pub async fn a_late_renewal_does_not_revive_what_was_given_back<B: Backend>(backend: &B) {
    let mut leases = leases(backend).await;
    let (a, b) = (stranger("a"), stranger("b"));
    let epoch = epoch_of(leases.as_mut(), &a, LONG).await;
    leases.give_back(&a, SUBSCRIPTION, &[Held { partition: 0, epoch }]).await.unwrap();
    assert!(!is_kept(leases.as_mut(), &a, epoch).await);
    let epoch = epoch_of(leases.as_mut(), &b, LONG).await;
    leases.release(&b).await.unwrap();
    assert!(!is_kept(leases.as_mut(), &b, epoch).await);
    assert!(epoch_of(leases.as_mut(), &a, LONG).await > epoch);
}

pub async fn only_the_named_epoch_is_taken_over<B: Backend>(backend: &B) {
    let mut leases = leases(backend).await;
    let (a, b) = (stranger("a"), stranger("b"));
    let old = epoch_of(leases.as_mut(), &a, LONG).await;
    let new = epoch_of(leases.as_mut(), &a, LONG).await;
    leases.take_over(SUBSCRIPTION, 0, old).await.unwrap();
    assert!(matches!(acquire(leases.as_mut(), &b, LONG).await, Claim::Taken { .. }));
    leases.take_over(SUBSCRIPTION, 0, new).await.unwrap();
    assert!(epoch_of(leases.as_mut(), &b, LONG).await > new);
}

/// The owner that `status` shows.
async fn owner<B: Backend>(backend: &B) -> Option<String> {
    let status = backend.store().status().await.unwrap();
    status.subscriptions.into_iter().next()?.partitions.into_iter().next()?.owner
}

pub async fn a_second_relay_waits_for_the_first<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    let (first, second) = (Sink::new(), Sink::new());
    let a = relay(backend.store()).subscription(subscription(first.clone())).start().await.unwrap();
    first.until_taken(5).await;
    let store = Interposed::new(backend.store());
    let b = relay(store.clone()).name("relay-b").lease(Duration::from_secs(1));
    let b = b.subscription(subscription(second.clone())).start().await.unwrap();

    eventually("the second relay to look for a lease", async || store.looks(), |times| *times >= 2).await;
    assert_eq!(owner(backend).await.as_deref(), Some("relay-a"));
    write(backend, &["k"], 6, 8).await;
    first.until_taken(8).await;
    within("the first relay to stop", a.stop()).await.unwrap();

    write(backend, &["k"], 9, 12).await;
    second.until_taken(4).await;
    assert_eq!(owner(backend).await.as_deref(), Some("relay-b"));
    within("the second relay to stop", b.stop()).await.unwrap();
    assert_eq!((first.by_key(), second.by_key()), (numbered(&["k"], 1, 8), numbered(&["k"], 9, 12)));
}

pub async fn a_silent_owner_is_waited_out<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    epoch_of(leases(backend).await.as_mut(), &stranger("relay-a"), Duration::from_secs(1)).await;
    let sink = Sink::new();
    let running = relay(backend.store()).lease(Duration::from_secs(1));
    let running = running.subscription(subscription(sink.clone())).start().await.unwrap();
    sink.until_taken(5).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 5));
}

pub async fn a_dead_process_of_the_same_name_is_taken_over_at_once<B: Backend>(backend: &B) {
    // What a relay of this host calls the host is its own business: one is asked.
    let probe = relay(backend.store()).subscription(subscription(Sink::new())).start().await.unwrap();
    within("the relay to be at work", probe.drain()).await.unwrap();
    let Claim::Taken { owner, .. } = acquire(leases(backend).await.as_mut(), &stranger("b"), LONG).await else {
        panic!("a relay at work holds its lease")
    };
    within("the relay to stop", probe.stop()).await.unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let dead = RelayIdentity { host: owner.host, process_id: i64::from(child.id()), ..stranger("relay-a") };
    child.wait().unwrap();
    epoch_of(leases(backend).await.as_mut(), &dead, LONG).await;

    write(backend, &["k"], 1, 5).await;
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    // Far sooner than the hour its lease still has.
    sink.until_taken(5).await;
    within("the relay to stop", running.stop()).await.unwrap();
}

pub async fn a_lost_lease_stops_publishing_and_checkpoints<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 10).await;
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let running = relay(store.clone()).lease(Duration::from_secs(1));
    let running = running.subscription(subscription(sink.clone())).start().await.unwrap();
    sink.until_taken(10).await;

    let other = stranger("b");
    let mut leases = leases(backend).await;
    let Claim::Taken { epoch, .. } = acquire(leases.as_mut(), &other, LONG).await else {
        panic!("a relay at work holds its lease")
    };
    // A renewal may come between the two, so both are tried until they meet.
    let steal = async || {
        leases.take_over(SUBSCRIPTION, 0, epoch).await.unwrap();
        acquire(leases.as_mut(), &other, LONG).await
    };
    let claim = eventually("the lease to change hands", steal, |claim| matches!(claim, Claim::Held { .. })).await;
    let Claim::Held { epoch } = claim else { unreachable!("the wait was for this") };
    let mut checkpoints = backend.store().checkpoints().await.unwrap();
    let claimed = checkpoints.claim_one(SUBSCRIPTION, epoch).await.unwrap();
    let looks = store.looks();
    eventually("the relay to notice", async || store.looks(), |times| *times >= looks + 2).await;

    write(backend, &["k"], 11, 20).await;
    let looks = store.looks();
    eventually("the relay to look again", async || store.looks(), |times| *times >= looks + 2).await;
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 10), "nothing is published without the lease");
    assert_eq!(checkpoints.claim_one(SUBSCRIPTION, epoch).await.unwrap(), claimed, "nor is a checkpoint moved");

    leases.release(&other).await.unwrap();
    eventually("the rest", async || sink.positions().last().copied(), |last| *last == Some(20)).await;
    within("the relay to stop", running.stop()).await.unwrap();
    let error = checkpoints.save_one(SUBSCRIPTION, epoch, &claimed.unwrap_or_default()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Fenced);
    let first_of_each: BTreeSet<_> = sink.positions().into_iter().collect();
    assert_eq!(first_of_each, (1..=20).collect());
}

/// The heartbeat has a task and a connection of its own, so no publisher, however slow, delays it.
pub async fn a_publisher_that_hangs_costs_no_lease<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    let (sender, mut receiver) = channel(10);
    let second = Sink::new();
    let (hangs, waits) = (Interposed::new(backend.store()), Interposed::new(backend.store()));
    let a =
        relay(hangs.clone()).lease(Duration::from_secs(1)).subscription(subscription(sender)).start().await.unwrap();
    let first = within("an event", receiver.recv()).await.unwrap();
    let b = relay(waits.clone()).name("relay-b").lease(Duration::from_secs(1));
    let b = b.subscription(subscription(second.clone())).start().await.unwrap();
    // Three beats are a lease.
    eventually("three lengths of the lease", async || (hangs.looks(), waits.looks()), |(a, b)| *a.min(b) >= 9).await;
    assert_eq!(owner(backend).await.as_deref(), Some("relay-a"));
    assert_eq!(number(first.event()), 1);
    first.acknowledge();
    for n in 2..=5 {
        let next = within("the next event", receiver.recv()).await.unwrap();
        assert_eq!((number(next.event()), next.delivery.attempt), (n, 1));
        next.acknowledge();
    }
    within("the first relay to stop", a.stop()).await.unwrap();
    write(backend, &["k"], 6, 6).await;
    second.until_taken(1).await;
    within("the second relay to stop", b.stop()).await.unwrap();
    assert_eq!(second.by_key(), numbered(&["k"], 6, 6), "nothing came twice");
}
