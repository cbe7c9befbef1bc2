//! Full disks in short: what is committed comes out, and the relay comes back by itself. At length in `cargo xtask torture`.

use std::sync::Arc;
use std::time::Duration;

use outbox_tests::database::{Database, Owned};
use outbox_tests::load::LoadOptions;
use outbox_tests::scenario::{self, Plan};
use outbox_tests::small_disk::SmallDisk;
use outbox_tests::verdict::Verdict;
use xtask::postgres::{Cluster, ClusterOptions};

fn plan() -> Plan {
    Plan {
        load: LoadOptions { seed: fastrand::u64(..), ..LoadOptions::default() },
        events: 0,
        faults: 2,
        at_most: Duration::from_mins(3),
        // Speed is measured by the long form, where the machine has nothing else to do.
        publish_within: Duration::from_mins(1),
    }
}

fn assert_clean(verdict: &Verdict) {
    println!("{verdict}\n{}", verdict.notes.join("\n"));
    assert!(verdict.is_clean(), "{verdict}\n{}", verdict.notes.join("\n"));
    assert_eq!(verdict.faults, 2);
}

/// What those are told whose transactions failed.
fn told(verdict: &Verdict) -> &str {
    verdict.notes.iter().find_map(|note| note.strip_prefix("business_was_told ")).expect("it is noted")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_server_is_told_to_business_and_waited_for_by_the_relay() {
    let disk = SmallDisk::new(200).unwrap();
    let options = ClusterOptions { parent: Some(disk.path().to_owned()), ..ClusterOptions::default() };
    let options = options.set("min_wal_size", "32MB").set("max_wal_size", "48MB");
    let cluster = Arc::new(Cluster::start(options).unwrap());
    let (database, folder) = (Database::on(&cluster, "shop").unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::disk_of_the_server(&cluster, &disk, &database, folder.path(), &plan()).await.unwrap();
    assert_clean(&verdict);
    assert!(told(&verdict).contains("53100"), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_file_loses_nothing_and_leaves_no_torn_line() {
    let (disk, owned) = (SmallDisk::new(8).unwrap(), Owned::on_shared_server().await.unwrap());
    let verdict = scenario::disk_of_the_file(&disk, owned.database(), &plan()).await.unwrap();
    assert_clean(&verdict);
    assert_eq!(told(&verdict), "", "business goes on meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_sqlite_is_told_to_business_and_waited_for_by_the_relay() {
    let (disk, folder) = (SmallDisk::new(8).unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::disk_of_sqlite(&disk, folder.path(), &plan()).await.unwrap();
    assert_clean(&verdict);
    assert!(told(&verdict).contains("full"), "{verdict:?}");
}
