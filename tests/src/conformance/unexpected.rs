//! What nobody expects in a database: tables of somebody else's, foreign keys, locks, rows written by hand, clocks that jump.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::time::Duration;

use outbox_core::doctor::Verdict;
use outbox_core::{Names, Retention, Store, StoreError, StoreErrorKind};
use outbox_relay::cleanup::Outcome;
use outbox_sqlx::{MigrateError, PgStore};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::cleanup::{NOTHING, at_once, left, pass, reasons};
use super::log::{drain, numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::segments::{passed, turn};
use super::sink::Sink;
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

fn owner(backend: &Postgres, names: &Names) -> PgStore {
    PgStore::from_options(backend.owner().clone(), names.clone())
}

fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, says: &[&str]) {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Precondition, "{error}");
    for word in says {
        assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
    }
}

/// How the examination judges the tables.
async fn tables_fail(store: &PgStore) {
    let findings = store.examine().await.unwrap();
    let tables = findings.iter().find(|finding| finding.check == "tables").unwrap();
    assert_eq!(tables.verdict, Verdict::Failed, "{findings:?}");
    assert!(tables.remedy.is_some());
}

/// Somebody else's table of the log's name is left as it is, whatever it is.
pub async fn a_strangers_table_of_that_name_is_refused_and_left_alone(backend: &Postgres) {
    let columns = "(id bigint, position bigint, what text)";
    let log = PgStore::migration(&Names::new(None, Some("x_")).unwrap(), 1);
    for (prefix, table) in [
        ("t_", format!("CREATE TABLE t_event {columns}")),
        ("p_", format!("CREATE TABLE p_event {columns} PARTITION BY LIST (id)")),
        ("v_", "CREATE VIEW v_event AS SELECT 1 AS position".to_owned()),
        ("m_", "CREATE TABLE m_meta (id bigint, what text)".to_owned()),
        ("s_", "CREATE SEQUENCE s_segment".to_owned()),
    ] {
        backend.admin(&table).await;
        let names = Names::new(None, Some(prefix)).unwrap();
        let store = owner(backend, &names);
        let before = backend.ask(Postgres::TABLES).await;
        let Err(MigrateError::Store(error)) = store.migrate(1).await else { panic!("{table} was taken over") };
        refused(Err::<(), _>(error), &["another schema or prefix"]);
        assert_eq!(backend.ask(Postgres::TABLES).await, before, "{table}");
        refused(store.check().await, &[]);
        if prefix != "m_" {
            refused(store.check().await, &["outbox-relay migrate"]);
        }
        tables_fail(&store).await;
    }
    assert!(log.contains("x_event"));
}

/// The outbox is there, and its log was replaced by something that only looks like one.
pub async fn a_log_that_is_none_is_refused(backend: &Postgres) {
    write(backend, &["k"], 1, 2).await;
    backend.admin("ALTER TABLE outbox_event RENAME TO real_event").await;
    let store = owner(backend, &Names::default());
    for (made, says, gone) in [
        ("CREATE VIEW outbox_event AS SELECT * FROM real_event", "it is a view", "DROP VIEW outbox_event"),
        ("CREATE TABLE outbox_event (LIKE real_event INCLUDING ALL)", "not partitioned", "DROP TABLE outbox_event"),
        (
            "CREATE TABLE outbox_event (id bigint, segment smallint, payload jsonb) PARTITION BY LIST (segment)",
            "lacks the columns position, event_id, topic, event_key",
            "DROP TABLE outbox_event",
        ),
    ] {
        backend.admin(made).await;
        refused(store.check().await, &[says, "another schema or prefix"]);
        tables_fail(&store).await;
        backend.admin(gone).await;
    }
    refused(store.check().await, &[]);
    backend.admin("ALTER TABLE real_event RENAME TO outbox_event").await;
    store.check().await.unwrap();
    backend.admin("ALTER TABLE outbox_event ALTER COLUMN payload TYPE jsonb USING payload::jsonb").await;
    refused(store.check().await, &["lacks the columns payload, or has them in other types"]);
}

/// A server says its version; here another says it in its place, found before the server's own by the search path.
pub async fn a_server_that_is_too_old_is_refused(backend: &Postgres) {
    let user = backend.relay().get_username();
    backend
        .admin(&format!(
            "CREATE SCHEMA old; GRANT USAGE ON SCHEMA old TO {user};
             CREATE FUNCTION old.current_setting(name text) RETURNS text LANGUAGE sql AS
                 $$ SELECT CASE name WHEN 'server_version_num' THEN '130022' WHEN 'server_version' THEN '13.22' END $$;
             ALTER ROLE {user} SET search_path = old, pg_catalog, public"
        ))
        .await;
    let store = PgStore::from_options(backend.relay().clone(), Names::default());
    refused(store.check().await, &["PostgreSQL 13.22", "14"]);
    backend.admin(&format!("ALTER ROLE {user} RESET search_path")).await;
}

pub async fn a_foreign_key_keeps_its_segment_and_no_other(backend: &Postgres) {
    passed(backend).await;
    backend.admin("CREATE TABLE child (position bigint REFERENCES outbox_event_0 (position))").await;
    write(backend, &["a"], 6, 7).await;
    backend.admin("UPDATE outbox_checkpoint SET position = 7").await;
    turn(backend, 2).await;
    let report = pass(backend, &at_once()).await;
    assert_eq!((reasons(&report), report.segments[1].outcome), (vec!["referenced"], Outcome::Emptied), "{report:?}");
    assert!(report.trouble.as_ref().is_some_and(|told| told.contains("foreign key")), "{report:?}");
    let status = backend.store().status().await.unwrap();
    assert!(status.log.segments[0].blocked_by.as_ref().is_some_and(|told| told.contains("doctor")), "{status:?}");
    let findings = backend.store().examine().await.unwrap();
    let keys = findings.iter().find(|finding| finding.check == "foreign keys").unwrap();
    assert!(keys.verdict == Verdict::Failed && keys.found.contains("child"), "{keys:?}");
    assert_eq!(left(backend).await.len(), 5);
    backend.admin(keys.remedy.as_ref().unwrap()).await;
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}

/// Rows in a segment that inserts do not go into, written there by hand.
pub async fn rows_written_into_another_segment_are_published_and_removed(backend: &Postgres) {
    write(backend, &["a"], 1, 2).await;
    backend
        .admin(
            "INSERT INTO outbox_event_3 (position, segment, topic, event_key, payload) OVERRIDING SYSTEM VALUE
                 VALUES (nextval('outbox_event_position_seq'), 3, 'shop.orders', 'b', '{\"n\":1}');
             INSERT INTO outbox_event (segment, topic, event_key, payload) VALUES (5, 'shop.orders', 'b', '{\"n\":2}')",
        )
        .await;
    write(backend, &["a"], 3, 3).await;
    assert_eq!(reasons(&pass(backend, &at_once()).await), ["current", "nobody_reads", "nobody_reads"]);
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), [("a".to_owned(), vec![1, 2, 3]), ("b".to_owned(), vec![1, 2])].into());
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}

/// Behind it would be buried all that is drawn below it.
pub async fn a_position_given_by_hand_stops_the_reading_until_it_is_mended(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    let give = "INSERT INTO outbox_event (position, topic, event_key, payload) OVERRIDING SYSTEM VALUE VALUES";
    let told = async || backend.store().status().await.unwrap().subscriptions[0].last_error.clone();
    let by_hand = |error: &Option<String>| error.as_ref().is_some_and(|error| error.contains("by hand"));
    write(backend, &["a"], 1, 2).await;
    sink.until_taken(2).await;

    backend.admin(&format!("{give} (1000, 'shop.orders', 'b', '{{\"n\":1}}')")).await;
    write(backend, &["a"], 3, 4).await;
    eventually("the relay to say why", told, by_hand).await;
    backend.admin("DELETE FROM outbox_event WHERE position = 1000").await;
    sink.until_taken(4).await;
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 4));

    backend.admin(&format!("{give} (2000, 'shop.orders', 'b', '{{\"n\":1}}')")).await;
    write(backend, &["a"], 5, 5).await;
    eventually("the relay to say why", told, by_hand).await;
    backend.admin("SELECT setval(pg_get_serial_sequence('outbox_event', 'position'), 2000)").await;
    write(backend, &["a"], 6, 6).await;
    sink.until_taken(7).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), [("a".to_owned(), vec![1, 2, 3, 4, 5, 6]), ("b".to_owned(), vec![1])].into());
}

/// A segment that somebody has locked whole, so that not even the relay can read.
pub async fn whoever_locks_a_segment_against_readers_is_named(backend: &Postgres) {
    backend.show_sessions().await;
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["a"], 1, 2).await;
    sink.until_taken(2).await;
    let mut locking = backend.owner().clone().application_name("nightly vacuum").connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe("BEGIN; LOCK TABLE outbox_event_3 IN ACCESS EXCLUSIVE MODE"))
        .execute(&mut locking)
        .await
        .unwrap();
    write(backend, &["a"], 3, 4).await;
    let error = within("an answer", backend.store().status()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    for word in ["segment 3", "nightly vacuum", "pg_terminate_backend"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut locking).await.unwrap();
    sink.until_taken(4).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 4));
}

/// Events whose time is a clock's that ran ahead or behind: they come in the order of their positions, and stay until their own
/// time has passed, or until nothing need be kept.
pub async fn times_of_a_clock_that_jumped_lose_nothing(backend: &Postgres) {
    write(backend, &["a"], 1, 5).await;
    for (position, time) in [(1, "clock_timestamp() + interval '10 years'"), (2, "'1970-01-01'"), (4, "'2000-01-01'")] {
        backend.admin(&format!("UPDATE outbox_event SET occurred_at = {time} WHERE position = {position}")).await;
    }
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions(), [1, 2, 3, 4, 5]);
    let status = backend.store().status().await.unwrap();
    assert_eq!(status.subscriptions[0].lag_events, Some(0));
    turn(backend, 1).await;
    let report = pass(backend, &Retention { keep: Duration::from_hours(1), ..Retention::default() }).await;
    assert_eq!(reasons(&report)[0], "young", "{report:?}");
    turn(backend, 0).await;
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING, "with keep = 0s inserts go on elsewhere whatever the time of an event");
}

/// The clock of the server as a relay sees it is one that a test moves: found before the server's own by the search path.
async fn movable_clock(backend: &Postgres) {
    let user = backend.relay().get_username();
    backend
        .admin(&format!(
            "CREATE SCHEMA moved; GRANT USAGE ON SCHEMA moved TO {user};
             CREATE TABLE moved.by (seconds int); INSERT INTO moved.by VALUES (0); GRANT SELECT ON moved.by TO {user};
             CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
                 $$ SELECT pg_catalog.clock_timestamp() + (SELECT seconds FROM moved.by) * interval '1 second' $$;
             ALTER ROLE {user} SET search_path = moved, pg_catalog, public"
        ))
        .await;
}

/// Leases go by the clock of the database: one that jumps ends them early or late, and the epoch keeps the earlier owner out.
pub async fn a_server_whose_clock_jumps_loses_nothing(backend: &Postgres) {
    movable_clock(backend).await;
    let (sink, lease) = (Sink::new(), Duration::from_secs(1));
    let start = async |name: &str| {
        let subscription = subscription(sink.clone());
        relay(backend.store()).name(name).lease(lease).subscription(subscription).start().await.unwrap()
    };
    let (a, b) = (start("relay-a").await, start("relay-b").await);
    write(backend, &["a"], 1, 1).await;
    sink.until_taken(1).await;
    let mut n = 1;
    for seconds in [3_600, -3_600, 0, 172_800, 0] {
        backend.admin(&format!("UPDATE moved.by SET seconds = {seconds}")).await;
        write(backend, &["a", "b"], n + 1, n + 20).await;
        n += 20;
        let seen = async || sink.by_key().get("b").and_then(|numbers| numbers.iter().max().copied());
        eventually("what was written then", seen, |highest| *highest == Some(n)).await;
    }
    let (a, b) = within("the relays to stop", async { tokio::join!(a.stop(), b.stop()) }).await;
    a.and(b).unwrap();
    let (mut known, mut by_key) = (std::collections::HashSet::new(), sink.by_key());
    for (key, numbers) in &mut by_key {
        numbers.retain(|number| known.insert((key.clone(), *number)));
    }
    assert_eq!(by_key, [("a".to_owned(), (1..=n).collect()), ("b".to_owned(), (2..=n).collect())].into());
}

/// Functions of a stranger that have the names of the server's own are found by nobody who did not ask for them, and by no insert
/// even then: what its defaults call was decided when the tables were made.
pub async fn functions_of_a_stranger_are_not_called(backend: &Postgres) {
    for function in
        ["gen_random_uuid()", "clock_timestamp()", "pg_sequence_last_value(regclass)", "pg_current_xact_id()"]
    {
        let raise = "RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$";
        backend.admin(&format!("CREATE FUNCTION public.{function} {raise}")).await;
    }
    let mut writer = backend.writer().connect().await.unwrap();
    sqlx::raw_sql("SET search_path = public, pg_catalog").execute(&mut writer).await.unwrap();
    let append = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop.orders', 'a', '{\"n\":1}')";
    sqlx::raw_sql(append).execute(&mut writer).await.unwrap();
    write(backend, &["a"], 2, 3).await;
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 3));
    assert_eq!(backend.store().status().await.unwrap().subscriptions[0].lag_events, Some(0));
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}
