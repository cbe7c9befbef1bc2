//! A log that is larger than it may be: held, emptied at the cost of the dead, or archived first.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::time::Duration;

use outbox_core::cleanup::{Cut, Obstacle, Removal, Removed};
use outbox_core::{OnMaxDisk, Retention, Store};
use outbox_relay::Subscription;

use super::cleanup::{NOTHING, at_once, left, pass, reader};
use super::continuity::is_continuity;
use super::log::{drain, relay, subscription, write};
use super::postgres::Postgres;
use super::segments::{cleaner, passed, removal, turn};
use super::sink::Sink;
use super::{Backend, SqlBackend};

/// A log of two segments that is larger than it may be.
fn full(policy: OnMaxDisk) -> Retention {
    Retention { keep: Duration::from_hours(1), max_disk: 1, on_max_disk: policy, ..Retention::default() }
}

/// `dead` has been silent for an hour, `billing` is alive and well; both subscriptions have their events in segment 0.
async fn pinned_by_the_dead(backend: &Postgres) {
    passed(backend).await;
    reader(backend, "dead", 2, "{}").await;
    backend.admin("UPDATE outbox_checkpoint SET updated_at = clock_timestamp() - interval '1 hour' WHERE subscription = 'dead'").await;
}

pub async fn a_log_that_is_too_large_is_held_and_told(backend: &Postgres) {
    pinned_by_the_dead(backend).await;
    let report = pass(backend, &full(OnMaxDisk::Hold)).await;
    assert_eq!((left(backend).await.len(), report.cut_off.len()), (5, 0));
    assert!(report.trouble.as_deref().is_some_and(|told| told.contains("on_max_disk is hold")), "{report:?}");
    let status = backend.store().status().await.unwrap();
    let told = status.log.segments[0].blocked_by.as_deref().unwrap();
    assert!(told.contains("`dead` is at position 2 only") && told.contains("may take"), "{told}");
    assert!(told.contains("raise max_disk, shorten keep, or set on_max_disk"), "{told}");
    let remedy = status.log.segments[0].remedy.as_deref().unwrap();
    assert!(remedy.contains("let it catch up") && remedy.contains("outbox-relay cleanup"), "{remedy}");
    pass(backend, &Retention::default()).await;
    let status = backend.store().status().await.unwrap();
    assert_eq!(
        status.log.segments[0].blocked_by.as_deref(),
        Some("`dead` is at position 2 only"),
        "once it is well again"
    );
}

pub async fn the_dead_are_cut_off_and_told_so(backend: &Postgres) {
    pinned_by_the_dead(backend).await;
    // What every subscription has that a relay made.
    backend.admin(r#"INSERT INTO outbox_meta (name, value) VALUES ('partitions:dead', '{"count":1}')"#).await;
    let report = pass(backend, &full(OnMaxDisk::Cut)).await;
    assert_eq!((report.cut_off.as_slice(), left(backend).await), (&["dead".to_owned()][..], NOTHING.to_vec()));
    write(backend, &["a"], 6, 6).await;
    for _ in 0..2 {
        let sink = Sink::new();
        let dead = Subscription::new("dead", sink.clone());
        let ended = drain(relay(backend.store()).subscription(dead)).await;
        let said = ended.as_ref().unwrap_err().to_string();
        assert!(said.contains("`dead` was cut off: the log had grown beyond max_disk"), "{said}");
        is_continuity(ended);
        assert!(sink.taken().is_empty());
    }
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.positions(), [6], "others go on");
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING, "who was cut off holds nothing any more");
    backend.admin("DELETE FROM outbox_checkpoint WHERE subscription = 'dead'; DELETE FROM outbox_meta WHERE name = 'cut_off:dead'").await;
    write(backend, &["a"], 7, 7).await;
    let anew = Sink::new();
    drain(relay(backend.store()).subscription(Subscription::new("dead", anew.clone()))).await.unwrap();
    assert_eq!(anew.positions(), [7], "as the error said");
}

pub async fn the_living_are_never_cut_off(backend: &Postgres) {
    pinned_by_the_dead(backend).await;
    reader(backend, "slow", 3, "{}").await;
    let report = pass(backend, &full(OnMaxDisk::Cut)).await;
    assert!(report.trouble.as_deref().is_some_and(|told| told.contains("`slow` lives")), "{report:?}");
    assert_eq!((report.cut_off.len(), left(backend).await.len()), (0, 5));
    // Dead when the cleaner looked, back when it removes.
    backend.admin("DELETE FROM outbox_checkpoint WHERE subscription = 'slow'").await;
    backend
        .admin(
            "INSERT INTO outbox_lease (subscription, partition_id, relay_id, epoch, expires_at)
            VALUES ('dead', 0, gen_random_uuid(), 1, clock_timestamp() + interval '1 minute')",
        )
        .await;
    let cut = Cut { readers: vec!["dead".into()], reason: "late".into() };
    let late = Removal { cut: Some(cut), ..removal(0, 5) };
    assert_eq!(cleaner(backend).await.remove(&late).await.unwrap(), Removed::Kept(Obstacle::Changing));
    assert_eq!(
        backend.ask("SELECT count(*)::text FROM outbox_meta WHERE name LIKE 'cut_off:%'").await.as_deref(),
        Some("0")
    );
}

pub async fn what_is_cut_off_is_archived_first(backend: &Postgres) {
    write(backend, &["a"], 1, 3).await;
    backend.admin("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', 'no json')").await;
    reader(backend, "billing", 4, "{}").await;
    reader(backend, "dead", 2, "{}").await;
    backend.admin("UPDATE outbox_checkpoint SET updated_at = clock_timestamp() - interval '1 hour' WHERE subscription = 'dead'").await;
    turn(backend, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let report = pass(backend, &full(OnMaxDisk::Archive(folder.path().into()))).await;
    let [path] = &report.archived[..] else { panic!("{report:?}") };
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sequences: Vec<_> =
        lines.iter().map(|line| line["sequence"].as_str().unwrap().trim_start_matches('0')).collect();
    assert_eq!(sequences, ["1", "2", "3", "4"]);
    assert_eq!((&lines[0]["data"]["n"], &lines[3]["data_base64"]), (&1.into(), &"bm8ganNvbg==".into()));
    assert_eq!((report.cut_off.as_slice(), left(backend).await), (&["dead".to_owned()][..], NOTHING.to_vec()));
    let dead = Subscription::new("dead", Sink::new());
    let said = drain(relay(backend.store()).subscription(dead)).await.unwrap_err().to_string();
    assert!(said.contains(&folder.path().display().to_string()), "{said}");
}

pub async fn nothing_goes_without_its_archive(backend: &Postgres) {
    pinned_by_the_dead(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let retention = full(OnMaxDisk::Archive(folder.path().into()));
    // A folder in the place of the file is in everybody's way.
    std::fs::create_dir(folder.path().join(format!("outbox-{:020}-{:020}.part", 1, 5))).unwrap();
    let report = pass(backend, &retention).await;
    assert!(report.trouble.as_deref().is_some_and(|told| told.contains("cannot be written")), "{report:?}");
    assert_eq!((report.cut_off.len(), left(backend).await.len()), (0, 5));
}

pub async fn a_full_disk_of_the_archive_is_waited_for(backend: &Postgres) {
    let disk = crate::small_disk::SmallDisk::new(1).unwrap();
    let retention = full(OnMaxDisk::Archive(disk.path().into()));
    for cycle in 0..2 {
        write(backend, &["a"], 1, 5).await;
        let last = backend.ask("SELECT max(position)::text FROM outbox_event").await.unwrap();
        reader(backend, &format!("dead-{cycle}"), i64::from(cycle) * 5, "{}").await;
        backend.admin("UPDATE outbox_checkpoint SET updated_at = clock_timestamp() - interval '1 hour'").await;
        turn(backend, cycle + 1).await;
        disk.fill().unwrap();
        let report = pass(backend, &retention).await;
        assert!(report.trouble.as_deref().is_some_and(|told| told.contains("cannot be written")), "{report:?}");
        assert_eq!((report.cut_off.len(), left(backend).await.len()), (0, 5));
        disk.free().unwrap();
        let report = pass(backend, &retention).await;
        let [path] = &report.archived[..] else { panic!("{report:?}") };
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.ends_with('\n') && text.contains(&format!("\"sequence\":\"{:020}\"", last.parse::<i64>().unwrap()))
        );
        assert_eq!((text.lines().count(), left(backend).await), (5, NOTHING.to_vec()));
    }
    let parts = std::fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(parts.into_iter().all(|name| !name.to_string_lossy().ends_with(".part")));
}
