//! The change log: what people and programs are shown.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use outbox_core::{Filter, NewEvent, Operation, Position};
use outbox_relay::ChangeLog;
use outbox_relay::changelog::Row;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::export::{claims, exported};
use super::interposed::Interposed;
use super::log::{event, write};
use super::postgres::Postgres;
use super::waiting::within;
use super::{Backend, Business, Order, SqlBackend};

pub(super) fn whole_log<B: Backend>(backend: &B) -> ChangeLog {
    ChangeLog::new(backend.store(), Filter::default())
}

pub(super) fn positions(rows: &[Row]) -> Vec<Position> {
    rows.iter().map(Row::position).collect()
}

/// The whole log for somebody who only looks on.
fn seen<B: Backend>(backend: &B) -> ChangeLog {
    ChangeLog::new(backend.operator(), Filter::default())
}

/// A change of a row, a domain event of another tenant, one of the first key, and a delete.
async fn write_mixed<B: Backend>(backend: &B) {
    let order = Order { id: "o".into(), tenant: "eu".into(), total: 1 };
    let mut mail = NewEvent::new("mail.sent", "m").json("1");
    mail.tenant_id = Some("us".into());
    let mut tx = backend.begin().await;
    B::change(&mut tx, None, Some(&order)).await.unwrap();
    B::append(&mut tx, &mail).await.unwrap();
    B::append(&mut tx, &NewEvent::new("shop.placed", "o").json("1")).await.unwrap();
    B::change(&mut tx, Some(&order), None).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn the_newest_come_in_order_and_pass_the_filter<B: Backend>(backend: &B) {
    write_mixed(backend).await;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let any = Filter::default;
    let cases = [
        (any(), 10, vec![1, 2, 3, 4]),
        (any(), 2, vec![3, 4]),
        (any(), 0, vec![]),
        (Filter { topics: words(&["mail.*", "shop.placed"]), ..any() }, 10, vec![2, 3]),
        (Filter { tables: words(&["orders"]), ..any() }, 10, vec![1, 4]),
        (Filter { keys: words(&["o", "x"]), ..any() }, 10, vec![1, 3, 4]),
        (Filter { keys: words(&["o"]), ..any() }, 2, vec![3, 4]),
        (Filter { tenants: words(&["us"]), ..any() }, 10, vec![2]),
        (Filter { operations: vec![Operation::Insert, Operation::Delete], ..any() }, 1, vec![4]),
        (Filter { keys: words(&["o"]), topics: words(&["shop.orders"]), ..any() }, 10, vec![1, 4]),
        (Filter { keys: words(&["O'; --"]), ..any() }, 10, vec![]),
    ];
    for (filter, count, wanted) in cases {
        let log = ChangeLog::new(backend.operator(), filter.clone());
        assert_eq!(positions(&log.last(count).await.unwrap()), wanted, "{filter:?}");
        let later: Vec<_> = wanted.into_iter().filter(|position| *position > 2).collect();
        assert_eq!(positions(&log.after(2).last(count).await.unwrap()), later, "{filter:?} above 2");
    }
}

pub async fn a_period_begins_with_its_first_moment_and_ends_before_its_last<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 6).await;
    for position in 1..=6 {
        let time = format!("2026-01-02T03:0{position}:00.500000Z");
        backend.admin(&format!("UPDATE outbox_event SET occurred_at = '{time}' WHERE position = {position}")).await;
    }
    let time = |text| Some(OffsetDateTime::parse(text, &Rfc3339).unwrap());
    let cases = [
        (time("2026-01-02T03:03:00.5Z"), None, vec![3, 4, 5, 6]),
        (None, time("2026-01-02T03:03:00.5Z"), vec![1, 2]),
        (time("2026-01-02T05:02:00.501+02:00"), time("2026-01-02T03:05:00.501Z"), vec![3, 4, 5]),
        (time("2030-01-01T00:00:00Z"), None, vec![]),
    ];
    for (since, until, wanted) in cases {
        let filter = Filter { since, until, ..Filter::default() };
        let log = ChangeLog::new(backend.operator(), filter.clone());
        assert_eq!(positions(&log.last(10).await.unwrap()), wanted, "{since:?} to {until:?}");
        assert_eq!(exported(&ChangeLog::new(backend.store(), filter), None).await.0, wanted);
        let counted: u64 = log.stats().await.unwrap().iter().map(|count| count.events).sum();
        assert_eq!(counted, wanted.len() as u64);
    }
}

/// Positions that hold nothing, and thousands that do not pass, are gone over.
pub async fn the_newest_are_found_however_far_apart_they_are<B: SqlBackend>(backend: &B) {
    let all = |key: &'static str, count| (0..count).map(|n| event(key, n)).collect::<Vec<_>>();
    for (key, count) in [("rare", 3), ("gone", 6000), ("often", 6000), ("rare", 1)] {
        let mut tx = backend.begin().await;
        B::append_all(&mut tx, &all(key, count)).await.unwrap();
        tx.commit().await.unwrap();
    }
    backend.admin("DELETE FROM outbox_event WHERE event_key = 'gone'").await;
    let rare = ChangeLog::new(backend.operator(), Filter { keys: vec!["rare".into()], ..Filter::default() });
    assert_eq!(positions(&rare.last(3).await.unwrap()), [2, 3, 12_004]);
    assert_eq!(positions(&rare.last(100).await.unwrap()), [1, 2, 3, 12_004]);
    assert_eq!(positions(&rare.after(2).last(100).await.unwrap()), [3, 12_004]);
    let newest = seen(backend).last(6005).await.unwrap();
    assert_eq!((newest.len(), newest[3].position()), (6004, 6004));
}

pub async fn the_newest_are_read_without_the_rest<B: Backend>(backend: &B) {
    let large = |n| NewEvent::new("t", format!("{n}")).json(format!("\"{}\"", "x".repeat(998)));
    let mut tx = backend.begin().await;
    B::append_all(&mut tx, &(0..500).map(large).collect::<Vec<_>>()).await.unwrap();
    tx.commit().await.unwrap();
    let store = Interposed::new(backend.store());
    let log = ChangeLog::new(store.clone(), Filter::default());
    assert_eq!(positions(&log.last(3).await.unwrap()), [498, 499, 500]);
    assert_eq!(store.bytes_read(), 3000);
}

pub async fn rows_that_cannot_become_events_are_shown<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 3).await;
    backend.admin("UPDATE outbox_event SET operation = 'upsert' WHERE position = 2").await;
    let log = seen(backend);
    let mut export = whole_log(backend).export(None).await.unwrap();
    let mut tail = log.tail(3).await.unwrap();
    let shown = [
        log.last(3).await.unwrap(),
        export.next().await.unwrap().unwrap(),
        within("the newest", tail.next()).await.unwrap(),
    ];
    for rows in shown {
        assert_eq!(positions(&rows), [1, 2, 3]);
        assert!(matches!(&rows[1], Row::Unreadable(row) if row.reason.contains("operation")), "{:?}", rows[1]);
    }
    let odd = log.stats().await.unwrap().into_iter().find(|count| count.operation.is_some());
    assert_eq!(odd.map(|count| (count.operation, count.events)), Some((Some("upsert".into()), 1)));
}

pub async fn a_tail_shows_the_newest_and_what_comes<B: SqlBackend>(backend: &B) {
    write(backend, &["k", "other"], 1, 3).await;
    let only_k = ChangeLog::new(backend.operator(), Filter { keys: vec!["k".into()], ..Filter::default() });
    let mut tail = only_k.tail(2).await.unwrap();
    let mut from_now = only_k.clone().after(9).tail(2).await.unwrap();
    assert_eq!(positions(&within("the newest", tail.next()).await.unwrap()), [3, 5]);
    for n in 4..=6 {
        write(backend, &["k", "other"], n, n).await;
        assert_eq!(positions(&within("what comes", tail.next()).await.unwrap()), [2 * n.cast_signed() - 1]);
    }
    assert_eq!(positions(&within("what comes above 9", from_now.next()).await.unwrap()), [11]);
    assert_eq!(claims(backend).await, "none");
}

pub async fn a_tail_outlives_its_connections<B: Backend>(backend: &B) {
    let store = Interposed::new(backend.store());
    let mut tail = ChangeLog::new(store.clone(), Filter::default()).tail(0).await.unwrap();
    for n in 1..=3 {
        write(backend, &["k"], n, n).await;
        assert_eq!(positions(&within("what comes", tail.next()).await.unwrap()), [n.cast_signed()]);
        store.break_connections();
    }
}

pub async fn stats_add_up<B: SqlBackend>(backend: &B) {
    for _ in 0..2 {
        write_mixed(backend).await;
    }
    backend.admin("UPDATE outbox_event SET occurred_at = '2026-01-02T03:04:05.250000Z' WHERE position = 1").await;
    backend.admin("UPDATE outbox_event SET occurred_at = '2026-01-02T03:04:06.500000Z' WHERE position = 5").await;
    let log = seen(backend);
    let stats = log.stats().await.unwrap();
    let kinds: Vec<_> = stats
        .iter()
        .map(|count| {
            (
                count.table.as_deref(),
                count.topic.as_str(),
                count.tenant.as_deref(),
                count.operation.as_deref(),
                count.events,
            )
        })
        .collect();
    let wanted = [
        (None, "mail.sent", Some("us"), None, 2),
        (None, "shop.placed", None, None, 2),
        (Some("orders"), "shop.orders", Some("eu"), Some("delete"), 2),
        (Some("orders"), "shop.orders", Some("eu"), Some("insert"), 2),
    ];
    assert_eq!(kinds, wanted);
    let time = |text| Some(OffsetDateTime::parse(text, &Rfc3339).unwrap());
    let inserts = (stats[3].first, stats[3].last);
    assert_eq!(inserts, (time("2026-01-02T03:04:05.25Z"), time("2026-01-02T03:04:06.5Z")));
    assert!(stats[0].first <= stats[0].last && stats[0].last.is_some());

    let eu = ChangeLog::new(backend.operator(), Filter { tenants: vec!["eu".into()], ..Filter::default() });
    let sum = async |log: &ChangeLog| log.stats().await.unwrap().iter().map(|count| count.events).sum::<u64>();
    assert_eq!((sum(&eu).await, sum(&eu.clone().after(4)).await, sum(&log.after(8)).await), (4, 2, 0));
}

pub async fn an_auditor_reads_and_does_not_export<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    let log = ChangeLog::new(backend.auditor().await, Filter { keys: vec!["k".into()], ..Filter::default() });
    assert_eq!(positions(&log.last(2).await.unwrap()), [4, 5]);
    assert_eq!(log.stats().await.unwrap()[0].events, 5);
    let mut tail = log.tail(1).await.unwrap();
    assert_eq!(positions(&within("the newest", tail.next()).await.unwrap()), [5]);
    write(backend, &["k"], 6, 6).await;
    assert_eq!(positions(&within("what comes", tail.next()).await.unwrap()), [6]);
    let refusal = log.export(None).await.err().expect("the export is refused").to_string();
    assert!(refusal.contains("GRANT") || refusal.contains("read-only"), "{refusal}");
    assert_eq!(claims(backend).await, "none");
}

/// What was open when the view began, and what opens later.
pub async fn a_tail_shows_what_commits_late(backend: &Postgres) {
    let mut before = backend.begin().await;
    Postgres::append(&mut before, &event("slow", 1)).await.unwrap();
    write(backend, &["quick"], 1, 5).await;
    let mut tail = seen(backend).tail(2).await.unwrap();
    assert_eq!(positions(&within("the newest", tail.next()).await.unwrap()), [5, 6]);
    let mut after = backend.begin().await;
    Postgres::append(&mut after, &event("slow", 2)).await.unwrap();
    write(backend, &["quick"], 6, 6).await;
    assert_eq!(positions(&within("what comes", tail.next()).await.unwrap()), [8]);
    before.commit().await.unwrap();
    assert_eq!(positions(&within("what commits late", tail.next()).await.unwrap()), [1]);
    after.commit().await.unwrap();
    assert_eq!(positions(&within("what commits late", tail.next()).await.unwrap()), [7]);
}
