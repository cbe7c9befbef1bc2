//! Reading: limits, filters, odd rows, starts and proofs.

use std::path::Path;

use outbox_core::source::{Proof, ReadRequest, Row};
use outbox_core::{Filter, Names, NewEvent, Operation, Payload, Position, PositionSet, Start, Store, StoreErrorKind};
use outbox_sqlx::{SqliteOutbox, SqliteStore};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{Shop, event, everything, numbered, positions, read};

#[tokio::test]
async fn limits_cut_an_answer_and_say_so() {
    let shop = Shop::open().await;
    let big = || NewEvent::new("t", "k").json("x".repeat(5_000_000));
    shop.append(&[big(), big(), NewEvent::new("t", "k").json("{}"), NewEvent::new("t", "k")]).await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    let limited = |after, max_events, max_bytes| ReadRequest { after, max_events, max_bytes, ..everything() };
    for (request, expected, complete) in [
        (limited(0, 10, 1000), vec![1], false),
        (limited(0, 10, 9_999_999), vec![1], false),
        (limited(0, 10, 10_000_004), vec![1, 2], false),
        (limited(0, 10, 11_000_000), vec![1, 2, 3, 4], true),
        (limited(1, 2, 11_000_000), vec![2, 3], false),
        (limited(2, 10, 1000), vec![3, 4], true),
        (limited(4, 10, 1000), vec![], true),
    ] {
        let read = read(&mut *source, &request).await;
        assert_eq!((positions(&read.rows), read.complete), (expected, complete), "{request:?}");
    }
    assert_eq!(event(&shop.all().await[0]).payload.as_ref().unwrap().as_bytes().len(), 5_000_000);
}

#[tokio::test]
async fn what_lies_beside_the_payload_counts_too() {
    let shop = Shop::open().await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    for (columns, values) in [
        ("topic, event_key", "printf('%.600c', 'x'), 'k'"),
        ("topic, event_key", "'t', printf('%.600c', 'x')"),
        ("topic, event_key, headers", "'t', 'k', printf('%.600c', 'x')"),
        ("topic, event_key, event_type", "'t', 'k', printf('%.600c', 'x')"),
        ("topic, event_key, aggregate_type", "'t', 'k', printf('%.600c', 'x')"),
        ("topic, event_key, tenant_id", "'t', 'k', printf('%.600c', 'x')"),
        ("topic, event_key, actor", "'t', 'k', printf('%.600c', 'x')"),
    ] {
        let after = source.last_position().await.unwrap();
        shop.run(&format!("INSERT INTO outbox_event ({columns}) VALUES ({values}), ({values}), ({values})")).await;
        let read = read(&mut *source, &ReadRequest { after, max_bytes: 1300, ..everything() }).await;
        assert_eq!((positions(&read.rows), read.complete), (vec![after + 1, after + 2], false), "{columns}: {values}");
    }
}

#[tokio::test]
async fn a_log_that_counts_from_1_again_is_refused() {
    let shop = Shop::open().await;
    shop.append(&numbered(3)).await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    assert_eq!(positions(&read(&mut *source, &everything()).await.rows), [1, 2, 3]);
    shop.run("DELETE FROM outbox_event; DELETE FROM sqlite_sequence").await;
    shop.append(&numbered(1)).await;
    let idle = ReadRequest { after: 3, ..everything() };
    assert_eq!(read(&mut *source, &idle).await.rows, [], "believed for a while");
    let believed_for = std::time::Duration::from_secs(2);
    tokio::time::pause();
    tokio::time::advance(believed_for).await;
    tokio::time::resume();
    let error = source.read(&idle).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Continuity);
    assert!(error.to_string().contains("up to position 3 and now ends at 1"), "{error}");
}

#[tokio::test]
async fn open_positions_are_read_with_what_is_above_or_alone() {
    let shop = Shop::open().await;
    shop.append(&numbered(50)).await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    let open: PositionSet = [5..=7, 20..=20, 29..=35].into_iter().collect();
    let request = ReadRequest { after: 30, open, ..everything() };
    let both: Vec<Position> = [5, 6, 7, 20, 29].into_iter().chain(30..=50).collect();
    let read_both = read(&mut *source, &request).await;
    assert_eq!((positions(&read_both.rows), read_both.complete), (both, true));
    let few = read(&mut *source, &ReadRequest { max_events: 6, ..request.clone() }).await;
    assert_eq!((positions(&few.rows), few.complete), (vec![5, 6, 7, 20, 29, 30], false));
    let alone = read(&mut *source, &ReadRequest { above: false, ..request }).await;
    assert_eq!(positions(&alone.rows), [5, 6, 7, 20, 29, 30, 31, 32, 33, 34, 35]);
}

#[tokio::test]
async fn what_a_filter_leaves_out_comes_back_as_a_position() {
    let shop = Shop::open().await;
    let mut order = NewEvent::new("shop.orders", "k").json("{}");
    order.aggregate_type = Some("orders".into());
    order.operation = Some(Operation::Insert);
    order.tenant_id = Some("acme".into());
    let odd = NewEvent::new("shop[1]", "k");
    shop.append(&[order, odd, NewEvent::new("mail", "k").json("x".repeat(100_000))]).await;
    let passing = async |filter: Filter| {
        let mut source = shop.store.source(&filter).await.unwrap();
        let read = read(&mut *source, &ReadRequest { max_bytes: 1000, ..everything() }).await;
        assert_eq!(positions(&read.rows), [1, 2, 3], "{filter:?}");
        let events = read.rows.iter().filter(|row| matches!(row, Row::Event(_)));
        events.map(Row::position).collect::<Vec<_>>()
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(passing(Filter { topics: words(&["shop*"]), ..Filter::default() }).await, [1, 2]);
    assert_eq!(passing(Filter { topics: words(&["shop[1]", "nothing"]), ..Filter::default() }).await, [2]);
    assert_eq!(passing(Filter { topics: words(&["shop.order?"]), ..Filter::default() }).await, [1]);
    assert_eq!(passing(Filter { tables: words(&["orders"]), ..Filter::default() }).await, [1]);
    assert_eq!(passing(Filter { tenants: words(&["acme", "o\"ther"]), ..Filter::default() }).await, [1]);
    assert_eq!(passing(Filter { operations: vec![Operation::Insert], ..Filter::default() }).await, [1]);
    let both = Filter { topics: words(&["shop*"]), operations: vec![Operation::Delete], ..Filter::default() };
    assert_eq!(passing(both).await, [0; 0]);
}

#[tokio::test]
async fn careless_rows_are_read_or_reported_and_never_lost() {
    let shop = Shop::open().await;
    for values in [
        "(topic, event_key, payload) VALUES (CAST(x'74ff' AS TEXT), 'k', '{}')",
        "(topic, event_key, payload) VALUES ('t', x'ff', '{}')",
        "(topic, event_key, payload, payload_binary) VALUES ('t', 'k', '{}', x'00')",
        "(topic, event_key, operation) VALUES ('t', 'k', 'upsert')",
        "(topic, event_key, event_id) VALUES ('t', 'k', 'not a uuid')",
        "(topic, event_key, occurred_at) VALUES ('t', 'k', 'yesterday')",
        "(topic, event_key, schema_version) VALUES ('t', 'k', 'one')",
        "(topic, event_key, payload) VALUES ('t', 'k', x'ff00')",
        "(topic, event_key, payload_binary, occurred_at) VALUES ('t', 'k', 'text', '2026-01-31 12:00:00')",
        "(topic, event_key, event_id) VALUES ('t', 'k', x'0192f0c1a2b37c4d8e9f0a1b2c3d4e5f')",
    ] {
        shop.run(&format!("INSERT INTO outbox_event {values}")).await;
    }
    let rows = shop.all().await;
    let reasons = rows.iter().map_while(|row| match row {
        Row::Unreadable(row) => Some(row.reason.as_str()),
        _ => None,
    });
    let reasons: Vec<_> = reasons.collect();
    for (reason, word) in
        reasons.iter().zip(["topic", "event_key", "both", "operation", "UUID", "occurred_at", "schema_version"])
    {
        assert!(reason.contains(word), "{reason}");
    }
    assert_eq!(reasons.len(), 7);
    assert!(matches!(&rows[0], Row::Unreadable(row) if row.topic == "t\u{fffd}" && !row.event_id.is_nil()));
    assert!(matches!(&rows[4], Row::Unreadable(row) if row.event_id.is_nil()));
    assert_eq!(event(&rows[7]).payload, Some(Payload::Text(vec![255, 0])));
    assert_eq!(event(&rows[8]).payload, Some(Payload::Binary(b"text".to_vec())));
    assert_eq!(event(&rows[9]).event_id.to_string(), "0192f0c1-a2b3-7c4d-8e9f-0a1b2c3d4e5f");
}

#[tokio::test]
async fn a_subscription_starts_where_it_is_told() {
    let shop = Shop::open().await;
    shop.append(&numbered(3)).await;
    shop.run("UPDATE outbox_event SET occurred_at = '2026-01-0' || position || ' 00:00:00' WHERE position < 3").await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    let at = |day: &str| {
        let text = format!("{day}T00:00:00Z");
        Start::Time(time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339).unwrap())
    };
    for (start, position) in [
        (Start::Beginning, 0),
        (Start::Now, 3),
        (Start::Position(2), 1),
        (at("2026-01-02"), 1),
        (at("2025-01-01"), 0),
        (at("2999-01-01"), 3),
    ] {
        assert_eq!(source.locate(start).await.unwrap(), (position, PositionSet::new()), "{start:?}");
    }
    assert_eq!(source.locate(Start::Position(4)).await.unwrap().0, 3);
    let error = source.locate(Start::Position(5)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Precondition);
    assert_eq!(error.to_string(), "the log ends at 3; start at position:4 or earlier, or at now");
    shop.run("DELETE FROM outbox_event; UPDATE outbox_meta SET value = '2' WHERE name = 'floor'").await;
    assert_eq!(source.last_position().await.unwrap(), 3);
    assert_eq!(source.locate(Start::Position(1)).await.unwrap().0, 2);
    assert_eq!(source.locate(Start::Beginning).await.unwrap().0, 2);
}

#[tokio::test]
async fn an_older_copy_a_changed_row_and_a_deleted_row_break_the_proof() {
    let shop = Shop::open().await;
    let ids = shop.append(&numbered(5)).await;
    let proof = |position, pairs: &[Position]| Proof {
        position,
        events: pairs.iter().map(|at| (*at, ids[usize::try_from(at - 1).unwrap()])).collect(),
    };
    let older = shop.folder.path().join("older.db");
    shop.run(&format!("VACUUM INTO '{}'", older.display())).await;
    shop.append(&numbered(2)).await;

    let verify = async |file: &Path, proof: Proof| {
        let store = SqliteStore::new(&format!("sqlite:{}", file.display()), Names::default()).unwrap();
        let done = store.source(&Filter::default()).await.unwrap().verify(&proof).await;
        done.map_err(|error| (error.kind(), error.to_string()))
    };
    let file = shop.file();
    assert_eq!(verify(&file, proof(7, &[3, 4, 5])).await, Ok(()));
    assert_eq!(verify(&older, proof(5, &[3, 4, 5])).await, Ok(()));
    let (kind, text) = verify(&older, proof(7, &[3, 4])).await.unwrap_err();
    assert!(kind == StoreErrorKind::Continuity && text.contains("older copy"), "{text}");

    let stranger = Proof { position: 5, events: vec![(5, Uuid::now_v7())] };
    let (kind, text) = verify(&file, stranger).await.unwrap_err();
    assert!(kind == StoreErrorKind::Continuity && text.contains("another event"), "{text}");

    shop.run("DELETE FROM outbox_event WHERE position <= 3").await;
    let (kind, text) = verify(&file, proof(7, &[3, 4, 5])).await.unwrap_err();
    assert!(kind == StoreErrorKind::Continuity && text.contains("deleted by hand"), "{text}");
    shop.run("UPDATE outbox_meta SET value = '3' WHERE name = 'floor'").await;
    assert_eq!(verify(&file, proof(7, &[3, 4, 5])).await, Ok(()));
}

#[tokio::test]
async fn a_reader_sees_only_what_is_committed_and_never_holds_up_the_writer() {
    let shop = Shop::open().await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    let outbox = SqliteOutbox::new();
    for round in 1..=20 {
        let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        outbox.append(&mut tx, &NewEvent::new("t", "k")).await.unwrap();
        let request = ReadRequest { after: round - 1, ..everything() };
        assert_eq!(read(&mut *source, &request).await.rows, []);
        assert_eq!(source.last_position().await.unwrap(), round - 1);
        tx.commit().await.unwrap();
        assert_eq!(positions(&read(&mut *source, &request).await.rows), [round]);
    }
    // A log that can be emptied whole is one nobody reads from.
    let (busy, ..): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(busy, 0);
}

#[tokio::test]
async fn reading_never_walks_the_whole_log() {
    let shop = Shop::open().await;
    for (name, statement) in [
        ("read", outbox_core::sql::sqlite::SOURCE_READ),
        ("last_position", outbox_core::sql::sqlite::SOURCE_LAST_POSITION),
        ("proof", outbox_core::sql::sqlite::SOURCE_PROOF),
        ("oldest", outbox_core::sql::sqlite::STATUS_OLDEST),
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(&shop.pool).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, "detail")).collect();
        let walks = plan.iter().filter(|step| ["SCAN e", "SCAN outbox_event"].contains(&step.as_str()));
        assert_eq!(walks.count(), 0, "{name}: {plan:#?}");
        assert!(plan.iter().any(|step| step.starts_with("SEARCH")), "{name}: {plan:#?}");
    }
}

#[tokio::test]
async fn a_reader_beside_four_writers_meets_every_committed_event_once_and_in_order() {
    let shop = Shop::open().await;
    let writer = |writer: u32| {
        let pool = shop.pool.clone();
        async move {
            for n in 1..=60 {
                let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
                let key = format!("{writer}:{n}");
                SqliteOutbox::new().append(&mut tx, &NewEvent::new("t", key)).await.unwrap();
                let done = if n % 3 == 0 { tx.rollback().await } else { tx.commit().await };
                done.unwrap();
            }
        }
    };
    let writers = [0, 1, 2, 3].map(|number| tokio::spawn(writer(number)));
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    let mut met: Vec<String> = Vec::new();
    while met.len() < 160 {
        let after = Position::try_from(met.len()).unwrap();
        let rows = read(&mut *source, &ReadRequest { after, max_events: 7, ..everything() }).await.rows;
        let expected: Vec<Position> = (after + 1..).take(rows.len()).collect();
        assert_eq!(positions(&rows), expected);
        met.extend(rows.iter().map(|row| event(row).key.clone()));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(source.last_position().await.unwrap(), 160);
    for writer in 0..4 {
        let mine: Vec<String> = met.iter().filter(|key| key.starts_with(&format!("{writer}:"))).cloned().collect();
        let committed: Vec<String> = (1..=60).filter(|n| n % 3 != 0).map(|n| format!("{writer}:{n}")).collect();
        assert_eq!(mine, committed);
    }
}
