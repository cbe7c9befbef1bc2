//! The time of day jumps, on the server or on the relay's machine: it may delay a take-over, and nothing else.

use anyhow::{Result, ensure};
use outbox_tests::conformance::waiting::eventually;
use outbox_tests::relay_process::Relay;
use sqlx::{Connection as _, PgConnection};
use tokio::task::block_in_place;
use xtask::postgres::{Cluster, ClusterOptions, MovedClock};

use crate::stage::Stage;

const HOUR: i64 = 3_600;

/// What both databases' clocks are compared by.
const AHEAD: &str = "SELECT (extract(epoch FROM clock_timestamp()) - $1)::bigint";

/// A server whose clock is moved; the clock's file must be open to the server's account.
async fn stage(clock: &MovedClock) -> Result<Stage> {
    let options = ClusterOptions { clock: Some(clock.clone()), ..ClusterOptions::default() };
    Stage::on(block_in_place(|| Cluster::start(options))?).await
}

fn open_folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("outbox-clock-").tempdir_in("/tmp")?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(folder)
}

/// Moves the server's clock and waits until the server goes by it.
async fn jump(stage: &Stage, clock: &MovedClock, seconds: i64) -> Result<()> {
    clock.set(seconds)?;
    let mut session = PgConnection::connect(&stage.cluster.url("shop")).await?;
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    let look = async || sqlx::query_scalar::<_, i64>(AHEAD).bind(now()).fetch_one(&mut session).await.ok();
    eventually("the server's clock", look, |ahead| ahead.is_some_and(|ahead| (ahead - seconds).abs() < 60)).await;
    Ok(())
}

fn named(relay: &Relay, name: &str) -> Relay {
    relay.in_environment([("OUTBOX_RELAY_NAME", name.to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_jumps_loses_nothing_and_the_relay_works_on() -> Result<()> {
    let folder = open_folder()?;
    let clock = block_in_place(|| MovedClock::in_folder(folder.path()))?;
    let stage = stage(&clock).await?;
    stage.write(20).await?;
    let mut first = stage.publishing(20).await?;
    // The second one waits for a lease, and finds each of them over at once when the clock is set ahead.
    let mut second = named(&stage.relay, "second").spawn()?;
    let mut written = 20;
    for seconds in [HOUR, -HOUR, 0, 600, -600] {
        jump(&stage, &clock, seconds).await?;
        stage.write(10).await?;
        written += 10;
        stage.published(written).await?;
        first.must_run()?;
        second.must_run()?;
    }
    first.stop().await?;
    second.stop().await?;
    let findings = stage.judge(&stage.cluster).await?;
    assert!(findings.is_clean(u64::MAX), "{findings:?}");
    stage.goes_on(&stage.cluster, &stage.relay).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_clock_is_wrong_publishes_as_ever() -> Result<()> {
    let folder = open_folder()?;
    let clock = block_in_place(|| MovedClock::in_folder(folder.path()))?;
    let mut stage = Stage::set().await?;
    stage.relay = stage.relay.in_environment(clock.variables());
    stage.write(20).await?;
    let mut process = stage.publishing(20).await?;
    let mut written = 20;
    for seconds in [HOUR, -HOUR, 24 * HOUR] {
        clock.set(seconds)?;
        stage.write(10).await?;
        written += 10;
        stage.published(written).await?;
        process.must_run()?;
    }
    process.stop().await?;
    let findings = stage.judge(&stage.cluster).await?;
    assert!(findings.is_clean(0), "nothing was repeated either: {findings:?}");
    let (_, said) = stage.relay.call("doctor", &[]).await?;
    ensure!(said.contains("s behind") && said.contains("NTP"), "the doctor sees the difference: {said}");
    Ok(())
}
