//! A relay is woken: by its own process on every database, by writers where the database can tell.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::doctor::Verdict;
use outbox_core::testing::ManualClock;
use outbox_core::wake::{Wake, Waking};
use outbox_core::{Names, Store, StoreErrorKind, WakeMode};
use outbox_relay::{Relay, RunningRelay, Subscription};
use outbox_sqlx::{PgOutbox, PgStore};
use sqlx::postgres::PgListener;
use sqlx::{ConnectOptions, Connection};

use xtask::postgres::{Cluster, ClusterOptions};

use super::log::{event, numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::Sink;
use super::sqlite::Sqlite;
use super::waiting::{eventually, within};
use super::{Backend, Business, SqlBackend};
use crate::database::Database;

/// Longer than any test.
const HOUR: Duration = Duration::from_hours(1);

/// Whether a relay sleeps, by the server's clock.
const ARMED: &str =
    "SELECT (pg_sequence_last_value('outbox_wake') > date_part('epoch', clock_timestamp()) * 1000000)::text";
/// Lets writers believe that a relay sleeps.
const ARM: &str =
    "SELECT setval('outbox_wake', (date_part('epoch', clock_timestamp()) * 1000000)::bigint + 3600000000)";

async fn told(backend: &Postgres) -> Box<dyn Wake> {
    match backend.store().wake(WakeMode::Notify).await.unwrap() {
        Waking::Told(wake) => wake,
        Waking::Polling(reason) => panic!("{reason}"),
    }
}

async fn listener(backend: &Postgres, sequence: &str) -> (PgListener, String) {
    let channel = backend.ask(&format!("SELECT 'outbox:' || '{sequence}'::regclass::oid")).await.unwrap();
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_lazy_with(backend.owner().clone());
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen(&channel).await.unwrap();
    (listener, channel)
}

async fn asleep(backend: &Postgres) {
    eventually("the relay to arm", async || backend.ask(ARMED).await, |armed| armed.as_deref() == Some("true")).await;
}

/// A relay that never looks by itself, because its clock stands still, reads when it is woken.
pub async fn a_waker_has_a_relay_read_at_once<B: Backend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["a"], 1, 1).await;
    let relay = Relay::builder(backend.store()).clock(ManualClock::new()).wake(WakeMode::Poll);
    let running = relay.subscription(subscription(sink.clone())).start().await.unwrap();
    let waker = running.waker();
    sink.until_taken(1).await;
    for n in 2..=6 {
        write(backend, &["a"], n, n).await;
        waker.clone().wake();
        sink.until_taken(usize::try_from(n).unwrap()).await;
    }
    // The last checkpoint is due by the clock, and a stop asks for it.
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 6));
}

/// A relay of one database with `number` subscriptions, each with a sink of its own.
async fn relay_of(store: impl Store, number: usize) -> (RunningRelay, Vec<Sink>) {
    let sinks: Vec<_> = (0..number).map(|_| Sink::new()).collect();
    let mut relay = Relay::builder(store).name("relay-a").poll_max(HOUR).wake(WakeMode::Notify);
    for (number, sink) in sinks.iter().enumerate() {
        relay = relay.subscription(Subscription::new(format!("number-{number}"), sink.clone()));
    }
    (relay.start().await.unwrap(), sinks)
}

/// Many subscriptions sleep by one arming, and one word wakes them all.
pub async fn all_subscriptions_of_a_relay_are_woken(backend: &Postgres) {
    let (running, sinks) = relay_of(backend.store(), 10).await;
    for n in 1..=5 {
        asleep(backend).await;
        write(backend, &["a", "b"], n, n).await;
        for sink in &sinks {
            sink.until_taken(usize::try_from(2 * n).unwrap()).await;
        }
    }
    within("the relay to stop", running.stop()).await.unwrap();
    for sink in sinks {
        assert_eq!(sink.by_key(), numbered(&["a", "b"], 1, 5));
    }
}

/// What nobody tells of, a relay finds when it arms again: after two and a half times `poll_max`.
pub async fn who_tells_nobody_is_found_when_the_relay_arms_again(backend: &Postgres) {
    let sink = Sink::new();
    let relay = Relay::builder(backend.store()).poll_max(Duration::from_millis(200)).wake(WakeMode::Notify);
    let running = relay.subscription(subscription(sink.clone())).start().await.unwrap();
    let insert =
        |n: u64| format!("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'a', '{{\"n\":{n}}}')");
    asleep(backend).await;
    backend.business(&insert(1)).await;
    sink.until_taken(1).await;
    asleep(backend).await;
    backend.business(&format!("BEGIN; {}; PREPARE TRANSACTION 'silent'", insert(2))).await;
    backend.business("COMMIT PREPARED 'silent'").await;
    sink.until_taken(2).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 2));
}

/// Commits of another connection wake a relay on SQLite too, with a `poll_max` that no test would wait for.
pub async fn a_file_that_changes_wakes_a_relay(backend: &Sqlite) {
    let sink = Sink::new();
    let relay = Relay::builder(backend.store()).poll_max(HOUR).subscription(subscription(sink.clone()));
    let running = relay.start().await.unwrap();
    for n in 1..=20 {
        write(backend, &["a"], n, n).await;
        sink.until_taken(usize::try_from(n).unwrap()).await;
    }
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 20));
}

/// What a relay on SQLite is told by: the log, and not the heartbeat of the same process.
pub async fn a_heartbeat_wakes_nobody(backend: &Sqlite) {
    let Waking::Told(mut wake) = backend.store().wake(WakeMode::Auto).await.unwrap() else { panic!("polling") };
    let armed = wake.arm(HOUR).await.unwrap();
    for _ in 0..20 {
        backend.admin("UPDATE outbox_meta SET value = value").await;
        tokio::select! {
            biased;
            told = wake.told() => panic!("told of nothing: {told:?}"),
            () = super::waiting::between_looks() => {}
        }
    }
    assert_eq!(wake.arm(HOUR).await.unwrap(), armed);
    write(backend, &["a"], 1, 1).await;
    within("the word", wake.told()).await.unwrap();
    assert_eq!(wake.arm(HOUR).await.unwrap().last_position, armed.last_position + 1);
}

/// Two outboxes in one database are two: neither wakes the other.
pub async fn outboxes_of_one_database_wake_their_own_relays(backend: &Postgres) {
    let (other, _) = backend.another(Names::new(None, Some("other_")).unwrap()).await;
    let (mut listener, channel) = listener(backend, "outbox_wake").await;
    backend.admin(ARM).await;
    backend.admin(&ARM.replace("outbox_wake", "other_wake")).await;
    let mut tx = backend.begin().await;
    other.append(&mut tx, &event("theirs", 1)).await.unwrap();
    tx.commit().await.unwrap();
    write(backend, &["ours"], 1, 1).await;
    let told = within("the word", listener.recv()).await.unwrap();
    assert_eq!(told.channel(), channel);
    assert!(listener.next_buffered().is_none(), "the first was not ours");
}

/// A business transaction never fails for a sequence that its user may not see.
pub async fn a_writer_that_may_not_look_writes_all_the_same(backend: &Postgres) {
    let role = backend.auditor_role().await;
    backend
        .admin(&format!("GRANT INSERT ON outbox_event TO {role}; GRANT SELECT ON SEQUENCE outbox_segment TO {role}"))
        .await;
    backend.admin(ARM).await;
    let mut connection = backend.owner().clone().username(&role).connect().await.unwrap();
    let outbox = PgOutbox::new();
    let mut tx = connection.begin().await.unwrap();
    outbox.append(&mut tx, &event("a", 1)).await.unwrap();
    outbox.append_all(&mut tx, &[event("a", 2), event("b", 1)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(backend.ask("SELECT count(*)::text FROM outbox_event").await.as_deref(), Some("3"));
}

/// A transaction of many events tells once, and one that is rolled back not at all.
pub async fn a_transaction_tells_once(backend: &Postgres) {
    let (mut listener, _) = listener(backend, "outbox_wake").await;
    let events: Vec<_> = (1..=100).map(|n| event("a", n)).collect();
    let mut tx = backend.begin().await;
    Postgres::append_all(&mut tx, &events).await.unwrap();
    tx.commit().await.unwrap();
    backend.admin(ARM).await;
    let mut tx = backend.begin().await;
    Postgres::append(&mut tx, &event("rolled back", 1)).await.unwrap();
    Business::rollback(tx).await.unwrap();
    let mut tx = backend.begin().await;
    Postgres::append_all(&mut tx, &events).await.unwrap();
    Postgres::append(&mut tx, &event("a", 101)).await.unwrap();
    tx.commit().await.unwrap();
    backend.admin("SELECT pg_notify('outbox:' || 'outbox_wake'::regclass::oid, 'end')").await;
    let mut words = Vec::new();
    while words.last().is_none_or(|word| word != "end") {
        words.push(within("a word", listener.recv()).await.unwrap().payload().to_owned());
    }
    assert_eq!(words.len(), 2, "{words:?}");
}

/// Relays that sleep together: each is told, and who disarms late leaves a later arming alone.
pub async fn two_relays_sleep_by_one_sequence(backend: &Postgres) {
    let (mut a, mut b) = (told(backend).await, told(backend).await);
    assert!(!a.arm(HOUR).await.unwrap().continued, "nobody slept before");
    assert!(b.arm(HOUR).await.unwrap().continued);
    write(backend, &["a"], 1, 1).await;
    within("the word for a", a.told()).await.unwrap();
    within("the word for b", b.told()).await.unwrap();
    a.disarm().await.unwrap();
    assert_eq!(backend.ask(ARMED).await.as_deref(), Some("false"));
    assert!(!a.arm(HOUR).await.unwrap().continued, "a writer may have passed meanwhile");
    b.disarm().await.unwrap();
    assert_eq!(backend.ask(ARMED).await.as_deref(), Some("true"), "what b was told of is older");
    write(backend, &["a"], 2, 2).await;
    within("the word for a", a.told()).await.unwrap();
    a.disarm().await.unwrap();
    a.disarm().await.unwrap();
    assert_eq!(backend.ask(ARMED).await.as_deref(), Some("false"));
}

/// A relay that died armed is told for a while, and no longer.
pub async fn an_arming_runs_out_by_itself(backend: &Postgres) {
    let mut dead = told(backend).await;
    dead.arm(Duration::from_millis(300)).await.unwrap();
    drop(dead);
    eventually("the end", async || backend.ask(ARMED).await, |armed| armed.as_deref() == Some("false")).await;
    let (mut listener, _) = listener(backend, "outbox_wake").await;
    write(backend, &["a"], 1, 5).await;
    backend.admin("SELECT pg_notify('outbox:' || 'outbox_wake'::regclass::oid, 'end')").await;
    assert_eq!(within("the word", listener.recv()).await.unwrap().payload(), "end");
}

/// Where transactions may be prepared a relay sleeps only if it is told that none is; PREPARE fails after a notification.
pub async fn who_may_prepare_transactions_is_asked_for_nothing(backend: &Postgres) {
    match backend.store().wake(WakeMode::Auto).await.unwrap() {
        Waking::Polling(reason) => assert!(reason.contains("write wake = \"notify\""), "{reason}"),
        Waking::Told(_) => panic!("the test server allows prepared transactions"),
    }
    let (running, sinks) = relay_of(backend.store(), 1).await;
    asleep(backend).await;
    backend.admin(ARM).await;
    let prepare = |name: &str| format!("PREPARE TRANSACTION '{name} {}'", backend.owner().get_database().unwrap());
    let mut tx = backend.begin().await;
    Postgres::append(&mut tx, &event("a", 1)).await.unwrap();
    let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(prepare("told"))).execute(&mut *tx).await.unwrap_err();
    assert!(refused.to_string().contains("NOTIFY"), "{refused}");
    drop(tx);
    // A plain INSERT, and a word by the coordinator.
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop.orders', 'a', '{\"n\":1}')";
    backend.business(&format!("BEGIN; {insert}; {}", prepare("plain"))).await;
    backend.business(&prepare("plain").replace("PREPARE TRANSACTION", "COMMIT PREPARED")).await;
    backend.admin("SELECT pg_notify('outbox:' || 'outbox_wake'::regclass::oid, '')").await;
    sinks[0].until_taken(1).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sinks[0].by_key(), numbered(&["a"], 1, 1));
}

/// The trigger tells for every way into the log; it is made once, and goes without a trace.
pub async fn a_trigger_tells_for_plain_sql(backend: &Postgres) {
    let store = backend.store();
    assert!(store.set_wake_trigger(true).await.unwrap());
    assert!(!store.set_wake_trigger(true).await.unwrap(), "twice changes nothing");
    let findings = backend.operator().examine().await.unwrap();
    let triggers = findings.iter().find(|finding| finding.check == "triggers").unwrap();
    assert_eq!(triggers.verdict, Verdict::Ok, "it is no stranger: {triggers:?}");
    let (mut listener, _) = listener(backend, "outbox_wake").await;
    let insert =
        "INSERT INTO outbox_event (topic, event_key, payload) SELECT 'shop', 'a', '{}' FROM generate_series(1, 9)";
    backend.business(insert).await;
    backend.admin(ARM).await;
    backend.business(insert).await;
    assert_ne!(within("the word", listener.recv()).await.unwrap().payload(), "");
    // Whoever has another search path, and whoever may not look, writes all the same.
    let role = backend.auditor_role().await;
    backend
        .admin(&format!("GRANT INSERT ON outbox_event TO {role}; GRANT SELECT ON SEQUENCE outbox_segment TO {role}"))
        .await;
    let there = insert.replace("outbox_event", "public.outbox_event");
    backend
        .admin(&format!("BEGIN; SET LOCAL search_path = pg_catalog; {there}; SET LOCAL ROLE {role}; {there}; COMMIT"))
        .await;
    within("the word", listener.recv()).await.unwrap();
    assert!(store.set_wake_trigger(false).await.unwrap());
    assert!(!store.set_wake_trigger(false).await.unwrap());
    let left = "SELECT count(*)::text FROM pg_proc WHERE proname = 'outbox_wake_relay'";
    assert_eq!(backend.ask(left).await.as_deref(), Some("0"));
    backend.business(insert).await;
    backend.admin("SELECT pg_notify('outbox:' || 'outbox_wake'::regclass::oid, 'end')").await;
    assert_eq!(within("the word", listener.recv()).await.unwrap().payload(), "end");
}

/// A relay that is to poll asks nobody to tell.
pub async fn a_relay_that_polls_never_arms(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).wake(WakeMode::Poll).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    for n in 1..=5 {
        write(backend, &["a"], n, n).await;
        sink.until_taken(usize::try_from(n).unwrap()).await;
    }
    within("the relay to stop", running.stop()).await.unwrap();
    let value = "SELECT coalesce(pg_sequence_last_value('outbox_wake'), 0)::text";
    assert_eq!(backend.ask(value).await.as_deref(), Some("0"));
}

/// A relay that may not arm polls, and is told which privilege it lacks.
pub async fn a_relay_that_may_not_arm_polls(backend: &Postgres) {
    let role = backend.auditor_role().await;
    backend.admin(&format!("GRANT SELECT ON SEQUENCE outbox_wake TO {role}")).await;
    let store = PgStore::from_options(backend.owner().clone().username(&role), Names::default());
    match store.wake(WakeMode::Notify).await.unwrap() {
        Waking::Polling(reason) => assert!(reason.contains("GRANT SELECT, UPDATE ON SEQUENCE outbox_wake"), "{reason}"),
        Waking::Told(_) => panic!("the role may not change the sequence"),
    }
}

/// Sessions that are ended while the relay sleeps, the one that is told among them, lose nothing.
pub async fn ended_sessions_of_a_sleeping_relay_lose_nothing(backend: &Postgres) {
    let (running, sinks) = relay_of(backend.store(), 1).await;
    for n in 1..=5 {
        asleep(backend).await;
        backend.end_relay_sessions().await;
        write(backend, &["a"], n, n).await;
        sinks[0].until_taken(usize::try_from(n).unwrap()).await;
        backend.admin("SELECT setval('outbox_wake', 0)").await;
    }
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sinks[0].by_key(), numbered(&["a"], 1, 5));
}

/// A connection that is told and was lost says so, and so does one whose outbox was made anew.
pub async fn a_wake_that_hears_nothing_any_more_says_so(backend: &Postgres) {
    let mut lost = told(backend).await;
    backend.end_relay_sessions().await;
    assert_eq!(within("the loss", lost.told()).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    let mut old = told(backend).await;
    old.arm(HOUR).await.unwrap();
    backend
        .admin(
            "DROP SEQUENCE outbox_wake; CREATE SEQUENCE outbox_wake MINVALUE -9223372036854775807 START 0;
             GRANT SELECT, UPDATE ON SEQUENCE outbox_wake TO outbox_relay",
        )
        .await;
    assert_eq!(old.arm(HOUR).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

/// A server whose queue of notifications somebody else has filled fails every commit that notifies. Before version 17 that queue
/// has 8 GiB, which no test fills.
pub async fn a_full_queue_of_notifications_fails_no_commit_of_ours(backend: &Postgres) {
    let is_small = "SELECT (current_setting('server_version_num')::integer >= 170000)::text";
    if backend.ask(is_small).await.as_deref() == Some("false") {
        return;
    }
    let cluster =
        Arc::new(Cluster::start(ClusterOptions::default().set("max_notify_queue_pages", "64")).expect("a server"));
    let database = Database::on(&cluster, "shop").unwrap();
    let store = PgStore::new(database.url(), Names::default()).unwrap();
    store.migrate(8).await.unwrap();
    database.make_users().await.unwrap();
    let mut behind = database.connect().await.unwrap();
    for sql in ["LISTEN strangers", "BEGIN", "SELECT 1"] {
        sqlx::query(sql).execute(&mut behind).await.unwrap();
    }
    let mut session = database.connect().await.unwrap();
    let fill = "SELECT pg_notify('strangers', repeat('x', 7900) || n) FROM generate_series(1, 10) AS n";
    let refused = loop {
        if let Err(refused) = sqlx::query(fill).execute(&mut session).await {
            break refused.to_string();
        }
    };
    assert!(refused.contains("too many notifications"), "{refused}");

    let arm = "SELECT setval('outbox_wake', (date_part('epoch', clock_timestamp()) * 1000000)::bigint + 3600000000)";
    sqlx::query(arm).execute(&mut session).await.unwrap();
    assert!(store.set_wake_trigger(true).await.unwrap());
    let outbox = PgOutbox::new();
    let mut writer = database.connect_as_writer().await.unwrap();
    let mut tx = writer.begin().await.unwrap();
    outbox.append(&mut tx, &event("a", 1)).await.unwrap();
    outbox.append_all(&mut tx, &[event("a", 2), event("a", 3)]).await.unwrap();
    let plain = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'a', '{\"n\":4}')";
    sqlx::query(plain).execute(&mut *tx).await.unwrap();
    tx.commit().await.expect("a business transaction is not failed by a stranger's queue");
}
