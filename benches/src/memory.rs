//! `memory`: the peak of the relay's program while it drains many small events, and few large ones, and while it waits for a
//! publisher that is a thousand times slower than the log can be read.

use std::io::{BufRead as _, BufReader};
use std::process::ChildStdout;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::Options;
use crate::relay::Program;
use crate::report::Table;
use crate::server::{Server, fill};

/// What a relay may hold: 20 MB, and the default window of 16 MiB.
const GOAL: f64 = 20.0 + 16.0 * 1.048_576;
const LARGE: i32 = 5_000_000;
/// The log is read at some 300,000 events/s.
const SLOW_EVENTS_A_SECOND: u32 = 300;

const SLOW: &str = "1 kB events to a slow pipe";

/// Each drain is a new process, from the beginning of the outbox.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("memory");
    let events = options.events(1_000_000);
    let large = (events / 1000).max(1);
    let mut table = Table::new(format!(
        "memory: peak of outbox-relay while it drains {events} events of 1 kB, and {large} of 5 MB"
    ));
    let folder = tempfile::tempdir()?;
    for (events, bytes, null, file) in [
        (events, 1000, "1 kB events to nowhere", "1 kB events to a file"),
        (large, LARGE, "5 MB events to nowhere", "5 MB events to a file"),
    ] {
        let url = server.database("bench_memory").await?;
        fill(&url, events, bytes, 1).await?;
        for round in 1..=options.rounds {
            eprintln!("  round {round}");
            let path = folder.path().join("events.jsonl");
            for (variant, publisher) in [(null, "null".to_owned()), (file, format!("file:{}", path.display()))] {
                let name = format!("{}-{round}", if variant == null { "null" } else { "file" });
                let program =
                    Program::run(server, &url, ["--publisher", &publisher, "--name", &name, "--until-empty"])?;
                table.record(variant, "MB", program.peak_memory_at_end().await? / 1e6);
                ensure!(is_drained(&url, &name).await?, "{variant}: the relay ended before the outbox was empty");
            }
            std::fs::remove_file(&path)?;
            if bytes != LARGE {
                let (program, output) = Program::run_to_pipe(server, &url, ["--name", &format!("slow-{round}")])?;
                let seconds = options.seconds(10);
                tokio::task::spawn_blocking(move || read_slowly(output, seconds)).await??;
                let peak = program.peak_memory().context("the relay has ended")?;
                table.record(SLOW, "MB", peak / 1e6);
            }
        }
        if bytes != LARGE {
            table.at_most(&format!("{SLOW}, MB"), table.median(SLOW, "MB"), GOAL);
        }
        for variant in [null, file] {
            table.at_most(&format!("{variant}, MB"), table.median(variant, "MB"), GOAL);
        }
    }
    server.drop_database("bench_memory").await?;
    Ok(table)
}

async fn is_drained(url: &str, subscription: &str) -> Result<bool> {
    let query = sqlx::query_scalar(
        "SELECT position = (SELECT max(position) FROM outbox_event) AND open_positions = '{}' \
        FROM outbox_checkpoint WHERE subscription = $1",
    );
    Ok(query.bind(subscription).fetch_one(&mut PgConnection::connect(url).await?).await?)
}

/// Takes a few lines a second, for so many seconds.
fn read_slowly(output: ChildStdout, seconds: u64) -> Result<()> {
    let mut lines = BufReader::new(output).lines();
    for _ in 0..seconds * u64::from(SLOW_EVENTS_A_SECOND) {
        lines.next().context("the relay has ended")??;
        std::thread::sleep(Duration::from_secs(1) / SLOW_EVENTS_A_SECOND);
    }
    Ok(())
}
