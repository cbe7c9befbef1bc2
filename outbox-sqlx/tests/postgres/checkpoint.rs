use outbox_core::checkpoint::{Checkpoint, Checkpoints, DeadLetter, Entry, Held};
use outbox_core::dead_letter::{Decision, Parked, State};
use outbox_core::source::Row;
use outbox_core::{Payload, Store, StoreErrorKind};
use uuid::Uuid;

use crate::database::{TestDatabase, above, execute};

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
    let recorded = keeper.recorded("billing").await.unwrap();
    assert_eq!(recorded.iter().map(|recorded| recorded.position).collect::<Vec<_>>(), [3]);
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

/// The session of a relay speaks UTF-8, whatever the database stores.
#[tokio::test]
async fn a_letter_keeps_its_text_in_a_database_of_another_encoding() {
    let database = TestDatabase::made_with("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    database.owner.migrate(1).await.unwrap();
    let database = database.with_users().await;
    let (key, written, mended) = ("café", r#"{"name":"Jérôme §"}"#, r#"{"name":"Zoë"}"#);
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', $1, $2)";
    sqlx::query(insert).bind(key).bind(written).execute(&mut database.writer().await).await.unwrap();
    let rows = database.source().await.read(&above(0)).await.unwrap().rows;
    let Some(Row::Event(event)) = rows.into_iter().next() else { panic!("an event") };
    let text = |text: &str| Some(Payload::Text(text.as_bytes().to_vec()));
    assert_eq!((event.key.as_str(), &event.payload), (key, &text(written)));

    let mut checkpoints = open(&database).await;
    checkpoints.create("s", 1, &Checkpoint::default()).await.unwrap();
    let (state, reason) = (State::Parked, "é".to_owned());
    let parked = Parked { event, readable: true, state, reason, attempts: 1, replayed: false };
    let held = vec![(Held { partition: 0, epoch: 1 }, Checkpoint { position: 1, ..Checkpoint::default() })];
    let entry = Entry { checkpoints: held, parked: vec![parked.into()], ..Entry::default() };
    checkpoints.save("s", &entry).await.unwrap();
    let mut desk = database.owner.desk().await.unwrap();
    let payload = |row: Option<Row>| if let Some(Row::Event(event)) = row { event.payload } else { None };
    assert_eq!(payload(desk.copy("s", 1).await.unwrap()), text(written));
    let (positions, from) = (vec![1], vec![State::Parked]);
    let (to, corrected) = (State::Requeued, text(mended));
    let decision = Decision { positions, from, to, payload: corrected, reason: None, actor: None };
    assert_eq!(desk.decide("s", &decision).await.unwrap(), [1]);
    assert_eq!(payload(desk.copy("s", 1).await.unwrap()), text(mended));
    let original = "SELECT convert_from(original_payload, 'UTF8') FROM outbox_dead_letter";
    let original: String = sqlx::query_scalar(original).fetch_one(&mut database.session().await).await.unwrap();
    assert_eq!(original, written);
}
