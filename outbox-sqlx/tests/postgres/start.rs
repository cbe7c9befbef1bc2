use outbox_core::source::Proof;
use outbox_core::{Start, StoreErrorKind};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::{TestDatabase, execute, write};

#[tokio::test]
async fn beginning_and_position_never_lie_below_the_floor() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    assert_eq!(source.last_position().await.unwrap(), 0);
    assert_eq!(source.locate(Start::Beginning).await.unwrap().0, 0);
    assert_eq!(source.locate(Start::Now).await.unwrap().0, 0);
    execute(&mut database.session().await, "UPDATE outbox_meta SET value = '40' WHERE name = 'floor'").await;
    for (start, expected) in
        [(Start::Beginning, 40), (Start::Position(1), 40), (Start::Position(i64::MIN), 40), (Start::Position(41), 40)]
    {
        let (position, open) = source.locate(start).await.unwrap();
        assert_eq!((position, open.is_empty()), (expected, true), "{start:?}");
    }
}

#[tokio::test]
async fn a_position_the_log_has_not_reached_is_refused() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    write(&mut database.writer().await, &["1", "2", "3"]).await;
    assert_eq!(source.locate(Start::Position(3)).await.unwrap().0, 2);
    assert_eq!(source.locate(Start::Position(4)).await.unwrap().0, 3);
    for position in [5, i64::MAX] {
        let error = source.locate(Start::Position(position)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Precondition);
        assert_eq!(error.to_string(), "the log ends at 3; start at position:4 or earlier, or at now");
    }
}

#[tokio::test]
async fn now_keeps_what_is_open_at_that_moment() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut session = database.writer().await;
    write(&mut session, &["1"]).await;
    execute(&mut session, "BEGIN").await;
    write(&mut session, &["dead"]).await;
    execute(&mut session, "ROLLBACK").await;
    write(&mut session, &["3"]).await;
    assert_eq!(source.locate(Start::Now).await.unwrap(), (3, "{}".parse().unwrap()), "nobody can fill 2");
    execute(&mut session, "BEGIN").await;
    write(&mut session, &["4"]).await;
    write(&mut database.writer().await, &["5"]).await;
    assert_eq!(source.locate(Start::Now).await.unwrap(), (5, "{[2,2],[4,4]}".parse().unwrap()));
    let mut last = database.session().await;
    execute(&mut last, "BEGIN").await;
    write(&mut last, &["6"]).await;
    assert_eq!(source.locate(Start::Now).await.unwrap(), (6, "{[2,2],[4,4],[6,6]}".parse().unwrap()));
}

#[tokio::test]
async fn a_time_begins_at_its_first_event() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut session = database.writer().await;
    execute(
        &mut session,
        "INSERT INTO outbox_event (topic, event_key, occurred_at)
            SELECT 't', 'k', timestamptz '2020-01-01 00:00Z' + i * interval '1 hour' FROM generate_series(1, 5) i",
    )
    .await;
    let hour = |hour: i64| Start::Time(OffsetDateTime::from_unix_timestamp(1_577_836_800 + hour * 3600).unwrap());
    for (start, expected) in [(hour(0), 0), (hour(3), 2), (hour(5), 4), (hour(6), 5)] {
        assert_eq!(source.locate(start).await.unwrap().0, expected, "{start:?}");
    }
    execute(&mut session, "BEGIN").await;
    write(&mut session, &["6"]).await;
    write(&mut database.writer().await, &["7"]).await;
    let (position, open) = source.locate(hour(6)).await.unwrap();
    assert_eq!((position, open.to_string().as_str()), (6, "{[6,6]}"));
    assert_eq!(source.locate(hour(3)).await.unwrap().0, 2);
}

#[tokio::test]
async fn the_log_a_proof_was_taken_from_is_recognised() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut session = database.session().await;
    write(&mut session, &["1", "2", "3"]).await;
    let events: Vec<(i64, Uuid)> = sqlx::query_as("SELECT position, event_id FROM outbox_event ORDER BY position")
        .fetch_all(&mut session)
        .await
        .unwrap();
    let proof = Proof { position: 3, events };
    source.verify(&proof).await.unwrap();
    source.verify(&Proof::default()).await.unwrap();

    let error = source.verify(&Proof { position: 4, ..proof.clone() }).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Continuity);
    assert!(error.to_string().contains("positions up to 3 only"), "{error}");

    let mut other = proof.clone();
    other.events[1].1 = Uuid::nil();
    let error = source.verify(&other).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Continuity);
    assert!(error.to_string().contains("position 2 holds another event"), "{error}");

    execute(&mut session, "DELETE FROM outbox_event WHERE position = 1").await;
    let error = source.verify(&proof).await.unwrap_err();
    assert!(error.to_string().contains("at position 1 is gone"), "{error}");
    execute(&mut session, "UPDATE outbox_meta SET value = '1' WHERE name = 'floor'").await;
    source.verify(&proof).await.unwrap();
}
