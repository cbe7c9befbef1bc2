//! The service on a database of its own, asked over its routes, judged by what its relay publishes.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use outbox_core::Event;
use outbox_relay::publisher::closure;
use outbox_relay::{Relay, RunningRelay, Subscription};
use outbox_sqlx::{Names, PgOutbox, PgStore};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use sqlx_postgres_axum::order::TABLE;
use sqlx_postgres_axum::service::{Shop, router};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower::ServiceExt;
use uuid::Uuid;

/// The service, its relay, and what that published.
struct Running {
    service: Router,
    relay: RunningRelay,
    published: UnboundedReceiver<Event>,
}

impl Running {
    async fn start() -> Self {
        let url = std::env::var("OUTBOX_TEST_POSTGRES_URL").expect("no server: run `cargo xtask test`");
        let server: PgConnectOptions = url.parse().unwrap();
        let database = format!("service_{}", Uuid::now_v7().simple());
        let create = AssertSqlSafe(format!("CREATE DATABASE {database}"));
        sqlx::query(create).execute(&mut server.connect().await.unwrap()).await.unwrap();
        let options = server.database(&database);

        let store = PgStore::from_options(options.clone(), Names::default());
        store.migrate(8).await.unwrap();
        let pool = PgPool::connect_with(options).await.unwrap();
        sqlx::query(TABLE).execute(&pool).await.unwrap();
        let (sender, published) = unbounded_channel();
        let to_test = closure(move |event| std::future::ready(sender.send(event)));
        let relay = Relay::builder(store).subscription(Subscription::new("test", to_test)).start().await.unwrap();
        Self { service: router(Shop { pool, outbox: PgOutbox::new() }), relay, published }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.header("x-shop", "north").header("x-user", "ann").header("x-request-id", "r-1");
        let response = self.service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn next(&mut self) -> Event {
        self.published.recv().await.unwrap()
    }
}

fn payload(event: &Event) -> Value {
    serde_json::from_slice(event.payload.as_ref().unwrap().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_request_is_one_transaction_and_its_events_say_who_asked() {
    let mut running = Running::start().await;
    let (status, order) = running.ask("POST", "/orders", json!({"item": "tea", "quantity": 2})).await;
    assert_eq!(status, StatusCode::CREATED);
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    assert_eq!(running.ask("PATCH", &path, json!({"quantity": 5})).await.0, StatusCode::OK);
    assert_eq!(running.ask("POST", &format!("{path}/shipment"), json!(null)).await.0, StatusCode::OK);
    // Refused after the row was locked and read: rolled back, so no event tells of it.
    assert_eq!(running.ask("POST", &format!("{path}/shipment"), json!(null)).await.0, StatusCode::CONFLICT);
    assert_eq!(running.ask("DELETE", &path, json!(null)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(running.ask("DELETE", &path, json!(null)).await.0, StatusCode::NOT_FOUND);

    let mut kinds = Vec::new();
    for _ in 0..5 {
        let event = running.next().await;
        assert_eq!(event.key, order["id"].as_str().unwrap());
        assert_eq!((event.tenant_id.as_deref(), event.actor.as_deref()), (Some("north"), Some("ann")));
        let headers: Value = serde_json::from_str(event.headers.as_deref().unwrap()).unwrap();
        assert_eq!(headers["correlationid"], "r-1");
        kinds
            .push(event.operation.map_or_else(|| event.event_type.clone().unwrap(), |operation| operation.to_string()));
        if kinds.len() == 2 {
            assert_eq!(payload(&event)["quantity"], 5);
        }
    }
    assert_eq!(kinds, ["insert", "update", "update", "Shipped", "delete"]);
    running.relay.stop().await.unwrap();
    assert!(running.published.recv().await.is_none(), "nothing else was published");
}

#[tokio::test]
async fn a_caller_that_says_nothing_of_itself_is_refused() {
    let running = Running::start().await;
    let request = Request::post("/orders").header("content-type", "application/json");
    let request = request.body(Body::from(r#"{"item":"tea","quantity":2}"#)).unwrap();
    let response = running.service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    running.relay.stop().await.unwrap();
}
