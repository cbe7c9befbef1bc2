//! The trace context of the span an event is captured in, with a real layer and the SDK's tracer.

#![cfg(feature = "opentelemetry")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use outbox_core::{Context, NewEvent};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// What an event captured now carries.
fn headers(context: &Context) -> serde_json::Value {
    let now = context.now();
    let event = now.stamp(NewEvent::new("t", "k"));
    event.headers.map_or(serde_json::Value::Null, |headers| serde_json::from_str(&headers).unwrap())
}

/// Runs `work` where spans are those of the SDK; `activation` is whether entering one activates its context.
fn traced(sampler: Sampler, activation: bool, work: impl FnOnce()) {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test")).with_context_activation(activation);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
}

fn remote(state: &str) -> opentelemetry::Context {
    let span = SpanContext::new(
        TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128),
        SpanId::from(0xb7ad_6b71_6920_3331_u64),
        TraceFlags::SAMPLED,
        true,
        state.parse::<TraceState>().unwrap(),
    );
    opentelemetry::Context::new().with_remote_span_context(span)
}

#[test]
fn the_current_span_is_taken() {
    for activation in [true, false] {
        traced(Sampler::AlwaysOn, activation, || {
            let span = tracing::info_span!("place order");
            span.set_parent(remote("vendor=1")).unwrap();
            let _entered = span.enter();
            let own = span.context().span().span_context().clone();
            let found = headers(&Context::new());
            assert_eq!(found["traceparent"], format!("00-{}-{}-01", own.trace_id(), own.span_id()));
            assert_eq!(found["tracestate"], "vendor=1");
            assert_eq!(own.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
            assert_ne!(own.span_id().to_string(), "b7ad6b7169203331");
        });
    }
}

#[test]
fn an_active_context_is_taken_without_tracing() {
    let _active = remote("").attach();
    let found = headers(&Context::new().header("a", "1").tracestate("of=nobody"));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(found, serde_json::json!({"a": "1", "traceparent": parent}));
}

#[test]
fn a_span_that_is_not_sampled_says_so() {
    traced(Sampler::AlwaysOff, true, || {
        let _entered = tracing::info_span!("unsampled").entered();
        let parent = headers(&Context::new())["traceparent"].as_str().unwrap().to_owned();
        assert!(parent.starts_with("00-") && parent.ends_with("-00"), "{parent}");
    });
}

#[test]
fn what_context_or_event_bring_stands() {
    traced(Sampler::AlwaysOn, true, || {
        let _entered = tracing::info_span!("inner").entered();
        let given = "00-11111111111111111111111111111111-2222222222222222-00";
        assert_eq!(headers(&Context::new().traceparent(given)), serde_json::json!({"traceparent": given}));
        let context = Context::new().traceparent("broken");
        let now = context.now();
        let own = NewEvent { headers: Some(r#"{"traceparent":"own"}"#.into()), ..NewEvent::new("t", "k") };
        assert_eq!(now.stamp(own).headers.as_deref(), Some(r#"{"traceparent":"own"}"#));
        assert_ne!(headers(&context)["traceparent"], "broken");
    });
}

#[test]
fn without_a_span_there_is_nothing() {
    assert_eq!(headers(&Context::new()), serde_json::Value::Null);
    traced(Sampler::AlwaysOn, true, || assert_eq!(headers(&Context::new()), serde_json::Value::Null));
    let subscriber = tracing_subscriber::registry();
    tracing::subscriber::with_default(subscriber, || {
        let _entered = tracing::info_span!("of nobody").entered();
        assert_eq!(headers(&Context::new().actor("ann")), serde_json::Value::Null);
    });
}
