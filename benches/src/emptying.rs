//! `emptying`: what it costs to give the disk of a million events back, against deleting them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use outbox_core::Retention;
use outbox_relay::cleanup::{Outcome, clean};
use outbox_sqlx::{Names, PgStore};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Options;
use crate::report::Table;
use crate::server::{Server, fill};

const BYTES: i32 = 300;
const PASS: &str = "one pass of cleanup";
const WHOLE: &str = "the same, all in one segment";
const DELETE: &str = "DELETE";

/// Somebody who has passed everything, and inserts that go elsewhere.
const PASSED: &str = "\
    INSERT INTO outbox_checkpoint (subscription, partition_id, position) VALUES ('bench', 0, 1000000000)";
const ELSEWHERE: &str = "SELECT setval('outbox_segment', 7, true)";

const WAL: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
const DEAD: &str = "\
    SELECT coalesce(sum(n_dead_tup), 0)::float8 FROM pg_stat_user_tables WHERE relname LIKE 'outbox\\_event\\__'";
const LEFT: &str = "SELECT count(*) FROM outbox_event";

/// Whether anybody holds the lock that keeps everybody out of a segment. Looks at no table, so it waits for nobody.
const LOCKED: &str = "\
    SELECT EXISTS (SELECT FROM pg_locks JOIN pg_inherits ON inhrelid = relation \
    WHERE inhparent = $1::regclass::oid AND mode = 'AccessExclusiveLock' AND granted)";

/// Every variant empties a log of its own, filled in as many segments as it would have been.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("emptying");
    let events = options.events(1_000_000);
    let mut table = Table::new(format!("emptying: {events} events of {BYTES} bytes"));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        for (variant, segments) in [(PASS, 4), (WHOLE, 1), (DELETE, 4)] {
            let url = server.database("bench_emptying").await?;
            fill(&url, events, BYTES, segments).await?;
            measure(&url, variant, events, &mut table).await?;
            server.drop_database("bench_emptying").await?;
        }
    }
    for variant in [PASS, WHOLE] {
        table.at_most(&format!("{variant}: longest lock, ms"), table.median(variant, "longest lock ms"), 50.0);
        table.at_most(&format!("{variant}: all of it, ms"), table.median(variant, "all ms"), 400.0);
        table.at_most(&format!("{variant}: WAL bytes an event"), table.median(variant, "WAL B/event"), 1.0);
        table.at_most(&format!("{variant}: dead rows"), table.median(variant, "dead rows"), 0.0);
    }
    Ok(table)
}

async fn measure(url: &str, variant: &'static str, events: i64, table: &mut Table) -> Result<()> {
    let mut session = PgConnection::connect(url).await?;
    sqlx::raw_sql(PASSED).execute(&mut session).await?;
    sqlx::raw_sql(ELSEWHERE).execute(&mut session).await?;
    let watch = Watch::start(url).await?;
    let (wal, start) = (wal(&mut session).await?, Instant::now());
    if variant == DELETE {
        sqlx::raw_sql("DELETE FROM outbox_event").execute(&mut session).await?;
    } else {
        let retention = Retention { keep: Duration::ZERO, ..Retention::default() };
        let report = clean(&PgStore::new(url, Names::default())?, &retention, false).await?;
        ensure!(report.segments.iter().any(|segment| segment.outcome == Outcome::Emptied), "nothing was emptied");
    }
    let all = start.elapsed();
    let longest = watch.longest().await?;
    let left: i64 = sqlx::query_scalar(LEFT).fetch_one(&mut session).await?;
    ensure!(left == 0, "{variant}: {left} events are left");
    #[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
    let each = (self::wal(&mut session).await? - wal) / events as f64;
    table.record(variant, "all ms", all.as_secs_f64() * 1e3);
    table.record(variant, "longest lock ms", longest.as_secs_f64() * 1e3);
    table.record(variant, "WAL B/event", each);
    table.record(variant, "dead rows", dead(&mut session).await?);
    Ok(())
}

async fn wal(session: &mut PgConnection) -> Result<f64> {
    Ok(sqlx::query_scalar(WAL).fetch_one(session).await?)
}

/// The server's own count, which it brings up to date when a session that changed rows is idle.
async fn dead(session: &mut PgConnection) -> Result<f64> {
    sqlx::raw_sql("SELECT pg_stat_clear_snapshot()").execute(&mut *session).await?;
    Ok(sqlx::query_scalar(DEAD).fetch_one(session).await?)
}

/// Looks again and again whether a segment is locked.
struct Watch {
    end: CancellationToken,
    task: JoinHandle<Result<Duration>>,
}

impl Watch {
    async fn start(url: &str) -> Result<Self> {
        let mut session = PgConnection::connect(url).await?;
        let end = CancellationToken::new();
        let token = end.clone();
        let task = tokio::spawn(async move {
            let (mut free_at, mut longest) = (Instant::now(), Duration::ZERO);
            while !token.is_cancelled() {
                let locked: bool = sqlx::query_scalar(LOCKED).bind("outbox_event").fetch_one(&mut session).await?;
                // Counted from the last look that found nobody: never too little.
                if locked {
                    longest = longest.max(free_at.elapsed());
                } else {
                    free_at = Instant::now();
                }
            }
            Ok(longest)
        });
        Ok(Self { end, task })
    }

    async fn longest(self) -> Result<Duration> {
        self.end.cancel();
        self.task.await?
    }
}
