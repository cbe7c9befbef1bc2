//! `cargo xtask lint`: what must hold of the code without running it.

mod features;
mod leftovers;
mod licences;

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Result;

use crate::cargo::cargo;
use crate::children::Children;

/// One check: what the closing list calls it, and what does it.
type Check = (&'static str, fn(&Children) -> Result<()>);

const CHECKS: [Check; 8] = [
    ("leftovers", leftovers::check),
    ("format", format),
    ("clippy", clippy),
    ("documentation", documentation),
    ("each feature alone", features::each_alone),
    ("default build", features::default_build_has_no_server_client),
    ("licences, bans, sources", licences::check),
    ("advisories", licences::advisories),
];

/// Runs every check, also after one has failed, and lists what became of each.
pub(crate) fn run(children: &Children) -> Result<ExitCode> {
    let mut lines = Vec::new();
    let mut failed = false;
    for (name, check) in CHECKS {
        println!("── {name}");
        let start = Instant::now();
        let outcome = check(children);
        children.stop_if_signalled()?;
        failed |= outcome.is_err();
        let word = outcome.map_or_else(|error| format!("failed: {error:#}"), |()| "ok".to_owned());
        lines.push(format!("{name}: {word} ({:.1?})", start.elapsed()));
    }
    println!("──\n{}", lines.join("\n"));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn format(children: &Children) -> Result<()> {
    children.must(&mut cargo(["fmt", "--all", "--check"]))
}

fn clippy(children: &Children) -> Result<()> {
    let command = &mut cargo(["clippy", "--quiet", "--workspace", "--all-targets", "--all-features"]);
    children.must(command.args(["--", "-D", "warnings"]))
}

fn documentation(children: &Children) -> Result<()> {
    let command: &mut Command = &mut cargo(["doc", "--quiet", "--workspace", "--no-deps", "--all-features"]);
    children.must(command.env("RUSTDOCFLAGS", "-D warnings"))
}
