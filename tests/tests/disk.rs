//! Full disks in short: what is committed comes out, and the relay comes back by itself. At length in `cargo xtask torture`.
#![expect(clippy::unwrap_used, reason = "what goes wrong here ends the test")]

use std::sync::Arc;
use std::time::Duration;

use outbox_core::{Names, OnMaxDisk, Retention};
use outbox_relay::cleanup::clean;
use outbox_sqlx::PgStore;
use outbox_tests::database::{Database, Owned};
use outbox_tests::load::LoadOptions;
use outbox_tests::scenario::{self, Plan};
use outbox_tests::small_disk::SmallDisk;
use outbox_tests::verdict::Verdict;
use sqlx::{Executor, PgConnection};
use xtask::postgres::{Cluster, ClusterOptions};

fn plan() -> Plan {
    Plan {
        load: LoadOptions { seed: fastrand::u64(..), ..LoadOptions::default() },
        events: 0,
        faults: 2,
        at_most: Duration::from_mins(3),
        // Speed is measured by the long form, where the machine has nothing else to do.
        publish_within: Duration::from_mins(1),
        control: Duration::ZERO,
        wait_at_most: Duration::from_mins(1),
    }
}

fn assert_clean(verdict: &Verdict) {
    println!("{verdict}\n{}", verdict.notes.join("\n"));
    assert!(verdict.is_clean(), "{verdict}\n{}", verdict.notes.join("\n"));
    assert_eq!(verdict.faults, 2);
}

/// A server whose data folder lies on the disk, with a log that takes little of it.
fn server_on(disk: &SmallDisk) -> Arc<Cluster> {
    let options = ClusterOptions { parent: Some(disk.path().to_owned()), ..ClusterOptions::default() };
    Arc::new(Cluster::start(options.set("min_wal_size", "32MB").set("max_wal_size", "48MB")).unwrap())
}

/// What those are told whose transactions failed.
fn told(verdict: &Verdict) -> &str {
    verdict.notes.iter().find_map(|note| note.strip_prefix("business_was_told ")).expect("it is noted")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_server_is_told_to_business_and_waited_for_by_the_relay() {
    let disk = SmallDisk::new(200).unwrap();
    let cluster = server_on(&disk);
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

const BATCH: &str = "INSERT INTO outbox_event (topic, event_key, payload)
    SELECT 't', 'k' || n, (SELECT string_agg(md5(random()::text || m), '') FROM generate_series(1, 100) AS m)
    FROM generate_series(1, 1000) AS n";

/// Writes about 200 MB of events that a subscriber that is gone would still have to read; whether all could be written.
async fn write_for_the_dead(database: &Database, policy: OnMaxDisk) -> sqlx::Result<()> {
    let store = PgStore::new(&database.relay_url(), Names::default()).unwrap();
    let retention =
        Retention { max_disk: 40 << 20, segment_bytes: 8 << 20, on_max_disk: policy, ..Retention::default() };
    let mut business = database.connect_as_writer().await?;
    for _ in 0..60 {
        business.execute(BATCH).await?;
        // A log that is too large is a trouble to be told, and no error of the pass; a full disk is one.
        let cleaned = clean(&store, &retention, false).await;
        assert!(cleaned.is_ok() || retention.on_max_disk == OnMaxDisk::Hold, "{cleaned:?}");
    }
    Ok(())
}

async fn pinned_by_the_dead(database: &Database) -> PgConnection {
    database.migrate().await.unwrap();
    database.make_users().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    let dead = "INSERT INTO outbox_checkpoint (subscription, partition_id, position, updated_at)
        VALUES ('dead', 0, 0, clock_timestamp() - interval '1 hour')";
    owner.execute(dead).await.unwrap();
    owner
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_subscriber_fills_no_disk_where_it_may_be_cut_off() {
    let disk = SmallDisk::new(220).unwrap();
    let cluster = server_on(&disk);
    let (held, cut) = (Database::on(&cluster, "held").unwrap(), Database::on(&cluster, "cut").unwrap());

    let mut owner = pinned_by_the_dead(&cut).await;
    write_for_the_dead(&cut, OnMaxDisk::Cut).await.unwrap();
    let why = "SELECT value FROM outbox_meta WHERE name = 'cut_off:dead'";
    let told: String = sqlx::query_scalar(why).fetch_one(&mut owner).await.unwrap();
    assert!(told.contains("max_disk"), "{told}");

    // The control: without the policy the same events do not fit, which business is told by the database.
    pinned_by_the_dead(&held).await;
    let full = write_for_the_dead(&held, OnMaxDisk::Hold).await;
    assert!(full.is_err(), "the disk was large enough: the test is worth nothing");
}
