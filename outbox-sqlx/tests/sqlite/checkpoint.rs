//! The first checkpoint, and who may write it.

use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::lease::Claim;
use outbox_core::{Store, StoreErrorKind};

use crate::{Shop, relay};

#[tokio::test]
async fn a_first_checkpoint_is_refused_where_the_lease_has_moved_on() {
    let shop = Shop::open().await;
    let mut leases = shop.store.leases().await.unwrap();
    let mut checkpoints = shop.store.checkpoints().await.unwrap();
    let (a, b) = (relay("a"), relay("b"));
    let Claim::Held { epoch: old } = leases.acquire_one(&a, "s", Duration::ZERO).await.unwrap() else {
        panic!("taken")
    };
    let Claim::Held { epoch: new } = leases.acquire_one(&b, "s", Duration::from_mins(1)).await.unwrap() else {
        panic!("taken")
    };
    let error = checkpoints.create("s", old, &Checkpoint::default()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Fenced);
    checkpoints.create("s", new, &Checkpoint::default()).await.unwrap();
}

#[tokio::test]
async fn a_relay_waits_for_the_writer_and_says_when_it_waited_in_vain() {
    let shop = Shop::open().await;
    let mut checkpoints = shop.store.checkpoints().await.unwrap();
    let tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = checkpoints.create("s", 1, &Checkpoint::default()).await.unwrap_err();
    assert!(error.kind() == StoreErrorKind::Unavailable && error.to_string().contains("locked"), "{error}");
    let waiting = tokio::spawn(async move { checkpoints.create("s", 1, &Checkpoint::default()).await });
    tx.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
}
