use std::time::Duration;

use outbox_core::Store;
use outbox_core::checkpoint::Checkpoint;
use outbox_core::lease::Report;
use outbox_core::source::Evidence;
use outbox_core::status::{ReportedHolder, ReportedHole};

use crate::database::{TestDatabase, above, execute, relay, renewal, write};

const LEASE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn an_empty_outbox() {
    let database = TestDatabase::migrated().await;
    let status = database.operator.status().await.unwrap();
    assert_eq!((status.version, status.database.kind), (1, "postgres"));
    assert_eq!((status.log.first_position, status.log.last_position), (None, None));
    let segments: Vec<_> = status.log.segments.iter().map(|segment| (segment.segment, segment.state)).collect();
    assert_eq!(segments, [(0, "current"), (1, "empty")]);
    assert!(status.relays.is_empty() && status.subscriptions.is_empty());
}

#[tokio::test]
async fn lag_counts_what_is_above_and_what_is_open_below() {
    let database = TestDatabase::migrated().await;
    let mut session = database.session().await;
    write(&mut session, &["1", "2", "3", "4", "5"]).await;
    execute(&mut session, "SELECT setval('outbox_segment', 1, true)").await;
    execute(&mut session, "UPDATE outbox_event SET occurred_at = occurred_at - interval '1 hour' WHERE position = 2")
        .await;
    let mut checkpoints = database.store.checkpoints().await.unwrap();
    for (subscription, position, open) in [("behind", 3, "{[2,2]}"), ("done", 5, "{}")] {
        let checkpoint = Checkpoint { position, open: open.parse().unwrap(), events: Vec::new() };
        checkpoints.create(subscription, 1, &checkpoint).await.unwrap();
    }
    database.store.leases().await.unwrap().acquire_one(&relay("a"), "leased only", LEASE).await.unwrap();
    let status = database.operator.status().await.unwrap();
    assert_eq!((status.log.first_position, status.log.last_position), (Some(1), Some(5)));
    assert_eq!(status.log.segments.iter().map(|segment| segment.state).collect::<Vec<_>>(), ["filled", "current"]);
    assert!(status.log.bytes > Some(8192));
    let [behind, done, leased] = &status.subscriptions[..] else { panic!("{status:?}") };
    assert_eq!((behind.name.as_str(), behind.state.as_str(), behind.lag_events), ("behind", "unowned", Some(3)));
    assert!((3600.0..3700.0).contains(&behind.lag_seconds.unwrap()));
    assert_eq!((behind.partitions[0].position, behind.partitions[0].open.as_str()), (3, "{[2,2]}"));
    assert_eq!((done.lag_events, done.lag_seconds), (Some(0), Some(0.0)));
    assert_eq!((leased.state.as_str(), leased.lag_events, leased.partitions.len()), ("idle", None, 0));
}

#[tokio::test]
async fn an_event_without_a_time_counts_and_has_no_age() {
    let database = TestDatabase::migrated().await;
    let mut session = database.session().await;
    write(&mut session, &["1", "2"]).await;
    execute(&mut session, "UPDATE outbox_event SET occurred_at = '-infinity' WHERE position = 1").await;
    database.store.checkpoints().await.unwrap().create("s", 1, &Checkpoint::default()).await.unwrap();
    let status = database.operator.status().await.unwrap();
    assert_eq!(status.subscriptions[0].lag_events, Some(2));
    assert!((0.0..60.0).contains(&status.subscriptions[0].lag_seconds.unwrap()));
}

#[tokio::test]
async fn a_lag_too_long_to_count_is_unknown_and_the_rest_is_told() {
    let database = TestDatabase::migrated().await;
    let mut session = database.session().await;
    write(&mut session, &["1"]).await;
    execute(
        &mut session,
        "CREATE FUNCTION slow(timestamptz) RETURNS timestamptz STABLE LANGUAGE plpgsql
            AS 'BEGIN PERFORM pg_sleep(60); RETURN $1; END';
        ALTER TABLE outbox_event RENAME TO real_event;
        CREATE VIEW outbox_event AS SELECT position, slow(occurred_at) AS occurred_at FROM real_event",
    )
    .await;
    let mut checkpoints = database.owner.checkpoints().await.unwrap();
    checkpoints.create("behind", 1, &Checkpoint::default()).await.unwrap();
    checkpoints.create("done", 1, &Checkpoint { position: 1, ..Checkpoint::default() }).await.unwrap();
    let status = database.owner.status().await.unwrap();
    let [behind, done] = &status.subscriptions[..] else { panic!("{status:?}") };
    assert_eq!((behind.lag_events, behind.lag_seconds), (None, None));
    assert_eq!((done.lag_events, done.lag_seconds), (Some(0), Some(0.0)));
}

#[tokio::test]
async fn a_hole_names_the_session_that_keeps_it_open() {
    let database = TestDatabase::migrated().await;
    let operator = format!("{}_operator", database.name());
    execute(&mut database.session().await, &format!("GRANT pg_read_all_stats TO {operator}")).await;
    let mut writer = database.writer().await;
    execute(&mut writer, "SET application_name = 'nightly import'; BEGIN").await;
    write(&mut writer, &["1"]).await;
    let mut prepared = database.writer().await;
    execute(&mut prepared, "BEGIN").await;
    write(&mut prepared, &["2"]).await;
    execute(&mut prepared, "PREPARE TRANSACTION 'payment 17'").await;
    write(&mut database.writer().await, &["3"]).await;
    let Evidence::Holders(holders) = database.source().await.read(&above(0)).await.unwrap().evidence else {
        panic!("a gap")
    };
    assert_eq!(holders.len(), 2);
    let reported = holders.iter().map(|holder| ReportedHolder {
        transaction: holder.transaction.clone(),
        pid: holder.pid,
        prepared: holder.prepared,
    });
    let hole = ReportedHole { from: 1, to: 2, first_seen: 0.0, holders: reported.collect() };
    let (mut leases, a) = (database.store.leases().await.unwrap(), relay("a"));
    leases.acquire_one(&a, "billing", LEASE).await.unwrap();
    let report = Report { publisher: "stdout".into(), state: "running".into(), last_error: None, holes: vec![hole] };
    leases.renew(&a, LEASE, &[], &[renewal("billing", 1, report)]).await.unwrap();
    let status = database.operator.status().await.unwrap();
    let subscription = &status.subscriptions[0];
    assert_eq!((subscription.state.as_str(), subscription.publisher.as_deref()), ("running", Some("stdout")));
    let hole = &subscription.holes[0];
    assert_eq!((hole.from, hole.to), (1, 2));
    assert!(hole.age_seconds > 1e9, "known since 1970");
    let mut known: Vec<_> =
        hole.holders.iter().map(|holder| (holder.prepared, holder.application.as_deref())).collect();
    known.sort_unstable();
    assert_eq!(known, [(false, Some("nightly import")), (true, Some("payment 17"))]);
    assert!(hole.holders.iter().all(|holder| holder.user.is_some() && holder.age_seconds.is_some()));
    assert!(hole.holders.iter().all(|holder| holder.prepared == holder.pid.is_none()));
    execute(&mut prepared, "ROLLBACK PREPARED 'payment 17'").await;
    execute(&mut writer, "COMMIT").await;
    let status = database.operator.status().await.unwrap();
    assert!(status.subscriptions[0].holes[0].holders.iter().all(|holder| holder.user.is_none()), "they have ended");
    leases.release(&a).await.unwrap();
    let status = database.operator.status().await.unwrap();
    assert_eq!((status.subscriptions[0].state.as_str(), status.subscriptions[0].holes.len()), ("unowned", 0));
}
