use std::time::Duration;

use outbox_core::Store;
use outbox_core::checkpoint::Checkpoint;
use outbox_core::lease::{Claim, Leases, Report};

use crate::database::{TestDatabase, execute, relay, renewal};

const LONG: Duration = Duration::from_mins(1);

async fn open(database: &TestDatabase) -> Box<dyn Leases> {
    database.store.leases().await.unwrap()
}

fn report(state: &str) -> Report {
    Report { publisher: "file:out".into(), state: state.into(), last_error: Some("a\0b".into()), holes: Vec::new() }
}

#[tokio::test]
async fn one_relay_has_it_and_another_is_told_who() {
    let database = TestDatabase::migrated().await;
    let mut leases = open(&database).await;
    let (a, b) = (relay("a"), relay("b"));
    assert_eq!(leases.acquire_one(&a, "billing", LONG).await.unwrap(), Claim::Held { epoch: 1 });
    let Claim::Taken { owner, epoch, expires_in } = leases.acquire_one(&b, "billing", LONG).await.unwrap() else {
        panic!("held twice")
    };
    assert_eq!((owner, epoch), (a.clone(), 1));
    assert!(expires_in > LONG / 2 && expires_in <= LONG, "{expires_in:?}");
    assert_eq!(leases.acquire_one(&b, "other", LONG).await.unwrap(), Claim::Held { epoch: 1 });
    assert_eq!(
        leases.acquire_one(&a, "billing", LONG).await.unwrap(),
        Claim::Held { epoch: 2 },
        "its own, with a new epoch"
    );
}

#[tokio::test]
async fn an_expired_lease_changes_hands_and_its_renewal_fails() {
    let database = TestDatabase::migrated().await;
    let mut leases = open(&database).await;
    let (a, b) = (relay("a"), relay("b"));
    leases.acquire_one(&a, "billing", LONG).await.unwrap();
    let no_longer = Duration::ZERO;
    assert_eq!(
        leases.renew(&a, no_longer, &[], &[renewal("billing", 1, report("running"))]).await.unwrap().kept,
        [true]
    );
    assert_eq!(leases.acquire_one(&b, "billing", LONG).await.unwrap(), Claim::Held { epoch: 2 });
    assert_eq!(leases.renew(&a, LONG, &[], &[renewal("billing", 1, report("running"))]).await.unwrap().kept, [false]);
    let held = [
        renewal("none", 1, report("idle")),
        renewal("billing", 2, report("idle")),
        renewal("billing", 1, report("idle")),
    ];
    let renewed = leases.renew(&b, LONG, &[], &held[..2]).await.unwrap().kept;
    assert_eq!(renewed, [false, true]);
    assert!(leases.renew(&b, LONG, &[], &[]).await.unwrap().kept.is_empty());
}

#[tokio::test]
async fn a_dead_owner_is_taken_over_by_epoch() {
    let database = TestDatabase::migrated().await;
    let mut leases = open(&database).await;
    let (a, b) = (relay("a"), relay("b"));
    leases.acquire_one(&a, "billing", LONG).await.unwrap();
    leases.take_over("billing", 0, 7).await.unwrap();
    assert!(matches!(leases.acquire_one(&b, "billing", LONG).await.unwrap(), Claim::Taken { .. }), "another epoch");
    leases.take_over("billing", 0, 1).await.unwrap();
    assert_eq!(leases.acquire_one(&b, "billing", LONG).await.unwrap(), Claim::Held { epoch: 2 });
}

#[tokio::test]
async fn a_dead_owner_leaves_the_list_with_its_last_lease() {
    let database = TestDatabase::migrated().await;
    let mut leases = open(&database).await;
    let (a, b) = (relay("a"), relay("b"));
    for subscription in ["billing", "search"] {
        leases.acquire_one(&a, subscription, LONG).await.unwrap();
    }
    leases.take_over("billing", 0, 1).await.unwrap();
    leases.acquire_one(&b, "billing", LONG).await.unwrap();
    let Claim::Taken { owner, .. } = leases.acquire_one(&b, "search", LONG).await.unwrap() else {
        panic!("held twice")
    };
    assert_eq!(owner, a, "known until the last of its leases is taken");
    leases.take_over("search", 0, 7).await.unwrap();
    assert_eq!(database.operator.status().await.unwrap().relays.len(), 2, "another epoch");
    leases.take_over("search", 0, 1).await.unwrap();
    let relays = database.operator.status().await.unwrap().relays;
    assert_eq!(relays.iter().map(|relay| relay.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn released_leases_are_free_and_the_relay_is_off_the_list() {
    let database = TestDatabase::migrated().await;
    let mut leases = open(&database).await;
    let (a, b) = (relay("a"), relay("b"));
    leases.acquire_one(&a, "billing", LONG).await.unwrap();
    leases.release(&a).await.unwrap();
    assert!(database.operator.status().await.unwrap().relays.is_empty());
    assert_eq!(leases.acquire_one(&b, "billing", LONG).await.unwrap(), Claim::Held { epoch: 3 });
}

#[tokio::test]
async fn an_epoch_is_never_below_the_checkpoints() {
    let database = TestDatabase::migrated().await;
    database.store.checkpoints().await.unwrap().create("billing", 41, &Checkpoint::default()).await.unwrap();
    assert_eq!(
        open(&database).await.acquire_one(&relay("a"), "billing", LONG).await.unwrap(),
        Claim::Held { epoch: 42 }
    );
}

#[tokio::test]
async fn many_at_once_have_one_winner() {
    let database = TestDatabase::migrated().await;
    let mut tasks = Vec::new();
    for number in 0..8 {
        let mut leases = open(&database).await;
        tasks.push(tokio::spawn(async move {
            leases.acquire_one(&relay(&number.to_string()), "billing", LONG).await.unwrap()
        }));
    }
    let mut held = 0;
    for task in tasks {
        held += u32::from(matches!(task.await.unwrap(), Claim::Held { .. }));
    }
    assert_eq!(held, 1);
}

#[tokio::test]
async fn relays_silent_for_a_day_are_forgotten() {
    let database = TestDatabase::migrated().await;
    let mut leases = open(&database).await;
    leases.renew(&relay("gone"), LONG, &[], &[]).await.unwrap();
    leases.renew(&relay("quiet"), LONG, &[], &[]).await.unwrap();
    let back = "UPDATE outbox_relay SET seen_at = seen_at - CASE relay_name WHEN 'gone' THEN interval '25 hours'
        ELSE interval '1 minute' END";
    execute(&mut database.session().await, back).await;
    leases.renew(&relay("here"), LONG, &[], &[]).await.unwrap();
    let relays = database.operator.status().await.unwrap().relays;
    let relays: Vec<_> = relays.iter().map(|relay| (relay.name.as_str(), relay.state)).collect();
    assert_eq!(relays, [("here", "alive"), ("quiet", "silent")]);
}
