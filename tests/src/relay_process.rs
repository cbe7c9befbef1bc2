//! The relay's program, as a process that can be killed.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::conformance::waiting::between_looks;
use crate::database::{Database, moved};

/// The name of the variable that tells where the program is.
const BIN_VARIABLE: &str = "OUTBOX_RELAY_BIN";

/// How many events the relay may have in flight, unless it is told otherwise: what a kill may repeat.
pub const WINDOW: u64 = 1_000;

/// The same under a steady load so small that a larger one would hold all that comes between two faults: then a relay that
/// repeats everything since the last would pass.
pub const SMALL_WINDOW: u64 = 50;

/// How long an orderly shutdown may take.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// How much of the log an error shows.
const SHOWN: usize = 4_000;

/// Where the program is.
///
/// # Panics
///
/// When nobody told: a test that needs it never passes without.
pub(crate) fn program() -> PathBuf {
    env::var_os(BIN_VARIABLE).expect("run `cargo xtask test`: it builds the relay that this test needs").into()
}

/// Everything needed to run the program again and again.
#[derive(Clone, Debug)]
pub struct Relay {
    binary: PathBuf,
    /// Where the database is, for the owner of the tables and for a relay.
    urls: (String, String),
    /// Where users have to be made.
    database: Option<Database>,
    output: PathBuf,
    log: PathBuf,
    name: String,
    variables: Vec<(&'static str, String)>,
    /// Which of several relays it is.
    of_crew: Option<String>,
    window: u64,
    flags: Vec<String>,
}

impl Relay {
    /// Publishes a database's outbox into a file in the folder; the log lies beside it.
    ///
    /// # Panics
    ///
    /// When nobody told where the program is: a test that needs it never passes without.
    pub fn new(database: &Database, folder: &Path) -> Self {
        Self {
            output: folder.join("events.jsonl"),
            log: folder.join("relay.log"),
            ..Self::named(database, folder, "default")
        }
    }

    /// The same for a subscription of this name, in files that have its name.
    ///
    /// # Panics
    ///
    /// As [`Relay::new`].
    pub fn named(database: &Database, folder: &Path, name: &str) -> Self {
        let urls = (database.url().to_owned(), database.relay_url());
        Self { database: Some(database.clone()), ..Self::of(urls, folder, name) }
    }

    /// Publishes the outbox of an SQLite file into a file in the folder.
    ///
    /// # Panics
    ///
    /// As [`Relay::new`].
    pub fn on_sqlite(file: &Path, folder: &Path) -> Self {
        let url = format!("sqlite:{}", file.display());
        Self::of((url.clone(), url), folder, "default")
    }

    fn of(urls: (String, String), folder: &Path, name: &str) -> Self {
        Self {
            binary: program(),
            urls,
            database: None,
            output: folder.join(format!("{name}.jsonl")),
            log: folder.join(format!("{name}.log")),
            name: name.to_owned(),
            variables: Vec::new(),
            of_crew: None,
            window: WINDOW,
            flags: Vec::new(),
        }
    }

    /// The file that the relay writes.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// The same by another program, as one of an earlier version.
    pub fn by_program(&self, binary: PathBuf) -> Self {
        Self { binary, ..self.clone() }
    }

    /// Creates the outbox tables as the owner, and nothing else.
    ///
    /// # Errors
    ///
    /// When the program fails; the text holds the end of its log.
    pub async fn migrate_alone(&self) -> Result<()> {
        let status = self.command("migrate", &self.urls.0)?.status().await?;
        self.must_be_done("migrate", status)
    }

    /// Creates the outbox tables as the owner, and the users that the relay and its load connect as.
    ///
    /// # Errors
    ///
    /// When the program fails; the text holds the end of its log.
    pub async fn migrate(&self) -> Result<()> {
        let mut migrate = self.command("migrate", &self.urls.0)?;
        if self.database.is_some() {
            migrate.arg("--roles");
        }
        let status = migrate.stdout(Stdio::null()).status().await?;
        self.must_be_done("migrate", status)?;
        match &self.database {
            Some(database) => database.make_users().await,
            None => Ok(()),
        }
    }

    /// Starts publishing.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn spawn(&self) -> Result<RelayProcess> {
        let child = self.run()?.spawn().with_context(|| format!("{} cannot be started", self.binary.display()))?;
        Ok(RelayProcess { child, relay: self.clone() })
    }

    /// The same program and files with the database at another `host:port`.
    pub fn at(&self, place: &str) -> Self {
        self.with_urls(|url| moved(url, place))
    }

    /// The same by the socket in this folder.
    pub fn by_socket(&self, folder: &Path) -> Self {
        self.with_urls(|url| format!("{url}?host={}", folder.display()))
    }

    fn with_urls(&self, change: impl Fn(&str) -> String) -> Self {
        Self { urls: (change(&self.urls.0), change(&self.urls.1)), ..self.clone() }
    }

    /// The same with more in its environment.
    pub fn in_environment(&self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), ..self.clone() }
    }

    /// The same with another window.
    pub fn with_window(&self, events: u64) -> Self {
        Self { window: events, ..self.clone() }
    }

    /// The same with further flags of `run`.
    pub fn with(&self, flags: &[&str]) -> Self {
        Self { flags: flags.iter().map(|flag| (*flag).to_owned()).collect(), ..self.clone() }
    }

    /// One of several relays that share the work and write the same file, with a log of its own. Its sessions are known to
    /// the server by the setting `torture.relay`.
    pub fn called(&self, name: &str) -> Self {
        let url = format!("{}?options[torture.relay]={name}", self.urls.1);
        Self {
            urls: (self.urls.0.clone(), url),
            log: self.log.with_file_name(format!("{name}.log")),
            of_crew: Some(name.to_owned()),
            ..self.clone()
        }
    }

    /// Calls a command as the user that relays, and waits for its end: its exit code, and all it said.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub async fn call(&self, command: &str, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let mut program = self.command(command, &self.urls.1)?;
        let output = program.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output().await?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Publishes what there is, to the end, whatever the end: the exit code, and what it said last.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub async fn try_drain(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let status = self.run()?.args(["--until-empty", "--timeout", "60s"]).args(arguments).status().await?;
        Ok((status.code(), self.end_of_log()))
    }

    /// Publishes what there is, to the end.
    ///
    /// # Errors
    ///
    /// When the program ends with anything but "done"; the text holds the end of its log.
    pub async fn drain(&self) -> Result<()> {
        let status = self.run()?.args(["--until-empty", "--timeout", "60s"]).status().await?;
        self.must_be_done("run --until-empty", status)
    }

    /// Starts one pass of cleanup that keeps nothing longer than it must.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn cleanup(&self, arguments: &[&str]) -> Result<CleanerProcess> {
        let mut cleaner = self.command("cleanup", &self.urls.1)?;
        let child = cleaner.args(arguments).env("OUTBOX_RETENTION_KEEP", "0s").spawn();
        Ok(CleanerProcess(child.with_context(|| format!("{} cannot be started", self.binary.display()))?))
    }

    fn run(&self) -> Result<Command> {
        let mut command = self.command("run", &self.urls.1)?;
        command.arg("--publisher").arg(format!("file:{}", self.output.display()));
        command.args(["--name", &self.name, "--window-events", &self.window.to_string()]).args(&self.flags);
        if let Some(name) = &self.of_crew {
            command.env("OUTBOX_RELAY_NAME", name);
        }
        Ok(command)
    }

    fn command(&self, name: &str, url: &str) -> Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.binary);
        command.args([name, "--database-url", url]).envs(self.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        Ok(command)
    }

    fn must_be_done(&self, what: &str, status: ExitStatus) -> Result<()> {
        ensure!(status.success(), "outbox-relay {what} ended with {status}: …{}", self.end_of_log());
        Ok(())
    }

    /// The file that its log goes to.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// What it said last.
    pub fn end_of_log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(SHOWN)..]).into_owned()
    }
}

/// A running relay, killed with this value.
#[derive(Debug)]
pub struct RelayProcess {
    child: Child,
    relay: Relay,
}

impl RelayProcess {
    /// Looks whether it still runs.
    ///
    /// # Errors
    ///
    /// When it has ended by itself; the text holds the end of its log.
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("outbox-relay ended by itself with {status}: …{}", self.relay.end_of_log()),
        }
    }

    /// The number that the system knows it by.
    ///
    /// # Errors
    ///
    /// When it has been seen to end.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("outbox-relay has ended")
    }

    /// Ends it without a word, and waits for its end.
    ///
    /// # Errors
    ///
    /// When it had ended by itself; the text holds the end of its log.
    pub async fn kill(mut self) -> Result<()> {
        self.must_run()?;
        self.child.kill().await?;
        Ok(())
    }

    /// Waits until it ends by itself: its exit code, and what it said last.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub async fn ended(mut self) -> Result<(Option<i32>, String)> {
        let ended = timeout(SHUTDOWN, self.child.wait()).await;
        let status = ended.with_context(|| format!("outbox-relay does not end: …{}", self.relay.end_of_log()))??;
        Ok((status.code(), self.relay.end_of_log()))
    }

    /// Stops it where it stands.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn hold_up(&self) -> Result<()> {
        signal(&self.child, Signal::STOP)
    }

    /// Waits until it has stopped itself, where a failpoint says so.
    ///
    /// # Errors
    ///
    /// When it ends, or runs on.
    pub async fn until_held_up(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.is_held_up()? {
            self.must_run()?;
            ensure!(start.elapsed() < SHUTDOWN, "outbox-relay does not stop itself: …{}", self.relay.end_of_log());
            between_looks().await;
        }
        Ok(())
    }

    /// Whether the system shows the process as stopped; its state stands behind the name, which is in parentheses.
    fn is_held_up(&self) -> Result<bool> {
        let pid = self.id()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn go_on(&self) -> Result<()> {
        signal(&self.child, Signal::CONT)
    }

    /// Asks it to finish what is in flight and end.
    ///
    /// # Errors
    ///
    /// When it takes too long or ends with anything but "done".
    pub async fn stop(mut self) -> Result<()> {
        signal(&self.child, Signal::TERM)?;
        let ended = timeout(SHUTDOWN, self.child.wait()).await;
        let status = ended.with_context(|| format!("outbox-relay does not end: …{}", self.relay.end_of_log()))??;
        self.relay.must_be_done("run, asked to end,", status)
    }
}

/// A pass of cleanup, killed with this value.
#[derive(Debug)]
pub struct CleanerProcess(Child);

impl CleanerProcess {
    /// Stops it where it stands; `false` where it has ended already.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn hold_up(&mut self) -> Result<bool> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn go_on(&mut self) -> Result<bool> {
        self.signal(Signal::CONT)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub async fn wait(mut self) -> Result<ExitStatus> {
        timeout(SHUTDOWN, self.0.wait()).await.context("outbox-relay cleanup does not end")?.map_err(Into::into)
    }

    fn signal(&mut self, order: Signal) -> Result<bool> {
        let runs = self.0.try_wait()?.is_none();
        signal(&self.0, order)?;
        Ok(runs)
    }
}

/// Sends a signal to a process, unless it was seen to end.
pub(crate) fn signal(process: &Child, signal: Signal) -> Result<()> {
    match process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        Some(id) => kill_process(id, signal).context("the process cannot be told"),
        None => Ok(()),
    }
}
