//! Context: what is said once holds for every event of a transaction, and for no other.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use outbox_core::envelope::CloudEvents;
use outbox_core::{Context, Event, NewEvent, Outbox};
use outbox_relay::Outcome;
use serde::Serialize;
use sqlx::Connection;

use super::adapter::Adapter;
use super::log::{drain, event, events, only_event, relay, subscription};
use super::sink::Sink;
use super::{Order, SqlBackend};

/// A row that says nothing of a tenant.
#[derive(Serialize, Outbox)]
#[outbox(table = "parcels", topic = "shop.parcels")]
struct Parcel {
    #[outbox(key)]
    id: u32,
    sent: bool,
}

const HEADERS: &str = r#"{"causationid":"request-1","correlationid":"case-7","region":"eu"}"#;

fn context() -> Context {
    let ids = Context::new().correlation_id("case-7").causation_id("request-1");
    ids.tenant("acme").actor("ann").header("region", "eu")
}

fn under<B: SqlBackend>(context: Context) -> B::Adapter {
    B::Adapter::default().with_context(context)
}

/// What an event carries of a context.
fn carried(event: &Event) -> [Option<&str>; 3] {
    [event.tenant_id.as_deref(), event.actor.as_deref(), event.headers.as_deref()]
}

pub async fn a_context_lands_on_every_event_of_its_transaction<B: SqlBackend>(backend: &B) {
    let outbox = under::<B>(context());
    let (new, sent) = (Parcel { id: 7, sent: false }, Parcel { id: 7, sent: true });
    let mut tx = backend.begin().await;
    outbox.append(&mut tx, &event("one", 1)).await.unwrap();
    outbox.append_all(&mut tx, &[event("two", 2)]).await.unwrap();
    let many: Vec<_> = (0..300).map(|n| event("many", n)).collect();
    outbox.append_all(&mut tx, &many).await.unwrap();
    for (before, after) in [(None, Some(&new)), (Some(&new), Some(&sent)), (Some(&sent), None)] {
        outbox.change(&mut tx, before, after).await.unwrap().unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = backend.begin().await;
    B::append(&mut tx, &event("another transaction", 1)).await.unwrap();
    tx.commit().await.unwrap();

    let mut stored = events(backend).await;
    assert_eq!(carried(&stored.pop().unwrap()), [None; 3]);
    assert_eq!(stored.len(), 305);
    for event in &stored {
        assert_eq!(carried(event), [Some("acme"), Some("ann"), Some(HEADERS)], "{}", event.key);
    }
}

pub async fn a_context_reaches_into_savepoints<B: SqlBackend>(backend: &B) {
    let outbox = under::<B>(context());
    let mut tx = backend.begin().await;
    let mut kept = tx.begin().await.unwrap();
    outbox.append(&mut kept, &event("kept", 1)).await.unwrap();
    let mut undone = kept.begin().await.unwrap();
    outbox.append(&mut undone, &event("undone", 2)).await.unwrap();
    undone.rollback().await.unwrap();
    let mut inner = kept.begin().await.unwrap();
    outbox.append(&mut inner, &event("inner", 3)).await.unwrap();
    inner.commit().await.unwrap();
    kept.commit().await.unwrap();
    outbox.append(&mut tx, &event("after", 4)).await.unwrap();
    tx.commit().await.unwrap();

    let stored = events(backend).await;
    assert_eq!(stored.iter().map(|event| event.key.as_str()).collect::<Vec<_>>(), ["kept", "inner", "after"]);
    for event in &stored {
        assert_eq!(carried(event), [Some("acme"), Some("ann"), Some(HEADERS)], "{}", event.key);
    }
}

pub async fn what_an_event_says_itself_stands<B: SqlBackend>(backend: &B) {
    let outbox = under::<B>(Context::new().tenant("replaced").header("gone", "1"));
    let outbox = outbox.with_context(context());
    let own = NewEvent {
        tenant_id: Some("other".into()),
        headers: Some(r#"{"region":"us","n":1.10}"#.into()),
        ..event("own", 1)
    };
    let order = Order { id: "o-7".into(), tenant: "of the row".into(), total: 1 };
    let mut tx = backend.begin().await;
    outbox.append(&mut tx, &own).await.unwrap();
    outbox.append_all(&mut tx, std::slice::from_ref(&own)).await.unwrap();
    outbox.change(&mut tx, None, Some(&order)).await.unwrap();
    tx.commit().await.unwrap();

    let stored = events(backend).await;
    let merged = r#"{"region":"us","n":1.10,"causationid":"request-1","correlationid":"case-7"}"#;
    for event in &stored[..2] {
        assert_eq!(carried(event), [Some("other"), Some("ann"), Some(merged)]);
    }
    assert_eq!(carried(&stored[2]), [Some("of the row"), Some("ann"), Some(HEADERS)]);
}

pub async fn two_contexts_at_once_do_not_mix<B: SqlBackend>(backend: &B) {
    let work = async |tenant: &'static str| {
        let outbox = under::<B>(Context::new().tenant(tenant).header("of", tenant));
        for n in 0..40 {
            let mut tx = backend.begin().await;
            outbox.append(&mut tx, &event(tenant, n)).await.unwrap();
            tokio::task::yield_now().await;
            outbox.append(&mut tx, &event(tenant, n)).await.unwrap();
            tx.commit().await.unwrap();
        }
    };
    tokio::join!(work("acme"), work("umbrella"));

    let stored = events(backend).await;
    assert_eq!(stored.len(), 160);
    for event in &stored {
        assert_eq!(event.tenant_id.as_ref(), Some(&event.key));
        assert_eq!(event.header("of").as_ref(), Some(&event.key));
    }
}

/// They are kept as they are; the relay sets the event aside and goes on with every other key.
pub async fn headers_that_are_no_object_harm_no_transaction<B: SqlBackend>(backend: &B) {
    let outbox = under::<B>(context());
    let broken = NewEvent { headers: Some("region: eu".into()), ..event("broken", 1) };
    let mut tx = backend.begin().await;
    outbox.append(&mut tx, &broken).await.unwrap();
    outbox.append(&mut tx, &event("sound", 2)).await.unwrap();
    tx.commit().await.unwrap();

    let stored = events(backend).await;
    assert_eq!(carried(&stored[0]), [Some("acme"), Some("ann"), Some("region: eu")]);
    assert_eq!(carried(&stored[1])[2], Some(HEADERS));
    let folder = tempfile::tempdir().unwrap();
    let file = outbox_relay::publisher::File::new(folder.path().join("out.jsonl"));
    let outcome = drain(relay(backend.store()).subscription(subscription(file))).await.unwrap();
    assert_eq!(outcome, Outcome { blocked: 1 });
    let reason = backend.ask("SELECT reason FROM outbox_dead_letter WHERE position = 1").await.unwrap();
    assert!(reason.contains("headers are not a JSON object"), "{reason}");
}

pub async fn a_consumer_says_what_caused_its_event<B: SqlBackend>(backend: &B) {
    let mut tx = backend.begin().await;
    under::<B>(Context::new().correlation_id("case-7")).append(&mut tx, &event("cause", 1)).await.unwrap();
    tx.commit().await.unwrap();
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    let cause = sink.taken().remove(0);

    let mut tx = backend.begin().await;
    under::<B>(Context::new().caused_by(&cause)).append(&mut tx, &event("effect", 2)).await.unwrap();
    tx.commit().await.unwrap();
    let effect = events(backend).await.remove(1);
    assert_eq!(effect.header("causationid"), Some(cause.event_id.to_string()));
    assert_eq!(effect.header("correlationid").as_deref(), Some("case-7"));
}

/// The span in which an event is captured, not the one in which the outbox was given its context.
pub async fn the_span_of_the_moment_is_carried<B: SqlBackend>(backend: &B) {
    use opentelemetry::context::FutureExt as _;

    let span = |id: u64| {
        let span = SpanContext::new(TraceId::from(7), SpanId::from(id), TraceFlags::SAMPLED, true, TraceState::NONE);
        opentelemetry::Context::new().with_remote_span_context(span)
    };
    let outbox = under::<B>(Context::new().header("a", "1"));
    let mut tx = backend.begin().await;
    outbox.append(&mut tx, &event("append", 1)).with_context(span(1)).await.unwrap();
    outbox.append_all(&mut tx, &[event("append_all", 2)]).with_context(span(2)).await.unwrap();
    outbox.change(&mut tx, None, Some(&Parcel { id: 7, sent: false })).with_context(span(3)).await.unwrap();
    outbox.append(&mut tx, &event("outside", 4)).await.unwrap();
    tx.commit().await.unwrap();

    let stored = events(backend).await;
    for (event, id) in stored.iter().zip(1..=3) {
        let wanted = format!("00-00000000000000000000000000000007-{id:016x}-01");
        assert_eq!(event.header("traceparent"), Some(wanted), "{}", event.key);
        assert_eq!(event.header("a").as_deref(), Some("1"));
    }
    assert_eq!(stored[3].headers.as_deref(), Some(r#"{"a":"1"}"#));
}

pub async fn a_traceparent_reaches_the_published_line<B: SqlBackend>(backend: &B) {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut tx = backend.begin().await;
    under::<B>(context().traceparent(parent)).append(&mut tx, &event("k", 1)).await.unwrap();
    tx.commit().await.unwrap();

    let mut line = Vec::new();
    CloudEvents::new("/outbox/shop").write_line(&only_event(backend).await, &mut line).unwrap();
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["traceparent"], parent);
    assert_eq!((&line["tenantid"], &line["actor"]), (&"acme".into(), &"ann".into()));
}
