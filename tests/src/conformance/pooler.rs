//! A pooler in transaction mode: each transaction may have another session, and whoever comes next has this one.

use std::time::Duration;

use outbox_core::doctor::{Finding, Verdict};
use outbox_core::wake::Waking;
use outbox_core::{Filter, Names, Retention, Store, WakeMode};
use outbox_relay::ChangeLog;
use outbox_sqlx::{PgOutbox, PgStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use xtask::postgres::Pooler;

use super::log::{event, numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::Sink;
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

/// So many sessions for each database; fewer than a relay has connections.
const SESSIONS: u32 = 3;

/// What the tests ask the pooler's sessions for.
const LEFT_BEHIND: &str = "SELECT coalesce(string_agg(name || ' = ' || setting, ', '), '') || \
    (SELECT coalesce(string_agg(', prepared: ' || statement, ''), '') FROM pg_prepared_statements) AS left_behind \
    FROM pg_settings WHERE source = 'session' AND name NOT IN \
    ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings', 'IntervalStyle')";

/// A pooler, and the way through it for this user.
fn pooler(options: &PgConnectOptions) -> (Pooler, PgConnectOptions) {
    let pooler = Pooler::before(options.get_host(), options.get_port(), SESSIONS, &[options.get_username()]).unwrap();
    let through = options.clone().host("127.0.0.1").port(pooler.port()).extra_float_digits(None);
    (pooler, through)
}

/// What of a session's state is left behind in any of the pooler's sessions.
async fn left_behind(through: &PgConnectOptions) -> Vec<String> {
    let mut connections: Vec<PgConnection> = Vec::new();
    for _ in 0..SESSIONS {
        connections.push(through.connect().await.unwrap());
    }
    // Each holds its session, so that together they hold all there are.
    let mut left = Vec::new();
    for connection in &mut connections {
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await.unwrap();
        let row = sqlx::raw_sql(LEFT_BEHIND).fetch_one(&mut *connection).await.unwrap();
        left.push(row.try_get("left_behind").unwrap());
    }
    for mut connection in connections {
        sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    left
}

/// Everything a relay does goes well behind a pooler, and leaves nothing behind in the sessions it shares with others.
pub async fn a_relay_works_behind_a_pooler(backend: &Postgres) {
    let (_pooler, through) = pooler(backend.relay());
    let store = PgStore::from_options(through.clone(), Names::default());
    let mut tx = backend.begin().await;
    Postgres::append(&mut tx, &event("late", 1)).await.unwrap();
    write(backend, &["a", "b"], 1, 20).await;
    let retention =
        Retention { keep: Duration::ZERO, every: Duration::from_millis(50), segment_bytes: 1, ..Retention::default() };
    let (first, second) = (Sink::new(), Sink::new());
    let short = Duration::from_secs(1);
    let a = relay(store.clone()).lease(short).retention(retention).subscription(subscription(first.clone()));
    let a = a.start().await.unwrap();
    first.until_taken(40).await;
    let newest = ChangeLog::new(store.clone(), Filter::default()).last(5).await.unwrap();
    assert_eq!(newest.len(), 5);
    tx.commit().await.unwrap();
    first.until_taken(41).await;
    let emptied = async || backend.ask("SELECT value FROM outbox_meta WHERE name = 'floor'").await;
    eventually("a segment to be emptied", emptied, |floor| floor.as_deref() != Some("0")).await;

    let b = relay(store.clone()).name("relay-b").lease(short).subscription(subscription(second.clone()));
    let b = b.start().await.unwrap();
    let relays = async || store.status().await.unwrap().relays.len();
    eventually("both relays", relays, |relays| *relays == 2).await;
    within("the first relay to stop", a.stop()).await.unwrap();
    write(backend, &["a"], 21, 25).await;
    second.until_taken(5).await;
    within("the second relay to stop", b.stop()).await.unwrap();
    assert_eq!(first.by_key()["a"], numbered(&["a"], 1, 20)["a"]);
    assert_eq!(second.by_key(), numbered(&["a"], 21, 25));
    assert_eq!(left_behind(&through).await, vec![String::new(); SESSIONS as usize]);
}

/// A relay whose lease ran out cannot move its checkpoint, behind a pooler too.
pub async fn an_older_epoch_is_refused_behind_a_pooler(backend: &Postgres) {
    let (_pooler, through) = pooler(backend.relay());
    let store = PgStore::from_options(through, Names::default());
    let checkpoint = outbox_core::checkpoint::Checkpoint::default();
    let (mut old, mut new) = (store.checkpoints().await.unwrap(), store.checkpoints().await.unwrap());
    assert_eq!(old.claim_one("s", 1).await.unwrap(), None);
    old.create("s", 1, &checkpoint).await.unwrap();
    new.claim_one("s", 2).await.unwrap().unwrap();
    let refused = old.save_one("s", 1, &checkpoint).await.unwrap_err();
    assert_eq!(refused.kind(), outbox_core::StoreErrorKind::Fenced, "{refused}");
    new.save_one("s", 2, &checkpoint).await.unwrap();
}

/// Each transaction of a relay runs as it must, whatever the database or another client of the session has set.
pub async fn every_transaction_behind_a_pooler_has_its_settings(backend: &Postgres) {
    let database = backend.owner().get_database().unwrap();
    for setting in [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "synchronous_commit = off",
        "statement_timeout = '123s'",
        "row_security = on",
    ] {
        backend.admin(&format!("ALTER DATABASE {database} SET {setting}")).await;
    }
    backend
        .admin(
            "CREATE TABLE seen (settings text); GRANT INSERT ON seen TO outbox_relay; \
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO seen VALUES (concat_ws(' ', current_setting('transaction_isolation'), \
             current_setting('synchronous_commit'), current_setting('row_security'), current_setting('statement_timeout'))); \
             RETURN NEW; END $$; \
             CREATE TRIGGER see BEFORE INSERT OR UPDATE ON outbox_checkpoint FOR EACH ROW EXECUTE FUNCTION see(); \
             CREATE TRIGGER see BEFORE INSERT OR UPDATE ON outbox_lease FOR EACH ROW EXECUTE FUNCTION see()",
        )
        .await;
    let (_pooler, through) = pooler(backend.relay());
    let sink = Sink::new();
    let running = relay(PgStore::from_options(through, Names::default())).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    write(backend, &["a"], 1, 3).await;
    sink.until_taken(3).await;
    within("the relay to stop", running.stop()).await.unwrap();
    let seen = backend.ask("SELECT string_agg(DISTINCT settings, ', ') FROM seen").await;
    assert_eq!(seen.as_deref(), Some("read committed on off 15s"));
}

/// Nobody is woken behind a pooler; the relay says so and polls, and `doctor` says what to do.
pub async fn a_pooler_is_found_out_and_told(backend: &Postgres) {
    let (_pooler, through) = pooler(backend.relay());
    let store = PgStore::from_options(through.clone(), Names::default());
    match store.wake(WakeMode::Notify).await.unwrap() {
        Waking::Polling(reason) => assert!(reason.contains("pooler in session mode"), "{reason}"),
        Waking::Told(_) => panic!("over a pooler nobody is told"),
    }
    let findings = store.examine().await.unwrap();
    let wake = findings.iter().find(|finding| finding.check == "wake").unwrap();
    assert_eq!(wake.verdict, Verdict::Warning);
    assert!(wake.found.contains("a pooler hands out a connection for each transaction"), "{wake:?}");
    assert!(wake.remedy.as_deref().unwrap().contains("the database itself"), "{wake:?}");
    let pooler = |findings: &[Finding]| {
        findings.iter().find(|finding| finding.check == "pooler").map(|finding| finding.found.clone()).unwrap()
    };
    assert!(pooler(&findings).starts_with("one that hands out a connection for each transaction"));
    let direct = PgStore::from_options(backend.relay().clone(), Names::default()).examine().await.unwrap();
    assert!(pooler(&direct).starts_with("none"));
    let wake = direct.iter().find(|finding| finding.check == "wake").unwrap();
    assert_eq!(wake.verdict, Verdict::Ok, "{wake:?}");
    assert_eq!(left_behind(&through).await, vec![String::new(); SESSIONS as usize]);
}

/// An application behind a pooler captures, and leaves no prepared statement behind where it says so.
pub async fn an_application_captures_behind_a_pooler(backend: &Postgres) {
    let (_pooler, through) = pooler(backend.writer());
    let outbox = PgOutbox::new().without_prepared_statements();
    let mut connections = Vec::new();
    for _ in 0..2 * SESSIONS {
        connections.push(through.connect().await.unwrap());
    }
    for n in 1..=4 {
        for connection in &mut connections {
            let mut tx = connection.begin().await.unwrap();
            outbox.append(&mut tx, &event("a", n)).await.unwrap();
            outbox.append_all(&mut tx, &[event("b", n), event("c", n)]).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    let count = backend.operator().stats(0, &Filter::default()).await.unwrap();
    assert_eq!(count.iter().map(|count| count.events).sum::<u64>(), u64::from(4 * 2 * SESSIONS * 3));
    drop(connections);
    assert_eq!(left_behind(&through).await, vec![String::new(); SESSIONS as usize]);
}
