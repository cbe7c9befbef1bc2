//! What the outbox costs, measured against hand-written loops in the same run: `cargo xtask bench [NAME…]`.
//!
//! Each bench repeats its variants in interleaved rounds and prints every round, the medians, and the goals with PASS or
//! below. A missed goal is news about the machine or the code and ends with 0; a lost event ends with 1. Tables go to
//! standard output, progress to standard error.

#![expect(clippy::disallowed_methods, reason = "a bench lets time pass, and watches programs that send no signal")]

mod append;
mod batch;
mod business;
mod counted;
mod derive_compile;
mod drain_file;
mod drain_postgres;
mod emptying;
mod export;
mod idle;
mod keyset;
mod latency;
mod measure;
mod memory;
mod neighbours;
mod processor;
mod relay;
mod report;
mod server;
mod shared;
mod slow;
mod sqlite;
mod turns;
mod update;
mod wake;
mod worker;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::server::Server;

/// Measures the outbox.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// What to measure; everything if nothing is named
    #[arg(value_enum, value_name = "NAME")]
    names: Vec<Bench>,
    /// How often each variant is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many events wait to be drained or exported [default: 200000, in `memory`, `export` and `emptying` a million]
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    events: Option<i64>,
    /// How long a round of `latency`, `wake`, `neighbours`, `memory` to a slow pipe or `idle` lasts [default: 10, of `idle` 60]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// The whole relay to nowhere, against hand-written loops, on PostgreSQL
    DrainPostgres,
    /// The whole relay to a synced file, on PostgreSQL
    DrainFile,
    /// An export of the change log to JSON Lines, against a hand-written loop that writes nothing, on PostgreSQL
    Export,
    /// Peak memory of the program while it drains many small events, and few large ones
    Memory,
    /// From commit to file at 500 transactions a second
    Latency,
    /// How long one read takes, however much waits, and behind dead rows, on PostgreSQL
    Batch,
    /// Appending an event by the library and by hand, on PostgreSQL
    Append,
    /// A business transaction with a separate append against without, on PostgreSQL
    Business,
    /// Capturing the update of a row by the library and by hand, on PostgreSQL
    Update,
    /// Giving the disk of a million events back, on PostgreSQL
    Emptying,
    /// Drain and capture on SQLite
    Sqlite,
    /// A publisher that takes 5 ms, on PostgreSQL
    Slow,
    /// Three relays that share a subscription against one, on PostgreSQL
    Shared,
    /// What a key that will not pass, or has most of the load, does to the others, on PostgreSQL
    Neighbours,
    /// How soon a relay that sleeps publishes, and how often it is told under load, on PostgreSQL
    Wake,
    /// What the program does when there is nothing to do
    Idle,
    /// What the derive costs the compiler, against serde's
    DeriveCompile,
}

impl Options {
    fn events(&self, otherwise: i64) -> i64 {
        self.events.unwrap_or(otherwise)
    }

    fn seconds(&self, otherwise: u64) -> u64 {
        self.seconds.unwrap_or(otherwise)
    }

    fn names(&self) -> Vec<Bench> {
        if self.names.is_empty() { Bench::value_variants().to_vec() } else { self.names.clone() }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let server = Server::from_environment().await?;
    for bench in options.names() {
        let table = match bench {
            Bench::DrainPostgres => drain_postgres::run(&server, &options).await?,
            Bench::DrainFile => drain_file::run(&server, &options).await?,
            Bench::Export => export::run(&server, &options).await?,
            Bench::Memory => memory::run(&server, &options).await?,
            Bench::Latency => latency::run(&server, &options).await?,
            Bench::Batch => batch::run(&server, &options).await?,
            Bench::Append => append::run(&server, &options).await?,
            Bench::Business => business::run(&server, &options).await?,
            Bench::Update => update::run(&server, &options).await?,
            Bench::Emptying => emptying::run(&server, &options).await?,
            Bench::Sqlite => sqlite::run(&options).await?,
            Bench::Slow => slow::run(&server, &options).await?,
            Bench::Shared => shared::run(&server, &options).await?,
            Bench::Neighbours => neighbours::run(&server, &options).await?,
            Bench::Wake => wake::run(&server, &options).await?,
            Bench::Idle => idle::run(&server, &options).await?,
            Bench::DeriveCompile => derive_compile::run(&options)?,
        };
        println!("{table}");
    }
    Ok(())
}
