//! A server of its own, the relay's program, and what must have come out in the end.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, Result};
use outbox_tests::conformance::waiting::eventually;
use outbox_tests::database::Database;
use outbox_tests::oracle::{Findings, Oracle, Truth};
use outbox_tests::output::{Tail, sighting};
use outbox_tests::relay_process::{Relay, RelayProcess};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;
use xtask::postgres::{Cluster, ClusterOptions};

/// The keys that are written.
const KEYS: usize = 3;

/// How many events of each key there are, which whoever writes may not read.
const WRITTEN: &str = "
    SELECT array_agg((SELECT count(*) FROM outbox_event WHERE event_key = key) ORDER BY key)
    FROM unnest(ARRAY['a', 'b', 'c']) AS key";

/// Writes as many events for each key; each tells how many of its key there were, as the oracle wants it.
const WRITE: &str = "
    INSERT INTO outbox_event (topic, event_key, payload)
    SELECT 'torture', key, format('{\"k\":\"%s\",\"ver\":%s}', key, written + n)
    FROM unnest(ARRAY['a', 'b', 'c'], $2) AS keys (key, written), generate_series(1, $1) AS n
    ORDER BY n, key";

/// A server with a database `shop`, which the relay's program publishes to a file.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) relay: Relay,
    folder: TempDir,
}

impl Stage {
    /// Sets it up with the tables.
    pub(crate) async fn set() -> Result<Self> {
        let cluster = tokio::task::spawn_blocking(|| Cluster::start(ClusterOptions::default())).await??;
        Self::on(cluster).await
    }

    /// The same on a server that is there.
    pub(crate) async fn on(cluster: Cluster) -> Result<Self> {
        let (database, folder) = (Database::on(&cluster, "shop")?, tempfile::tempdir()?);
        let relay = Relay::new(&database, folder.path());
        relay.migrate().await?;
        Ok(Self { cluster, relay, folder })
    }

    /// Runs SQL on this server.
    pub(crate) async fn sql(&self, sql: &str) -> Result<()> {
        sql_on(&self.cluster, sql).await
    }

    /// Commits so many events of each key.
    pub(crate) async fn write(&self, events: i32) -> Result<()> {
        write_on(&self.cluster, events).await
    }

    /// Starts the relay and waits until it has published what was written.
    pub(crate) async fn publishing(&self, events: usize) -> Result<RelayProcess> {
        let process = self.relay.spawn()?;
        self.published(events).await?;
        Ok(process)
    }

    /// Waits until so many events of each key are in the file, and in the checkpoint.
    pub(crate) async fn published(&self, events: usize) -> Result<()> {
        self.published_from(&self.cluster, events).await
    }

    /// The same where another server has taken over.
    pub(crate) async fn published_from(&self, cluster: &Cluster, events: usize) -> Result<()> {
        let mut tail = Tail::from_start(self.relay.output());
        tail.wait_for_lines(events * KEYS, std::time::Duration::from_mins(1)).await?;
        let mut session = PgConnection::connect(&cluster.url("shop")).await?;
        let owed = "SELECT count(*) FROM outbox_event WHERE position > (SELECT max(position) FROM outbox_checkpoint)";
        let look = async || sqlx::query_scalar::<_, i64>(owed).fetch_one(&mut session).await.ok();
        eventually("the checkpoint", look, |left| *left == Some(0)).await;
        Ok(())
    }

    /// How many lines were published.
    pub(crate) fn lines(&self) -> Result<usize> {
        Ok(BufReader::new(File::open(self.relay.output())?).lines().count())
    }

    /// Compares what came out with what the server holds; what came out of an older life of the log does not count.
    pub(crate) async fn judge(&self, cluster: &Cluster) -> Result<Findings> {
        let mut session = PgConnection::connect(&cluster.url("shop")).await?;
        let ids: Vec<Uuid> = sqlx::query_scalar("SELECT event_id FROM outbox_event").fetch_all(&mut session).await?;
        let ids: HashSet<Uuid> = ids.into_iter().collect();
        let mut oracle = Oracle::default();
        for line in BufReader::new(File::open(self.relay.output())?).lines() {
            let sighting = sighting(&line?).context("a line is torn")?;
            if ids.contains(&sighting.id) {
                oracle.observe(sighting);
            }
        }
        let counters = sqlx::query_as("SELECT event_key, count(*) FROM outbox_event GROUP BY event_key");
        let counters: Vec<(String, i64)> = counters.fetch_all(&mut session).await?;
        let counters = counters.into_iter().map(|(key, count)| (key, count.unsigned_abs())).collect();
        Ok(oracle.judge(&Truth { counters, ..Truth::default() }))
    }

    /// Asserts that the relay stops and says why, that `repair` mends it, and that the relay then loses nothing.
    pub(crate) async fn mend(&self, cluster: &Cluster, relay: &Relay) -> Result<()> {
        let before = self.lines()?;
        let (code, said) = relay.try_drain(&[]).await?;
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("not the log the relay knows") && said.contains("repair --plan"), "{said}");
        assert_eq!(self.lines()?, before, "nothing is published");
        let (code, plan) = relay.call("repair", &["--plan"]).await?;
        assert_eq!(code, Some(3), "{plan}");
        assert!(plan.contains("default: ") && plan.contains("is published again"), "{plan}");
        // Whoever relays may repair, but for what changes positions: the refusal says what the owner may grant.
        let apply = ["--apply", "--reason", "a test", "--actor", "tester"];
        let (mut code, mut done) = relay.call("repair", &apply).await?;
        for _ in 0..2 {
            let Some((_, grant)) = done.split_once("as the owner of the tables run: ") else { break };
            assert_eq!(code, Some(2), "{done}");
            sql_on(cluster, grant).await?;
            (code, done) = relay.call("repair", &apply).await?;
        }
        assert_eq!(code, Some(0), "{done}");
        let (code, plan) = relay.call("repair", &["--plan"]).await?;
        assert_eq!(code, Some(0), "{plan}");
        assert!(plan.contains("nothing to repair"), "{plan}");
        self.goes_on(cluster, relay).await
    }

    /// Asserts that the relay publishes what there is and what comes, and loses nothing.
    pub(crate) async fn goes_on(&self, cluster: &Cluster, relay: &Relay) -> Result<()> {
        for _ in 0..2 {
            let (code, said) = relay.try_drain(&[]).await?;
            assert_eq!(code, Some(0), "{said}");
            let findings = self.judge(cluster).await?;
            assert!(findings.is_clean(u64::MAX), "{findings:?}");
            write_on(cluster, 5).await?;
        }
        Ok(())
    }

    /// A folder for files of the test.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// Runs SQL on a server.
pub(crate) async fn sql_on(cluster: &Cluster, sql: &str) -> Result<()> {
    let mut session = PgConnection::connect(&cluster.url("shop")).await?;
    session.execute(AssertSqlSafe(sql.to_owned())).await?;
    session.close().await?;
    Ok(())
}

/// Commits so many events of each key on a server, as a user that may write events.
pub(crate) async fn write_on(cluster: &Cluster, events: i32) -> Result<()> {
    let shop = Database::named(cluster, "shop");
    let mut session = shop.connect().await?;
    let written: Vec<i64> = sqlx::query_scalar(WRITTEN).fetch_one(&mut session).await?;
    session.close().await?;
    let mut session = shop.connect_as_writer().await?;
    sqlx::query(WRITE).bind(events).bind(written).execute(&mut session).await?;
    session.close().await?;
    Ok(())
}
