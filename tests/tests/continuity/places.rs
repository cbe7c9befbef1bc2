//! Copies of a server, and another way to the same one.

use anyhow::Result;
use outbox_tests::proxy::Proxy;
use sqlx::Connection as _;
use tokio::task::block_in_place;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_data_folder_publishes_nothing_until_it_is_adopted() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(10).await?;
    stage.publishing(10).await?.stop().await?;
    stage.write(5).await?;
    let copy = block_in_place(|| stage.cluster.copy())?;
    let relay = stage.relay.at(&format!("127.0.0.1:{}", copy.port()));
    let (code, said) = relay.try_drain(&[]).await?;
    assert_eq!(code, Some(3), "{said}");
    let original = format!("postgres://localhost:{}/shop", stage.cluster.port());
    assert!(
        said.contains(&original)
            && said.contains("looks like a copy; if it is meant to publish, run `outbox-relay adopt`")
    );
    assert_eq!(stage.lines()?, 10 * 3);
    let (code, doctor) = relay.call("doctor", &[]).await?;
    assert_eq!(code, Some(1), "{doctor}");
    assert!(doctor.contains("looks like a copy"), "{doctor}");

    let (code, said) = relay.call("adopt", &["--new-instance", "--reason", "staging", "--actor", "tester"]).await?;
    assert_eq!(code, Some(0), "{said}");
    let here = format!("postgres://localhost:{}/shop", copy.port());
    assert!(said.contains(&format!("worked so far: {original}\nfrom now on only: {here}\n")), "{said}");
    let instance = said.lines().find_map(|line| line.strip_prefix("instance now: ")).expect("the new instance is told");
    let (code, said) = relay.try_drain(&["--expect-instance", instance]).await?;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(stage.lines()?, 15 * 3);
    let (code, said) = stage.relay.try_drain(&["--expect-instance", instance]).await?;
    assert_eq!(code, Some(3), "the original is another instance: {said}");
    assert!(said.contains(instance) && said.contains("expect_instance"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_put_in_front_needs_no_adoption_and_the_server_may_restart_behind_it() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write(10).await?;
    stage.publishing(10).await?.stop().await?;
    let proxy = Proxy::to(format!("127.0.0.1:{}", stage.cluster.port())).await?;
    let relay = stage.relay.at(&format!("localhost:{}", proxy.port()));
    stage.goes_on(&stage.cluster, &relay).await?;
    block_in_place(|| stage.cluster.restart_immediate())?;
    stage.goes_on(&stage.cluster, &relay).await?;
    stage.goes_on(&stage.cluster, &stage.relay.by_socket(stage.cluster.socket_folder())).await?;
    let mut session = sqlx::PgConnection::connect(&stage.cluster.url("shop")).await?;
    let known = "SELECT count(*) FROM outbox_meta WHERE name LIKE 'address:%'";
    let known: i64 = sqlx::query_scalar(known).fetch_one(&mut session).await?;
    assert_eq!(known, 2, "a socket and a loopback name are one address");
    Ok(())
}
