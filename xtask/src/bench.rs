//! `cargo xtask bench`: the figures of the release build.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cargo::{cargo, executables};
use crate::children::{Children, code_of};
use crate::server::Server;

/// Builds the release, starts the server and runs the benches on both.
pub(crate) fn run(children: &Children, arguments: &[String]) -> Result<ExitCode> {
    let build = &mut cargo(["build", "--release", "--all-features", "-p", "outbox-relay", "-p", "outbox-benches"]);
    let programs = executables(children, build.arg("--bins"))?;
    let relay = programs.get("outbox-relay").context("the build made no outbox-relay")?;
    let server = Server::start()?;
    let mut benches = Command::new(programs.get("outbox-benches").context("the build made no outbox-benches")?);
    server.tell(benches.args(arguments), relay);
    children.run(&mut benches).map(code_of)
}
