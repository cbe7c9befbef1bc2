//! What is answered to which request.

use std::sync::OnceLock;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use outbox_core::Clock as _;
use outbox_relay::{Complaint, Health, Observer, SystemClock};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use crate::settings::Token;

/// How long a reader of metrics waits for the database, at most.
const OBSERVING: Duration = Duration::from_secs(1);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Prometheus' text format.
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// A whole answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// What the pages are made from.
pub(super) struct Pages {
    recorded: PrometheusHandle,
    token: Option<Token>,
    /// The relay, once it has started.
    relay: OnceLock<(Health, Observer)>,
}

impl Pages {
    pub(super) fn new(recorded: PrometheusHandle, token: Option<Token>) -> Self {
        Self { recorded, token, relay: OnceLock::new() }
    }

    /// Tells of a relay from now on.
    pub(super) fn show(&self, health: Health, observer: Observer) {
        self.relay.get_or_init(|| (health, observer));
    }

    /// Answers a request.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        if !self.is_allowed(request) {
            let text = "this needs the header `Authorization: Bearer TOKEN`, with the token of the relay's settings\n";
            return with(answer(StatusCode::UNAUTHORIZED, TEXT, text), WWW_AUTHENTICATE, "Bearer");
        }
        let path = request.uri().path();
        if !["/metrics", "/healthz", "/readyz"].contains(&path) {
            return answer(StatusCode::NOT_FOUND, TEXT, "there are /metrics, /healthz and /readyz\n");
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let refused = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this can be read, and nothing else\n");
            return with(refused, ALLOW, "GET, HEAD");
        }
        match path {
            "/healthz" => state("healthy", &self.relay.get().map(|(health, _)| health.dead()).unwrap_or_default()),
            "/readyz" => state("ready", &self.relay.get().map_or_else(|| vec![STARTING], |(health, _)| health.idle())),
            _ => self.metrics().await,
        }
    }

    fn is_allowed<B>(&self, request: &Request<B>) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let (scheme, shown) = shown.split_at_checked("Bearer ".len()).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(shown.ct_eq(token.as_bytes()))
    }

    async fn metrics(&self) -> Answer {
        if let Some((_, observer)) = self.relay.get() {
            let observer = observer.clone();
            // A task of its own: the database's answer is welcome later, too.
            let observing = tokio::spawn(async move { observer.observe().await });
            tokio::select! {
                _ = observing => {}
                () = SystemClock.sleep(OBSERVING) => {}
            }
        }
        answer(StatusCode::OK, EXPOSITION, self.recorded.render())
    }
}

/// Until the database was looked at.
const STARTING: Complaint = Complaint { subscription: None, reason: "the relay is starting" };

/// A state in one word that JSON says whether it holds, and what stands against it.
fn state(word: &str, against: &[Complaint]) -> Answer {
    if against.is_empty() {
        return answer(StatusCode::OK, JSON, format!("{}\n", json!({ word: true })));
    }
    let reasons: Vec<_> =
        against.iter().map(|each| json!({ "subscription": each.subscription, "reason": each.reason })).collect();
    answer(StatusCode::SERVICE_UNAVAILABLE, JSON, format!("{}\n", json!({ word: false, "reasons": reasons })))
}

fn answer(status: StatusCode, kind: HeaderValue, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn with(mut answer: Answer, name: hyper::header::HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
