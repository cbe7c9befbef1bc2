//! The commands that build, test and measure this repository: `cargo xtask --help`.

mod bench;
mod cargo;
mod children;
mod earlier;
mod lint;
mod server;
mod test;
mod torture;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use self::children::Children;

/// Builds, tests and measures this repository with private servers of its own.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Options {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests against a private PostgreSQL, within 12 minutes
    Test {
        /// Run what needs PostgreSQL once more against this server
        #[arg(long, value_name = "SERVER")]
        with: Vec<server::Extra>,
        /// What cargo-nextest shall get, such as a filter; documentation tests run only without
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Kill relays and servers under load for a long time and write down what came out
    Torture(torture::Options),
    /// Measure the release build: every bench, or those named
    Bench {
        /// The benches' names and options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME")]
        arguments: Vec<String>,
    },
    /// Check format, clippy, documentation, each feature alone, dependencies and leftovers
    Lint,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(options.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    // All commands run at the root, wherever `cargo xtask` was called.
    env::set_current_dir(root())?;
    let children = Children::watching_signals()?;
    match task {
        Task::Test { with, arguments } => test::run(&children, &with, &arguments),
        Task::Torture(options) => torture::run(&children, &options),
        Task::Bench { arguments } => bench::run(&children, &arguments),
        Task::Lint => lint::run(&children),
    }
}

/// The workspace's folder: cargo names it at run time, so that a checkout that was moved finds itself.
fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).join("..")
}
