//! SQLite as a file, which someone replaces by an older copy, or has put something of his own in.

use std::fs;
use std::time::Duration;

use outbox_core::{Names, Store, StoreErrorKind};
use outbox_relay::cleanup::clean;
use outbox_sqlx::{MigrateError, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;

use super::cleanup::{NOTHING, at_once, left, pass, reasons};
use super::continuity::is_continuity;
use super::interposed::Interposed;
use super::log::{drain, numbered, relay, subscription, write};
use super::mending::signature;
use super::sink::Sink;
use super::sqlite::Sqlite;
use super::waiting::within;
use super::{Backend, SqlBackend};

/// Puts an older copy in the place of the file, as a restore does.
fn restore(backend: &Sqlite, copy: &str) {
    let file = backend.file();
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", file.display()));
    }
    fs::rename(file.with_file_name(copy), &file).unwrap();
}

async fn copy(backend: &Sqlite, name: &str) {
    backend.admin(&format!("VACUUM INTO '{}'", backend.file().with_file_name(name).display())).await;
}

/// A relay at work notices, at its next connection, that the file is an older one.
pub async fn a_file_replaced_by_an_older_copy_stops_the_relay(backend: &Sqlite) {
    write(backend, &["k"], 1, 3).await;
    copy(backend, "older.db").await;
    let (sink, store) = (Sink::new(), Interposed::new(backend.store()));
    let running = relay(store.clone()).lease(Duration::from_secs(1)).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    write(backend, &["k"], 4, 5).await;
    sink.until_taken(5).await;
    restore(backend, "older.db");
    store.break_connections();
    is_continuity(within("the relay to end", running.wait()).await);
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 5));
}

/// The same while nothing breaks the connections, which go on with a file that has no name any more.
pub async fn a_file_that_is_replaced_unseen_stops_the_relay(backend: &Sqlite) {
    write(backend, &["k"], 1, 3).await;
    copy(backend, "older.db").await;
    let sink = Sink::new();
    let running = relay(backend.store()).lease(Duration::from_secs(1)).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    write(backend, &["k"], 4, 5).await;
    sink.until_taken(5).await;
    restore(backend, "older.db");
    is_continuity(within("the relay to end", running.wait()).await);
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 5));
}

/// A copy beside the original publishes nothing until somebody says that it is meant to.
pub async fn a_copied_file_is_refused_until_it_is_adopted(backend: &Sqlite) {
    let sink = Sink::new();
    write(backend, &["k"], 1, 3).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    write(backend, &["k"], 4, 4).await;
    copy(backend, "copy.db").await;
    let copied = at(backend, "copy.db");
    is_continuity(drain(relay(copied.clone()).subscription(subscription(sink.clone()))).await);
    assert_eq!(sink.taken().len(), 3, "a copy publishes nothing");
    let adoption = copied.mender().await.unwrap().unwrap().adopt(true, &signature()).await.unwrap();
    assert!(adoption.before[0].ends_with("/shop.db") && adoption.address.ends_with("/copy.db"), "{adoption:?}");
    for store in [copied, backend.store()] {
        drain(relay(store).subscription(subscription(sink.clone()))).await.unwrap();
    }
    assert_eq!(sink.positions(), [1, 2, 3, 4, 4]);
}

/// A file keeps what it is under another name.
pub async fn a_renamed_file_is_the_same(backend: &Sqlite) {
    let sink = Sink::new();
    write(backend, &["k"], 1, 3).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    backend.close().await;
    for ending in ["", "-wal", "-shm"] {
        let name = |name: &str| backend.file().with_file_name(format!("{name}{ending}"));
        let _ = fs::rename(name("shop.db"), name("renamed.db"));
    }
    let renamed = at(backend, "renamed.db");
    drain(relay(renamed).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.taken().len(), 3);
}

fn at(backend: &Sqlite, name: &str) -> SqliteStore {
    let options = SqliteConnectOptions::new().filename(backend.file().with_file_name(name));
    SqliteStore::from_options(options, Names::default()).unwrap()
}

/// Log and checkpoint went back together: a relay that starts anew loses nothing and repeats what came after the copy.
pub async fn a_whole_older_copy_loses_nothing(backend: &Sqlite) {
    let sink = Sink::new();
    write(backend, &["k"], 1, 3).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    write(backend, &["k"], 4, 4).await;
    copy(backend, "older.db").await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    backend.close().await;
    restore(backend, "older.db");
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions(), [1, 2, 3, 4, 4]);
}

/// Somebody else's table of the log's name is left as it is, whatever it is.
pub async fn a_strangers_table_in_the_file_is_refused_and_left_alone(backend: &Sqlite) {
    for (prefix, table, says) in [
        (
            "t_",
            "CREATE TABLE t_event (id INTEGER PRIMARY KEY AUTOINCREMENT, position INTEGER)",
            "lacks the columns event_id, topic",
        ),
        ("v_", "CREATE VIEW v_event AS SELECT 1 AS position", "outbox-relay migrate"),
        ("m_", "CREATE TABLE m_meta (id INTEGER, what TEXT)", ""),
    ] {
        backend.admin(table).await;
        let before = backend.ask(Sqlite::TABLES).await;
        let options = SqliteConnectOptions::new().filename(backend.file());
        let store = SqliteStore::from_options(options, Names::new(None, Some(prefix)).unwrap()).unwrap();
        let Err(MigrateError::Store(error)) = store.migrate().await else { panic!("{table} was taken over") };
        assert_eq!(error.kind(), StoreErrorKind::Precondition, "{error}");
        assert_eq!(backend.ask(Sqlite::TABLES).await, before, "{table}");
        let error = store.check().await.unwrap_err();
        assert!(error.kind() == StoreErrorKind::Precondition && error.to_string().contains(says), "{error}");
        let findings = store.examine().await.unwrap();
        assert!(findings[0].check == "tables" && findings[0].remedy.is_some(), "{findings:?}");
    }
}

/// A foreign key keeps what it points at, and is told.
pub async fn a_foreign_key_keeps_what_it_points_at(backend: &Sqlite) {
    write(backend, &["k"], 1, 5).await;
    drain(relay(backend.store()).subscription(subscription(Sink::new()))).await.unwrap();
    backend
        .admin("CREATE TABLE child (position INTEGER REFERENCES outbox_event (position)); INSERT INTO child VALUES (3)")
        .await;
    let report = pass(backend, &at_once()).await;
    assert_eq!((reasons(&report), left(backend).await.len()), (vec!["referenced"], 5), "{report:?}");
    assert!(report.trouble.as_ref().is_some_and(|told| told.contains("foreign key")), "{report:?}");
    backend.admin("DROP TABLE child").await;
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}

/// Later positions are drawn above it, so that nothing is buried.
pub async fn a_position_given_by_hand_moves_the_log_on(backend: &Sqlite) {
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["k"], 1, 2).await;
    backend
        .admin("INSERT INTO outbox_event (position, topic, event_key, payload) VALUES (1000, 'shop.orders', 'k', '{\"n\":3}')")
        .await;
    write(backend, &["k"], 4, 5).await;
    sink.until_taken(5).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!((sink.positions(), sink.by_key()), (vec![1, 2, 1000, 1001, 1002], numbered(&["k"], 1, 5)));
}

/// Whoever writes to the file waits for a few hundred deletes at most, and what has gone is gone when a later one fails.
pub async fn a_long_cleanup_goes_in_small_transactions(backend: &Sqlite) {
    write(backend, &["k"], 1, 1_200).await;
    drain(relay(backend.store()).subscription(subscription(Sink::new()))).await.unwrap();
    let trigger = "CREATE TRIGGER refused BEFORE DELETE ON outbox_event WHEN OLD.position = 700 \
        BEGIN SELECT RAISE(ABORT, 'the test says so'); END";
    backend.admin(trigger).await;
    let failed = clean(&backend.store(), &at_once(), false).await.unwrap_err();
    assert!(failed.to_string().contains("refused a statement"), "{failed}");
    assert_eq!(left(backend).await, (501..=1_200).collect::<Vec<_>>());
    backend.admin("DROP TRIGGER refused").await;
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}
