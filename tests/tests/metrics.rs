//! What a relay records of itself, and how it says whether it is well.
#![expect(clippy::unwrap_used, reason = "what goes wrong here ends the test")]

use std::future::Future;
use std::time::Duration;

use metrics::with_local_recorder;
use outbox_core::publisher::{Answer, PublishError, PublishErrorKind};
use outbox_core::testing::{ManualClock, MemoryStore};
use outbox_core::{Clock as _, Filter, NewEvent, Retention};
use outbox_relay::metrics::names;
use outbox_relay::{ChangeLog, Relay, Retry, Subscription, Then};
use outbox_tests::conformance::interposed::Interposed;
use outbox_tests::conformance::log::{SUBSCRIPTION, subscription};
use outbox_tests::conformance::sink::Sink;
use outbox_tests::conformance::waiting::{eventually, within};
use outbox_tests::recorder::Recorded;

/// Runs a test on one thread, for which alone everything is recorded.
fn recorded<F: Future<Output = ()>>(test: impl FnOnce(Recorded) -> F) {
    let recorded = Recorded::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    with_local_recorder(&recorded, || runtime.block_on(test(recorded.clone())));
}

fn capture(store: &MemoryStore, key: &str) {
    let mut tx = store.begin();
    tx.append(&NewEvent::new("shop.orders", key.to_owned()).json("{}")).unwrap();
    tx.commit();
}

#[test]
fn the_database_is_asked_every_fifteen_seconds_at_most_and_only_for_a_reader() {
    recorded(|recorded| async move {
        let clock = ManualClock::new();
        let store = Interposed::new(MemoryStore::with_clock(clock.clone()));
        let relay = Relay::builder(store.clone()).clock(clock.clone()).subscription(subscription(Sink::new()));
        let relay = relay.start().await.unwrap();
        clock.advance_until(clock.sleep(Duration::from_mins(10))).await;
        assert_eq!(store.glances(), 0, "nobody reads");
        let observer = relay.observer();
        for (seconds, asked) in [(0, 1), (14, 1), (1, 2), (3600, 3)] {
            clock.advance_until(clock.sleep(Duration::from_secs(seconds))).await;
            observer.observe().await;
            observer.clone().observe().await;
            assert_eq!(store.glances(), asked, "{seconds} s later");
        }
        let seconds = (clock.time_of_day() - time::OffsetDateTime::UNIX_EPOCH).as_seconds_f64();
        assert_eq!(recorded.value(names::OBSERVED.name), Some(seconds));
        within("the relay to stop", relay.stop()).await.unwrap();
    });
}

#[test]
fn a_relay_is_ready_once_it_works_and_no_longer_when_it_stops() {
    recorded(|recorded| async move {
        let store = MemoryStore::new();
        let held = format!("outbox_lease_held{{subscription=\"{SUBSCRIPTION}\"}}");
        let relay = Relay::builder(store.clone()).subscription(subscription(Sink::new())).start().await.unwrap();
        let health = relay.health();
        assert_eq!(health.idle()[0].to_string(), "billing: the database does not answer, or was not asked yet");
        assert_eq!(health.dead(), []);
        eventually("the relay to be ready", async || health.idle(), Vec::is_empty).await;
        assert_eq!(recorded.value(&held), Some(1.0));

        let other = Relay::builder(store).name("other").subscription(subscription(Sink::new())).start().await.unwrap();
        eventually("the other to be ready to take over", async || other.health().idle(), Vec::is_empty).await;
        within("the other to stop", other.stop()).await.unwrap();

        relay.handle().stop();
        assert_eq!(health.idle()[0].reason, "the relay is stopping");
        assert_eq!(health.dead(), []);
        within("the relay to stop", relay.stop()).await.unwrap();
        assert_eq!(health.dead()[0].reason, "the relay has ended");
        assert_eq!(recorded.value(&held), Some(0.0));
    });
}

#[test]
fn a_relay_without_its_publisher_lives_and_one_whose_loops_stand_still_does_not() {
    recorded(|_| async move {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        let away = Sink::calls(|_| Err(PublishError::new(PublishErrorKind::Unavailable, "away")));
        let relay = Relay::builder(store.clone()).clock(clock.clone()).subscription(subscription(away));
        let relay = relay.start().await.unwrap();
        let health = relay.health();
        eventually("the relay to be ready", async || health.idle(), Vec::is_empty).await;
        capture(&store, "k");
        clock.advance_until(clock.sleep(Duration::from_mins(10))).await;
        assert_eq!((health.dead(), health.idle()), (vec![], vec![]), "it tries again and again");

        // On this one thread nothing else runs while the clock jumps.
        clock.advance(Duration::from_mins(10));
        assert_eq!(health.dead()[0].to_string(), "billing: the heartbeat hangs");
        assert_eq!(health.idle(), health.dead());
        eventually("the loops to come round", async || health.dead(), Vec::is_empty).await;
        within("the relay to stop", clock.advance_until(relay.stop())).await.unwrap();
    });
}

#[test]
fn an_export_is_no_subscription() {
    recorded(|recorded| async move {
        let store = MemoryStore::new();
        capture(&store, "k");
        let mut export = ChangeLog::new(store, Filter::default()).export(Some("nightly")).await.unwrap();
        while within("the next page", export.next()).await.unwrap().is_some() {}
        export.finish().await.unwrap();
        assert_eq!(recorded.all().into_keys().collect::<Vec<_>>(), [""; 0]);
    });
}

mod postgres {
    use outbox_core::lease::{Claim, RelayIdentity};
    use outbox_core::{Store as _, WakeMode};
    use outbox_tests::conformance::log::{event, write};
    use outbox_tests::conformance::postgres::Postgres;
    use outbox_tests::conformance::sink::{reject, retry};
    use outbox_tests::conformance::{Backend, SqlBackend};
    use uuid::Uuid;

    use super::*;

    /// Waits until the metric has been more than nothing.
    async fn moved(recorded: &Recorded, metric: outbox_relay::metrics::Metric) {
        eventually(metric.name, async || recorded.largest(metric.name), |largest| *largest > 0.0).await;
    }

    /// Fails once, refuses to take the key `never`, and takes the key `later` the second time only.
    fn moody() -> Sink {
        let failed = std::sync::atomic::AtomicBool::new(false);
        Sink::calls(move |batch| {
            if !failed.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return Err(PublishError::new(PublishErrorKind::Unavailable, "away"));
            }
            let answer = |delivery: &outbox_core::Delivery| match (&*delivery.event.key, delivery.attempt) {
                ("never", _) => reject("no"),
                ("later", 1) => retry("not yet"),
                _ => Answer::Published,
            };
            Ok(batch.iter().map(answer).collect())
        })
    }

    /// Takes the lease away from the relay that holds it.
    async fn steal(backend: &Postgres) {
        let thief = RelayIdentity {
            relay_id: Uuid::now_v7(),
            name: "thief".into(),
            host: "elsewhere".into(),
            process_id: 7,
            process_started: "5".into(),
        };
        let mut leases = backend.store().leases().await.unwrap();
        let second = Duration::from_secs(1);
        let steal = async || match leases.acquire_one(&thief, SUBSCRIPTION, second).await.unwrap() {
            Claim::Taken { epoch, .. } => {
                leases.take_over(SUBSCRIPTION, 0, epoch).await.unwrap();
                false
            }
            Claim::Held { .. } => true,
        };
        eventually("the lease to change hands", steal, |stolen| *stolen).await;
    }

    /// What will not pass stays owed.
    fn blocking(publisher: impl outbox_core::Publisher) -> Subscription {
        let retry = Retry {
            first: Duration::from_millis(20),
            max: Duration::from_millis(100),
            then: Then::Block,
            ..Retry::default()
        };
        subscription(publisher).retry(retry)
    }

    #[test]
    fn every_metric_is_recorded_by_its_name_and_labels() {
        recorded(|recorded| async move {
            let backend = Postgres::create().await;
            let store = Interposed::new(backend.store());
            let at_once = Duration::from_millis(20);
            let retention = Retention { keep: Duration::ZERO, every: at_once, ..Retention::default() };
            let relay =
                Relay::builder(store.clone()).wake(WakeMode::Notify).poll_max(at_once).lease(Duration::from_secs(1));
            let relay = relay.retention(retention).subscription(blocking(moody())).start().await.unwrap();
            write(&backend, &["a"], 1, 3).await;
            moved(&recorded, names::BYTES_FREED).await;

            let mut open = backend.begin().await;
            Postgres::append(&mut open, &event("open", 4)).await.unwrap();
            write(&backend, &["later", "never"], 5, 5).await;
            for metric in [names::OLDEST_HOLE, names::EVENTS_RETRIED, names::EVENTS_PARKED, names::SEGMENTS_KEPT] {
                moved(&recorded, metric).await;
            }
            eventually(
                "the dead letter",
                async || backend.ask("SELECT max(event_key) FROM outbox_dead_letter").await,
                |key| key.as_deref() == Some("never"),
            )
            .await;
            relay.observer().observe().await;
            moved(&recorded, names::PARKED_KEYS).await;
            store.break_connections();
            moved(&recorded, names::CLEANUP_TROUBLE).await;
            steal(&backend).await;
            moved(&recorded, names::LEASES_LOST).await;
            open.rollback().await.unwrap();
            within("the relay to stop", relay.stop()).await.unwrap();

            for metric in names::ALL {
                assert!(recorded.largest(metric.name) > 0.0, "{} is told of and never recorded", metric.name);
            }
            for (written, series) in recorded.all() {
                let metric = names::ALL.iter().find(|metric| metric.name == series.name);
                assert_eq!(
                    metric.map(|metric| metric.labels.to_vec()),
                    Some(series.labels.iter().map(String::as_str).collect()),
                    "{written}"
                );
            }
        });
    }

    #[test]
    fn what_blocks_cleanup_shows_and_goes() {
        recorded(|recorded| async move {
            let backend = Postgres::create().await;
            let retention = Retention {
                keep: Duration::ZERO,
                every: Duration::from_millis(20),
                // Whatever is written is enough for another segment.
                segment_bytes: 1,
                ..Retention::default()
            };
            let kept = |reason: &str| recorded.value(&format!("outbox_cleanup_segments_kept{{reason=\"{reason}\"}}"));
            let sink = Sink::scripted(|delivery| match &*delivery.event.key {
                "never" => reject("no"),
                _ => Answer::Published,
            });
            let relay =
                |sink| Relay::builder(backend.store()).retention(retention.clone()).subscription(blocking(sink));
            let blocked = relay(sink.clone()).start().await.unwrap();
            write(&backend, &["never", "a"], 1, 1).await;
            eventually("an owed event to keep its segment", async || kept("owed"), |kept| *kept == Some(1.0)).await;
            within("the relay to stop", blocked.stop()).await.unwrap();

            let mended = relay(sink.with_script(|_| Answer::Published)).start().await.unwrap();
            moved(&recorded, names::SEGMENTS_EMPTIED).await;
            eventually("nothing to be kept", async || kept("owed"), |kept| *kept == Some(0.0)).await;
            mended.observer().observe().await;
            assert_eq!(recorded.value(&format!("outbox_lag_events{{subscription=\"{SUBSCRIPTION}\"}}")), Some(0.0));
            within("the relay to stop", mended.stop()).await.unwrap();
        });
    }
}
