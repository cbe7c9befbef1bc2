//! The server of one run, and how its children learn of it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xtask::postgres::{BIN_VARIABLE, Binaries, Cluster, ClusterOptions, URL_VARIABLE};

/// The name of the variable that tells tests and benches where the relay's program is.
const RELAY_VARIABLE: &str = "OUTBOX_RELAY_BIN";

/// A server that a run asks for beside the usual one.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Extra {
    /// PostgreSQL 18: what needs PostgreSQL runs a second time.
    Pg18,
}

/// The run's shared PostgreSQL.
pub(crate) struct Server {
    cluster: Cluster,
    version: String,
}

impl Server {
    /// Starts it with the default settings.
    pub(crate) fn start() -> Result<Self> {
        Self::of(Binaries::obtain()?)
    }

    /// Starts one of those beside it.
    pub(crate) fn start_extra(extra: Extra) -> Result<Self> {
        match extra {
            Extra::Pg18 => Self::of(Binaries::obtain_18()?),
        }
    }

    fn of(binaries: Binaries) -> Result<Self> {
        let cluster = Cluster::start_with(binaries, ClusterOptions::default())?;
        let version = cluster.binaries().version()?;
        let server = Self { cluster, version };
        println!("{} is up on port {}", server.name(), server.cluster.port());
        Ok(server)
    }

    /// What ran, for the closing line.
    pub(crate) fn name(&self) -> String {
        format!("PostgreSQL {} ({})", self.version, self.cluster.binaries().folder().display())
    }

    /// Tells a child where the server, its programs and the relay's program are.
    pub(crate) fn tell(&self, command: &mut Command, relay: &Path) {
        command.env(URL_VARIABLE, self.cluster.url("postgres"));
        command.env(BIN_VARIABLE, self.cluster.binaries().folder());
        command.env(RELAY_VARIABLE, relay);
    }
}
