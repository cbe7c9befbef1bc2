//! How far subscriptions are behind, for somebody who asks again and again.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use outbox_core::Store;
use outbox_core::status::{Backlog, Glance};

use super::log::{SUBSCRIPTION, drain, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::{Sink, reject};
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

async fn backlog<B: Backend>(backend: &B) -> Backlog {
    let glance = backend.store().glance(&[SUBSCRIPTION.to_owned()]).await.unwrap();
    let [backlog] = &glance.backlogs[..] else { panic!("one subscription was asked for: {glance:?}") };
    backlog.clone()
}

pub async fn lag_falls_to_zero<B: Backend>(backend: &B) {
    let asked = [SUBSCRIPTION.to_owned()];
    assert_eq!(backend.store().glance(&asked).await.unwrap().backlogs, [], "it has not run yet");
    write(backend, &["a", "b"], 1, 5).await;
    drain(relay(backend.store()).subscription(subscription(Sink::new()))).await.unwrap();
    let done = Backlog {
        subscription: SUBSCRIPTION.into(),
        events: Some(0),
        seconds: Some(0.0),
        parked_keys: 0,
        parked_events: 0,
    };
    assert_eq!(backlog(backend).await, done);
    write(backend, &["a"], 6, 8).await;
    let behind = backlog(backend).await;
    assert!(behind.events == Some(3) && behind.seconds > Some(0.0), "{behind:?}");
    let running = relay(backend.store()).subscription(subscription(Sink::new())).start().await.unwrap();
    eventually("the lag to fall", async || backlog(backend).await, |seen| *seen == done).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(backend.store().glance(&["other".to_owned()]).await.unwrap().backlogs, [], "another is not asked for");
}

pub async fn a_glance_says_what_the_status_says<B: Backend>(backend: &B) {
    write(backend, &["good", "bad"], 1, 3).await;
    let sink = Sink::scripted(|delivery| match &*delivery.event.key {
        "bad" => reject("never"),
        _ => outbox_core::publisher::Answer::Published,
    });
    drain(relay(backend.store()).subscription(subscription(sink))).await.unwrap();
    write(backend, &["later"], 4, 4).await;
    let asked = [SUBSCRIPTION.to_owned()];
    let status = Glance::of(backend.store().status().await.unwrap(), &asked);
    let glance = backend.store().glance(&asked).await.unwrap();
    let ageless = |glance: &Glance| {
        glance.backlogs.iter().map(|each| Backlog { seconds: None, ..each.clone() }).collect::<Vec<_>>()
    };
    assert_eq!(ageless(&glance), ageless(&status));
    let [Backlog { events: Some(1), seconds: Some(seconds), parked_keys: 1, parked_events: 3, .. }] =
        glance.backlogs[..]
    else {
        panic!("{glance:?}")
    };
    assert!(status.backlogs[0].seconds <= Some(seconds), "the same event, looked at later");
}

pub async fn a_long_backlog_is_estimated_and_its_age_known(backend: &Postgres) {
    drain(relay(backend.store()).subscription(subscription(Sink::new()))).await.unwrap();
    let insert = "INSERT INTO outbox_event (topic, event_key, payload, occurred_at)
        SELECT 'a', n, '{}', clock_timestamp() - interval '1 hour' FROM generate_series(1, 9000) n";
    backend.admin(insert).await;
    assert_eq!(backlog(backend).await.events, Some(9000), "so many are counted");
    backend.admin(&format!("BEGIN; {insert}; ROLLBACK; {insert}")).await;
    let status = Glance::of(backend.store().status().await.unwrap(), &[SUBSCRIPTION.to_owned()]);
    assert_eq!(status.backlogs[0].events, Some(18_000));
    let Backlog { events: Some(events), seconds: Some(seconds), .. } = backlog(backend).await else {
        panic!("both are known")
    };
    assert!((18_000..=27_000).contains(&events), "{events} of 18,000, and 9,000 positions of nothing");
    assert!((3600.0..7200.0).contains(&seconds), "{seconds}");

    // The same, had all of it been read and none acknowledged.
    let read = "UPDATE outbox_checkpoint SET position = 27001, open_positions = '{[1,27000]}'";
    backend.admin(read).await;
    assert_eq!(backlog(backend).await.events, Some(27_000));
    backend.admin("UPDATE outbox_checkpoint SET open_positions = '{[1,9000]}'").await;
    assert_eq!(backlog(backend).await.events, Some(9000));
}
