//! The status.

use std::time::Duration;

use outbox_core::Store;
use outbox_core::checkpoint::{Checkpoint, DeadLetter, Entry, Held};
use outbox_core::lease::{Claim, Report};
use uuid::Uuid;

use crate::{Shop, numbered, relay, renewal};

#[tokio::test]
async fn status_shows_lag_owner_and_what_will_not_pass() {
    let shop = Shop::open().await;
    shop.append(&numbered(10)).await;
    let (mut leases, mut checkpoints) = (shop.store.leases().await.unwrap(), shop.store.checkpoints().await.unwrap());
    let a = relay("a");
    let Claim::Held { epoch } = leases.acquire_one(&a, "orders", Duration::from_mins(1)).await.unwrap() else {
        panic!("taken")
    };
    let checkpoint = Checkpoint { position: 8, open: [2..=3].into_iter().collect(), events: Vec::new() };
    checkpoints.create("orders", epoch, &checkpoint).await.unwrap();
    let letter = |position, key: &str| DeadLetter {
        position,
        event_id: Uuid::now_v7(),
        topic: "t".into(),
        key: key.into(),
        reason: "no".into(),
        attempts: 1,
    };
    let entry = Entry {
        checkpoints: vec![(Held { partition: 0, epoch }, checkpoint)],
        recorded: vec![letter(2, "x"), letter(3, "x")],
        ..Entry::default()
    };
    checkpoints.save("orders", &entry).await.unwrap();
    let report =
        Report { publisher: "file:out".into(), state: "blocked".into(), last_error: Some("no".into()), holes: vec![] };
    leases.renew(&a, Duration::from_mins(1), &[], &[renewal("orders", epoch, report)]).await.unwrap();

    let status = shop.store.status().await.unwrap();
    assert_eq!((status.version, status.database.kind), (1, "sqlite"));
    assert_eq!((status.log.first_position, status.log.last_position), (Some(1), Some(10)));
    assert_eq!((status.relays[0].name.as_str(), status.relays[0].state), ("a", "alive"));
    let orders = &status.subscriptions[0];
    assert_eq!(
        (orders.name.as_str(), orders.state.as_str(), orders.publisher.as_deref()),
        ("orders", "blocked", Some("file:out"))
    );
    assert_eq!((orders.lag_events, orders.parked_keys, orders.parked_events), (Some(4), 1, 2));
    assert!(orders.lag_seconds.unwrap() < 60.0);
    assert_eq!((orders.partitions[0].owner.as_deref(), orders.partitions[0].open.as_str()), (Some("a"), "{[2,3]}"));

    leases.release(&a).await.unwrap();
    checkpoints.save_one("orders", epoch, &Checkpoint { position: 10, ..Checkpoint::default() }).await.unwrap();
    let status = shop.store.status().await.unwrap();
    assert_eq!(status.subscriptions[0].state, "unowned");
    assert_eq!((status.subscriptions[0].lag_events, status.subscriptions[0].lag_seconds), (Some(0), Some(0.0)));
    assert_eq!(status.subscriptions[0].partitions[0].owner, None);
}
