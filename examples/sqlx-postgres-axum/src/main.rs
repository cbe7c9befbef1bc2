//! Runs the service, and in the same process the relay that publishes its events to standard output.

use anyhow::{Context as _, Result};
use axum::middleware::map_response;
use axum::response::Response;
use outbox_relay::{Relay, Subscription, publisher};
use outbox_sqlx::{Names, PgOutbox, PgStore};
use sqlx::PgPool;
use sqlx_postgres_axum::order::TABLE;
use sqlx_postgres_axum::service::{Shop, router};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let url = std::env::var("DATABASE_URL")
        .context("DATABASE_URL is not set: write DATABASE_URL=postgres://user@localhost/shop before the command")?;

    let store = PgStore::new(&url, Names::default())?;
    store.migrate(8).await?;
    let pool = PgPool::connect(&url).await?;
    sqlx::query(TABLE).execute(&pool).await?;

    let relay = Relay::builder(store)
        .name("shop")
        .subscription(Subscription::new("terminal", publisher::Stdout::new()))
        .start()
        .await?;

    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    // By the time there is a response its request has committed, or rolled back: the relay reads at once.
    let waker = relay.waker();
    let woken = map_response(move |response: Response| {
        waker.wake();
        std::future::ready(response)
    });
    let service = router(Shop { pool, outbox: PgOutbox::new() }).layer(woken);
    axum::serve(listener, service).with_graceful_shutdown(stopped()).await?;

    // The requests have ended; the relay finishes what is in flight, and the rest waits in the outbox.
    relay.stop().await?;
    Ok(())
}

/// Returns at Ctrl-C.
async fn stopped() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
