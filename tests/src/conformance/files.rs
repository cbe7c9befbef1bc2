//! SQLite as a file, which someone replaces by an older copy.

use std::fs;
use std::time::Duration;

use super::continuity::is_continuity;
use super::interposed::Interposed;
use super::log::{drain, numbered, relay, subscription, write};
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
