use outbox_core::frontier::Frontier;
use outbox_core::source::{Row, Source};
use outbox_core::{Position, PositionSet};
use sqlx::PgConnection;

use crate::database::{TestDatabase, above, above_and, execute, holder_count, positions, write};

/// Reads as a relay does, until nothing is left and no hole is open.
async fn drain(source: &mut dyn Source, frontier: &mut Frontier, max_events: u32) -> Vec<Position> {
    let mut seen = Vec::new();
    loop {
        let read = source.read(&frontier.request(max_events, 1 << 20)).await.unwrap();
        let complete = read.complete;
        seen.extend(frontier.absorb(read).iter().map(Row::position));
        if complete && frontier.hole_count() == 0 {
            return seen;
        }
    }
}

async fn begin(database: &TestDatabase, keys: &[&str]) -> PgConnection {
    let mut session = database.writer().await;
    execute(&mut session, "BEGIN").await;
    write(&mut session, keys).await;
    session
}

#[tokio::test]
async fn a_lower_position_that_commits_later_is_read() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut early = begin(&database, &["early"]).await;
    let mut late = begin(&database, &["late"]).await;
    execute(&mut late, "COMMIT").await;
    let read = source.read(&above(0)).await.unwrap();
    assert_eq!((positions(&read), holder_count(&read), read.complete), (vec![2], Some(1), true));
    let read = source.read(&above_and(2, "{[1,1]}")).await.unwrap();
    assert_eq!((positions(&read), holder_count(&read)), (vec![], Some(1)));
    execute(&mut early, "COMMIT").await;
    let read = source.read(&above_and(2, "{[1,1]}")).await.unwrap();
    assert_eq!((positions(&read), holder_count(&read), read.complete), (vec![1], Some(0), true));
}

#[tokio::test]
async fn readers_strangers_and_the_relay_itself_hold_nothing() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut rolled_back = begin(&database, &["gone"]).await;
    execute(&mut rolled_back, "ROLLBACK").await;
    write(&mut database.writer().await, &["there"]).await;
    let mut reader = database.session().await;
    execute(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM outbox_event").await;
    let mut stranger = database.session().await;
    execute(&mut stranger, "CREATE TABLE other (x int); BEGIN; INSERT INTO other VALUES (1)").await;
    let read = source.read(&above(0)).await.unwrap();
    assert_eq!((positions(&read), holder_count(&read)), (vec![2], Some(0)));
}

#[tokio::test]
async fn nobody_looks_for_holders_where_nothing_is_missing() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    write(&mut database.writer().await, &["a", "b"]).await;
    let read = source.read(&above(0)).await.unwrap();
    assert_eq!((positions(&read), holder_count(&read)), (vec![1, 2], None));
    let read = source.read(&above(2)).await.unwrap();
    assert_eq!((positions(&read), holder_count(&read), read.complete), (vec![], None, true));
}

#[tokio::test]
async fn a_writer_straight_into_a_segment_is_a_holder() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut direct = database.session().await;
    let draw = "SELECT nextval(pg_get_serial_sequence('outbox_event', 'position')) FROM generate_series(1, 5)";
    execute(&mut direct, draw).await;
    execute(&mut direct, "BEGIN; LOCK TABLE ONLY outbox_event_1 IN ROW EXCLUSIVE MODE").await;
    let read = source.read(&above_and(5, "{[5,5]}")).await.unwrap();
    assert_eq!(holder_count(&read), Some(1));
}

#[tokio::test]
async fn a_prepared_transaction_keeps_its_hole_open() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut frontier = Frontier::new(0, &PositionSet::new());
    let mut prepared = begin(&database, &["prepared"]).await;
    write(&mut database.writer().await, &["other"]).await;
    let read = source.read(&frontier.request(100, 1 << 20)).await.unwrap();
    assert_eq!(frontier.absorb(read).len(), 1);
    execute(&mut prepared, "PREPARE TRANSACTION 'two phases'").await;
    drop(prepared);
    for _ in 0..5 {
        let read = source.read(&frontier.request(100, 1 << 20)).await.unwrap();
        assert_eq!(holder_count(&read), Some(1));
        assert!(frontier.absorb(read).is_empty());
        assert_eq!(frontier.open().to_string(), "{[1,1]}");
    }
    execute(&mut database.session().await, "COMMIT PREPARED 'two phases'").await;
    assert_eq!(drain(&mut *source, &mut frontier, 100).await, [1]);
}

#[tokio::test]
async fn a_bulk_transaction_larger_than_any_batch_is_read_whole() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut frontier = Frontier::new(0, &PositionSet::new());
    let mut bulk = database.writer().await;
    let fill = "INSERT INTO outbox_event (topic, event_key, payload) SELECT 't', 'k' || i, '{}' FROM generate_series(1, 5000) i";
    execute(&mut bulk, &format!("BEGIN; {fill}")).await;
    let mut dead = database.writer().await;
    execute(&mut dead, &format!("BEGIN; {fill}; ROLLBACK")).await;
    write(&mut database.writer().await, &["after"]).await;
    let read = source.read(&frontier.request(100, 1 << 20)).await.unwrap();
    assert_eq!(frontier.absorb(read).iter().map(Row::position).collect::<Vec<_>>(), [10_001]);
    execute(&mut bulk, "COMMIT").await;
    let seen = drain(&mut *source, &mut frontier, 100).await;
    assert_eq!(seen, (1..=5000).collect::<Vec<_>>());
    assert!(frontier.open().is_empty());
}

#[tokio::test]
async fn open_positions_and_new_ones_come_in_order_within_the_limits() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    write(&mut database.writer().await, &["1", "2", "3", "4", "5", "6", "7", "8", "9"]).await;
    let mut request = above_and(6, "{[2,2],[4,5]}");
    assert_eq!(positions(&source.read(&request).await.unwrap()), [2, 4, 5, 7, 8, 9]);
    request.max_events = 4;
    let read = source.read(&request).await.unwrap();
    assert_eq!((positions(&read), read.complete), (vec![2, 4, 5, 7], false));
    request.max_events = 2;
    assert_eq!(positions(&source.read(&request).await.unwrap()), [2, 4]);
    request = above_and(6, "{[2,2],[4,5]}");
    request.above = false;
    let read = source.read(&request).await.unwrap();
    assert_eq!((positions(&read), read.complete), (vec![2, 4, 5], true));
    request.max_bytes = 30;
    let read = source.read(&request).await.unwrap();
    assert_eq!((positions(&read), read.complete), (vec![2, 4], false));
}
