use std::time::Duration;

use outbox_core::partition::Portion;
use outbox_core::source::{ReadRequest, Row};
use outbox_core::{Filter, Operation, Payload, Store, StoreErrorKind};
use time::macros::datetime;

use crate::database::{TestDatabase, above, above_and, execute, positions, write};

#[tokio::test]
async fn rows_come_in_order_and_in_limits() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    write(&mut database.writer().await, &["a", "b", "c"]).await;
    let read = source.read(&ReadRequest { max_events: 2, ..above(0) }).await.unwrap();
    assert_eq!((positions(&read), read.complete), (vec![1, 2], false));
    let read = source.read(&ReadRequest { max_events: 2, ..above(2) }).await.unwrap();
    assert_eq!((positions(&read), read.complete), (vec![3], true));
    assert_eq!(source.last_position().await.unwrap(), 3);
}

#[tokio::test]
async fn segments_are_merged_by_position() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut session = database.session().await;
    for (segment, key) in [(0, "a"), (1, "b"), (0, "c"), (1, "d")] {
        execute(&mut session, &format!("SELECT setval('outbox_segment', {segment}, true)")).await;
        write(&mut session, &[key]).await;
    }
    assert_eq!(positions(&source.read(&above(0)).await.unwrap()), [1, 2, 3, 4]);
    assert_eq!(positions(&source.read(&above_and(3, "{[1,2]}")).await.unwrap()), [1, 2, 4]);
}

#[tokio::test]
async fn events_of_other_partitions_stay_on_the_server() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let keys: Vec<_> = (0..200).map(|number| format!("key-{}", number % 40)).collect();
    write(&mut database.writer().await, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let portion = Portion { count: 12, partitions: vec![1, 7] };
    for request in [above(0), above_and(100, "{[1,100]}")] {
        let rows = source.read(&ReadRequest { portion: Some(portion.clone()), ..request }).await.unwrap().rows;
        assert_eq!(rows.len(), 200);
        for row in rows {
            let mine = portion.holds(&keys[usize::try_from(row.position()).unwrap() - 1], row.position());
            assert_eq!(matches!(row, Row::Event(_)), mine, "{row:?}");
        }
    }
}

#[tokio::test]
async fn the_limit_of_bytes_cuts_and_a_larger_event_comes_alone() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut session = database.writer().await;
    let sizes = [400, 400, 5_000_000, 400];
    for size in sizes {
        let sql = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', to_json(repeat('x', $1 - 2))::text)";
        sqlx::query(sql).bind(size).execute(&mut session).await.unwrap();
    }
    let mut after = 0;
    let mut batches = Vec::new();
    loop {
        let read = source.read(&ReadRequest { max_bytes: 1000, ..above(after) }).await.unwrap();
        batches.push((positions(&read), read.complete));
        for row in &read.rows {
            let Row::Event(event) = row else { panic!("{row:?}") };
            let size = sizes[usize::try_from(event.position).unwrap() - 1];
            assert_eq!(event.payload.as_ref().unwrap().as_bytes().len(), usize::try_from(size).unwrap());
            after = event.position;
        }
        if read.complete {
            break;
        }
    }
    assert_eq!(batches, [(vec![1, 2], false), (vec![3], false), (vec![4], true)]);
}

#[tokio::test]
async fn what_lies_beside_the_payload_counts_too() {
    let database = TestDatabase::migrated().await;
    let (mut source, mut session) = (database.source().await, database.writer().await);
    for (columns, values) in [
        ("topic, event_key", "repeat('x', 600), 'k'"),
        ("topic, event_key", "'t', repeat('x', 600)"),
        ("topic, event_key, headers", "'t', 'k', repeat('x', 600)"),
        ("topic, event_key, event_type", "'t', 'k', repeat('x', 600)"),
        ("topic, event_key, aggregate_type", "'t', 'k', repeat('x', 600)"),
        ("topic, event_key, tenant_id", "'t', 'k', repeat('x', 600)"),
        ("topic, event_key, actor", "'t', 'k', repeat('x', 600)"),
    ] {
        let last = source.last_position().await.unwrap();
        let insert = format!("INSERT INTO outbox_event ({columns}) SELECT {values} FROM generate_series(1, 3)");
        execute(&mut session, &insert).await;
        let (first, second) = (last + 1, last + 2);
        for request in [above(last), above_and(first, &format!("{{[{first},{first}]}}"))] {
            let read = source.read(&ReadRequest { max_bytes: 1300, ..request }).await.unwrap();
            assert_eq!((positions(&read), read.complete), (vec![first, second], false), "{columns}: {values}");
        }
    }
}

#[tokio::test]
async fn a_log_that_counts_from_1_again_is_refused() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut session = database.session().await;
    write(&mut session, &["1", "2", "3"]).await;
    assert_eq!(positions(&source.read(&above(0)).await.unwrap()), [1, 2, 3]);
    execute(&mut session, "TRUNCATE outbox_event RESTART IDENTITY").await;
    write(&mut session, &["1"]).await;
    let error = source.read(&above_and(3, "{[1,1]}")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Continuity);
    assert!(error.to_string().contains("positions up to 1 only, and the relay has read up to 3"), "{error}");
    let mut source = database.source().await;
    assert!(positions(&source.read(&above(3)).await.unwrap()).is_empty(), "believed for a while");
    let believed_for = Duration::from_secs(2);
    tokio::time::pause();
    tokio::time::advance(believed_for).await;
    tokio::time::resume();
    let error = source.read(&above(3)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Continuity);
}

#[tokio::test]
async fn what_a_filter_leaves_out_comes_with_its_position_alone() {
    let database = TestDatabase::migrated().await;
    let mut session = database.writer().await;
    execute(
        &mut session,
        "INSERT INTO outbox_event (topic, event_key, aggregate_type, operation, tenant_id, payload, occurred_at) VALUES
            ('shop.orders', 'k', 'orders', 'insert', 'acme', '1', '2026-01-01 00:00:00+00'),
            ('shop.orders', 'k', 'orders', 'delete', 'acme', repeat('x', 5000), '2026-01-01 00:00:00+00'),
            ('shop_orders', 'k', 'orders', 'insert', 'acme', repeat('x', 5000), '2026-01-01 00:00:00+00'),
            ('shop.orders', 'k', NULL, NULL, 'acme', repeat('x', 5000), '2026-01-01 00:00:00+00'),
            ('shop.orders', 'k', 'orders', 'insert', NULL, repeat('x', 5000), '2026-01-01 00:00:00+00'),
            ('shop.orders', 'K', 'orders', 'insert', 'acme', repeat('x', 5000), '2026-01-01 00:00:00+00'),
            ('shop.orders', 'k', 'orders', 'insert', 'acme', repeat('x', 5000), '2025-12-31 23:59:59.999999+00'),
            ('shop.orders', 'k', 'orders', 'insert', 'acme', repeat('x', 5000), '2026-01-02 00:00:00+00'),
            ('shop.items', 'k', 'orders', 'insert', 'acme', '2', '2026-01-01 23:59:59.999999+00')",
    )
    .await;
    let filter = Filter {
        topics: vec!["none".into(), "shop.*".into()],
        tables: vec!["orders".into()],
        keys: vec!["k".into(), "l".into()],
        tenants: vec!["acme".into()],
        operations: vec![Operation::Insert, Operation::Update],
        since: Some(datetime!(2026-01-01 00:00 UTC)),
        until: Some(datetime!(2026-01-02 00:00 UTC)),
    };
    let mut source = database.store.source(&filter).await.unwrap();
    for request in [above(0), above_and(3, "{[1,3]}")] {
        let read = source.read(&ReadRequest { max_bytes: 50, ..request }).await.unwrap();
        let events: Vec<_> = read.rows.iter().map(|row| matches!(row, Row::Event(_))).collect();
        assert_eq!((positions(&read), read.complete), ((1..=9).collect(), true), "unwanted payloads count for nothing");
        assert_eq!(events, [true, false, false, false, false, false, false, false, true]);
    }
}

#[tokio::test]
async fn odd_rows_come_with_their_reason() {
    let database = TestDatabase::migrated().await;
    execute(
        &mut database.session().await,
        "INSERT INTO outbox_event (topic, event_key, payload, payload_binary, operation, occurred_at) VALUES
            ('t', 'both', '1', '1', NULL, now()), ('t', 'word', '1', NULL, 'upsert', now()),
            ('t', 'time', '1', NULL, NULL, 'infinity'), ('t', 'late', '1', NULL, NULL, '20000-01-01'),
            ('t', 'fine', NULL, NULL, NULL, '0044-03-15 BC'), ('', 'nameless', '1', NULL, NULL, now())",
    )
    .await;
    let read = database.source().await.read(&above(0)).await.unwrap();
    let reasons: Vec<_> =
        read.rows.iter().map(|row| if let Row::Unreadable(row) = row { row.reason.as_str() } else { "" }).collect();
    assert!(reasons[0].contains("both set"), "{reasons:?}");
    assert!(reasons[1].contains("operation"), "{reasons:?}");
    assert!(reasons[2].contains("occurred_at") && reasons[3].contains("occurred_at"), "{reasons:?}");
    assert_eq!(reasons[5], "topic is empty");
    let Row::Event(event) = &read.rows[4] else { panic!("{reasons:?}") };
    assert_eq!((event.occurred_at.year(), &event.payload), (-43, &None));
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_read_as_they_are() {
    let database = TestDatabase::made_with("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    database.owner.migrate(1).await.unwrap();
    let database = database.with_users().await;
    let mut session = database.writer().await;
    execute(&mut session, "SET client_encoding = 'SQL_ASCII'").await;
    execute(
        &mut session,
        r"INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', E'\xff'), ('t', E'k\xff', '1')",
    )
    .await;
    let read = database.source().await.read(&above(0)).await.unwrap();
    let Row::Event(event) = &read.rows[0] else { panic!("{read:?}") };
    assert_eq!(event.payload, Some(Payload::Text(vec![0xff])));
    let Row::Unreadable(row) = &read.rows[1] else { panic!("{read:?}") };
    for partitions in [vec![0], vec![1]] {
        let portion = Some(Portion { count: 2, partitions });
        let shared = database.source().await.read(&ReadRequest { portion, ..above(0) }).await.unwrap();
        assert_eq!(shared.rows[1], read.rows[1], "two relays that hash it otherwise would both leave it out");
    }
    assert_eq!(
        (row.key.as_str(), row.reason.as_str()),
        ("k\u{fffd}", "event_key is not UTF-8 after its first 1 bytes")
    );
}

#[tokio::test]
async fn what_was_read_is_on_disk_although_its_commit_did_not_wait() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let mut session = database.writer().await;
    execute(&mut session, "SET synchronous_commit = off").await;
    let mut lagged = 0;
    for after in 0..200 {
        write(&mut session, &["k"]).await;
        let lag = "SELECT pg_current_wal_insert_lsn()::text, pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()";
        let (inserted, lags): (String, bool) = sqlx::query_as(lag).fetch_one(&mut session).await.unwrap();
        lagged += u32::from(lags);
        let read = source.read(&above(after)).await.unwrap();
        assert_eq!(positions(&read), [after + 1]);
        // The end of a page counts as its successor's first free byte, which nothing needs to be flushed for.
        let durable = "SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn - 40";
        let durable: bool = sqlx::query_scalar(durable).bind(inserted).fetch_one(&mut session).await.unwrap();
        assert!(durable);
    }
    assert!(lagged > 0, "the experiment shows something only if commits ran ahead of the disk");
}

#[tokio::test]
async fn a_connection_that_was_cut_is_given_up() {
    let database = TestDatabase::migrated().await;
    let mut source = database.source().await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'outbox-relay' AND datname = current_database()";
    execute(&mut database.session().await, cut).await;
    for _ in 0..2 {
        let error = source.last_position().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test]
async fn a_time_limit_of_the_role_does_not_reach_the_reader() {
    let database = TestDatabase::migrated().await;
    let name = database.name();
    let mut session = database.session().await;
    write(&mut session, &["k"]).await;
    execute(&mut session, &format!("ALTER DATABASE {name} SET statement_timeout = '300ms'")).await;
    let mut source = database.source().await;
    execute(&mut session, "BEGIN; LOCK TABLE outbox_event IN ACCESS EXCLUSIVE MODE").await;
    let reading = tokio::spawn(async move { source.read(&above(0)).await });
    let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND database = (
        SELECT oid FROM pg_database WHERE datname = current_database()))";
    while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut session).await.unwrap() {}
    // Whoever begins to wait now and is under the limit gives up, and the reader has waited for longer by then.
    let mut limited = database.session().await;
    let refused = sqlx::query("SELECT FROM outbox_event").execute(&mut limited).await.unwrap_err();
    assert!(refused.to_string().contains("statement timeout"), "{refused}");
    execute(&mut session, "COMMIT").await;
    assert_eq!(positions(&reading.await.unwrap().unwrap()), [1]);
}
