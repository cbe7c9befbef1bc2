//! Exports of the change log: by name they miss nothing and repeat nothing, and they keep what they read in place.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::lease::{Claim, RelayIdentity};
use outbox_core::{Filter, NewEvent, Position, Store, StoreError, StoreErrorKind};
use outbox_relay::changelog::{Export, Exported, Progress};
use outbox_relay::{ChangeLog, RelayError};
use uuid::Uuid;

use super::changelog::{positions, whole_log};
use super::interposed::Interposed;
use super::log::{event, relay, write};
use super::postgres::Postgres;
use super::sink::Sink;
use super::waiting::{eventually, within};
use super::{Backend, Business, SqlBackend};

const NAME: Option<&str> = Some("nightly");

const NOTHING: [Position; 0] = [];

/// The positions of all the pages to come.
async fn rest(export: &mut Export) -> Vec<Position> {
    let mut all = Vec::new();
    while let Some(page) = within("the next page", export.next()).await.unwrap() {
        assert!(!page.is_empty());
        all.extend(positions(&page));
    }
    all
}

/// A whole export, finished.
pub(super) async fn exported(log: &ChangeLog, name: Option<&str>) -> (Vec<Position>, Exported) {
    let mut export = log.export(name).await.unwrap();
    let all = rest(&mut export).await;
    (all, export.finish().await.unwrap())
}

async fn kind_of_refusal(log: &ChangeLog, name: Option<&str>) -> (StoreErrorKind, String) {
    let error = log.export(name).await.err().expect("the export is refused");
    (error.kind(), error.to_string())
}

/// The rows of the table of checkpoints, by name, with their positions.
pub(super) async fn claims<B: SqlBackend>(backend: &B) -> String {
    let sql =
        "SELECT coalesce(max(subscription || ' ' || position || ' ' || open_positions), 'none') FROM outbox_checkpoint";
    backend.ask(sql).await.unwrap()
}

pub async fn an_export_brings_everything_in_pages_of_bounded_size<B: Backend>(backend: &B) {
    const EVENT: usize = 20_000;
    let large = |n| NewEvent::new("t", format!("{n}")).json(format!("\"{}\"", "x".repeat(EVENT - 2)));
    for _ in 0..3 {
        let mut tx = backend.begin().await;
        B::append_all(&mut tx, &(0..100).map(large).collect::<Vec<_>>()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut export = whole_log(backend).export(None).await.unwrap();
    let (mut all, mut pages) = (Vec::new(), 0);
    assert_eq!(export.progress(), Progress { done: 0, total: 300 });
    while let Some(page) = within("the next page", export.next()).await.unwrap() {
        assert!(page.len() * EVENT <= 1 << 20, "{} events on one page", page.len());
        all.extend(positions(&page));
        pages += 1;
        assert_eq!(export.progress(), Progress { done: all.len() as u64, total: 300 });
    }
    assert_eq!(all, (1..=300).collect::<Vec<_>>());
    assert!(pages >= 6, "{pages} pages");
    assert_eq!(export.finish().await.unwrap(), Exported { position: 300, open: 0 });
    let (some, _) = exported(&whole_log(backend).after(290), None).await;
    assert_eq!(some, (291..=300).collect::<Vec<_>>());
}

/// Whoever may not remove what a checkpoint has not passed keeps all of it in place.
pub async fn an_export_holds_the_log_until_it_ends<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    let running = whole_log(backend).after(2).export(None).await.unwrap();
    let held = claims(backend).await;
    assert!(held.starts_with("hold:") && held.ends_with(" 2 {}"), "{held}");
    let owned = "SELECT max(subscription) FROM outbox_lease WHERE epoch > 0";
    assert!(backend.ask(owned).await.is_some_and(|lease| held.starts_with(&lease)));
    let renewed = async || backend.ask("SELECT max(publisher) FROM outbox_lease").await;
    eventually("the lease to be renewed", renewed, Option::is_some).await;
    running.finish().await.unwrap();
    assert_eq!((claims(backend).await.as_str(), backend.ask(owned).await), ("none", None));

    drop(whole_log(backend).export(None).await.unwrap());
    let relays = async || backend.ask("SELECT CAST(count(*) AS TEXT) FROM outbox_relay").await;
    eventually("the lease to be given back", relays, |relays| relays.as_deref() == Some("0")).await;
    exported(&whole_log(backend), None).await;
    assert_eq!(claims(backend).await, "none", "the next export removes what a dropped one left behind");
}

pub async fn holds_whose_lease_has_expired_are_removed<B: SqlBackend>(backend: &B) {
    let (mut leases, mut checkpoints) =
        (backend.store().leases().await.unwrap(), backend.store().checkpoints().await.unwrap());
    let owner = RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: "elsewhere".into(),
        host: "elsewhere".into(),
        process_id: 1,
        process_started: String::new(),
    };
    for (row, length) in [("hold:a", 0), ("hold:b", 60), ("export:c", 0)] {
        let claim = leases.acquire_one(&owner, row, Duration::from_secs(length)).await.unwrap();
        let Claim::Held { epoch } = claim else { panic!("{claim:?}") };
        checkpoints.create(row, epoch, &Checkpoint::default()).await.unwrap();
    }
    exported(&whole_log(backend), None).await;
    for table in ["outbox_checkpoint", "outbox_lease"] {
        let left = backend.ask(&format!("SELECT min(subscription) || ' ' || max(subscription) FROM {table}")).await;
        assert_eq!(left.as_deref(), Some("export:c hold:b"), "{table}");
    }
}

pub async fn an_export_by_name_brings_what_is_new<B: SqlBackend>(backend: &B) {
    let log = whole_log(backend).after(1);
    for (from, to) in [(1, 4), (5, 7), (8, 8)] {
        write(backend, &["k"], from, to).await;
        let wanted: Vec<_> = (from.max(2)..=to).map(u64::cast_signed).collect();
        assert_eq!(exported(&log, NAME).await, (wanted, Exported { position: to.cast_signed(), open: 0 }));
        assert_eq!(claims(backend).await, format!("export:nightly {to} {{}}"), "it holds the log for good");
        assert_eq!(exported(&log, NAME).await.0, NOTHING, "nothing is new");
    }
    assert_eq!(exported(&log, Some("other")).await.0, (2..=8).collect::<Vec<_>>());
}

/// An export by a name that another one is about to give back.
async fn once_free(log: &ChangeLog) -> Export {
    let mut free = None;
    let ask = async || {
        let answer = log.export(NAME).await;
        let kind = answer.as_ref().err().map(StoreError::kind);
        free = answer.ok();
        kind
    };
    eventually("the name to be free", ask, Option::is_none).await;
    free.unwrap()
}

/// As if the program had crashed before its end.
pub async fn an_export_by_name_that_was_not_finished_comes_again<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 3).await;
    let log = whole_log(backend);
    for _ in 0..2 {
        assert_eq!(rest(&mut once_free(&log).await).await, [1, 2, 3]);
    }
    let mut export = once_free(&log).await;
    assert_eq!(rest(&mut export).await, [1, 2, 3]);
    export.finish().await.unwrap();
    assert_eq!(exported(&log, NAME).await.0, NOTHING);
}

pub async fn two_exports_of_one_name_exclude_one_another<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 3).await;
    let log = whole_log(backend);
    let mut first = log.export(NAME).await.unwrap();
    let (kind, text) = kind_of_refusal(&log, NAME).await;
    assert_eq!(kind, StoreErrorKind::Unavailable);
    let process = format!("process {} on ", std::process::id());
    assert!(text.contains("`export:nightly`") && text.contains(&process), "{text}");
    assert_eq!(exported(&log, Some("hourly")).await.0, [1, 2, 3], "another name is free");
    assert_eq!(rest(&mut first).await, [1, 2, 3]);
    first.finish().await.unwrap();
    assert_eq!(exported(&log, NAME).await.0, NOTHING, "the name is free at once");
    for name in ["", " ", "a\nb"] {
        assert_eq!(kind_of_refusal(&log, Some(name)).await.0, StoreErrorKind::Precondition);
    }
}

/// A process that stood still for longer than its lease finds the name taken.
pub async fn an_export_that_lost_its_name_moves_nothing<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 3).await;
    let log = whole_log(backend);
    let mut first = log.export(NAME).await.unwrap();
    assert_eq!(rest(&mut first).await, [1, 2, 3]);
    backend.store().leases().await.unwrap().take_over("export:nightly", 0, 1).await.unwrap();
    let mut second = log.export(NAME).await.unwrap();
    assert_eq!(first.finish().await.unwrap_err().kind(), StoreErrorKind::Fenced);
    assert_eq!(claims(backend).await, "export:nightly 0 {}");
    assert_eq!(rest(&mut second).await, [1, 2, 3]);
    second.finish().await.unwrap();
    assert_eq!(claims(backend).await, "export:nightly 3 {}");
}

pub async fn an_export_outlives_its_connections<B: SqlBackend>(backend: &B) {
    let store = Interposed::new(backend.store());
    let log = ChangeLog::new(store.clone(), Filter::default());
    let all: Vec<_> = (0..350).map(|n| event("k", n)).collect();
    let mut tx = backend.begin().await;
    B::append_all(&mut tx, &all).await.unwrap();
    tx.commit().await.unwrap();
    let mut export = log.export(NAME).await.unwrap();
    let mut seen = Vec::new();
    while let Some(page) = within("the next page", export.next()).await.unwrap() {
        seen.extend(positions(&page));
        store.break_connections();
    }
    assert_eq!(seen, (1..=350).collect::<Vec<_>>());
    store.break_connections();
    assert_eq!(export.finish().await.unwrap(), Exported { position: 350, open: 0 });
    assert_eq!(claims(backend).await, "export:nightly 350 {}");
}

pub async fn an_unknown_outcome_of_a_finish_exports_nothing_twice<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 3).await;
    let store = Interposed::new(backend.store());
    let log = ChangeLog::new(store.clone(), Filter::default());
    let mut export = log.export(NAME).await.unwrap();
    assert_eq!(rest(&mut export).await, [1, 2, 3]);
    store.lose_answers(1);
    export.finish().await.unwrap();
    assert_eq!(store.answers_to_lose(), 0);
    assert_eq!(exported(&log, NAME).await.0, NOTHING);
}

async fn remove<B: SqlBackend>(backend: &B, up_to: Position) {
    backend.admin(&format!("DELETE FROM outbox_event WHERE position <= {up_to}")).await;
    backend.admin(&format!("UPDATE outbox_meta SET value = '{up_to}' WHERE name = 'floor'")).await;
}

pub async fn events_removed_unseen_are_told<B: SqlBackend>(backend: &B) {
    let log = whole_log(backend);
    write(backend, &["k"], 1, 5).await;
    exported(&log, NAME).await;
    remove(backend, 5).await;
    write(backend, &["k"], 6, 10).await;
    assert_eq!(exported(&log, NAME).await.0, [6, 7, 8, 9, 10], "what was removed had been exported");
    write(backend, &["k"], 11, 14).await;
    remove(backend, 12).await;
    let (kind, text) = kind_of_refusal(&log, NAME).await;
    assert_eq!(kind, StoreErrorKind::Continuity);
    assert!(text.contains("the export `nightly` is at position 10, and events up to 12 were removed"), "{text}");
    assert_eq!(exported(&log, Some("other")).await.0, [13, 14]);
    assert_eq!(positions(&log.last(10).await.unwrap()), [13, 14]);
}

/// Nobody who respects holds does so, and an export that misses something must not seem whole.
pub async fn events_removed_during_an_export_are_told<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    for name in [None, NAME] {
        let mut export = whole_log(backend).export(name).await.unwrap();
        rest(&mut export).await;
        backend.admin("UPDATE outbox_meta SET value = '2' WHERE name = 'floor'").await;
        assert_eq!(export.finish().await.unwrap_err().kind(), StoreErrorKind::Continuity);
        backend.admin("UPDATE outbox_meta SET value = '0' WHERE name = 'floor'").await;
    }
}

pub async fn another_log_under_a_known_name_is_told<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    let log = whole_log(backend);
    exported(&log, NAME).await;
    backend.admin(B::SET_BACK).await;
    for (from, to) in [(2, 2), (3, 9)] {
        // Shorter than what was exported, then longer.
        write(backend, &["k"], from, to).await;
        let mut export = log.export(NAME).await.unwrap();
        let error = within("the first page", export.next()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Continuity, "{error}");
        export.abandon().await;
    }
}

pub async fn exports_and_holds_are_no_subscriptions<B: Backend>(backend: &B) {
    exported(&whole_log(backend), NAME).await;
    let _running = whole_log(backend).export(None).await.unwrap();
    assert_eq!(backend.store().status().await.unwrap().subscriptions, []);
    for name in ["export:nightly", "hold:x"] {
        let subscription = outbox_relay::Subscription::new(name, Sink::new());
        match relay(backend.store()).subscription(subscription).start().await {
            Err(RelayError::Configuration(text)) => assert!(text.contains(name) && text.contains("export-1"), "{text}"),
            other => panic!("{:?}", other.map(drop)),
        }
    }
}

/// It is in no export while it is open, and in one alone after that.
pub async fn an_event_that_commits_after_an_export_is_in_the_next_one(backend: &Postgres) {
    let log = whole_log(backend);
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("slow", 1)).await.unwrap();
    write(backend, &["quick"], 1, 3).await;
    assert_eq!(exported(&log, NAME).await, (vec![2, 3, 4], Exported { position: 4, open: 1 }));
    assert_eq!(claims(backend).await, "export:nightly 4 {[1,1]}");
    write(backend, &["quick"], 4, 4).await;
    assert_eq!(exported(&log, NAME).await, (vec![5], Exported { position: 5, open: 1 }));
    open.commit().await.unwrap();
    assert_eq!(exported(&log, NAME).await, (vec![1], Exported { position: 5, open: 0 }));
    assert_eq!(exported(&log, NAME).await.0, NOTHING);
}

pub async fn an_event_that_commits_during_an_export_is_in_it(backend: &Postgres) {
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("slow", 1)).await.unwrap();
    let all: Vec<_> = (0..400).map(|n| event("quick", n)).collect();
    let mut tx = backend.begin().await;
    Postgres::append_all(&mut tx, &all).await.unwrap();
    tx.commit().await.unwrap();
    for name in [None, NAME] {
        let mut export = whole_log(backend).export(name).await.unwrap();
        let mut seen = positions(&within("the first page", export.next()).await.unwrap().unwrap());
        if name.is_none() {
            open.commit().await.unwrap();
            open = backend.begin().await;
        }
        seen.extend(rest(&mut export).await);
        seen.sort_unstable();
        assert_eq!(seen, (1..=401).collect::<Vec<_>>());
        assert_eq!(export.finish().await.unwrap(), Exported { position: 401, open: 0 });
    }
}

pub async fn a_rolled_back_transaction_leaves_nothing_open(backend: &Postgres) {
    let mut open = backend.begin().await;
    Postgres::append(&mut open, &event("never", 1)).await.unwrap();
    write(backend, &["quick"], 1, 2).await;
    assert_eq!(exported(&whole_log(backend), NAME).await.1.open, 1);
    open.rollback().await.unwrap();
    assert_eq!(exported(&whole_log(backend), None).await, (vec![2, 3], Exported { position: 3, open: 0 }));
    assert_eq!(exported(&whole_log(backend), NAME).await, (vec![], Exported { position: 3, open: 0 }));
    assert_eq!(claims(backend).await, "export:nightly 3 {}");
}
