//! Checkpoints and records of what will not pass, and who may write them.

use std::time::Duration;

use outbox_core::checkpoint::{Checkpoint, DeadLetter};
use outbox_core::lease::Claim;
use outbox_core::{Store, StoreErrorKind};
use uuid::Uuid;

use crate::{Shop, letters, relay};

#[tokio::test]
async fn an_older_epoch_writes_nothing() {
    let shop = Shop::open().await;
    let mut checkpoints = shop.store.checkpoints().await.unwrap();
    let at = |position, epoch: u128| Checkpoint {
        position,
        open: [position - 2..=position - 1].into_iter().collect(),
        events: vec![(position, Uuid::from_u128(epoch))],
    };
    assert_eq!(checkpoints.claim_one("s", 1).await.unwrap(), None);
    checkpoints.create("s", 1, &at(10, 1)).await.unwrap();
    checkpoints.create("s", 1, &at(99, 1)).await.unwrap();
    assert_eq!(checkpoints.claim_one("s", 1).await.unwrap(), Some(at(10, 1)));
    checkpoints.save_one("s", 1, &at(20, 1)).await.unwrap();

    let mut newer = shop.store.checkpoints().await.unwrap();
    assert_eq!(newer.claim_one("s", 2).await.unwrap(), Some(at(20, 1)));
    let letter = DeadLetter {
        position: 3,
        event_id: Uuid::now_v7(),
        topic: "t".into(),
        key: "k".into(),
        reason: "too large".into(),
        attempts: 1,
    };
    let some = std::slice::from_ref(&letter);
    let fenced = Some(StoreErrorKind::Fenced);
    let kind = |done: Result<(), outbox_core::StoreError>| done.err().map(|error| error.kind());
    assert_eq!(checkpoints.claim_one("s", 1).await.err().map(|error| error.kind()), fenced);
    assert_eq!(kind(checkpoints.save_one("s", 1, &at(30, 1)).await), fenced);
    assert_eq!(kind(checkpoints.create("s", 1, &at(30, 1)).await), fenced);
    assert_eq!(kind(letters(checkpoints.as_mut(), "s", 1, some, &[]).await), fenced);
    letters(newer.as_mut(), "s", 2, some, &[]).await.unwrap();
    assert_eq!(kind(letters(checkpoints.as_mut(), "s", 1, &[], &[3]).await), fenced);
    assert_eq!(newer.recorded("s").await.unwrap(), [3]);
    assert_eq!(kind(newer.save_one("s", 2, &at(19, 2)).await), fenced);
    assert_eq!(newer.claim_one("s", 2).await.unwrap(), Some(at(20, 1)));

    letters(newer.as_mut(), "s", 2, &[DeadLetter { attempts: 2, reason: "still".into(), ..letter }], &[])
        .await
        .unwrap();
    let stored: (i64, String) =
        sqlx::query_as("SELECT attempts, reason FROM outbox_dead_letter").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(stored, (2, "still".to_owned()));
    letters(newer.as_mut(), "s", 2, &[], &[3, 4]).await.unwrap();
    assert_eq!(newer.recorded("s").await.unwrap(), [0; 0]);
}

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
