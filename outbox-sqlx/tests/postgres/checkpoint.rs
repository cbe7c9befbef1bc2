use outbox_core::checkpoint::{Checkpoint, Checkpoints, DeadLetter, Entry, Held};
use outbox_core::{Store, StoreErrorKind};
use uuid::Uuid;

use crate::database::{TestDatabase, execute};

fn at(position: i64, open: &str) -> Checkpoint {
    Checkpoint {
        position,
        open: open.parse().unwrap(),
        events: vec![(position, Uuid::from_u128(7)), (position + 1, Uuid::nil())],
    }
}

async fn open(database: &TestDatabase) -> Box<dyn Checkpoints> {
    database.store.checkpoints().await.unwrap()
}

#[tokio::test]
async fn a_checkpoint_goes_there_and_back() {
    let database = TestDatabase::migrated().await;
    let mut keeper = open(&database).await;
    assert_eq!(keeper.claim_one("billing", 1).await.unwrap(), None);
    keeper.create("billing", 1, &Checkpoint::default()).await.unwrap();
    assert_eq!(keeper.claim_one("billing", 1).await.unwrap(), Some(Checkpoint::default()));
    keeper.save_one("billing", 1, &at(20, "{[12,15],[20,20]}")).await.unwrap();
    assert_eq!(open(&database).await.claim_one("billing", 2).await.unwrap(), Some(at(20, "{[12,15],[20,20]}")));
    let castable = "SELECT open_positions::int8multirange @> 13::bigint FROM outbox_checkpoint";
    let castable: bool = sqlx::query_scalar(castable).fetch_one(&mut database.session().await).await.unwrap();
    assert!(castable);
}

#[tokio::test]
async fn a_checkpoint_made_by_an_older_relay_meanwhile_is_taken_over() {
    let database = TestDatabase::migrated().await;
    let (mut old, mut new) = (open(&database).await, open(&database).await);
    assert_eq!(new.claim_one("billing", 2).await.unwrap(), None);
    old.create("billing", 1, &at(3, "{}")).await.unwrap();
    new.create("billing", 2, &at(3, "{}")).await.unwrap();
    assert_eq!(old.save_one("billing", 1, &at(4, "{}")).await.unwrap_err().kind(), StoreErrorKind::Fenced);
    new.save_one("billing", 2, &at(4, "{}")).await.unwrap();
}

#[tokio::test]
async fn what_no_column_can_hold_is_recorded_all_the_same() {
    let database = TestDatabase::migrated().await;
    let mut keeper = open(&database).await;
    keeper.create("billing", 1, &at(5, "{}")).await.unwrap();
    let letter = DeadLetter {
        position: 3,
        event_id: Uuid::nil(),
        topic: "t".into(),
        key: "k".into(),
        reason: "refused with \0 in it".into(),
        attempts: u32::MAX,
    };
    let checkpoints = vec![(Held { partition: 0, epoch: 1 }, at(5, "{}"))];
    let entry = Entry { checkpoints, recorded: vec![letter], ..Entry::default() };
    keeper.save("billing", &entry).await.unwrap();
    assert_eq!(keeper.recorded("billing").await.unwrap(), [3]);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_named() {
    let database = TestDatabase::migrated().await;
    let mut keeper = open(&database).await;
    keeper.create("billing", 1, &at(5, "{}")).await.unwrap();
    for column in ["open_positions", "proof"] {
        execute(&mut database.session().await, &format!("UPDATE outbox_checkpoint SET {column} = 'rubbish'")).await;
        let error = keeper.claim_one("billing", 1).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Precondition);
        assert!(error.to_string().contains(column), "{error}");
        execute(&mut database.session().await, &format!("UPDATE outbox_checkpoint SET {column} = '{{}}'")).await;
    }
}
