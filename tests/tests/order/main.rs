//! The relay's program under the load, with and without faults, judged by the oracle; and the controls, which must fail.

mod constructed;

use std::sync::Arc;
use std::time::Duration;

use outbox_tests::database::{Database, Owned};
use outbox_tests::load::LoadOptions;
use outbox_tests::relay_process::WINDOW;
use outbox_tests::scenario::{self, Kind, Plan};
use outbox_tests::verdict::Verdict;
use xtask::postgres::{Cluster, ClusterOptions};

/// Small enough for every day; the seed stands in the report of a failure.
fn plan(events: u64, faults: u64, bulk: u32) -> Plan {
    Plan {
        load: LoadOptions { seed: fastrand::u64(..), bulk, ..LoadOptions::default() },
        events,
        faults,
        at_most: Duration::from_mins(2),
        // Speed is measured by the long form, where the machine has nothing else to do.
        publish_within: Duration::from_mins(1),
        control: Duration::ZERO,
        wait_at_most: Duration::from_mins(1),
    }
}

fn assert_clean(verdict: &Verdict) {
    println!("{verdict}\n{}", verdict.notes.join("\n"));
    assert!(verdict.is_clean(), "{verdict}\n{}", verdict.notes.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_load_comes_out_once_and_in_order() {
    let (owned, folder) = (Owned::on_shared_server().await.unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::order(owned.database(), folder.path(), &plan(12_000, 0, 100_000)).await.unwrap();
    assert_clean(&verdict);
    assert!(verdict.faults > 10, "hardly a session was ended: {verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_relay_repeats_at_most_its_window() {
    let (owned, folder) = (Owned::on_shared_server().await.unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::kills(owned.database(), folder.path(), &plan(0, 20, 5_000)).await.unwrap();
    assert_clean(&verdict);
    assert_eq!((verdict.faults, verdict.bound), (20, 20 * WINDOW));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_repeats_at_most_a_window() {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default()).unwrap());
    let (database, folder) = (Database::on(&cluster, "shop").unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::restarts(&cluster, &database, folder.path(), &plan(0, 4, 0)).await.unwrap();
    assert_clean(&verdict);
    assert_eq!(verdict.faults, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_takes_nothing_back_that_was_published() {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default()).unwrap());
    let (database, folder) = (Database::on(&cluster, "shop").unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::ghosts(&cluster, &database, folder.path(), &plan(0, 5, 0)).await.unwrap();
    assert_clean(&verdict);
    assert_eq!((verdict.faults, verdict.findings.ghosts), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_three_subscribers_have_not_read_is_never_emptied() {
    let (owned, folder) = (Owned::on_shared_server().await.unwrap(), tempfile::tempdir().unwrap());
    let plan = Plan { control: Duration::from_secs(2), ..plan(0, 40, 5_000) };
    let verdict = scenario::cleanup(owned.database(), folder.path(), &plan).await.unwrap();
    assert_clean(&verdict);
    assert!(verdict.faults >= 40, "hardly a segment was emptied: {verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_ended_at_any_place_loses_nothing_on_postgres() {
    assert_clean(&scenario::kill_matrix(Kind::Postgres, 2).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_ended_at_any_place_loses_nothing_on_sqlite() {
    assert_clean(&scenario::kill_matrix(Kind::Sqlite, 2).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_were_away_past_their_leases_move_nothing() {
    let (owned, folder) = (Owned::on_shared_server().await.unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::split_brain(owned.database(), folder.path(), &plan(0, 12, 0), 8).await.unwrap();
    assert_clean(&verdict);
    assert_eq!(verdict.faults, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_held_up_before_a_call_repeats_and_moves_nothing() {
    let (owned, folder) = (Owned::on_shared_server().await.unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::held_up_before_a_call(owned.database(), folder.path(), &plan(0, 1, 0)).await.unwrap();
    // Whether the call still reaches the file, and what is in it repeats, depends on how soon the heartbeat hears of the loss.
    assert_clean(&verdict);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_repeats_nothing() {
    let (owned, folder) = (Owned::on_shared_server().await.unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::answers(owned.database(), folder.path(), &plan(0, 15, 0)).await.unwrap();
    assert_clean(&verdict);
    assert_eq!((verdict.faults, verdict.bound), (15, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_beside_one_another_lose_and_swap_nothing() {
    let (owned, folder) = (Owned::on_shared_server().await.unwrap(), tempfile::tempdir().unwrap());
    let mut plan = plan(0, 400, 0);
    plan.load.keys = 40;
    let verdict = scenario::operators(owned.database(), folder.path(), &plan).await.unwrap();
    assert_clean(&verdict);
    assert!(verdict.faults >= 400, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_with_every_fault_loses_nothing() {
    let (owned, folder) = (Owned::on_shared_server().await.unwrap(), tempfile::tempdir().unwrap());
    let verdict = scenario::network(owned.database(), folder.path(), &plan(0, 15, 0)).await.unwrap();
    assert_clean(&verdict);
    assert_eq!(verdict.faults, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_control_fails() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    let database = Database::on(&cluster, "shop").unwrap();
    let controls = scenario::controls(&database, &plan(6_000, 0, 10_000)).await.unwrap();
    println!("{controls}");
    assert!(controls.all_failed(), "a control came out clean: {controls}");
}
