//! `cargo xtask torture`: the long form of the tests, whose report is committed.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use xtask::EARLIER_VARIABLE;

use crate::cargo::{cargo, executables};
use crate::children::{Children, code_of};
use crate::earlier;
use crate::server::Server;

/// How long, how random, and where the report goes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Cut each part to its share of so many minutes; without it all run at full size
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Only this part, beside the controls: order, kills, restarts, ghosts, cleanup, kill-matrix, split-brain, network, answers,
    /// operators, disk, wake, upgrade or simulation
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Repeat an earlier run's choices
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// The file, seen from the root, that the report's lines are added to
    #[arg(long, default_value = "docs/evidence/torture.txt", value_name = "FILE")]
    report: PathBuf,
}

/// Builds the release, starts the server and lets the torture program work on both.
pub(crate) fn run(children: &Children, options: &Options) -> Result<ExitCode> {
    let build = &mut cargo(["build", "--release", "--all-features", "-p", "outbox-relay", "-p", "outbox-tests"]);
    let programs = executables(children, build.args(["--bin", "outbox-relay", "--bin", "torture"]))?;
    let relay = programs.get("outbox-relay").context("the build made no outbox-relay")?;
    let server = Server::start()?;
    let mut torture = Command::new(programs.get("torture").context("the build made no torture program")?);
    torture.arg("--report").arg(&options.report);
    if let Some(minutes) = options.minutes {
        torture.arg("--minutes").arg(minutes.to_string());
    }
    if let Some(only) = &options.only {
        torture.arg("--only").arg(only);
    }
    if let Some(seed) = options.seed {
        torture.arg("--seed").arg(seed.to_string());
    }
    if options.only.as_deref().is_none_or(|only| only == "upgrade") {
        torture.env(EARLIER_VARIABLE, earlier::relays(children)?);
    }
    server.tell(&mut torture, relay);
    children.run(&mut torture).map(code_of)
}
