//! The same mistakes, each shown by two sessions in an order of their own choosing.

use anyhow::Result;
use outbox_tests::database::Database;
use outbox_tests::oracle::{Oracle, Truth};
use outbox_tests::readers::{AfterLastId, BATCH, BeyondTheLimit, BrokenReader, XidWatermark};
use sqlx::{Executor, PgConnection};
use xtask::postgres::{Cluster, ClusterOptions};

const WRITE: &str = "\
    INSERT INTO outbox_event (topic, event_key, payload)
    SELECT 'torture', key, format('{\"k\":\"%s\",\"ver\":%s}', key, version) FROM unnest($1::text[], $2::bigint[]) AS e (key, version)";

/// Two writers and a reader on a server of their own.
struct Stage {
    early: PgConnection,
    late: PgConnection,
    reading: PgConnection,
    oracle: Oracle,
    _cluster: Cluster,
}

impl Stage {
    async fn set() -> Result<Self> {
        let cluster = Cluster::start(ClusterOptions::default())?;
        let database = Database::on(&cluster, "shop")?;
        database.migrate().await?;
        Ok(Self {
            early: database.connect().await?,
            late: database.connect().await?,
            reading: database.connect().await?,
            oracle: Oracle::default(),
            _cluster: cluster,
        })
    }

    /// Lets the reader read once; how many events it gave out.
    async fn read(&mut self, reader: &mut impl BrokenReader) -> Result<usize> {
        let sightings = reader.poll(&mut self.reading).await?;
        let count = sightings.len();
        for sighting in sightings {
            self.oracle.observe(sighting);
        }
        Ok(count)
    }
}

async fn write(session: &mut PgConnection, events: impl IntoIterator<Item = (String, i64)>) -> Result<()> {
    let (keys, versions): (Vec<String>, Vec<i64>) = events.into_iter().unzip();
    sqlx::query(WRITE).bind(keys).bind(versions).execute(session).await?;
    Ok(())
}

fn event(key: &str, version: i64) -> [(String, i64); 1] {
    [(key.to_owned(), version)]
}

fn truth(counters: impl IntoIterator<Item = (String, u64)>) -> Truth {
    Truth { counters: counters.into_iter().collect(), ..Truth::default() }
}

#[tokio::test]
async fn after_the_last_id_an_early_position_that_commits_late_is_lost() {
    let (mut stage, mut reader) = (Stage::set().await.unwrap(), AfterLastId::default());
    stage.early.execute("BEGIN").await.unwrap();
    write(&mut stage.early, event("a", 1)).await.unwrap();
    write(&mut stage.late, event("b", 1)).await.unwrap();
    assert_eq!(stage.read(&mut reader).await.unwrap(), 1);
    stage.early.execute("COMMIT").await.unwrap();
    assert_eq!(stage.read(&mut reader).await.unwrap(), 0);
    let findings = stage.oracle.judge(&truth([("a".to_owned(), 1), ("b".to_owned(), 1)]));
    assert_eq!((findings.lost, findings.reordered), (1, 0), "{findings:?}");
}

#[tokio::test]
async fn the_watermark_stalls_and_swaps_what_an_older_transaction_writes_later() {
    let (mut stage, mut reader) = (Stage::set().await.unwrap(), XidWatermark::default());
    stage.early.execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    write(&mut stage.late, event("a", 1)).await.unwrap();
    assert_eq!(
        stage.read(&mut reader).await.unwrap(),
        0,
        "an older transaction, which has written nothing, is still open"
    );
    write(&mut stage.early, event("a", 2)).await.unwrap();
    stage.early.execute("COMMIT").await.unwrap();
    assert_eq!(stage.read(&mut reader).await.unwrap(), 2);
    let findings = stage.oracle.judge(&truth([("a".to_owned(), 2)]));
    assert_eq!((findings.lost, findings.reordered), (0, 1), "{findings:?}");
}

#[tokio::test]
async fn beyond_the_limit_the_rest_of_a_bulk_transaction_is_buried() {
    let (mut stage, mut reader) = (Stage::set().await.unwrap(), BeyondTheLimit::default());
    let bulk: Vec<(String, i64)> = (0..BATCH * 5).map(|number| (format!("bulk-{number}"), 1)).collect();
    stage.early.execute("BEGIN").await.unwrap();
    write(&mut stage.early, bulk.clone()).await.unwrap();
    write(&mut stage.late, event("b", 1)).await.unwrap();
    assert_eq!(stage.read(&mut reader).await.unwrap(), 1);
    stage.early.execute("COMMIT").await.unwrap();
    let mut read = 0;
    loop {
        match stage.read(&mut reader).await.unwrap() {
            0 => break,
            count => read += count,
        }
    }
    assert!(read < bulk.len(), "the control came out clean");
    let keys = bulk.into_iter().map(|(key, _)| (key, 1)).chain([("b".to_owned(), 1)]);
    let findings = stage.oracle.judge(&truth(keys));
    assert!(findings.lost >= u64::try_from(BATCH).unwrap(), "{findings:?}");
}
