//! A private PostgreSQL server: its own folder, its own port on 127.0.0.1, its own end.
//!
//! ```no_run
//! use xtask::postgres::{Cluster, ClusterOptions};
//!
//! let cluster = Cluster::start(ClusterOptions::default().set("wal_level", "replica"))?;
//! cluster.create_database("shop")?;
//! println!("{}", cluster.url("shop"));
//! cluster.restart_immediate()?;
//! let standby = cluster.standby()?;
//! assert_ne!(standby.port(), cluster.port());
//! # Ok::<(), anyhow::Error>(())
//! ```

mod account;
mod apt;
mod binaries;
mod fetched;
mod folder;
mod moved_clock;
mod pooler;
mod settings;
mod wheel;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use self::account::Account;
pub use self::binaries::{BIN_VARIABLE, Binaries};
use self::folder::Folder;
pub use self::moved_clock::MovedClock;
pub use self::pooler::Pooler;

/// The name of the variable that tells tests where the run's shared server listens.
pub const URL_VARIABLE: &str = "OUTBOX_TEST_POSTGRES_URL";

/// How often a start is tried again when somebody else took the port first.
const PORT_ATTEMPTS: u32 = 5;

/// What a cluster is started with.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// Server settings by name, stronger than the defaults (`fsync` stays on unless it is named here).
    pub settings: Vec<(String, String)>,
    /// The folder in which the cluster makes its own; `/tmp` when absent.
    ///
    /// A short path, because the server's socket lies below it; reachable by the account the server runs under.
    pub parent: Option<PathBuf>,
    /// The time of day the server goes by; the machine's when absent.
    pub clock: Option<MovedClock>,
}

impl ClusterOptions {
    /// Adds a server setting.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Waits until every client has left.
    Smart,
    /// Ends the clients' sessions, rolls back and writes a last checkpoint.
    Fast,
    /// Stops like a crash: the next start recovers from the log.
    Immediate,
}

impl StopMode {
    fn name(self) -> &'static str {
        match self {
            Self::Smart => "smart",
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

/// A running PostgreSQL server that ends with this value.
///
/// Dropping it stops the server at once and removes its folder. The same happens when the process that holds it exits,
/// aborts or is killed, because a small shell waits at the other end of a pipe (a `static` cluster is safe, too).
///
/// The superuser is `postgres`, without a password. All methods take `&self`, so an `Arc<Cluster>` can be restarted by
/// one thread under the load of another.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    folder: Folder,
    port: u16,
    clock: Option<MovedClock>,
}

impl Cluster {
    /// Starts a fresh server with the programs of [`Binaries::obtain`] and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// When there is no PostgreSQL to be had, or the server does not start; the text holds the server's own words.
    pub fn start(options: ClusterOptions) -> Result<Self> {
        Self::start_with(Binaries::obtain()?, options)
    }

    /// Starts a fresh server with the given programs, so that two versions can run side by side.
    ///
    /// # Errors
    ///
    /// When the server does not start; the text holds the server's own words.
    pub fn start_with(binaries: Binaries, options: ClusterOptions) -> Result<Self> {
        let folder = Folder::create(options.parent.as_deref(), &binaries, Account::choose()?)?;
        Self::make_data(&binaries, &folder, &[])?;
        Self::launch(binaries, folder, &settings::for_primary(options.settings), options.clock)
    }

    fn make_data(binaries: &Binaries, folder: &Folder, options: &[&str]) -> Result<()> {
        let mut initdb = folder.command(binaries.command("initdb"));
        initdb.args(["-A", "trust", "-U", "postgres", "--no-sync", "--no-locale", "-E", "UTF8"]);
        complete(initdb.args(options).arg("-D").arg(folder.data())).map(drop)
    }

    /// Stops this server for good and brings its data to other programs by their `pg_upgrade`, in a folder and on a port of
    /// its own.
    ///
    /// # Errors
    ///
    /// When the programs have no `pg_upgrade`, or it refuses.
    pub fn upgrade(&self, binaries: Binaries) -> Result<Self> {
        let folder = Folder::create(self.folder.parent(), &binaries, Account::choose()?)?;
        // Both must have checksums, or neither. Version 18 was the first to have them unless told otherwise, and to be told so.
        let told = complete(binaries.command("initdb").arg("--help"))?;
        let without = ["--no-data-checksums"];
        let here = complete(self.binaries.command("initdb").arg("--help"))?.contains(without[0]);
        let differ = !here && told.contains(without[0]);
        Self::make_data(&binaries, &folder, if differ { &without } else { &[] })?;
        self.stop(StopMode::Fast)?;
        let mut upgrade = folder.command(binaries.command("pg_upgrade"));
        upgrade.arg("-b").arg(self.binaries.folder()).arg("-B").arg(binaries.folder());
        upgrade.arg("-d").arg(self.folder.data()).arg("-D").arg(folder.data());
        upgrade.args(["-U", "postgres", "-p", &free_port()?.to_string(), "-P", &free_port()?.to_string()]);
        complete(&mut upgrade)?;
        Self::launch(binaries, folder, &settings::for_primary(Vec::new()), None)
    }

    /// Makes a hot standby of this server, in a folder and on a port of its own.
    ///
    /// It follows this server from now on; it is ready for read-only queries when this returns.
    ///
    /// # Errors
    ///
    /// When this server does not run, when `wal_level` is `minimal`, or when the standby does not start.
    pub fn standby(&self) -> Result<Self> {
        self.copied(&["--write-recovery-conf"])
    }

    /// Makes a copy of this server that goes its own way from now on, in a folder and on a port of its own.
    ///
    /// # Errors
    ///
    /// When this server does not run, or the copy does not start.
    pub fn copy(&self) -> Result<Self> {
        self.copied(&[])
    }

    fn copied(&self, options: &[&str]) -> Result<Self> {
        let folder = Folder::create(self.folder.parent(), &self.binaries, Account::choose()?)?;
        self.base_backup(&folder, &folder.data(), options)?;
        Self::launch(self.binaries.clone(), folder, &[], None)
    }

    fn base_backup(&self, folder: &Folder, to: &Path, options: &[&str]) -> Result<()> {
        let mut copy = folder.command(self.bin("pg_basebackup"));
        copy.args(options).args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "-D"]);
        complete(copy.arg(to)).map(drop)
    }

    /// Lets a standby become a primary, and waits until it takes writes.
    ///
    /// # Errors
    ///
    /// When it is none, or does not run.
    pub fn promote(&self) -> Result<()> {
        complete(self.pg_ctl().arg("promote")).map(drop)
    }

    /// Takes a base backup of the running server, which [`Cluster::restore`] brings back.
    ///
    /// # Errors
    ///
    /// When the server does not run, or there is one already.
    pub fn back_up(&self) -> Result<()> {
        self.base_backup(&self.folder, &self.backup(), &[])
    }

    /// Puts the backup in the place of the stopped server's data.
    ///
    /// # Errors
    ///
    /// When there is no backup.
    pub fn restore(&self) -> Result<()> {
        let (data, backup) = (self.folder.data(), self.backup());
        std::fs::remove_dir_all(&data).with_context(|| format!("{} cannot be removed", data.display()))?;
        std::fs::rename(&backup, &data).with_context(|| format!("there is no backup {}", backup.display()))
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    /// Writes the settings and starts, on another port if somebody took the chosen one between the look and the start.
    fn launch(
        binaries: Binaries,
        folder: Folder,
        settings: &[(String, String)],
        clock: Option<MovedClock>,
    ) -> Result<Self> {
        let mut cluster = Self { binaries, folder, port: 0, clock };
        cluster.folder.configure(settings)?;
        let mut attempt = 1;
        loop {
            cluster.port = free_port()?;
            cluster.folder.configure(&settings::for_place(cluster.port, cluster.folder.path()))?;
            match cluster.start_again() {
                Err(_) if attempt < PORT_ATTEMPTS && cluster.folder.lost_its_port() => attempt += 1,
                outcome => return outcome.map(|()| cluster),
            }
        }
    }

    /// The address of a database on this server, as sqlx and psql take it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds the server's Unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.data()
    }

    /// The programs this server was started with.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// One of PostgreSQL's client programs, ready to talk to this server.
    ///
    /// Host, port, user and database (`postgres`) are set in its environment; options given to the program win.
    pub fn bin(&self, name: &str) -> Command {
        let mut command = self.binaries.command(name);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", "postgres").env("PGDATABASE", "postgres");
        command.env_remove("PGHOSTADDR").env_remove("PGSERVICE").env_remove("PGOPTIONS");
        command
    }

    /// Creates an empty database.
    ///
    /// # Errors
    ///
    /// When it exists already or the server does not run.
    pub fn create_database(&self, name: &str) -> Result<()> {
        complete(self.bin("createdb").arg(name)).map(drop)
    }

    /// Stops the server and waits for its end; [`Cluster::start_again`] brings it back with its data.
    ///
    /// # Errors
    ///
    /// When the server does not run, or does not end within a minute.
    pub fn stop(&self, mode: StopMode) -> Result<()> {
        complete(self.pg_ctl().args(["-m", mode.name(), "stop"])).map(drop)
    }

    /// Starts the stopped server again, on the same port, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// When the server does not start; the text holds the end of its log.
    pub fn start_again(&self) -> Result<()> {
        let outcome = complete(self.pg_ctl().arg("-l").arg(self.folder.log()).arg("start"));
        outcome.map(drop).with_context(|| self.folder.end_of_log())
    }

    /// Whether the server runs, be it that it recovers.
    ///
    /// # Errors
    ///
    /// When `pg_ctl` cannot be started.
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.pg_ctl().arg("status").output().context("pg_ctl cannot be started")?.status.success())
    }

    /// Restarts the server like a crash: sessions are cut, the start recovers from the log.
    ///
    /// # Errors
    ///
    /// When the server did not run or does not come back; the text holds the end of its log.
    pub fn restart_immediate(&self) -> Result<()> {
        let outcome = complete(self.pg_ctl().arg("-l").arg(self.folder.log()).args(["-m", "immediate", "restart"]));
        outcome.map(drop).with_context(|| self.folder.end_of_log())
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.folder.command(self.binaries.command("pg_ctl"));
        command.arg("-D").arg(self.folder.data()).args(["-w", "-t", "60"]);
        command.envs(self.clock.iter().flat_map(MovedClock::variables));
        command
    }
}

/// Looks for a port below the range that outgoing connections draw from, so that a restart finds it still free.
///
/// Processes begin their search at different places, and so do the calls within one.
fn free_port() -> Result<u16> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let seed = process::id().wrapping_mul(97).wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed) * 7919);
    let ports = (0..10_000).filter_map(|step| u16::try_from(20_000 + seed.wrapping_add(step) % 10_000).ok());
    let mut ports = ports.filter(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    ports.next().context("no free port between 20000 and 30000 on 127.0.0.1")
}

/// Runs a program to its end; its standard output, or an error with everything it said.
fn complete(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("{program} cannot be started"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    bail!("{program} failed ({}): {} {}", output.status, said.trim(), complained.trim())
}
