//! The outbox on SQLite, each test on a file of its own.

use std::path::Path;
use std::time::Duration;

use outbox_core::checkpoint::{Checkpoint, DeadLetter};
use outbox_core::lease::{Claim, RelayIdentity, Report};
use outbox_core::source::{Evidence, Proof, Read, ReadRequest, Row, Source};
use outbox_core::{
    CaptureError, Entity, Event, Filter, Names, NewEvent, Operation, Payload, Position, PositionSet, Start, Store,
    StoreErrorKind,
};
use outbox_sqlx::{MigrateError, SqliteOutbox, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;
use uuid::Uuid;

struct Shop {
    folder: TempDir,
    store: SqliteStore,
    pool: SqlitePool,
}

impl Shop {
    async fn open() -> Self {
        Self::named(Names::default()).await
    }

    async fn named(names: Names) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("shop.db"));
        let store = SqliteStore::from_options(options.clone(), names).unwrap();
        assert!(store.migrate().await.unwrap());
        let pool = SqlitePool::connect_with(options).await.unwrap();
        Self { folder, store, pool }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("shop.db")
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn append(&self, events: &[NewEvent<'_>]) -> Vec<Uuid> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let ids = SqliteOutbox::new().append_all(&mut tx, events).await.unwrap();
        tx.commit().await.unwrap();
        ids
    }

    async fn all(&self) -> Vec<Row> {
        read(
            &mut *self.store.source(&Filter::default()).await.unwrap(),
            &everything(),
        )
        .await
        .rows
    }

    async fn only(&self) -> Row {
        let mut rows = self.all().await;
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }
}

fn everything() -> ReadRequest {
    ReadRequest {
        after: 0,
        open: PositionSet::new(),
        above: true,
        max_events: 10_000,
        max_bytes: u64::MAX,
    }
}

async fn read(source: &mut dyn Source, request: &ReadRequest) -> Read {
    let read = source.read(request).await.unwrap();
    assert!(matches!(read.evidence, Evidence::CommitOrder));
    read
}

fn positions(rows: &[Row]) -> Vec<Position> {
    rows.iter().map(Row::position).collect()
}

fn event(row: &Row) -> &Event {
    match row {
        Row::Event(event) => event,
        other => panic!("no event: {other:?}"),
    }
}

fn numbered(count: usize) -> Vec<NewEvent<'static>> {
    (1..=count)
        .map(|n| NewEvent::new("shop.orders", format!("o-{}", n % 7)).json(format!(r#"{{"n":{n}}}"#)))
        .collect()
}

fn relay(name: &str) -> RelayIdentity {
    RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: name.to_owned(),
        host: "host-a".to_owned(),
        process_id: 7,
        process_started: "boot+5".to_owned(),
    }
}

#[tokio::test]
async fn migrating_twice_changes_nothing_and_newer_tables_are_refused() {
    let shop = Shop::open().await;
    assert!(!shop.store.migrate().await.unwrap());
    let database = shop.store.check().await.unwrap();
    assert_eq!((database.kind, database.name.as_str()), ("sqlite", "shop"));
    assert!(Uuid::parse_str(&database.instance).is_ok());
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!(mode, "wal");

    shop.run("UPDATE outbox_meta SET value = '99' WHERE name = 'schema_version'")
        .await;
    assert!(matches!(shop.store.migrate().await, Err(MigrateError::Newer { found, known: 1 }) if found == "99"));
    assert_eq!(
        shop.store.check().await.unwrap_err().kind(),
        StoreErrorKind::Precondition
    );
}

#[tokio::test]
async fn everything_works_under_another_prefix() {
    let names = Names::new(None, Some("ob_")).unwrap();
    let shop = Shop::named(names.clone()).await;
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let outbox = SqliteOutbox::with_names(names);
    outbox.append_all(&mut tx, &numbered(300)).await.unwrap();
    outbox.append(&mut tx, &NewEvent::new("t", "k")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shop.all().await.len(), 301);
    shop.store.check().await.unwrap();
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    assert_eq!(source.last_position().await.unwrap(), 301);
    let mut checkpoints = shop.store.checkpoints().await.unwrap();
    checkpoints
        .create(
            "s",
            1,
            &Checkpoint {
                position: 300,
                ..Checkpoint::default()
            },
        )
        .await
        .unwrap();
    let status = shop.store.status().await.unwrap();
    assert_eq!(status.subscriptions[0].lag_events, Some(1));
    assert!(status.log.bytes.unwrap() > 0);
}

#[tokio::test]
async fn an_event_is_there_if_and_only_if_its_transaction_commits() {
    let shop = Shop::open().await;
    let outbox = SqliteOutbox::new();
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    outbox
        .append(&mut tx, &NewEvent::new("t", "rolled back"))
        .await
        .unwrap();
    tx.rollback().await.unwrap();

    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let first = outbox
        .append(&mut tx, &NewEvent::new("t", "kept").json("{}"))
        .await
        .unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    outbox
        .append(&mut savepoint, &NewEvent::new("t", "savepoint rolled back"))
        .await
        .unwrap();
    savepoint.rollback().await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    let second = outbox
        .append(&mut savepoint, &NewEvent::new("t", "savepoint kept"))
        .await
        .unwrap();
    savepoint.commit().await.unwrap();
    assert_eq!(shop.all().await, []);
    tx.commit().await.unwrap();

    let rows = shop.all().await;
    let found: Vec<_> = rows
        .iter()
        .map(|row| (event(row).event_id, event(row).key.as_str()))
        .collect();
    assert_eq!(found, [(first, "kept"), (second, "savepoint kept")]);
}

#[tokio::test]
async fn every_field_comes_back_as_it_was_captured() {
    let shop = Shop::open().await;
    let mut captured = NewEvent::new("shop.orders", "k\u{0}ey").json("{\"a\":\u{0}1}");
    captured.event_type = Some("Placed".into());
    captured.aggregate_type = Some("orders".into());
    captured.operation = Some(Operation::Update);
    captured.old_payload = Some(Payload::Binary(vec![0, 255, 1]));
    captured.headers = Some(r#"{"traceparent":"x"}"#.into());
    captured.tenant_id = Some("acme".into());
    captured.actor = Some(String::new().into());
    captured.schema_version = Some(-3);
    shop.append(std::slice::from_ref(&captured)).await;
    let row = shop.only().await;
    let event = event(&row);
    let copy = NewEvent {
        event_id: event.event_id,
        topic: event.topic.as_str().into(),
        key: event.key.as_str().into(),
        event_type: event.event_type.clone().map(Into::into),
        aggregate_type: event.aggregate_type.clone().map(Into::into),
        operation: event.operation,
        payload: event.payload.clone(),
        old_payload: event.old_payload.clone(),
        content_type: event.content_type.clone(),
        headers: event.headers.clone().map(Into::into),
        tenant_id: event.tenant_id.clone().map(Into::into),
        actor: event.actor.clone().map(Into::into),
        schema_version: event.schema_version,
    };
    assert_eq!(copy, captured);
}

struct Order {
    state: &'static str,
}

impl Entity for Order {
    const TABLE: &'static str = "orders";
    const TOPIC: &'static str = "shop.orders";
    const VERSION: Option<i32> = Some(1);

    fn key(&self) -> std::borrow::Cow<'_, str> {
        "o-1".into()
    }

    fn tenant(&self) -> Option<std::borrow::Cow<'_, str>> {
        None
    }

    fn image(&self) -> Result<String, CaptureError> {
        Ok(format!(r#"{{"state":"{}"}}"#, self.state))
    }
}

#[tokio::test]
async fn entities_tell_what_changed_and_nothing_where_nothing_did() {
    let shop = Shop::open().await;
    let outbox = SqliteOutbox::new();
    let (new, paid) = (Order { state: "new" }, Order { state: "paid" });
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(outbox.insert(&mut tx, &new).await.unwrap().is_some());
    assert!(outbox.update(&mut tx, &new, &new).await.unwrap().is_none());
    assert!(outbox.update(&mut tx, &new, &paid).await.unwrap().is_some());
    assert!(outbox.delete(&mut tx, &paid).await.unwrap().is_some());
    tx.commit().await.unwrap();
    let rows = shop.all().await;
    let operations: Vec<_> = rows.iter().map(|row| event(row).operation.unwrap().as_str()).collect();
    assert_eq!(operations, ["insert", "update", "delete"]);
    assert_eq!(
        event(&rows[1]).old_payload.as_ref().unwrap().as_bytes(),
        br#"{"state":"new"}"#
    );
}

#[tokio::test]
async fn many_events_are_all_written_in_order_or_none_is() {
    let shop = Shop::open().await;
    let ids = shop.append(&numbered(1000)).await;
    let rows = shop.all().await;
    assert_eq!(positions(&rows), (1..=1000).collect::<Vec<_>>());
    assert_eq!(rows.iter().map(|row| event(row).event_id).collect::<Vec<_>>(), ids);
    assert_eq!(
        event(&rows[999]).payload,
        Some(Payload::Text(br#"{"n":1000}"#.to_vec()))
    );

    shop.run(
        "CREATE TRIGGER refuse BEFORE INSERT ON outbox_event WHEN NEW.event_key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    let mut events = numbered(400);
    events.push(NewEvent::new("t", "bad"));
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(SqliteOutbox::new().append_all(&mut tx, &events).await.is_err());
    SqliteOutbox::new()
        .append(&mut tx, &NewEvent::new("t", "after"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(event(shop.all().await.get(1000).unwrap()).key, "after");
    assert_eq!(shop.all().await.len(), 1001);
}

#[tokio::test]
async fn limits_cut_an_answer_and_say_so() {
    let shop = Shop::open().await;
    let big = || NewEvent::new("t", "k").json("x".repeat(5_000_000));
    shop.append(&[
        big(),
        big(),
        NewEvent::new("t", "k").json("{}"),
        NewEvent::new("t", "k"),
    ])
    .await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    let limited = |after, max_events, max_bytes| ReadRequest {
        after,
        max_events,
        max_bytes,
        ..everything()
    };
    for (request, expected, complete) in [
        (limited(0, 10, 1000), vec![1], false),
        (limited(0, 10, 9_999_999), vec![1], false),
        (limited(0, 10, 10_000_002), vec![1, 2], false),
        (limited(0, 10, 11_000_000), vec![1, 2, 3, 4], true),
        (limited(1, 2, 11_000_000), vec![2, 3], false),
        (limited(2, 10, 1000), vec![3, 4], true),
        (limited(4, 10, 1000), vec![], true),
    ] {
        let read = read(&mut *source, &request).await;
        assert_eq!(
            (positions(&read.rows), read.complete),
            (expected, complete),
            "{request:?}"
        );
    }
    assert_eq!(
        event(&shop.all().await[0]).payload.as_ref().unwrap().as_bytes().len(),
        5_000_000
    );
}

#[tokio::test]
async fn open_positions_are_read_with_what_is_above_or_alone() {
    let shop = Shop::open().await;
    shop.append(&numbered(50)).await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    let open: PositionSet = [5..=7, 20..=20, 29..=35].into_iter().collect();
    let request = ReadRequest {
        after: 30,
        open,
        ..everything()
    };
    let both: Vec<Position> = [5, 6, 7, 20, 29].into_iter().chain(30..=50).collect();
    let read_both = read(&mut *source, &request).await;
    assert_eq!((positions(&read_both.rows), read_both.complete), (both, true));
    let few = read(
        &mut *source,
        &ReadRequest {
            max_events: 6,
            ..request.clone()
        },
    )
    .await;
    assert_eq!((positions(&few.rows), few.complete), (vec![5, 6, 7, 20, 29, 30], false));
    let alone = read(
        &mut *source,
        &ReadRequest {
            above: false,
            ..request
        },
    )
    .await;
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
    shop.append(&[order, odd, NewEvent::new("mail", "k").json("x".repeat(100_000))])
        .await;
    let passing = async |filter: Filter| {
        let mut source = shop.store.source(&filter).await.unwrap();
        let read = read(
            &mut *source,
            &ReadRequest {
                max_bytes: 1000,
                ..everything()
            },
        )
        .await;
        assert_eq!(positions(&read.rows), [1, 2, 3], "{filter:?}");
        let events = read.rows.iter().filter(|row| matches!(row, Row::Event(_)));
        events.map(Row::position).collect::<Vec<_>>()
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        passing(Filter {
            topics: words(&["shop*"]),
            ..Filter::default()
        })
        .await,
        [1, 2]
    );
    assert_eq!(
        passing(Filter {
            topics: words(&["shop[1]", "nothing"]),
            ..Filter::default()
        })
        .await,
        [2]
    );
    assert_eq!(
        passing(Filter {
            topics: words(&["shop.order?"]),
            ..Filter::default()
        })
        .await,
        [1]
    );
    assert_eq!(
        passing(Filter {
            tables: words(&["orders"]),
            ..Filter::default()
        })
        .await,
        [1]
    );
    assert_eq!(
        passing(Filter {
            tenants: words(&["acme", "o\"ther"]),
            ..Filter::default()
        })
        .await,
        [1]
    );
    assert_eq!(
        passing(Filter {
            operations: vec![Operation::Insert],
            ..Filter::default()
        })
        .await,
        [1]
    );
    let both = Filter {
        topics: words(&["shop*"]),
        operations: vec![Operation::Delete],
        ..Filter::default()
    };
    assert_eq!(passing(both).await, [0; 0]);
}

#[tokio::test]
async fn plain_sql_needs_three_columns() {
    let shop = Shop::open().await;
    shop.run("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{\"a\":1}')")
        .await;
    let row = shop.only().await;
    let event = event(&row);
    assert_eq!(
        (event.topic.as_str(), event.key.as_str(), &*event.content_type),
        ("t", "k", "application/json")
    );
    assert_eq!(event.event_id.get_version_num(), 7);
    let age = time::OffsetDateTime::now_utc() - event.occurred_at;
    assert!(age.whole_seconds().abs() < 60, "{age}");
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
    for (reason, word) in reasons.iter().zip([
        "topic",
        "event_key",
        "both",
        "operation",
        "UUID",
        "occurred_at",
        "schema_version",
    ]) {
        assert!(reason.contains(word), "{reason}");
    }
    assert_eq!(reasons.len(), 7);
    assert!(matches!(&rows[0], Row::Unreadable(row) if row.topic == "t\u{fffd}" && !row.event_id.is_nil()));
    assert!(matches!(&rows[4], Row::Unreadable(row) if row.event_id.is_nil()));
    assert_eq!(event(&rows[7]).payload, Some(Payload::Text(vec![255, 0])));
    assert_eq!(event(&rows[8]).payload, Some(Payload::Binary(b"text".to_vec())));
    assert_eq!(
        event(&rows[9]).event_id.to_string(),
        "0192f0c1-a2b3-7c4d-8e9f-0a1b2c3d4e5f"
    );
}

#[tokio::test]
async fn text_that_is_not_utf8_is_captured_as_it_is() {
    let shop = Shop::open().await;
    let mut odd = NewEvent::new("t", "k");
    odd.payload = Some(Payload::Text(vec![b'{', 0xff, 0, b'}']));
    shop.append(std::slice::from_ref(&odd)).await;
    assert_eq!(event(&shop.only().await).payload, odd.payload);
}

#[tokio::test]
async fn a_subscription_starts_where_it_is_told() {
    let shop = Shop::open().await;
    shop.append(&numbered(3)).await;
    shop.run("UPDATE outbox_event SET occurred_at = '2026-01-0' || position || ' 00:00:00' WHERE position < 3")
        .await;
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
        assert_eq!(
            source.locate(start).await.unwrap(),
            (position, PositionSet::new()),
            "{start:?}"
        );
    }
    shop.run("DELETE FROM outbox_event; UPDATE outbox_meta SET value = '2' WHERE name = 'floor'")
        .await;
    assert_eq!(source.last_position().await.unwrap(), 3);
    assert_eq!(source.locate(Start::Beginning).await.unwrap().0, 2);
}

#[tokio::test]
async fn an_older_copy_a_changed_row_and_a_deleted_row_break_the_proof() {
    let shop = Shop::open().await;
    let ids = shop.append(&numbered(5)).await;
    let proof = |position, pairs: &[Position]| Proof {
        position,
        events: pairs
            .iter()
            .map(|at| (*at, ids[usize::try_from(at - 1).unwrap()]))
            .collect(),
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
    assert!(
        kind == StoreErrorKind::Continuity && text.contains("older copy"),
        "{text}"
    );

    let stranger = Proof {
        position: 5,
        events: vec![(5, Uuid::now_v7())],
    };
    let (kind, text) = verify(&file, stranger).await.unwrap_err();
    assert!(
        kind == StoreErrorKind::Continuity && text.contains("another event"),
        "{text}"
    );

    shop.run("DELETE FROM outbox_event WHERE position <= 3").await;
    let (kind, text) = verify(&file, proof(7, &[3, 4, 5])).await.unwrap_err();
    assert!(
        kind == StoreErrorKind::Continuity && text.contains("deleted by hand"),
        "{text}"
    );
    shop.run("UPDATE outbox_meta SET value = '3' WHERE name = 'floor'")
        .await;
    assert_eq!(verify(&file, proof(7, &[3, 4, 5])).await, Ok(()));
}

#[tokio::test]
async fn what_must_be_changed_by_a_person_is_said_at_once() {
    let kind = |url: &str| {
        SqliteStore::new(url, Names::default())
            .map(|_| ())
            .map_err(|error| error.kind())
    };
    for url in [
        "sqlite::memory:",
        "sqlite:x.db?mode=memory",
        "sqlite:x.db?mode=ro",
        "sqlite:x.db?mood=rw",
        "sqlite:",
    ] {
        assert_eq!(kind(url), Err(StoreErrorKind::Precondition), "{url}");
    }
    for url in ["sqlite:x.db", "sqlite://x.db", "sqlite:/tmp/x.db?mode=rwc"] {
        assert_eq!(kind(url), Ok(()), "{url}");
    }
    assert!(SqliteStore::new("sqlite:x.db", Names::new(Some("shop"), None).unwrap()).is_err());

    let folder = tempfile::tempdir().unwrap();
    let check = async |name: &str| {
        let url = format!("sqlite:{}", folder.path().join(name).display());
        let error = SqliteStore::new(&url, Names::default())
            .unwrap()
            .check()
            .await
            .unwrap_err();
        (error.kind(), error.to_string())
    };
    let said = async |name: &str, words: &str| {
        let (kind, text) = check(name).await;
        assert!(
            kind == StoreErrorKind::Precondition && text.contains(words),
            "{name}: {kind:?} {text}"
        );
    };
    said("missing.db", "outbox-relay migrate").await;
    assert!(!folder.path().join("missing.db").exists());
    std::fs::write(folder.path().join("text.db"), "hello, this is no database ".repeat(100)).unwrap();
    said("text.db", "not an SQLite database").await;
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    said("empty.db", "outbox-relay migrate").await;

    let shop = Shop::open().await;
    shop.run(
        "DROP TABLE outbox_event; CREATE TABLE outbox_event (position INTEGER PRIMARY KEY, event_id, topic, event_key)",
    )
    .await;
    let error = shop.store.check().await.unwrap_err();
    assert!(
        error.kind() == StoreErrorKind::Precondition && error.to_string().contains("AUTOINCREMENT"),
        "{error}"
    );
}

#[tokio::test]
async fn an_older_epoch_writes_nothing() {
    let shop = Shop::open().await;
    let mut checkpoints = shop.store.checkpoints().await.unwrap();
    let at = |position, epoch: u128| Checkpoint {
        position,
        open: [position - 2..=position - 1].into_iter().collect(),
        events: vec![(position, Uuid::from_u128(epoch))],
    };
    assert_eq!(checkpoints.claim("s", 1).await.unwrap(), None);
    checkpoints.create("s", 1, &at(10, 1)).await.unwrap();
    checkpoints.create("s", 1, &at(99, 1)).await.unwrap();
    assert_eq!(checkpoints.claim("s", 1).await.unwrap(), Some(at(10, 1)));
    checkpoints.save("s", 1, &at(20, 1)).await.unwrap();

    let mut newer = shop.store.checkpoints().await.unwrap();
    assert_eq!(newer.claim("s", 2).await.unwrap(), Some(at(20, 1)));
    let letter = DeadLetter {
        position: 3,
        event_id: Uuid::now_v7(),
        topic: "t".into(),
        key: "k".into(),
        reason: "too large".into(),
        attempts: 1,
    };
    let letters = std::slice::from_ref(&letter);
    let fenced = Some(StoreErrorKind::Fenced);
    let kind = |done: Result<(), outbox_core::StoreError>| done.err().map(|error| error.kind());
    assert_eq!(checkpoints.claim("s", 1).await.err().map(|error| error.kind()), fenced);
    assert_eq!(kind(checkpoints.save("s", 1, &at(30, 1)).await), fenced);
    assert_eq!(kind(checkpoints.create("s", 1, &at(30, 1)).await), fenced);
    assert_eq!(kind(checkpoints.record("s", 1, letters).await), fenced);
    newer.record("s", 2, letters).await.unwrap();
    assert_eq!(kind(checkpoints.forgive("s", 1, &[3]).await), fenced);
    assert_eq!(newer.recorded("s").await.unwrap(), [3]);
    assert_eq!(kind(newer.save("s", 2, &at(19, 2)).await), fenced);
    assert_eq!(newer.claim("s", 2).await.unwrap(), Some(at(20, 1)));

    newer
        .record(
            "s",
            2,
            &[DeadLetter {
                attempts: 2,
                reason: "still".into(),
                ..letter
            }],
        )
        .await
        .unwrap();
    let stored: (i64, String) = sqlx::query_as("SELECT attempts, reason FROM outbox_dead_letter")
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!(stored, (2, "still".to_owned()));
    newer.forgive("s", 2, &[3, 4]).await.unwrap();
    assert_eq!(newer.recorded("s").await.unwrap(), [0; 0]);
}

#[tokio::test]
async fn a_first_checkpoint_is_refused_where_the_lease_has_moved_on() {
    let shop = Shop::open().await;
    let mut leases = shop.store.leases().await.unwrap();
    let mut checkpoints = shop.store.checkpoints().await.unwrap();
    let (a, b) = (relay("a"), relay("b"));
    let Claim::Held { epoch: old } = leases.acquire(&a, "s", Duration::ZERO).await.unwrap() else {
        panic!("taken")
    };
    let Claim::Held { epoch: new } = leases.acquire(&b, "s", Duration::from_secs(60)).await.unwrap() else {
        panic!("taken")
    };
    let error = checkpoints.create("s", old, &Checkpoint::default()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Fenced);
    checkpoints.create("s", new, &Checkpoint::default()).await.unwrap();
}

#[tokio::test]
async fn one_relay_holds_a_lease_until_it_expires_or_is_given_back() {
    let shop = Shop::open().await;
    let mut leases = shop.store.leases().await.unwrap();
    let (a, b) = (relay("a"), relay("b"));
    let long = Duration::from_secs(60);
    let epoch_of = |claim: Claim| match claim {
        Claim::Held { epoch } => epoch,
        Claim::Taken { owner, .. } => panic!("taken by {owner:?}"),
    };
    let first = epoch_of(leases.acquire(&a, "s", long).await.unwrap());
    let mine = epoch_of(leases.acquire(&a, "s", long).await.unwrap());
    assert!(mine > first);
    match leases.acquire(&b, "s", long).await.unwrap() {
        Claim::Taken {
            owner,
            epoch,
            expires_in,
        } => {
            assert_eq!((owner, epoch), (a.clone(), mine));
            assert!(
                expires_in > Duration::from_secs(50) && expires_in <= long,
                "{expires_in:?}"
            );
        }
        Claim::Held { .. } => panic!("held twice"),
    }
    let report = |state: &str| Report {
        publisher: "null".into(),
        state: state.into(),
        ..Report::default()
    };
    let held = [
        ("s".to_owned(), first, report("idle")),
        ("s".to_owned(), mine, report("running")),
    ];
    assert_eq!(leases.renew(&a, long, &held).await.unwrap(), [false, true]);
    assert_eq!(shop.store.status().await.unwrap().subscriptions[0].state, "running");

    leases.take_over("s", first).await.unwrap();
    assert!(matches!(
        leases.acquire(&b, "s", long).await.unwrap(),
        Claim::Taken { .. }
    ));
    leases.take_over("s", mine).await.unwrap();
    let theirs = epoch_of(leases.acquire(&b, "s", Duration::ZERO).await.unwrap());
    assert!(theirs > mine);
    assert_eq!(leases.renew(&a, long, &held).await.unwrap(), [false, false]);
    let expired = [("s".to_owned(), theirs, report("idle"))];
    assert_eq!(leases.renew(&b, long, &expired).await.unwrap(), [true]);
    leases.release(&b).await.unwrap();
    assert!(epoch_of(leases.acquire(&a, "s", long).await.unwrap()) > theirs);

    shop.run("DELETE FROM outbox_lease").await;
    shop.store
        .checkpoints()
        .await
        .unwrap()
        .create("s", 70, &Checkpoint::default())
        .await
        .unwrap();
    assert_eq!(epoch_of(leases.acquire(&b, "s", long).await.unwrap()), 71);
}

#[tokio::test]
async fn status_shows_lag_owner_and_what_will_not_pass() {
    let shop = Shop::open().await;
    shop.append(&numbered(10)).await;
    let (mut leases, mut checkpoints) = (
        shop.store.leases().await.unwrap(),
        shop.store.checkpoints().await.unwrap(),
    );
    let a = relay("a");
    let Claim::Held { epoch } = leases.acquire(&a, "orders", Duration::from_secs(60)).await.unwrap() else {
        panic!("taken")
    };
    let checkpoint = Checkpoint {
        position: 8,
        open: [2..=3].into_iter().collect(),
        events: Vec::new(),
    };
    checkpoints.create("orders", epoch, &checkpoint).await.unwrap();
    let letter = |position, key: &str| DeadLetter {
        position,
        event_id: Uuid::now_v7(),
        topic: "t".into(),
        key: key.into(),
        reason: "no".into(),
        attempts: 1,
    };
    checkpoints
        .record("orders", epoch, &[letter(2, "x"), letter(3, "x")])
        .await
        .unwrap();
    let report = Report {
        publisher: "file:out".into(),
        state: "blocked".into(),
        last_error: Some("no".into()),
        holes: vec![],
    };
    leases
        .renew(&a, Duration::from_secs(60), &[("orders".to_owned(), epoch, report)])
        .await
        .unwrap();

    let status = shop.store.status().await.unwrap();
    assert_eq!((status.version, status.database.kind), (1, "sqlite"));
    assert_eq!(
        (status.log.first_position, status.log.last_position),
        (Some(1), Some(10))
    );
    assert_eq!((status.relays[0].name.as_str(), status.relays[0].state), ("a", "alive"));
    let orders = &status.subscriptions[0];
    assert_eq!(
        (orders.name.as_str(), orders.state.as_str(), orders.publisher.as_deref()),
        ("orders", "blocked", Some("file:out"))
    );
    assert_eq!(
        (orders.lag_events, orders.parked_keys, orders.parked_events),
        (Some(4), 1, 2)
    );
    assert!(orders.lag_seconds.unwrap() < 60.0);
    assert_eq!(
        (
            orders.partitions[0].owner.as_deref(),
            orders.partitions[0].open.as_str()
        ),
        (Some("a"), "{[2,3]}")
    );

    leases.release(&a).await.unwrap();
    checkpoints
        .save(
            "orders",
            epoch,
            &Checkpoint {
                position: 10,
                ..Checkpoint::default()
            },
        )
        .await
        .unwrap();
    let status = shop.store.status().await.unwrap();
    assert_eq!(status.subscriptions[0].state, "unowned");
    assert_eq!(
        (status.subscriptions[0].lag_events, status.subscriptions[0].lag_seconds),
        (Some(0), Some(0.0))
    );
    assert_eq!(status.subscriptions[0].partitions[0].owner, None);
}

#[tokio::test]
async fn a_reader_sees_only_what_is_committed_and_never_holds_up_the_writer() {
    let shop = Shop::open().await;
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    let outbox = SqliteOutbox::new();
    for round in 1..=20 {
        let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        outbox.append(&mut tx, &NewEvent::new("t", "k")).await.unwrap();
        let request = ReadRequest {
            after: round - 1,
            ..everything()
        };
        assert_eq!(read(&mut *source, &request).await.rows, []);
        assert_eq!(source.last_position().await.unwrap(), round - 1);
        tx.commit().await.unwrap();
        assert_eq!(positions(&read(&mut *source, &request).await.rows), [round]);
    }
    // A log that can be emptied whole is one nobody reads from.
    let (busy, ..): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!(busy, 0);
}

#[tokio::test]
async fn a_relay_waits_for_the_writer_and_says_when_it_waited_in_vain() {
    let shop = Shop::open().await;
    let mut checkpoints = shop.store.checkpoints().await.unwrap();
    let tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = checkpoints.create("s", 1, &Checkpoint::default()).await.unwrap_err();
    assert!(
        error.kind() == StoreErrorKind::Unavailable && error.to_string().contains("locked"),
        "{error}"
    );
    let waiting = tokio::spawn(async move { checkpoints.create("s", 1, &Checkpoint::default()).await });
    tx.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
}
