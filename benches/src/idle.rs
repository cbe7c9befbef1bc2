//! `idle`: what the relay's program does when there is nothing to do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::relay::Program;
use crate::report::Table;
use crate::server::{Server, fill};
use crate::{Options, processor};

/// What looks less and less often, such as the cleanup of the log, is at rest by then.
const WARM_UP: Duration = Duration::from_secs(40);

/// One relay, watched from outside. Each of its statements is a transaction, so the server's count of those is the count.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("idle");
    // The rarest chore of a quiet relay comes about once in a minute.
    let seconds = options.seconds(60);
    let url = server.database("bench_idle").await?;
    fill(&url, 1000, 300, 1).await?;
    let program = Program::run(server, &url, ["--publisher", "null", "--wake", "notify"])?;
    tokio::time::sleep(WARM_UP).await;
    let mut table = Table::new(format!("idle: outbox-relay on a quiet outbox, {seconds} s a round"));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        let start = Instant::now();
        let (transactions, processor) = (transactions(server).await?, processor::of_process(program.pid())?);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let statements = self::transactions(server).await? - transactions;
        let used = processor::of_process(program.pid())?.saturating_sub(processor);
        let wall = start.elapsed().as_secs_f64();
        table.record("idle relay", "statements/s", statements / wall);
        table.record("idle relay", "% of a core", used.as_secs_f64() * 100.0 / wall);
        table.record("idle relay", "peak MB", program.peak_memory().context("the relay has ended")? / 1e6);
    }
    for (unit, goal) in [("statements/s", 1.0), ("% of a core", 0.1), ("peak MB", 12.0)] {
        table.at_most(unit, table.median("idle relay", unit), goal);
    }
    program.stop().await?;
    server.drop_database("bench_idle").await?;
    Ok(table)
}

async fn transactions(server: &Server) -> Result<f64> {
    let query = sqlx::query_scalar(
        "SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database WHERE datname = 'bench_idle'",
    );
    Ok(query.fetch_one(&mut server.connect().await?).await?)
}
