//! Leases.

use std::time::Duration;

use outbox_core::Store;
use outbox_core::checkpoint::Checkpoint;
use outbox_core::lease::{Claim, Report};

use crate::{Shop, relay, renewal};

#[tokio::test]
async fn a_dead_owner_leaves_the_list_with_its_last_lease() {
    let shop = Shop::open().await;
    let mut leases = shop.store.leases().await.unwrap();
    let (a, b) = (relay("a"), relay("b"));
    let long = Duration::from_mins(1);
    for subscription in ["billing", "search"] {
        leases.acquire_one(&a, subscription, long).await.unwrap();
    }
    leases.take_over("billing", 0, 1).await.unwrap();
    leases.acquire_one(&b, "billing", long).await.unwrap();
    let Claim::Taken { owner, .. } = leases.acquire_one(&b, "search", long).await.unwrap() else {
        panic!("held twice")
    };
    assert_eq!(owner, a, "known until the last of its leases is taken");
    leases.take_over("search", 0, 7).await.unwrap();
    assert_eq!(shop.store.status().await.unwrap().relays.len(), 2, "another epoch");
    leases.take_over("search", 0, 1).await.unwrap();
    let relays = shop.store.status().await.unwrap().relays;
    assert_eq!(relays.iter().map(|relay| relay.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn one_relay_holds_a_lease_until_it_expires_or_is_given_back() {
    let shop = Shop::open().await;
    let mut leases = shop.store.leases().await.unwrap();
    let (a, b) = (relay("a"), relay("b"));
    let long = Duration::from_mins(1);
    let epoch_of = |claim: Claim| match claim {
        Claim::Held { epoch } => epoch,
        Claim::Taken { owner, .. } => panic!("taken by {owner:?}"),
    };
    let first = epoch_of(leases.acquire_one(&a, "s", long).await.unwrap());
    let mine = epoch_of(leases.acquire_one(&a, "s", long).await.unwrap());
    assert!(mine > first);
    match leases.acquire_one(&b, "s", long).await.unwrap() {
        Claim::Taken { owner, epoch, expires_in } => {
            assert_eq!((owner, epoch), (a.clone(), mine));
            assert!(expires_in > Duration::from_secs(50) && expires_in <= long, "{expires_in:?}");
        }
        Claim::Held { .. } => panic!("held twice"),
    }
    let report = |state: &str| Report { publisher: "null".into(), state: state.into(), ..Report::default() };
    let held = [renewal("s", first, report("idle")), renewal("s", mine, report("running"))];
    assert_eq!(leases.renew(&a, long, &[], &held).await.unwrap().kept, [false, true]);
    assert_eq!(shop.store.status().await.unwrap().subscriptions[0].state, "running");

    leases.take_over("s", 0, first).await.unwrap();
    assert!(matches!(leases.acquire_one(&b, "s", long).await.unwrap(), Claim::Taken { .. }));
    leases.take_over("s", 0, mine).await.unwrap();
    let theirs = epoch_of(leases.acquire_one(&b, "s", Duration::ZERO).await.unwrap());
    assert!(theirs > mine);
    assert_eq!(leases.renew(&a, long, &[], &held).await.unwrap().kept, [false, false]);
    let expired = [renewal("s", theirs, report("idle"))];
    assert_eq!(leases.renew(&b, long, &[], &expired).await.unwrap().kept, [true]);
    leases.release(&b).await.unwrap();
    assert!(epoch_of(leases.acquire_one(&a, "s", long).await.unwrap()) > theirs);

    shop.run("DELETE FROM outbox_lease").await;
    shop.store.checkpoints().await.unwrap().create("s", 70, &Checkpoint::default()).await.unwrap();
    assert_eq!(epoch_of(leases.acquire_one(&b, "s", long).await.unwrap()), 71);
}
