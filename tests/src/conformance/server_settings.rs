//! PostgreSQL set up so that a relay must refuse it, wait for it, or not care.

use std::time::Duration;

use outbox_core::lease::Claim;
use outbox_core::source::Row;
use outbox_core::{Filter, Names, Start, Store, StoreErrorKind};
use outbox_relay::RelayError;
use outbox_sqlx::PgStore;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::continuity::is_continuity;
use super::interposed::Interposed;
use super::log::{SUBSCRIPTION, drain, event, everything, numbered, read, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::Sink;
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

/// Settings of the database that hurry sessions along do no harm.
pub async fn short_timeouts_of_the_database_do_no_harm(backend: &Postgres) {
    write(backend, &["a", "b"], 1, 20).await;
    for setting in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]
    {
        let sql = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting} = ''50ms''', current_database()); END $$"
        );
        backend.admin(&sql).await;
    }
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    // Cleanup opens a connection of its own, when its time comes.
    let running = relay(store.clone()).lease(Duration::from_secs(1)).retention(None);
    let running = running.subscription(subscription(sink.clone())).start().await.unwrap();
    sink.until_taken(40).await;
    let (dials, looks) = (store.dials(), store.looks());
    // Some hundred milliseconds in which its sessions are idle.
    eventually("two heartbeats", async || store.looks(), |now| *now >= looks + 2).await;
    write(backend, &["a", "b"], 21, 21).await;
    sink.until_taken(42).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(store.dials(), dials, "no session was ended");
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 21));
}

/// Leases, ages and times are moments, whatever the sessions of relays, writers and operators call them.
pub async fn a_time_zone_changes_nothing(backend: &Postgres) {
    let (sink, start) = (Sink::new(), OffsetDateTime::now_utc() - time::Duration::minutes(1));
    for (n, zone) in (1..).zip(["Pacific/Kiritimati", "Etc/GMT+12"]) {
        let sql = format!("EXECUTE format('ALTER DATABASE %I SET timezone = ''{zone}''', current_database())");
        backend.admin(&format!("DO $$ BEGIN {sql}; END $$")).await;
        let a = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
        write_over_a_new_session(backend, n).await;
        sink.until_taken(n).await;
        // Fourteen hours off, this lease would have ended, or the events before it would not be there yet.
        let store = backend.store();
        let claim = store.leases().await.unwrap().acquire_one(&nobody(), SUBSCRIPTION, Duration::from_mins(1)).await;
        assert!(
            matches!(claim, Ok(Claim::Taken { expires_in, .. }) if expires_in < Duration::from_mins(1)),
            "{claim:?}"
        );
        let since = Filter { since: Some(start), ..Filter::default() };
        assert_eq!(events_of(&read(backend, &since, &everything()).await.rows), n);
        let until = Filter { until: Some(start), ..Filter::default() };
        assert_eq!(events_of(&read(backend, &until, &everything()).await.rows), 0);
        let since = Start::Time(start);
        let begin = store.source(&Filter::default()).await.unwrap().locate(since).await.unwrap();
        assert_eq!(begin.0, 0);
        within("the relay to stop", a.stop()).await.unwrap();
    }
    assert!(sink.taken().iter().all(|event| event.occurred_at > start), "{:?}", sink.taken());
}

fn events_of(rows: &[Row]) -> usize {
    rows.iter().filter(|row| matches!(row, Row::Event(_))).count()
}

/// The sessions of the pool began before the setting.
async fn write_over_a_new_session(backend: &Postgres, n: usize) {
    let mut session = PgConnection::connect_with(backend.writer()).await.unwrap();
    let payload = format!("{{\"n\":{n}}}");
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', $1)";
    sqlx::query(insert).bind(payload).execute(&mut session).await.unwrap();
}

/// A database that is read-only for a while is waited for.
pub async fn a_read_only_database_is_waited_for(backend: &Postgres) {
    let alter = |what: &str| {
        format!(
            "BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {what}', current_database()); END $$; COMMIT"
        )
    };
    let sink = Sink::new();
    let running = relay(backend.store()).lease(Duration::from_secs(1)).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    write(backend, &["a", "b"], 1, 3).await;
    sink.until_taken(6).await;
    let checkpoint = async || backend.ask("SELECT max(position)::text FROM outbox_checkpoint").await;
    eventually("the checkpoint", checkpoint, |position| position.as_deref() == Some("6")).await;

    // Sessions that are open already keep the settings they began with.
    let mut open = backend.begin().await;
    backend.admin(&alter("SET default_transaction_read_only = on")).await;
    backend.end_relay_sessions().await;
    let refused = backend.store().leases().await.unwrap().release(&nobody()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{refused}");
    Postgres::append_all(&mut open, &[event("a", 4), event("b", 4), event("a", 5)]).await.unwrap();
    open.commit().await.unwrap();
    backend.admin(&alter("RESET default_transaction_read_only")).await;
    backend.end_relay_sessions().await;
    sink.until_taken(9).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), [("a".to_owned(), vec![1, 2, 3, 4, 5]), ("b".to_owned(), vec![1, 2, 3, 4])].into());
}

/// No statement of a relay reads a segment from end to end, whatever statistics the planner has; it has none here.
pub async fn a_relay_finds_everything_by_the_key(backend: &Postgres) {
    let count = async |kind: &str| {
        let sql = format!("SELECT sum({kind})::text FROM pg_stat_user_tables WHERE relname LIKE 'outbox_event%'");
        backend.ask(&sql).await.and_then(|count| count.parse::<i64>().ok()).unwrap_or_default()
    };
    for n in (1..=200).step_by(2) {
        write(backend, &["a", "b"], n, n).await;
        let mut dead = backend.begin().await;
        Postgres::append_all(&mut dead, &[event("a", n), event("b", n)]).await.unwrap();
        dead.rollback().await.unwrap();
    }
    let (walks, lookups) = (count("seq_scan").await, count("idx_scan").await);
    let sink = Sink::new();
    let settings = relay(backend.store()).window_events(20).subscription(subscription(sink.clone()).partitions(4));
    drain(settings).await.unwrap();
    assert_eq!(sink.taken().len(), 200);
    // A session counts for others when it ends.
    let sessions = "SELECT count(*)::text FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'outbox-relay'";
    eventually("the sessions to end", async || backend.ask(sessions).await, |count| count.as_deref() == Some("0"))
        .await;
    eventually("the look-ups to be counted", async || count("idx_scan").await, |now| *now > lookups).await;
    assert_eq!(count("seq_scan").await, walks);
}

/// A database without a free connection is waited for, by a relay that begins and by one that lost its own.
pub async fn a_database_without_a_free_connection_is_waited_for(backend: &Postgres) {
    let limit = |connections: i32| {
        format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT {connections}', current_database()); END $$"
        )
    };
    let mut open = backend.begin().await;
    backend.admin(&limit(0)).await;
    let full = backend.store().leases().await.map(drop).unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Unavailable, "{full}");
    assert!(full.to_string().contains("too many connections"), "{full}");
    let sink = Sink::new();
    let store = Interposed::new(backend.store());
    let attempts = async || {
        let before = store.dials();
        eventually("three attempts", async || store.dials(), |dials| *dials >= before + 3).await;
    };
    let first = relay(store.clone()).lease(Duration::from_secs(1)).subscription(subscription(sink.clone()));
    let starting = tokio::spawn(first.start());
    attempts().await;
    Postgres::append_all(&mut open, &[event("a", 1), event("b", 1)]).await.unwrap();
    open.commit().await.unwrap();
    backend.admin(&limit(-1)).await;
    let running = within("the relay to start", starting).await.unwrap().unwrap();
    sink.until_taken(2).await;

    let mut open = backend.begin().await;
    backend.admin(&limit(0)).await;
    backend.end_relay_sessions().await;
    attempts().await;
    Postgres::append_all(&mut open, &[event("a", 2), event("b", 2)]).await.unwrap();
    open.commit().await.unwrap();
    backend.admin(&limit(-1)).await;
    sink.until_taken(4).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 2));
}

fn nobody() -> outbox_core::lease::RelayIdentity {
    outbox_core::lease::RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: "nobody".into(),
        host: "nowhere".into(),
        process_id: 1,
        process_started: String::new(),
    }
}

/// Positions that are not drawn one by one are refused, with the statement that mends it.
pub async fn positions_drawn_in_bulk_are_refused(backend: &Postgres) {
    for (sql, mend) in [
        ("ALTER TABLE outbox_event ALTER COLUMN position SET CACHE 32", "CACHE 1"),
        ("ALTER TABLE outbox_event ALTER COLUMN position SET INCREMENT 2 SET CACHE 1", "INCREMENT BY 1"),
        ("ALTER TABLE outbox_event ALTER COLUMN position SET INCREMENT 1 SET GENERATED BY DEFAULT", "GENERATED ALWAYS"),
    ] {
        backend.admin(sql).await;
        let refused = relay(backend.store()).subscription(subscription(Sink::new())).start().await;
        match refused {
            Err(RelayError::Store(error)) => {
                assert_eq!(error.kind(), StoreErrorKind::Precondition);
                assert!(error.to_string().contains(mend), "{error}");
            }
            other => panic!("{sql}: {:?}", other.map(drop)),
        }
    }
}

/// A log set back is noticed after the server itself ended the relay's sessions.
pub async fn a_log_set_back_behind_ended_sessions_stops_the_relay(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["k"], 1, 5).await;
    sink.until_taken(5).await;
    backend.admin(Postgres::SET_BACK).await;
    backend.end_relay_sessions().await;
    is_continuity(within("the relay to end", running.wait()).await);
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 5));
}

/// Ended sessions of the relay lose nothing.
pub async fn ended_sessions_lose_nothing(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).lease(Duration::from_secs(1)).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    for n in 1..=10 {
        write(backend, &["a", "b"], n, n).await;
        backend.end_relay_sessions().await;
        sink.until_taken(usize::try_from(2 * n).unwrap()).await;
    }
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 10));
}

/// Who may not write to `outbox_meta` neither relays nor mends, and is told what to grant.
pub async fn a_user_who_may_not_record_is_told_what_to_grant(backend: &Postgres) {
    let user = format!("relay_{}", Uuid::now_v7().simple());
    backend
        .admin(&format!(
            "CREATE ROLE {user} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user};
             GRANT INSERT, UPDATE, DELETE ON outbox_checkpoint, outbox_lease, outbox_relay, outbox_dead_letter TO {user};
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {user}"
        ))
        .await;
    let store = PgStore::from_options(backend.owner().clone().username(&user), Names::default());
    let sink = Sink::new();
    write(backend, &["k"], 1, 3).await;
    let Err(RelayError::Store(refused)) = drain(relay(store.clone()).subscription(subscription(sink.clone()))).await
    else {
        panic!("a relay writes down how a subscription is shared")
    };
    assert!(refused.to_string().contains("GRANT INSERT, UPDATE ON outbox_meta TO"), "{refused}");
    assert!(sink.taken().is_empty());
    let continuity = store.status().await.unwrap().continuity.unwrap();
    assert_eq!((continuity.addresses.len(), continuity.refused), (0, None));
    let refused = store.mender().await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Precondition);
    assert!(refused.to_string().contains("GRANT INSERT, UPDATE ON outbox_meta TO"), "{refused}");
    backend.admin(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
}
