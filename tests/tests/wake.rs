//! Whether a relay that sleeps is woken by every writer, in short; `cargo xtask torture` does it at length.

use std::time::Duration;

use outbox_core::Names;
use outbox_relay::{Relay, Subscription};
use outbox_sqlx::{PgOutbox, PgStore};
use outbox_tests::conformance::log::{event, numbered};
use outbox_tests::conformance::sink::Sink;
use outbox_tests::conformance::waiting::{eventually, within};
use outbox_tests::database::{Database, Owned};
use outbox_tests::scenario::wake::{Outcome, Protocol, Race, wake};
use sqlx::Connection as _;
use xtask::postgres::{Cluster, ClusterOptions};

/// So many relays race at once.
const LANES: usize = 4;

const ARMED: &str = "SELECT pg_sequence_last_value('outbox_wake') > date_part('epoch', clock_timestamp()) * 1000000";

async fn race(protocol: Protocol, sleeps: u64, seed: u64) -> Outcome {
    let mut owned = Vec::new();
    for _ in 0..LANES {
        owned.push(Owned::on_shared_server().await.expect("the server answers"));
    }
    let databases: Vec<_> = owned.iter().map(|owned| owned.database().clone()).collect();
    let race = Race { protocol, sleeps, lanes: LANES, at_most: Duration::from_mins(2), seed };
    let outcome = wake(&databases, race).await.expect("the race ends");
    println!("{protocol:?}: {outcome}");
    outcome
}

#[tokio::test]
async fn every_writer_wakes_a_relay_that_sleeps() {
    let outcome = race(Protocol::Sound, 400, 7).await;
    assert!(outcome.is_clean(), "{outcome}");
}

#[tokio::test]
async fn the_trigger_tells_for_every_writer_in_plain_sql() {
    let outcome = race(Protocol::ByTrigger, 200, 7).await;
    assert!(outcome.is_clean(), "{outcome}");
}

/// A control: the oracle sees what the protocol prevents.
#[tokio::test]
async fn who_does_not_wait_for_open_writers_misses_some() {
    misses_some(Protocol::NoEvidence).await;
}

/// A control, as above.
#[tokio::test]
async fn who_looks_before_the_lock_misses_some() {
    misses_some(Protocol::EarlyLook).await;
}

async fn misses_some(protocol: Protocol) {
    let mut all = Outcome::default();
    for seed in 0..10 {
        all = all + race(protocol, 200, seed).await;
        assert_eq!(all.lost, 0, "a miss is late and never lost: {all}");
        if all.missed > 0 {
            return;
        }
    }
    panic!("nothing was missed: {all}");
}

/// A server that crashes while a relay sleeps forgets nothing, and the relay sleeps and wakes again.
#[tokio::test]
async fn a_crash_while_the_relay_sleeps_loses_nothing() {
    let cluster = Cluster::start(ClusterOptions::default().set("max_prepared_transactions", "0")).unwrap();
    let database = Database::on(&cluster, "crash").unwrap();
    database.migrate().await.unwrap();
    database.make_users().await.unwrap();
    let sink = Sink::new();
    let store = PgStore::new(&database.relay_url(), Names::default()).unwrap();
    // Without prepared transactions a relay sleeps unasked.
    let relay = Relay::builder(store).poll_max(Duration::from_hours(1)).lease(Duration::from_secs(1));
    let running = relay.subscription(Subscription::new("crash", sink.clone())).start().await.unwrap();
    for n in 1..=3 {
        let mut connection = database.connect().await.unwrap();
        let armed = async || {
            let query = sqlx::query_scalar::<_, Option<bool>>(ARMED);
            query.fetch_one(&mut connection).await.unwrap() == Some(true)
        };
        eventually("the relay to sleep", armed, |armed| *armed).await;
        cluster.restart_immediate().unwrap();
        let mut connection = database.connect().await.unwrap();
        // What was armed before the crash must not pass for a relay that sleeps now.
        sqlx::query("SELECT setval('outbox_wake', 0)").execute(&mut connection).await.unwrap();
        let mut writer = database.connect_as_writer().await.unwrap();
        let mut tx = writer.begin().await.unwrap();
        PgOutbox::new().append(&mut tx, &event("a", n)).await.unwrap();
        tx.commit().await.unwrap();
        sink.until_taken(usize::try_from(n).unwrap()).await;
    }
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 3));
}
