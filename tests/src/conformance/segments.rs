//! Emptying of segments: who stands in its way, and what it never takes along.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::process::Stdio;
use std::time::Duration;

use outbox_core::Store;
use outbox_core::cleanup::{Cleaner, Obstacle, Removal, Removed};
use outbox_relay::cleanup::Outcome;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use xtask::postgres::Binaries;

use super::cleanup::{NOTHING, at_once, left, pass, reader, reasons};
use super::log::{drain, numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::Sink;
use super::waiting::eventually;
use super::{Backend, SqlBackend};

/// Lets inserts go on in a segment.
pub(super) async fn turn(backend: &Postgres, segment: i16) {
    backend.admin(&format!("SELECT setval('outbox_segment', {segment}, true)")).await;
}

/// A session with an open transaction that has run a statement.
async fn session(user: &PgConnectOptions, application: &str, sql: &str) -> PgConnection {
    let mut session = user.clone().application_name(application).connect().await.unwrap();
    run(&mut session, &format!("BEGIN; {sql}")).await;
    session
}

async fn run(session: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(session).await.unwrap();
}

pub(super) async fn cleaner(backend: &Postgres) -> Box<dyn Cleaner> {
    backend.store().cleaner().await.unwrap().unwrap()
}

pub(super) fn removal(segment: i16, last: i64) -> Removal {
    Removal { segment, last, keep: Duration::ZERO, cut: None }
}

async fn current(backend: &Postgres) -> Option<String> {
    backend.ask("SELECT last_value::text FROM outbox_segment").await
}

/// Five events in segment 0, passed by `billing`; inserts go on in segment 1.
pub(super) async fn passed(backend: &Postgres) {
    write(backend, &["a"], 1, 5).await;
    reader(backend, "billing", 5, "{}").await;
    turn(backend, 1).await;
}

pub async fn a_writer_keeps_its_own_segment_and_no_other(backend: &Postgres) {
    passed(backend).await;
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'open', '{}')";
    let mut writer = session(backend.writer(), "nightly import", insert).await;
    turn(backend, 2).await;
    let report = pass(backend, &at_once()).await;
    assert_eq!((report.segments[0].outcome, report.segments[1].outcome), (Outcome::Emptied, Outcome::Empty));
    run(&mut writer, "COMMIT").await;
    assert_eq!(left(backend).await, [6], "what it wrote is there");
}

pub async fn whoever_holds_a_segment_is_named(backend: &Postgres) {
    backend.show_sessions().await;
    passed(backend).await;
    write(backend, &["a"], 6, 6).await;
    turn(backend, 2).await;
    let reading = session(backend.owner(), "report", "SELECT count(*) FROM outbox_event_0").await;
    let mut prepared = session(backend.owner(), "coordinator", "INSERT INTO orders VALUES ('1', 1)").await;
    run(&mut prepared, "LOCK TABLE outbox_event_1 IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'payment 17'").await;
    backend.admin("UPDATE outbox_checkpoint SET position = 6").await;
    let report = pass(backend, &at_once()).await;
    assert_eq!(reasons(&report), ["locked", "locked"], "{report:?}");
    let words = |segment: usize| report.segments[segment].blocked_by.clone().unwrap();
    assert!(words(0).contains("pid ") && words(0).contains("report") && words(0).contains("open "), "{}", words(0));
    assert!(words(1).contains("a prepared transaction") && words(1).contains("payment 17"), "{}", words(1));
    eventually(
        "the status names them",
        async || backend.store().status().await.unwrap().log.segments,
        |segments| {
            let blocked =
                |segment: usize, by: &str| segments[segment].blocked_by.as_ref().is_some_and(|text| text.contains(by));
            blocked(0, "report") && blocked(1, "payment 17")
        },
    )
    .await;
    drop(reading);
    backend.admin("ROLLBACK PREPARED 'payment 17'").await;
    let emptied = async || {
        pass(backend, &at_once()).await;
        left(backend).await
    };
    eventually("both are emptied", emptied, Vec::is_empty).await;
}

/// A dump holds every segment to its end. Neither fails the other, and nobody who writes waits.
pub async fn a_dump_gets_the_whole_log_and_cleanup_goes_on_after_it(backend: &Postgres) {
    backend.show_sessions().await;
    let more_than_a_pipe_holds = "INSERT INTO outbox_event (topic, event_key, payload)
        SELECT 't', 'k', format('{\"n\":\"%s\"}', repeat('x', 2000)) FROM generate_series(1, 2000)";
    backend.admin(more_than_a_pipe_holds).await;
    reader(backend, "billing", 2000, "{}").await;
    turn(backend, 1).await;
    let mut url = backend.owner().to_url_lossy();
    // Parameters of sqlx's own.
    url.set_query(None);
    let mut dump = Binaries::obtain().unwrap().command("pg_dump");
    dump.args(["--data-only", "--table=outbox_event*", url.as_str()]).stdout(Stdio::piped());
    let mut dump = tokio::process::Command::from(dump).kill_on_drop(true).spawn().unwrap();
    let mut dumped = BufReader::new(dump.stdout.take().unwrap()).lines();
    while !dumped.next_line().await.unwrap().unwrap().contains("xxxx") {}
    let report = pass(backend, &at_once()).await;
    assert_eq!(reasons(&report), ["locked"], "{report:?}");
    assert!(report.segments[0].blocked_by.as_ref().is_some_and(|by| by.contains("pg_dump")), "{report:?}");
    write(backend, &["a"], 2001, 2001).await;
    let mut events = 1;
    while let Some(line) = dumped.next_line().await.unwrap() {
        events += u64::from(line.contains("xxxx"));
    }
    assert!(dump.wait().await.unwrap().success());
    assert_eq!(events, 2000);
    assert_eq!(pass(backend, &at_once()).await.segments[0].outcome, Outcome::Emptied);
    assert_eq!(left(backend).await, [2001]);
}

/// `max(position) <= checkpoint` alone would lose it.
pub async fn an_event_that_committed_below_the_checkpoint_is_kept(backend: &Postgres) {
    let late = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop.orders', 'late', '{\"n\":1}')";
    let mut writer = session(backend.writer(), "late", late).await;
    write(backend, &["a"], 1, 1).await;
    reader(backend, "billing", 2, "{[1,1]}").await;
    turn(backend, 1).await;
    run(&mut writer, "COMMIT").await;
    assert_eq!(reasons(&pass(backend, &at_once()).await), ["owed"]);
    let stale = cleaner(backend).await.remove(&removal(0, 2)).await.unwrap();
    assert_eq!(stale, Removed::Kept(Obstacle::Changing), "the check under the lock says the same");
    let careless =
        "SELECT coalesce(max(position), 0) <= (SELECT min(position) FROM outbox_checkpoint) FROM outbox_event_0";
    assert_eq!(
        backend.ask(&format!("SELECT ({careless})::text")).await.as_deref(),
        Some("true"),
        "a careless check passes"
    );
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions(), [1]);
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}

/// Each is what a cleaner finds that was stopped between its survey and its message.
pub async fn a_late_cleaner_harms_nothing(backend: &Postgres) {
    passed(backend).await;
    let mut late = cleaner(backend).await;
    let changing = Removed::Kept(Obstacle::Changing);
    for (meanwhile, undo) in [
        ("SELECT setval('outbox_segment', 0, true)", "SELECT setval('outbox_segment', 1, true)"),
        (
            "INSERT INTO outbox_checkpoint (subscription, partition_id, position) VALUES ('new', 0, 4)",
            "DELETE FROM outbox_checkpoint WHERE subscription = 'new'",
        ),
        (
            "UPDATE outbox_checkpoint SET open_positions = '{[2,3]}'",
            "UPDATE outbox_checkpoint SET open_positions = '{}'",
        ),
        (
            "DELETE FROM outbox_checkpoint",
            "INSERT INTO outbox_checkpoint (subscription, partition_id, position) VALUES ('a', 0, 9)",
        ),
        // By hand, below everybody's position: it may be young.
        (
            "UPDATE outbox_checkpoint SET position = 100;
            INSERT INTO outbox_event_0 (segment, position, topic, event_key) OVERRIDING SYSTEM VALUE VALUES (0, 77, 't', 'k')",
            "DELETE FROM outbox_event_0 WHERE position = 77",
        ),
    ] {
        backend.admin(meanwhile).await;
        assert_eq!(late.remove(&removal(0, 5)).await.unwrap(), changing, "{meanwhile}");
        assert_eq!(backend.ask("SELECT value FROM outbox_meta WHERE name = 'floor'").await.as_deref(), Some("0"));
        backend.admin(undo).await;
    }
    assert_eq!(late.remove(&removal(0, 5)).await.unwrap(), Removed::Gone(None));
    assert_eq!(late.remove(&removal(0, 5)).await.unwrap(), changing, "it is empty by now");
}

/// An error in the last step stands for a crash at any: it is one transaction.
pub async fn an_emptying_that_fails_leaves_everything_as_it_was(backend: &Postgres) {
    passed(backend).await;
    backend
        .admin(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
            CREATE TRIGGER fail BEFORE TRUNCATE ON outbox_event_0 EXECUTE FUNCTION fail()",
        )
        .await;
    let error = cleaner(backend).await.remove(&removal(0, 5)).await.unwrap_err();
    assert!(error.to_string().contains("no"), "{error}");
    assert_eq!(backend.ask("SELECT value FROM outbox_meta WHERE name = 'floor'").await.as_deref(), Some("0"));
    assert_eq!(left(backend).await.len(), 5);
    backend.admin("DROP TRIGGER fail ON outbox_event_0").await;
    assert_eq!(cleaner(backend).await.remove(&removal(0, 5)).await.unwrap(), Removed::Gone(None));
}

/// All that `TRUNCATE` itself may wait for is the TOAST table of the segment, which nobody sees.
pub async fn a_lock_on_the_toast_table_is_not_waited_for(backend: &Postgres) {
    passed(backend).await;
    let toast =
        backend.ask("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'outbox_event_0'").await;
    let reading = session(backend.owner(), "toast", &format!("SELECT count(*) FROM {}", toast.unwrap())).await;
    let kept = cleaner(backend).await.remove(&removal(0, 5)).await.unwrap();
    assert!(
        matches!(&kept, Removed::Kept(Obstacle::Locked(holders)) if holders[0].application.as_deref() == Some("toast")),
        "{kept:?}"
    );
    drop(reading);
    eventually(
        "it is emptied",
        async || cleaner(backend).await.remove(&removal(0, 5)).await.unwrap(),
        |removed| *removed == Removed::Gone(None),
    )
    .await;
}

/// Only one row is locked by a cleaner that takes its time.
pub async fn a_cleaner_at_work_makes_others_give_up(backend: &Postgres) {
    passed(backend).await;
    let other =
        session(backend.owner(), "outbox-relay", "SELECT FROM outbox_meta WHERE name = 'floor' FOR UPDATE").await;
    assert_eq!(cleaner(backend).await.remove(&removal(0, 5)).await.unwrap(), Removed::Kept(Obstacle::Changing));
    assert!(!cleaner(backend).await.turn(1, 2).await.unwrap());
    drop(other);
    eventually("the turn is made", async || cleaner(backend).await.turn(1, 2).await.unwrap(), |turned| *turned).await;
    assert_eq!(current(backend).await.as_deref(), Some("2"));
}

pub async fn inserts_go_on_in_an_empty_segment_alone(backend: &Postgres) {
    passed(backend).await;
    let mut cleaner = cleaner(backend).await;
    assert!(!cleaner.turn(1, 0).await.unwrap(), "segment 0 has events");
    assert!(!cleaner.turn(0, 2).await.unwrap(), "segment 0 is not current");
    assert!(cleaner.turn(1, 2).await.unwrap());
    assert!(!cleaner.turn(1, 3).await.unwrap());
    assert_eq!(current(backend).await.as_deref(), Some("2"));
}

/// A blocked segment does not stop the others, however often the log goes round.
pub async fn any_empty_segment_is_the_next(backend: &Postgres) {
    let sink = Sink::new();
    write(backend, &["a"], 1, 1).await;
    let _reading = session(backend.owner(), "report", "SELECT count(*) FROM outbox_event_0").await;
    for n in 2..=10 {
        write(backend, &["a"], n, n).await;
        drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
        pass(backend, &at_once()).await;
    }
    let left = left(backend).await;
    assert!(left.len() <= 2 && left.contains(&1), "{left:?}");
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 10));
    let late = Sink::new();
    drain(relay(backend.store()).subscription(outbox_relay::Subscription::new("late", late.clone()))).await.unwrap();
    assert_eq!(late.positions(), left, "a new subscription begins with what is left, below the floor too");
}

/// A transaction that is open since before belongs to whoever begins at the beginning.
pub async fn a_start_at_the_beginning_waits_for_what_is_open_below_the_floor(backend: &Postgres) {
    let late = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop.orders', 'late', '{\"n\":1}')";
    let mut writer = session(backend.writer(), "late", late).await;
    turn(backend, 1).await;
    write(backend, &["a"], 1, 3).await;
    reader(backend, "old", 4, "{[1,1]}").await;
    turn(backend, 2).await;
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    eventually(
        "it has begun",
        async || backend.ask("SELECT max(position)::text FROM outbox_checkpoint WHERE subscription = 'billing'").await,
        Option::is_some,
    )
    .await;
    run(&mut writer, "COMMIT").await;
    sink.until_taken(1).await;
    running.stop().await.unwrap();
    assert_eq!(sink.positions(), [1]);
}

pub async fn segments_are_added_and_left_while_writers_are_open(backend: &Postgres) {
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop.orders', 'a', '{\"n\":1}')";
    let mut writer = session(backend.writer(), "writer", insert).await;
    assert!(backend.store().resize(3).await.unwrap());
    assert!(!backend.store().resize(3).await.unwrap());
    turn(backend, 7).await;
    reader(backend, "billing", 0, "{}").await;
    let report = pass(backend, &at_once()).await;
    assert_eq!(report.turned.map(|turn| turn.from), Some(7), "a surplus segment is left at once: {report:?}");
    let used: i16 = current(backend).await.unwrap().parse().unwrap();
    assert!(used < 3, "{used}");
    run(&mut writer, "COMMIT").await;
    assert!(backend.store().resize(8).await.unwrap());
    assert_eq!(left(backend).await, [1]);
}

/// A subscription that begins while segments are emptied sees everything from some event on, or is told to look again.
pub async fn subscriptions_begin_at_a_defined_point_while_segments_are_emptied(backend: &Postgres) {
    let (store, stop) = (backend.store(), tokio_util::sync::CancellationToken::new());
    reader(backend, "first", 0, "{}").await;
    let (cleaning, token) = (store.clone(), stop.clone());
    let cleaner = tokio::spawn(async move {
        while !token.is_cancelled() {
            outbox_relay::cleanup::clean(&cleaning, &at_once(), false).await.unwrap();
        }
    });
    for n in 1..=15 {
        write(backend, &["a", "b", "c"], n, n).await;
        let last = i64::try_from(n * 3).unwrap();
        let passed = format!("UPDATE outbox_checkpoint SET position = greatest(position, {last})");
        let sink = Sink::new();
        let new = outbox_relay::Subscription::new(format!("new-{n}"), sink.clone());
        let begin = drain(relay(store.clone()).subscription(new));
        let (ended, ()) = tokio::join!(begin, backend.admin(&passed));
        ended.unwrap();
        let seen = sink.positions();
        let first = seen.first().copied().unwrap_or(last + 1);
        assert_eq!(seen, (first..=last).collect::<Vec<_>>());
    }
    stop.cancel();
    cleaner.await.unwrap();
    let told = backend.ask("SELECT value FROM outbox_meta WHERE name = 'floor'").await.unwrap();
    assert!(told.parse::<i64>().unwrap() > 0, "nothing was emptied meanwhile");
}

/// The control: a cleaner that asks for the highest position alone loses what this one keeps.
pub async fn a_careless_cleaner_loses_an_event_that_committed_late(backend: &Postgres) {
    let late = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop.orders', 'late', '{\"n\":1}')";
    let mut writer = session(backend.writer(), "late", late).await;
    write(backend, &["a"], 1, 1).await;
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    sink.until_taken(1).await;
    running.stop().await.unwrap();
    turn(backend, 1).await;
    run(&mut writer, "COMMIT").await;
    assert_eq!(reasons(&pass(backend, &at_once()).await), ["owed"], "this one keeps it");
    backend
        .admin(
            "DO $$ BEGIN
                LOCK TABLE ONLY outbox_event_0 IN ACCESS EXCLUSIVE MODE NOWAIT;
                IF (SELECT max(position) FROM outbox_event_0) <= (SELECT min(position) FROM outbox_checkpoint) THEN
                    TRUNCATE ONLY outbox_event_0;
                    UPDATE outbox_meta SET value = '2' WHERE name = 'floor';
                END IF;
            END $$",
        )
        .await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions(), [2], "the careless one came out clean: the control is worth nothing");
}
