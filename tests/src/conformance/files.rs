//! SQLite as a file, which someone replaces by an older copy.

use std::fs;
use std::time::Duration;

use outbox_core::{Names, Store};
use outbox_sqlx::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;

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
