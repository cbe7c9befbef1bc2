//! PostgreSQL draws positions before commit: what that does to readers, and what it must not do.

use futures_util::future::join_all;
use outbox_core::publisher::Answer;
use outbox_core::status::SubscriptionStatus;
use outbox_core::{Position, Start, Store};
use outbox_sqlx::{AppendError, PgOutbox};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::log::{SUBSCRIPTION, drain, event, numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::Sink;
use super::waiting::{DEADLINE, eventually, within};
use super::{Backend, SqlBackend};

async fn status(backend: &Postgres) -> SubscriptionStatus {
    let status = backend.store().status().await.unwrap();
    status.subscriptions.into_iter().find(|each| each.name == SUBSCRIPTION).expect("the subscription is known")
}

/// The checkpoint as it is stored: position and open positions.
async fn stored(backend: &Postgres) -> Option<String> {
    backend.ask("SELECT max(position || ' ' || open_positions) FROM outbox_checkpoint").await
}

/// An open writer delays its own events only, and the hole it leaves says who it is.
pub async fn an_open_writer_delays_its_own_events_alone(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).lease(std::time::Duration::from_secs(1));
    let running = running.subscription(subscription(sink.clone())).start().await.unwrap();
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("slow", 1)).await.unwrap();
    Postgres::append(&mut open, &event("slow", 2)).await.unwrap();
    write(backend, &["quick"], 1, 5).await;
    sink.until_taken(5).await;
    assert_eq!(sink.by_key(), numbered(&["quick"], 1, 5));

    let holes = async || status(backend).await.holes;
    let shown = eventually("status to show the hole", holes, |holes| !holes.is_empty()).await;
    assert_eq!((shown.len(), shown[0].from, shown[0].to), (1, 1, 2));
    assert!(shown[0].holders.iter().any(|holder| holder.pid.is_some() && !holder.prepared), "{shown:?}");

    open.commit().await.unwrap();
    sink.until_taken(7).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.taken()[5..].iter().map(|event| event.position).collect::<Vec<Position>>(), [1, 2]);
}

/// Positions drawn by a transaction that rolls back are not waited for.
pub async fn a_hole_dies_with_its_transaction(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("never", 1)).await.unwrap();
    write(backend, &["quick"], 1, 3).await;
    eventually(
        "the checkpoint with its hole",
        async || stored(backend).await,
        |text| text.as_deref() == Some("4 {[1,1]}"),
    )
    .await;
    open.rollback().await.unwrap();
    eventually("the hole to close", async || stored(backend).await, |text| text.as_deref() == Some("4 {}")).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["quick"], 1, 3));
}

/// A prepared transaction fills its hole when it is committed, whoever had drawn the positions.
pub async fn a_prepared_transaction_fills_its_hole(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    let name = Uuid::now_v7();
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("slow", 1)).await.unwrap();
    write(backend, &["quick"], 1, 3).await;
    eventually("the hole", async || stored(backend).await, |text| text.as_deref() == Some("4 {[1,1]}")).await;
    Postgres::execute(&mut open, &format!("PREPARE TRANSACTION '{name}'")).await;
    // The driver's transaction is over by now, and its commit but a warning.
    open.commit().await.unwrap();
    write(backend, &["quick"], 4, 6).await;
    eventually("the hole, kept", async || stored(backend).await, |text| text.as_deref() == Some("7 {[1,1]}")).await;
    backend.admin(&format!("COMMIT PREPARED '{name}'")).await;
    sink.until_taken(7).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.taken().last().map(|event| event.key.clone()).as_deref(), Some("slow"));
}

/// A hole stands in the checkpoint, so a relay that starts anew fills it.
pub async fn a_hole_outlives_the_relay(backend: &Postgres) {
    let sink = Sink::new();
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("slow", 1)).await.unwrap();
    write(backend, &["quick"], 1, 3).await;
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    sink.until_taken(3).await;
    within("the relay to stop", running.stop()).await.unwrap();
    open.commit().await.unwrap();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.taken().iter().map(|event| event.position).collect::<Vec<_>>(), [2, 3, 4, 1]);
}

/// What is open when a subscription starts now is still delivered.
pub async fn a_start_now_keeps_what_is_open(backend: &Postgres) {
    write(backend, &["before"], 1, 2).await;
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("open", 1)).await.unwrap();
    write(backend, &["before"], 3, 4).await;
    let sink = Sink::new();
    let running =
        relay(backend.store()).subscription(subscription(sink.clone()).start(Start::Now)).start().await.unwrap();
    eventually("the first checkpoint", async || stored(backend).await, |text| text.as_deref() == Some("5 {[3,3]}"))
        .await;
    write(backend, &["after"], 1, 1).await;
    sink.until_taken(1).await;
    open.commit().await.unwrap();
    sink.until_taken(2).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.positions(), [3, 6]);
}

/// The first checkpoint of a start now is one that later ones do not seem to go back from, when the last position is open.
pub async fn a_start_now_behind_an_open_writer_keeps_its_lease(backend: &Postgres) {
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("open", 1)).await.unwrap();
    let sink = Sink::scripted(|delivery| match delivery.attempt {
        1..6 => Answer::Retry { after: None, reason: "not yet".into() },
        _ => Answer::Published,
    });
    let running =
        relay(backend.store()).subscription(subscription(sink.clone()).start(Start::Now)).start().await.unwrap();
    eventually("the first checkpoint", async || stored(backend).await, Option::is_some).await;
    open.commit().await.unwrap();
    sink.until_taken(1).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.positions(), [1]);
    assert_eq!(backend.ask("SELECT max(epoch)::text FROM outbox_checkpoint").await.as_deref(), Some("1"));
}

/// Strict reading waits behind a hole, and a relay that is to end when all is published waits with it.
pub async fn strict_reading_ends_only_after_what_stands_behind_a_hole(backend: &Postgres) {
    write(backend, &["quick"], 1, 1).await;
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("never", 1)).await.unwrap();
    write(backend, &["quick"], 2, 6).await;
    let sink = Sink::new();
    let strict = relay(backend.store()).subscription(subscription(sink.clone()).strict_order(true));
    let running = strict.until_empty(Some(DEADLINE)).start().await.unwrap();
    sink.until_taken(1).await;
    eventually("the checkpoint", async || stored(backend).await, |text| text.as_deref() == Some("1 {}")).await;
    let told = async || backend.store().status().await.unwrap().subscriptions.remove(0);
    let told = eventually("the status to say why", told, |told| told.state == "blocked").await.last_error;
    assert!(told.as_ref().is_some_and(|error| error.contains("nothing above position 2 is read")), "{told:?}");
    open.rollback().await.unwrap();
    within("the relay to end", running.wait()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["quick"], 1, 6));
}

/// Transactions that fail to serialise and are tried again leave one event a commit.
pub async fn serialization_failures_leave_one_event_a_commit(backend: &Postgres) {
    backend.admin("INSERT INTO orders VALUES ('shared', 0)").await;
    let worker = async || {
        let (mut commits, mut failures) = (0, 0);
        while commits < 20 {
            match raise(backend).await {
                Ok(()) => commits += 1,
                Err(_) => failures += 1,
            }
        }
        failures
    };
    let (first, second) = within("all commits", Box::pin(async { tokio::join!(worker(), worker()) })).await;
    assert!(first + second > 0, "nothing ever collided, so nothing was tried again");
    assert_eq!(backend.ask("SELECT total::text FROM orders").await.as_deref(), Some("40"));
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["shared"], 1, 40));
}

/// Raises the shared order by one, serialisable, and tells its new total.
async fn raise(backend: &Postgres) -> Result<(), AppendError> {
    let mut tx = backend.begin().await;
    Postgres::execute(&mut tx, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").await;
    let total: i64 = sqlx::query_scalar("SELECT total FROM orders WHERE id = 'shared'").fetch_one(&mut *tx).await?;
    tokio::task::yield_now().await;
    let update = format!("UPDATE orders SET total = {} WHERE id = 'shared'", total + 1);
    sqlx::query(AssertSqlSafe(update)).execute(&mut *tx).await?;
    Postgres::append(&mut tx, &event("shared", total.unsigned_abs() + 1)).await?;
    Ok(tx.commit().await?)
}

/// Writers of one key that share no row wait for one another where they are told to, and others do not wait for them.
pub async fn writers_that_lock_their_keys_commit_in_order(backend: &Postgres) {
    let outbox = PgOutbox::new().locking_keys();
    let mut first = backend.begin().await;
    outbox.append(&mut first, &event("a", 1)).await.unwrap();
    let mut other = backend.begin().await;
    outbox.append_all(&mut other, &[event("b", 1), event("", 1)]).await.unwrap();
    other.commit().await.unwrap();
    let mut second = backend.begin().await;
    let waiting = async {
        outbox.append(&mut second, &event("a", 2)).await.unwrap();
        second.commit().await.unwrap();
    };
    let locks = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let releasing = async {
        let count = async || backend.ask(locks).await;
        eventually("the second writer to wait", count, |count| count.as_deref() == Some("1")).await;
        first.commit().await.unwrap();
    };
    within("both writers", async { tokio::join!(waiting, releasing) }).await;
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!((sink.by_key()["a"].clone(), sink.taken().len()), (vec![1, 2], 4));
}

/// Two transactions with the same keys never wait for each other in a circle.
pub async fn keys_are_locked_in_one_order(backend: &Postgres) {
    let outbox = PgOutbox::new().locking_keys();
    let write = async |keys: [&str; 3]| {
        for n in 1..=50 {
            let mut tx = backend.begin().await;
            outbox.append_all(&mut tx, &keys.map(|key| event(key, n))).await.unwrap();
            tx.commit().await.unwrap();
        }
    };
    let writers = [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]].map(|keys| Box::pin(write(keys)));
    within("the writers", join_all(writers)).await;
    assert_eq!(backend.ask("SELECT count(*)::text FROM outbox_event").await.as_deref(), Some("450"));
}
