//! Partitions: shared among relays, handed over without a repeat, and changed in number while events flow.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use outbox_core::Store;
use outbox_core::checkpoint::{Checkpoint, Held};
use outbox_core::lease::{Claim, RelayIdentity};
use outbox_core::partition::{Change, partition_of};
use outbox_relay::{RunningRelay, Subscription};
use uuid::Uuid;

use super::interposed::Interposed;
use super::log::{SUBSCRIPTION, drain, numbered, relay, subscription, write};
use super::sink::{ORDERED, Sink};
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

const KEYS: [&str; 24] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w",
    "x",
];

/// Leases short enough that a test sees them change hands.
const SHORT: Duration = Duration::from_secs(1);

fn shared(sink: &Sink, partitions: u32) -> Subscription {
    subscription(sink.clone()).partitions(partitions)
}

async fn start<B: Backend>(backend: &B, name: &str, subscription: Subscription) -> RunningRelay {
    relay(backend.store()).name(name).lease(SHORT).subscription(subscription).start().await.unwrap()
}

/// How many partitions each relay works, by its name; those that nobody works under an empty one.
async fn owners<B: Backend>(backend: &B) -> BTreeMap<String, usize> {
    let status = backend.store().status().await.unwrap();
    let mut owners = BTreeMap::new();
    for partition in status.subscriptions.into_iter().flat_map(|subscription| subscription.partitions) {
        *owners.entry(partition.owner.unwrap_or_default()).or_default() += 1;
    }
    owners
}

async fn until_owned<B: Backend>(backend: &B, wanted: &[(&str, usize)]) {
    let wanted: BTreeMap<_, _> = wanted.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    eventually("fair shares", async || owners(backend).await, |owners| *owners == wanted).await;
}

pub async fn every_event_of_every_partition_is_published_once<B: Backend>(backend: &B) {
    write(backend, &KEYS, 1, 10).await;
    for discipline in [Sink::new().with_discipline(ORDERED), Sink::new()] {
        let name = Uuid::now_v7().to_string();
        let subscription = Subscription::new(name, discipline.clone()).partitions(8);
        drain(relay(backend.store()).subscription(subscription)).await.unwrap();
        assert_eq!(discipline.by_key(), numbered(&KEYS, 1, 10));
    }
    let status = backend.store().status().await.unwrap();
    for subscription in &status.subscriptions {
        let partitions: Vec<_> = subscription.partitions.iter().map(|each| (each.partition, each.position)).collect();
        assert_eq!(partitions, (0..8).map(|partition| (partition, 240)).collect::<Vec<_>>());
        assert_eq!((subscription.lag_events, subscription.state.as_str()), (Some(0), "unowned"));
    }
}

/// Relays that come and go in an orderly way: nothing repeats and no key swaps.
pub async fn relays_share_the_partitions_and_hand_them_over<B: Backend>(backend: &B) {
    let sink = Sink::new();
    let a = start(backend, "a", shared(&sink, 8)).await;
    write(backend, &KEYS, 1, 5).await;
    until_owned(backend, &[("a", 8)]).await;
    let b = start(backend, "b", shared(&sink, 8)).await;
    write(backend, &KEYS, 6, 10).await;
    until_owned(backend, &[("a", 4), ("b", 4)]).await;
    let c = start(backend, "c", shared(&sink, 8)).await;
    write(backend, &KEYS, 11, 15).await;
    let settled =
        |owners: &BTreeMap<String, usize>| owners.len() == 3 && owners.values().all(|count| (2..=3).contains(count));
    eventually("three shares", async || owners(backend).await, settled).await;
    write(backend, &KEYS, 16, 20).await;
    within("a to stop", a.stop()).await.unwrap();
    write(backend, &KEYS, 21, 25).await;
    until_owned(backend, &[("b", 4), ("c", 4)]).await;
    within("b to stop", b.stop()).await.unwrap();
    write(backend, &KEYS, 26, 30).await;
    sink.until_taken(KEYS.len() * 30).await;
    until_owned(backend, &[("c", 8)]).await;
    within("c to stop", c.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&KEYS, 1, 30));
}

/// On a file nothing is gained by sharing: the second relay waits, says so, and takes over.
pub async fn one_relay_works_a_file<B: Backend>(backend: &B) {
    let sink = Sink::new();
    let a = start(backend, "a", shared(&sink, 4)).await;
    until_owned(backend, &[("a", 4)]).await;
    let b = start(backend, "b", shared(&sink, 4)).await;
    write(backend, &KEYS, 1, 5).await;
    sink.until_taken(KEYS.len() * 5).await;
    until_owned(backend, &[("a", 4)]).await;
    within("a to stop", a.stop()).await.unwrap();
    until_owned(backend, &[("b", 4)]).await;
    write(backend, &KEYS, 6, 10).await;
    sink.until_taken(KEYS.len() * 10).await;
    within("b to stop", b.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&KEYS, 1, 10));
}

/// More partitions, fewer, and more again, while events come.
pub async fn the_number_of_partitions_changes_under_load<B: Backend>(backend: &B) {
    let sink = Sink::new();
    let mut written = 0;
    for partitions in [1, 8, 3, 16, 2] {
        let running = start(backend, "a", shared(&sink, partitions)).await;
        write(backend, &KEYS, written + 1, written + 6).await;
        until_owned(backend, &[("a", partitions as usize)]).await;
        write(backend, &KEYS, written + 7, written + 12).await;
        written += 12;
        within("the relay to stop", running.stop()).await.unwrap();
    }
    drain(relay(backend.store()).subscription(shared(&sink, 2))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&KEYS, 1, written));
}

/// A relay that says no number keeps the one there is; of a new subscription that is 1.
pub async fn the_number_stays_where_nothing_is_said<B: Backend>(backend: &B) {
    let sink = Sink::new();
    for (wished, there) in [(None, 1), (Some(8), 8), (None, 8), (Some(3), 3), (None, 3)] {
        let silent = subscription(sink.clone());
        let running = start(backend, "a", wished.map_or(silent, |number| shared(&sink, number))).await;
        write(backend, &KEYS, 1, 1).await;
        until_owned(backend, &[("a", there)]).await;
        within("the drain", running.drain()).await.unwrap();
        assert_eq!(owners(backend).await, BTreeMap::from([("a".to_owned(), there)]));
        within("the relay to stop", running.stop()).await.unwrap();
    }
}

/// A change that another relay asks for, while this one is at work.
pub async fn the_relay_that_started_last_decides_the_number<B: Backend>(backend: &B) {
    let sink = Sink::new();
    let a = start(backend, "a", shared(&sink, 2)).await;
    write(backend, &KEYS, 1, 5).await;
    until_owned(backend, &[("a", 2)]).await;
    let b = start(backend, "b", shared(&sink, 6)).await;
    write(backend, &KEYS, 6, 20).await;
    until_owned(backend, &[("a", 3), ("b", 3)]).await;
    write(backend, &KEYS, 21, 25).await;
    sink.until_taken(KEYS.len() * 25).await;
    within("a to stop", a.stop()).await.unwrap();
    within("b to stop", b.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&KEYS, 1, 25));
}

/// A relay that is to end when all is published ends when the others have published theirs.
pub async fn a_relay_that_ends_when_all_is_published_counts_the_others<B: Backend>(backend: &B) {
    let sink = Sink::new();
    let a = start(backend, "a", shared(&sink, 4)).await;
    until_owned(backend, &[("a", 4)]).await;
    write(backend, &KEYS, 1, 20).await;
    drain(relay(backend.store()).name("b").lease(SHORT).subscription(shared(&sink, 4))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&KEYS, 1, 20));
    within("a to stop", a.stop()).await.unwrap();
}

/// A relay is there for as long as it says itself, whatever others say of themselves.
pub async fn relays_whose_leases_differ_in_length_share<B: SqlBackend>(backend: &B) {
    let (sink, long) = (Sink::new(), Duration::from_secs(6));
    let a = relay(backend.store()).name("a").lease(long).subscription(shared(&sink, 8)).start().await.unwrap();
    write(backend, &KEYS, 1, 5).await;
    until_owned(backend, &[("a", 8)]).await;
    let b = start(backend, "b", shared(&sink, 8)).await;
    until_owned(backend, &[("a", 4), ("b", 4)]).await;
    let epochs = async || {
        backend.ask("SELECT CAST(sum(epoch) AS text) || ' ' || CAST(max(epoch) AS text) FROM outbox_lease").await
    };
    let seen = async || backend.ask("SELECT CAST(seen_at AS text) FROM outbox_relay WHERE relay_name = 'a'").await;
    let before = epochs().await;
    // It says so rarely that it lives that the other's lease would have ended in between.
    for n in 6..=7 {
        let last = seen().await;
        write(backend, &KEYS, n, n).await;
        eventually("a to say that it lives", seen, |now| *now != last).await;
    }
    assert_eq!(epochs().await, before, "no partition changes hands");
    sink.until_taken(KEYS.len() * 7).await;
    within("b to stop", b.stop()).await.unwrap();
    until_owned(backend, &[("a", 8)]).await;
    within("a to stop", a.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&KEYS, 1, 7));
}

/// Whoever has been silent for longer than another's lease, and not for its own, keeps its share, also of what is free.
pub async fn a_silent_relay_has_its_share_for_its_own_lease<B: Backend>(backend: &B) {
    let (sink, store, long) = (Sink::new(), Interposed::new(backend.store()), Duration::from_hours(1));
    let b = relay(store.clone()).name("b").lease(SHORT).subscription(shared(&sink, 8)).start().await.unwrap();
    until_owned(backend, &[("b", 8)]).await;
    let (silent, mut leases) = (stranger(), backend.store().leases().await.unwrap());
    leases.renew(&silent, long, &[SUBSCRIPTION.to_owned()], &[]).await.unwrap();
    until_owned(backend, &[("b", 4), ("", 4)]).await;
    let claims = leases.acquire(&silent, SUBSCRIPTION, &[4, 5, 6, 7], long).await.unwrap();
    let held = claims.iter().zip(4..).filter_map(|(claim, partition)| match claim {
        Claim::Held { epoch } => Some(Held { partition, epoch: *epoch }),
        Claim::Taken { .. } => None,
    });
    let held: Vec<_> = held.collect();
    let (back, kept) = held.split_at(held.len() / 2);
    leases.give_back(&silent, SUBSCRIPTION, back).await.unwrap();
    let looks = store.looks();
    // Three beats are a lease: two, and it would have been silent for too long.
    eventually("b to look twice as often as its lease lasts", async || store.looks(), |now| *now >= looks + 7).await;
    until_owned(backend, &[("b", 4), ("stranger", kept.len()), ("", 4 - kept.len())]).await;
    leases.release(&silent).await.unwrap();
    until_owned(backend, &[("b", 8)]).await;
    within("b to stop", b.stop()).await.unwrap();
}

fn stranger() -> RelayIdentity {
    RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: "stranger".into(),
        host: "elsewhere".into(),
        process_id: 7,
        process_started: "5".into(),
    }
}

/// Whoever was paused past its lease cannot move a checkpoint, whatever became of the partitions.
pub async fn a_change_of_the_number_shuts_older_epochs_out<B: Backend>(backend: &B) {
    let store = backend.store();
    let (mut leases, mut checkpoints) = (store.leases().await.unwrap(), store.checkpoints().await.unwrap());
    checkpoints.found(SUBSCRIPTION, 2, &Checkpoint::default()).await.unwrap();
    checkpoints.found(SUBSCRIPTION, 5, &Checkpoint { position: 9, ..Checkpoint::default() }).await.unwrap();
    let claims = leases.acquire(&stranger(), SUBSCRIPTION, &[0, 1], Duration::from_mins(1)).await.unwrap();
    let epochs: Vec<_> = claims
        .iter()
        .filter_map(|claim| match claim {
            Claim::Held { epoch } => Some(*epoch),
            Claim::Taken { .. } => None,
        })
        .collect();
    assert_eq!(epochs.len(), 2, "{claims:?}");
    let held = |partition: u32| Held { partition, epoch: epochs[partition as usize] };
    let claimed = checkpoints.claim(SUBSCRIPTION, &[held(0), held(1)]).await.unwrap();
    assert_eq!((claimed.partitioning.unwrap().count, claimed.checkpoints.len()), (2, 2), "the first founder decides");
    assert_eq!(checkpoints.repartition(SUBSCRIPTION).await.unwrap(), Change::Nothing, "nobody asked");
    assert!(checkpoints.ask_partitions(SUBSCRIPTION, 3).await.unwrap());
    assert_eq!(checkpoints.repartition(SUBSCRIPTION).await.unwrap(), Change::Later, "leases run");
    leases.take_over(SUBSCRIPTION, 0, held(0).epoch).await.unwrap();
    assert_eq!(checkpoints.repartition(SUBSCRIPTION).await.unwrap(), Change::Later, "one still runs");
    leases.take_over(SUBSCRIPTION, 1, held(1).epoch).await.unwrap();
    assert_eq!(checkpoints.repartition(SUBSCRIPTION).await.unwrap(), Change::Made { from: 2, to: 3 });
    let late = Checkpoint { position: 5, ..Checkpoint::default() };
    let refused = checkpoints.save_one(SUBSCRIPTION, held(0).epoch, &late).await.unwrap_err();
    assert_eq!(refused.kind(), outbox_core::StoreErrorKind::Fenced);
    let mut checkpoints = store.checkpoints().await.unwrap();
    let lowest = checkpoints.lowest(SUBSCRIPTION).await.unwrap();
    assert_eq!(lowest, BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    let again = leases.acquire(&stranger(), SUBSCRIPTION, &[2], Duration::from_mins(1)).await.unwrap();
    let Claim::Held { epoch } = again[0] else { panic!("the lease is free") };
    assert!(epoch > held(0).epoch.max(held(1).epoch));
    checkpoints.claim(SUBSCRIPTION, &[Held { partition: 2, epoch }]).await.unwrap();
}

/// A subscription from before there were partitions has one, and may get more.
pub async fn a_subscription_of_one_row_is_of_one_partition<B: Backend>(backend: &B) {
    write(backend, &KEYS, 1, 2).await;
    let mut checkpoints = backend.store().checkpoints().await.unwrap();
    checkpoints.create(SUBSCRIPTION, 1, &Checkpoint { position: 24, ..Checkpoint::default() }).await.unwrap();
    let sink = Sink::new();
    let running = start(backend, "a", shared(&sink, 4)).await;
    sink.until_taken(KEYS.len()).await;
    until_owned(backend, &[("a", 4)]).await;
    write(backend, &KEYS, 3, 4).await;
    sink.until_taken(KEYS.len() * 3).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&KEYS, 2, 4));
}

/// The rows of a key are where anybody can compute them.
pub async fn a_blocked_key_holds_up_no_other_partition<B: Backend>(backend: &B) {
    let blocked = KEYS[0];
    let sink = Sink::scripted(move |delivery| {
        if delivery.event.key == blocked {
            outbox_core::Answer::Reject { reason: "no".into() }
        } else {
            outbox_core::Answer::Published
        }
    });
    let (a, b) = (start(backend, "a", shared(&sink, 4)).await, start(backend, "b", shared(&sink, 4)).await);
    until_owned(backend, &[("a", 2), ("b", 2)]).await;
    write(backend, &KEYS, 1, 5).await;
    sink.until_taken((KEYS.len() - 1) * 5).await;
    within("a to stop", a.stop()).await.unwrap();
    within("b to stop", b.stop()).await.unwrap();
    let taken: BTreeSet<_> = sink.by_key().into_keys().collect();
    assert!(!taken.contains(blocked) && taken.len() == KEYS.len() - 1);
    assert!((0..4).contains(&partition_of(blocked, 1, 4)));
}
