//! The outbox on SQLite, each test on a file of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capture;
mod checkpoint;
mod doctor;
mod lease;
mod source;
mod status;
mod store;
#[cfg(all(feature = "chrono", feature = "decimal", feature = "json"))]
mod types;

use std::time::Duration;

use outbox_core::lease::{RelayIdentity, Renewal, Report};
use outbox_core::source::{Evidence, Read, ReadRequest, Row, Source};
use outbox_core::{Event, Filter, Names, NewEvent, Position, Store};
use outbox_sqlx::{SqliteOutbox, SqliteStore};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;
use uuid::Uuid;

struct Shop {
    folder: TempDir,
    store: SqliteStore,
    pool: SqlitePool,
}

impl Shop {
    async fn open() -> Self {
        Self::named(Names::default()).await
    }

    async fn named(names: Names) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("shop.db"));
        let store = SqliteStore::from_options(options.clone(), names).unwrap();
        assert!(store.migrate().await.unwrap().changed());
        // Writers of a test wait for one another, however slow the disk.
        let pool = SqlitePool::connect_with(options.busy_timeout(Duration::from_mins(1))).await.unwrap();
        Self { folder, store, pool }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("shop.db")
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn append(&self, events: &[NewEvent<'_>]) -> Vec<Uuid> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let ids = SqliteOutbox::new().append_all(&mut tx, events).await.unwrap();
        tx.commit().await.unwrap();
        ids
    }

    async fn all(&self) -> Vec<Row> {
        read(&mut *self.store.source(&Filter::default()).await.unwrap(), &everything()).await.rows
    }

    async fn only(&self) -> Row {
        let mut rows = self.all().await;
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }
}

fn everything() -> ReadRequest {
    ReadRequest { max_events: 10_000, ..ReadRequest::above(0) }
}

async fn read(source: &mut dyn Source, request: &ReadRequest) -> Read {
    let read = source.read(request).await.unwrap();
    assert!(matches!(read.evidence, Evidence::CommitOrder));
    read
}

fn positions(rows: &[Row]) -> Vec<Position> {
    rows.iter().map(Row::position).collect()
}

fn event(row: &Row) -> &Event {
    match row {
        Row::Event(event) => event,
        other => panic!("no event: {other:?}"),
    }
}

fn numbered(count: usize) -> Vec<NewEvent<'static>> {
    (1..=count).map(|n| NewEvent::new("shop.orders", format!("o-{}", n % 7)).json(format!(r#"{{"n":{n}}}"#))).collect()
}

fn relay(name: &str) -> RelayIdentity {
    RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: name.to_owned(),
        host: "host-a".to_owned(),
        process_id: 7,
        process_started: "boot+5".to_owned(),
    }
}

/// A renewal of the first partition's lease.
fn renewal(subscription: &str, epoch: i64, report: Report) -> Renewal {
    Renewal { subscription: subscription.to_owned(), partition: 0, epoch, report }
}
