//! `cargo xtask test`: everything, against real servers, in bounded time.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cargo::{cargo, executables, has_command};
use crate::children::{Children, code_of, shown};
use crate::server::Server;

/// What a run may take on two cores, compiling included.
const LIMIT: Duration = Duration::from_mins(12);

/// Builds, starts the server, runs the tests, stops the server.
pub(crate) fn run(children: &Children, arguments: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    // One build with the features and targets that the test run asks for: it then finds everything fresh.
    let build = &mut cargo(["build", "--workspace", "--all-features", "--tests", "--bin", "outbox-relay"]);
    let programs = executables(children, build)?;
    let relay = programs.get("outbox-relay").context("the build made no outbox-relay")?;
    let building = start.elapsed();

    let server = Server::start()?;
    let mut outcome = ExitCode::SUCCESS;
    for mut command in commands(arguments) {
        server.tell(&mut command, relay);
        let status = children.run(&mut command)?;
        if !status.success() {
            eprintln!("failed: {}", shown(&command));
            outcome = code_of(status);
        }
    }
    let name = server.name();
    drop(server);

    let took = start.elapsed();
    println!("ran against {name}: {took:.0?} in all, {building:.0?} of it building");
    if took > LIMIT {
        eprintln!("warning: the run took longer than the {} minutes it may take", LIMIT.as_secs() / 60);
        return Ok(ExitCode::FAILURE);
    }
    Ok(outcome)
}

/// Documentation tests first, so that nextest's summary is what a reader finds at the end.
fn commands(arguments: &[String]) -> Vec<Command> {
    let doc = cargo(["test", "--doc", "--quiet", "--workspace", "--all-features"]);
    let mut tests = if has_command("nextest") {
        cargo(["nextest", "run", "--workspace", "--all-features"])
    } else {
        eprintln!("cargo-nextest is missing (cargo install --locked cargo-nextest): cargo test takes its place");
        cargo(["test", "--tests", "--no-fail-fast", "--workspace", "--all-features"])
    };
    tests.args(arguments);
    if arguments.is_empty() { vec![doc, tests] } else { vec![tests] }
}
