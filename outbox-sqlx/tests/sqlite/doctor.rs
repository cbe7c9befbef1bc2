//! What `doctor` finds where something is wrong with a file.

use outbox_core::doctor::{Finding, Verdict};
use outbox_core::{NewEvent, Store};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};

use crate::Shop;

async fn finding(shop: &Shop, check: &str) -> Finding {
    shop.store.examine().await.unwrap().into_iter().find(|finding| finding.check == check).unwrap()
}

#[tokio::test]
async fn a_write_ahead_log_that_grows_behind_a_reader_is_told() {
    let shop = Shop::open().await;
    assert_eq!(finding(&shop, "write-ahead log").await.verdict, Verdict::Ok);
    let mut reader = shop.pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM outbox_event").fetch_one(&mut *reader).await.unwrap();
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    for _ in 0..13 {
        let events: Vec<_> = (0..5).map(|_| NewEvent::new("t", "k").json(large.as_str())).collect();
        shop.append(&events).await;
    }
    let told = finding(&shop, "write-ahead log").await;
    assert_eq!(told.verdict, Verdict::Warning);
    let mebibytes: u32 = told.found.strip_suffix(" MiB").unwrap().parse().unwrap();
    assert!(mebibytes >= 65, "{}", told.found);
    assert!(told.remedy.unwrap().contains("end it"));
    reader.rollback().await.unwrap();
}

#[tokio::test]
async fn what_the_last_cleanup_met_is_told_with_what_to_do() {
    let shop = Shop::open().await;
    assert_eq!(finding(&shop, "emptying").await.verdict, Verdict::Ok);
    shop.store.cleaner().await.unwrap().unwrap().note(Some("`billing` is at position 7 only")).await.unwrap();
    let told = finding(&shop, "emptying").await;
    assert_eq!((told.verdict, told.found.as_str()), (Verdict::Warning, "`billing` is at position 7 only"));
    assert!(told.remedy.unwrap().contains("outbox-relay cleanup"));
    let status = shop.store.status().await.unwrap();
    assert!(status.log.segments[0].remedy.is_some(), "`why` says it too");
}

#[tokio::test]
async fn a_journal_that_keeps_readers_and_writers_waiting_is_told() {
    let shop = Shop::open().await;
    assert_eq!(finding(&shop, "journal").await.verdict, Verdict::Ok);
    shop.pool.close().await;
    let options = SqliteConnectOptions::new().filename(shop.file()).journal_mode(SqliteJournalMode::Delete);
    options.connect().await.unwrap().close().await.unwrap();
    let told = finding(&shop, "journal").await;
    assert_eq!((told.verdict, told.found.as_str()), (Verdict::Warning, "journal_mode = delete"));
    assert!(told.remedy.unwrap().starts_with("PRAGMA journal_mode = WAL"));
}
