//! What must be noticed, and is mended.

use anyhow::Result;
use outbox_tests::proxy::Proxy;
use tokio::task::block_in_place;
use xtask::postgres::StopMode;

use crate::stage::{Stage, write_on};

/// The whole backup goes back, log and checkpoint: only the running relay's memory tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_restored_under_a_running_relay_stops_it_and_a_new_one_loses_nothing() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(20).await?;
    let process = stage.publishing(20).await?;
    block_in_place(|| stage.cluster.back_up())?;
    stage.write(20).await?;
    stage.published(40).await?;
    block_in_place(|| {
        stage.cluster.stop(StopMode::Immediate)?;
        stage.cluster.restore()?;
        stage.cluster.start_again()
    })?;
    stage.write(50).await?;
    let (code, said) = process.ended().await?;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("not the log the relay knows") && said.contains("repair --plan"), "{said}");
    assert_eq!(stage.lines()?, 40 * 3, "nothing of the restored database is published");

    let (code, plan) = stage.relay.call("repair", &["--plan"]).await?;
    assert_eq!(code, Some(0), "log and checkpoint went back together: {plan}");
    stage.goes_on(&stage.cluster, &stage.relay).await
}

/// The address moves to a standby that had not received everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_that_lagged_is_noticed_and_mended() -> Result<()> {
    let stage = Stage::set().await?;
    let proxy = Proxy::to(format!("127.0.0.1:{}", stage.cluster.port())).await?;
    let relay = stage.relay.at(&proxy.address());
    stage.write(20).await?;
    let process = relay.spawn()?;
    stage.published(20).await?;
    let standby = block_in_place(|| {
        let standby = stage.cluster.standby()?;
        standby.stop(StopMode::Fast)?;
        anyhow::Ok(standby)
    })?;
    stage.write(20).await?;
    stage.published(40).await?;
    block_in_place(|| {
        stage.cluster.stop(StopMode::Immediate)?;
        standby.start_again()?;
        standby.promote()
    })?;
    write_on(&standby, 5).await?;
    proxy.lead_to(format!("127.0.0.1:{}", standby.port()));
    let (code, said) = process.ended().await?;
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(stage.lines()?, 40 * 3, "nothing of the standby is published");
    // The checkpoint was replicated no further than the log: a new relay would go on. One that had come further may not.
    stage.goes_on(&standby, &relay).await
}

/// The same where the checkpoint is ahead of the log, as after an export of the tables one by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_ahead_of_its_log_is_noticed_and_mended() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(20).await?;
    stage.publishing(20).await?.stop().await?;
    let sequence = "SELECT setval('outbox_event_position_seq', 41)";
    stage.sql(&format!("DELETE FROM outbox_event WHERE position > 41; {sequence}")).await?;
    stage.write(30).await?;
    stage.mend(&stage.cluster, &stage.relay).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_was_reset_is_noticed_and_mended() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(20).await?;
    stage.publishing(20).await?.stop().await?;
    stage.sql("ALTER SEQUENCE outbox_event_position_seq RESTART").await?;
    // Whoever relays may do much, but not change a position.
    let (code, said) = stage.relay.call("repair", &["--apply", "--reason", "a test", "--actor", "tester"]).await?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("as the owner of the tables run: GRANT UPDATE ON"), "{said}");
    stage.mend(&stage.cluster, &stage.relay).await
}

/// In another segment nothing keeps a position from being given out again while nobody looks.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_share_a_position_are_told_apart() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(20).await?;
    stage.publishing(20).await?.stop().await?;
    let turn = "SELECT setval('outbox_segment', (SELECT last_value + 1 FROM outbox_segment), true)";
    stage.sql(&format!("{turn}; ALTER SEQUENCE outbox_event_position_seq RESTART")).await?;
    stage.write(5).await?;
    let (code, plan) = stage.relay.call("repair", &["--plan"]).await?;
    assert_eq!(code, Some(3), "{plan}");
    assert!(plan.contains("15 events would get a position of their own"), "{plan}");
    stage.mend(&stage.cluster, &stage.relay).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_emptied_by_hand_is_noticed_under_a_relay_and_mended() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(20).await?;
    let process = stage.publishing(20).await?;
    stage.sql("TRUNCATE outbox_event RESTART IDENTITY").await?;
    block_in_place(|| stage.cluster.restart_immediate())?;
    let (code, said) = process.ended().await?;
    assert_eq!(code, Some(3), "{said}");
    stage.write(30).await?;
    stage.mend(&stage.cluster, &stage.relay).await
}

/// Positions that were given out again reach beyond the floor that cleanup left.
#[tokio::test(flavor = "multi_thread")]
async fn a_cleaned_log_that_counts_from_1_again_is_mended() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(20).await?;
    stage.publishing(20).await?.stop().await?;
    stage.sql("UPDATE outbox_meta SET value = '30' WHERE name = 'floor'").await?;
    stage.sql("TRUNCATE outbox_event RESTART IDENTITY").await?;
    stage.write(30).await?;
    stage.mend(&stage.cluster, &stage.relay).await
}
