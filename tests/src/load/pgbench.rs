//! pgbench, in slices: a client whose session is ended stays away until the next slice begins.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Context;

/// How many pgbench processes share the clients; while one begins a slice the others are busy.
pub(super) const PROCESSES: u32 = 2;

/// How long a slice lasts, in seconds.
const SLICE: u32 = 1;

/// How often pgbench tries a transaction again after a conflict.
const TRIES: u32 = 20;

/// The scripts, and how many of a hundred transactions play each: about 20 % of the positions die.
const SCRIPTS: [(&str, u32); 10] = [
    ("commit.sql", 40),
    ("rollback.sql", 12),
    ("savepoint.sql", 10),
    ("prepared_commit.sql", 5),
    ("prepared_rollback.sql", 3),
    ("sleeping.sql", 3),
    ("repeatable_read.sql", 8),
    ("serializable.sql", 8),
    ("two_keys.sql", 6),
    ("asynchronous.sql", 5),
];

/// The script whose commits a crash may take back.
const ASYNCHRONOUS: [(&str, u32); 1] = [("asynchronous.sql", 100)];

/// Runs slice after slice until the load stops.
pub(super) async fn repeat(context: Arc<Context>, process: u32) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pgbench");
    let retries = context.database.pgbench_retries()?;
    let complaints = tempfile::NamedTempFile::new()?;
    let mut random = context.random(u64::from(process));
    let mut slice = process;
    while !context.stop.is_cancelled() {
        let mut command = context.database.pgbench(&folder);
        command.args(["-n", "-j", "1", "-T", &SLICE.to_string()]);
        command.args(["-c", &(context.options.clients / PROCESSES).max(1).to_string()]);
        command.args(["-D", &format!("keys={}", context.options.keys), "-D", &format!("slice={slice}")]);
        command.arg(format!("--random-seed={}", random.u32(1..)));
        if let Some(rate) = context.options.rate {
            command.arg(format!("--rate={}", (rate / PROCESSES).max(1)));
        }
        if retries {
            command.arg(format!("--max-tries={TRIES}"));
        }
        let scripts = if context.options.asynchronous { &ASYNCHRONOUS[..] } else { &SCRIPTS };
        for (script, weight) in scripts {
            command.args(["-f", &format!("{script}@{weight}")]);
        }
        command.arg(context.database.writer_url());
        command.stdout(Stdio::null()).stderr(File::create(complaints.path())?);
        // Ended sessions make pgbench fail; that is wanted. A slice that never begins shows as a standstill.
        let status = command.status().await.context("pgbench cannot be started")?;
        if !status.success() {
            let said = std::fs::read_to_string(complaints.path())?;
            context.trouble(&format!("pgbench: {}", said.lines().last().unwrap_or_default()));
            context.pause(Duration::from_millis(random.u64(0..50))).await;
        }
        slice += PROCESSES;
    }
    Ok(())
}
