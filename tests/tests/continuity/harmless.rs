//! What changes everything a server says of itself, and must not stop a relay.

use std::process::Command;

use anyhow::{Result, ensure};
use outbox_tests::conformance::waiting::eventually;
use outbox_tests::database::Database;
use outbox_tests::proxy::Proxy;
use sqlx::Connection as _;
use tokio::task::block_in_place;
use xtask::postgres::{Binaries, Cluster, ClusterOptions, StopMode};

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_failover_goes_on() -> Result<()> {
    let stage = Stage::set().await?;
    let proxy = Proxy::to(format!("127.0.0.1:{}", stage.cluster.port())).await?;
    let relay = stage.relay.at(&proxy.address());
    stage.write(20).await?;
    let mut process = relay.spawn()?;
    stage.published(20).await?;
    let standby = block_in_place(|| stage.cluster.standby())?;
    stage.write(20).await?;
    stage.published(40).await?;
    // A server that ends in order has sent everything to its standbys.
    block_in_place(|| stage.cluster.stop(StopMode::Fast))?;
    proxy.lead_to(format!("127.0.0.1:{}", standby.port()));
    // Until it is promoted the relay waits, since it could write nothing there.
    let said = async || relay.end_of_log();
    eventually("the relay meets a standby", said, |said| said.contains("standby")).await;
    process.must_run()?;
    block_in_place(|| standby.promote())?;
    crate::stage::write_on(&standby, 10).await?;
    stage.published_from(&standby, 50).await?;
    process.must_run()?;
    process.stop().await?;
    let findings = stage.judge(&standby).await?;
    assert!(findings.is_clean(u64::MAX), "{findings:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_rewrites_of_tables_and_a_cleanup_go_on() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(20).await?;
    let mut process = stage.publishing(20).await?;
    block_in_place(|| stage.cluster.restart_immediate())?;
    stage.sql("VACUUM FULL").await?;
    stage.sql("CLUSTER outbox_event_0 USING outbox_event_0_pkey").await?;
    block_in_place(|| stage.cluster.restart_immediate())?;
    stage.write(10).await?;
    stage.published(30).await?;
    // Two turns: the first leaves the segment, the second finds it left by everybody.
    for _ in 0..2 {
        stage.relay.cleanup(&[])?.wait().await?;
        stage.write(1).await?;
    }
    let mut session = sqlx::PgConnection::connect(&stage.cluster.url("shop")).await?;
    let floor = "SELECT value::bigint FROM outbox_meta WHERE name = 'floor'";
    let floor: i64 = sqlx::query_scalar(floor).fetch_one(&mut session).await?;
    ensure!(floor >= 90, "cleanup has removed up to {floor} only");
    block_in_place(|| stage.cluster.restart_immediate())?;
    stage.published(32).await?;
    process.must_run()?;
    process.stop().await?;
    let (code, plan) = stage.relay.call("repair", &["--plan"]).await?;
    assert_eq!(code, Some(0), "{plan}");
    Ok(())
}

/// From the oldest server there is to the one the run is about: an upgrade, where these differ.
fn versions() -> Result<(Binaries, Binaries)> {
    let (old, new) = (Binaries::oldest()?, Binaries::obtain()?);
    println!("from PostgreSQL {} to {}", old.version()?, new.version()?);
    Ok((old, new))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_on_at_the_same_address() -> Result<()> {
    let (old, new) = versions()?;
    let stage = Stage::on(block_in_place(|| Cluster::start_with(old, ClusterOptions::default()))?).await?;
    let proxy = Proxy::to(format!("127.0.0.1:{}", stage.cluster.port())).await?;
    let relay = stage.relay.at(&proxy.address());
    stage.write(20).await?;
    let mut process = relay.spawn()?;
    stage.published(20).await?;
    let upgraded = block_in_place(|| stage.cluster.upgrade(new))?;
    proxy.lead_to(format!("127.0.0.1:{}", upgraded.port()));
    crate::stage::write_on(&upgraded, 10).await?;
    stage.published_from(&upgraded, 30).await?;
    process.must_run()?;
    process.stop().await?;
    stage.goes_on(&upgraded, &relay).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_restored_into_another_server_goes_on_at_the_same_address() -> Result<()> {
    let (old, new) = versions()?;
    let stage = Stage::on(block_in_place(|| Cluster::start_with(old, ClusterOptions::default()))?).await?;
    let proxy = Proxy::to(format!("127.0.0.1:{}", stage.cluster.port())).await?;
    let relay = stage.relay.at(&proxy.address());
    stage.write(20).await?;
    let process = relay.spawn()?;
    stage.published(20).await?;
    process.stop().await?;
    let upgraded = block_in_place(|| Cluster::start_with(new, ClusterOptions::default()))?;
    let shop = Database::on(&upgraded, "shop")?;
    let dump = stage.folder().join("shop.sql");
    done(
        upgraded
            .binaries()
            .command("pg_dump")
            .arg("--no-privileges")
            .arg(stage.cluster.url("shop"))
            .arg("-f")
            .arg(&dump),
    )?;
    done(upgraded.bin("psql").args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", "shop", "-f"]).arg(&dump))?;
    // A dump of a database has no roles, which belong to the server.
    shop.make_users().await?;
    block_in_place(|| stage.cluster.stop(StopMode::Fast))?;
    proxy.lead_to(format!("127.0.0.1:{}", upgraded.port()));
    stage.goes_on(&upgraded, &relay).await?;
    Ok(())
}

fn done(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
