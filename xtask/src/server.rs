//! The server of one run, and how its children learn of it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xtask::postgres::{BIN_VARIABLE, Cluster, ClusterOptions, URL_VARIABLE};

/// The name of the variable that tells tests and benches where the relay's program is.
const RELAY_VARIABLE: &str = "OUTBOX_RELAY_BIN";

/// The run's shared PostgreSQL.
pub(crate) struct Server {
    cluster: Cluster,
    version: String,
}

impl Server {
    /// Starts it with the default settings.
    pub(crate) fn start() -> Result<Self> {
        let cluster = Cluster::start(ClusterOptions::default())?;
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
