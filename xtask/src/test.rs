//! `cargo xtask test`: everything, against real servers, in bounded time.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cargo::{cargo, executables, has_command};
use crate::children::{Children, code_of, shown};
use crate::server::{Extra, Server};

/// What a run may take on two cores, compiling included.
const LIMIT: Duration = Duration::from_mins(12);
/// What each further server may add.
const LIMIT_OF_EXTRA: Duration = Duration::from_mins(5);

/// What is run once more against a further server: nextest's filter of all that talks to PostgreSQL.
const ON_POSTGRES: &str = "test(/^postgres/) or binary(postgres) or binary(refusals) or binary(continuity) or \
    binary(wake) or binary(metrics) or test(the_whole_load) or test(a_restarted_server) or test(a_crash_takes) or \
    test(what_three_subscribers)";

/// Builds, and runs the tests against each server in turn.
pub(crate) fn run(children: &Children, with: &[Extra], arguments: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    // One build with the features and targets that the test run asks for: it then finds everything fresh.
    let build = &mut cargo(["build", "--workspace", "--all-features", "--tests", "--bin", "outbox-relay"]);
    let programs = executables(children, build)?;
    let relay = programs.get("outbox-relay").context("the build made no outbox-relay")?;
    let building = start.elapsed();

    let mut run = Run { children, relay, outcome: ExitCode::SUCCESS, servers: Vec::new() };
    for extra in with {
        run.against(&Server::start_extra(*extra)?, vec![tests(&["-E", ON_POSTGRES], arguments)])?;
    }
    run.against(&Server::start()?, commands(arguments))?;

    let took = start.elapsed();
    println!("ran against {}: {took:.0?} in all, {building:.0?} of it building", run.servers.join(" and "));
    let limit = with.iter().fold(LIMIT, |limit, _| limit + LIMIT_OF_EXTRA);
    if took > limit {
        eprintln!("warning: the run took longer than the {} minutes it may take", limit.as_secs() / 60);
        return Ok(ExitCode::FAILURE);
    }
    Ok(run.outcome)
}

/// What the runs against several servers share.
struct Run<'a> {
    children: &'a Children,
    relay: &'a Path,
    outcome: ExitCode,
    servers: Vec<String>,
}

impl Run<'_> {
    /// Runs the commands against a server.
    fn against(&mut self, server: &Server, commands: Vec<Command>) -> Result<()> {
        for mut command in commands {
            server.tell(&mut command, self.relay);
            let status = self.children.run(&mut command)?;
            if !status.success() {
                eprintln!("failed: {}", shown(&command));
                self.outcome = code_of(status);
            }
        }
        self.servers.push(server.name());
        Ok(())
    }
}

/// Documentation tests first, so that nextest's summary is what a reader finds at the end.
fn commands(arguments: &[String]) -> Vec<Command> {
    let doc = cargo(["test", "--doc", "--quiet", "--workspace", "--all-features"]);
    let tests = tests(&[], arguments);
    if arguments.is_empty() { vec![doc, tests] } else { vec![tests] }
}

/// The tests by nextest, of which `only` names some; without nextest all of them.
fn tests(only: &[&str], arguments: &[String]) -> Command {
    let mut tests = if has_command("nextest") {
        let mut nextest = cargo(["nextest", "run", "--workspace", "--all-features"]);
        nextest.args(only);
        nextest
    } else {
        eprintln!("cargo-nextest is missing (cargo install --locked cargo-nextest): cargo test takes its place");
        cargo(["test", "--tests", "--no-fail-fast", "--workspace", "--all-features"])
    };
    tests.args(arguments);
    tests
}
