//! The tables and what is said when something is wrong with them.

use outbox_core::checkpoint::Checkpoint;
use outbox_core::doctor::Verdict;
use outbox_core::{Filter, Names, NewEvent, Store, StoreErrorKind};
use outbox_sqlx::{MigrateError, SqliteOutbox, SqliteStore};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use uuid::Uuid;

use crate::{Shop, numbered};

#[tokio::test]
async fn migrating_twice_changes_nothing_and_newer_tables_are_refused() {
    let shop = Shop::open().await;
    assert!(!shop.store.migrate().await.unwrap().changed());
    let database = shop.store.check().await.unwrap();
    assert_eq!((database.kind, database.name.as_str()), ("sqlite", "shop"));
    assert!(Uuid::parse_str(&database.instance).is_ok());
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(mode, "wal");

    shop.run("UPDATE outbox_meta SET value = '99' WHERE name = 'schema_version'").await;
    assert!(matches!(shop.store.migrate().await, Err(MigrateError::Newer { found, known: 1 }) if found == "99"));
    assert_eq!(shop.store.check().await.unwrap_err().kind(), StoreErrorKind::Precondition);
}

#[tokio::test]
async fn tables_of_the_first_revision_are_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("old.db")).create_if_missing(true);
    let mut connection = options.clone().connect().await.unwrap();
    sqlx::raw_sql(outbox_core::sql::sqlite::MIGRATE).execute(&mut connection).await.unwrap();
    let store = SqliteStore::from_options(options, Names::default()).unwrap();
    let error = store.check().await.unwrap_err();
    assert!(error.to_string().contains("revision 1"), "{error}");
    assert!(store.migrate().await.unwrap().changed());
    assert!(!store.migrate().await.unwrap().changed());
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_written_to_is_noticed_before_a_relay_runs() {
    let shop = Shop::open().await;
    let options = SqliteConnectOptions::new().filename(shop.file()).read_only(true);
    let store = SqliteStore::from_options(options, Names::default()).unwrap();
    assert!(store.check().await.unwrap_err().to_string().contains("read-only"));
    let findings = store.examine().await.unwrap();
    let failed: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Failed).collect();
    assert_eq!(failed.len(), 1, "{findings:?}");
    assert_eq!((failed[0].check.as_str(), failed[0].found.as_str()), ("writable", "the database is read-only"));
    assert!(failed[0].remedy.as_ref().unwrap().starts_with("give the relay write access"));
}

#[tokio::test]
async fn everything_works_under_another_prefix() {
    let names = Names::new(None, Some("ob_")).unwrap();
    let shop = Shop::named(names.clone()).await;
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let outbox = SqliteOutbox::with_names(names);
    outbox.append_all(&mut tx, &numbered(300)).await.unwrap();
    outbox.append(&mut tx, &NewEvent::new("t", "k")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shop.all().await.len(), 301);
    shop.store.check().await.unwrap();
    let mut source = shop.store.source(&Filter::default()).await.unwrap();
    assert_eq!(source.last_position().await.unwrap(), 301);
    let mut checkpoints = shop.store.checkpoints().await.unwrap();
    checkpoints.create("s", 1, &Checkpoint { position: 300, ..Checkpoint::default() }).await.unwrap();
    let status = shop.store.status().await.unwrap();
    assert_eq!(status.subscriptions[0].lag_events, Some(1));
    assert!(status.log.bytes.unwrap() > 0);
}

#[tokio::test]
async fn what_must_be_changed_by_a_person_is_said_at_once() {
    let kind = |url: &str| SqliteStore::new(url, Names::default()).map(|_| ()).map_err(|error| error.kind());
    for url in ["sqlite::memory:", "sqlite:x.db?mode=memory", "sqlite:x.db?mood=rw", "sqlite:"] {
        assert_eq!(kind(url), Err(StoreErrorKind::Precondition), "{url}");
    }
    for url in ["sqlite:x.db", "sqlite://x.db", "sqlite:/tmp/x.db?mode=rwc", "sqlite:x.db?mode=ro"] {
        assert_eq!(kind(url), Ok(()), "{url}");
    }
    assert!(SqliteStore::new("sqlite:x.db", Names::new(Some("shop"), None).unwrap()).is_err());

    let folder = tempfile::tempdir().unwrap();
    let check = async |name: &str| {
        let url = format!("sqlite:{}", folder.path().join(name).display());
        let error = SqliteStore::new(&url, Names::default()).unwrap().check().await.unwrap_err();
        (error.kind(), error.to_string())
    };
    let said = async |name: &str, words: &str| {
        let (kind, text) = check(name).await;
        assert!(kind == StoreErrorKind::Precondition && text.contains(words), "{name}: {kind:?} {text}");
    };
    said("missing.db", "outbox-relay migrate").await;
    assert!(!folder.path().join("missing.db").exists());
    std::fs::write(folder.path().join("text.db"), "hello, this is no database ".repeat(100)).unwrap();
    said("text.db", "not an SQLite database").await;
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    said("empty.db", "outbox-relay migrate").await;

    let shop = Shop::open().await;
    shop.run("CREATE TABLE copy AS SELECT * FROM outbox_event; DROP TABLE outbox_event; ALTER TABLE copy RENAME TO outbox_event")
        .await;
    let error = shop.store.check().await.unwrap_err();
    assert!(error.kind() == StoreErrorKind::Precondition && error.to_string().contains("AUTOINCREMENT"), "{error}");
}
