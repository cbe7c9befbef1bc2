//! A database that belongs to one test, with users that have one role each.

use std::env;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use outbox_core::schema;
use sqlx::{Connection, Executor, PgConnection};
use tokio::process::Command;
use uuid::Uuid;
use xtask::postgres::{Binaries, Cluster, URL_VARIABLE};

use crate::roles::Users;

/// A database on a server, dropped with this value.
#[derive(Clone, Debug)]
pub struct Database {
    url: String,
    binaries: Binaries,
}

/// The same address with another `host:port`.
pub(crate) fn moved(url: &str, place: &str) -> String {
    let (user, rest) = url.split_once('@').expect("the address of a server names a user");
    let (_, database) = rest.split_once('/').expect("the address of a server names a database");
    format!("{user}@{place}/{database}")
}

/// Drops the database of a test at its end, however it ends.
#[derive(Debug)]
pub struct Owned {
    database: Database,
    server: String,
    name: String,
}

impl Owned {
    /// Creates a database on the run's shared server.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    ///
    /// # Panics
    ///
    /// When no server was started for the tests: a test that needs one never passes without.
    pub async fn on_shared_server() -> Result<Self> {
        let server = env::var(URL_VARIABLE).expect("run `cargo xtask test`: it starts the server that this test needs");
        let name = format!("torture_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&server).await?;
        connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
        let base = server.rsplit_once('/').context("the server's URL names no database")?.0;
        let url = format!("{base}/{name}");
        let database = Database { url, binaries: Binaries::obtain()? };
        Ok(Self { database, server, name })
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Best effort: the server itself goes with the run.
        let mut psql = self.database.binaries.command("psql");
        psql.args(["-q", "-X", "-c", &format!("DROP DATABASE {} WITH (FORCE)", self.name)]);
        psql.args(["-c", &Users::removal(&self.name), &self.server]);
        if let Err(error) = psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            eprintln!("database {} is left behind: {error}", self.name);
        }
    }
}

impl Database {
    /// Creates a database on a private server, which takes it along when it goes.
    ///
    /// # Errors
    ///
    /// When the server does not run.
    pub fn on(cluster: &Cluster, name: &str) -> Result<Self> {
        cluster.create_database(name)?;
        Ok(Self::named(cluster, name))
    }

    /// One that is there.
    pub fn named(cluster: &Cluster, name: &str) -> Self {
        Self { url: cluster.url(name), binaries: cluster.binaries().clone() }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address for a user that may relay, and no more.
    pub fn relay_url(&self) -> String {
        self.url_of("relay")
    }

    /// Its address for a user that may write events, and no more.
    pub fn writer_url(&self) -> String {
        self.url_of("writer")
    }

    fn url_of(&self, role: &str) -> String {
        let (_, place) = self.url.split_once('@').expect("the address of a server names a user");
        format!("postgres://{}_{role}@{place}", self.name())
    }

    /// Its name, which the names of its users begin with.
    fn name(&self) -> &str {
        self.url.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// Makes the roles and the users, where they are missing.
    ///
    /// # Errors
    ///
    /// When the tables are missing or the server does not answer.
    pub async fn make_users(&self) -> Result<()> {
        let users = Users::of(self.url.parse()?, self.name());
        let mut session = self.connect().await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(users.creation())).execute(&mut session).await?;
        Ok(())
    }

    /// A new session of the owner.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.url).await
    }

    /// A new session of an application.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or nobody has made the users.
    pub async fn connect_as_writer(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.writer_url()).await
    }

    /// A new session of somebody who may relay.
    ///
    /// # Errors
    ///
    /// As [`Database::connect_as_writer`].
    pub async fn connect_as_relay(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.relay_url()).await
    }

    /// Creates the outbox tables without the help of the program.
    ///
    /// # Errors
    ///
    /// When they exist already.
    pub async fn migrate(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        connection.execute(schema::POSTGRES).await?;
        Ok(())
    }

    /// pgbench with the given scripts folder as its working folder; it ends with the value it is spawned into.
    pub(crate) fn pgbench(&self, scripts: &Path) -> Command {
        let mut command = Command::from(self.binaries.command("pgbench"));
        command.current_dir(scripts).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Whether this pgbench can try a transaction again after a conflict, as version 15 and later can.
    ///
    /// # Errors
    ///
    /// When pgbench does not run.
    pub(crate) fn pgbench_retries(&self) -> Result<bool> {
        let output = self.binaries.command("pgbench").arg("--help").output()?;
        ensure!(output.status.success(), "pgbench does not run ({})", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).contains("--max-tries"))
    }
}
