//! Where one case happens: its folder, its database, and the program called in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::occasion::Occasion;
use super::shop::{Shop, TORN};
use super::{Kind, WINDOW};
use crate::relay_process::program;

/// How long a process may take to come to a failpoint, or to its end.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a drain ends with whose letters will not pass.
const BLOCKED: i32 = 4;

pub(super) struct Case {
    folder: TempDir,
    pub(super) shop: Shop,
    pub(super) occasion: Occasion,
    began: Instant,
}

impl Case {
    /// Makes the tables.
    pub(super) async fn open(kind: Kind, occasion: Occasion) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let shop = Shop::open(kind, folder.path()).await?;
        let mut case = Self { folder, shop, occasion, began: Instant::now() };
        std::fs::create_dir(case.archive())?;
        let segments: &[&str] = if kind == Kind::Postgres { &["--segments", "3"] } else { &[] };
        case.finish(case.command_at(case.shop.url(), "migrate", segments)?.spawn()?).await?;
        case.shop.make_users().await?;
        if occasion == Occasion::Overfull {
            case.shop.add_dead_subscription().await?;
        }
        Ok(case)
    }

    pub(super) fn output(&self) -> PathBuf {
        self.path("events.jsonl")
    }

    /// The folder for what is removed unread.
    pub(super) fn archive(&self) -> PathBuf {
        self.path("archive")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A relay, not started yet.
    pub(super) fn relay(&self, more: &[&str]) -> Result<Command> {
        let mut command = self.command("run", more)?;
        command.arg("--publisher").arg(format!("file:{}", self.output().display()));
        command.args(["--window-events", &WINDOW.to_string(), "--lease", "1s", "--timeout", "30s"]);
        command.args(["--metrics", "off"]);
        Ok(command)
    }

    /// What becomes of the log, by the environment of every process.
    fn retention(&self) -> Vec<(&'static str, String)> {
        match self.occasion {
            Occasion::Overfull => vec![
                ("OUTBOX_RETENTION_MAX_DISK", "1B".to_owned()),
                ("OUTBOX_RETENTION_ON_MAX_DISK", "archive".to_owned()),
                ("OUTBOX_RETENTION_ARCHIVE", self.archive().display().to_string()),
            ],
            // It is read from the beginning; or what was given up is known by its letters, which would go with the log.
            Occasion::Replay | Occasion::Skip | Occasion::Discard => Vec::new(),
            // What everybody has passed goes at the next look.
            _ => vec![("OUTBOX_RETENTION_KEEP", "0s".to_owned())],
        }
    }

    /// What an operator does on this occasion, not done yet.
    pub(super) async fn operator(&self) -> Result<Command> {
        let given_up =
            |what| self.command("dead-letters", &[what, "--key", TORN, "--actor", "ann", "--reason", "torn"]);
        let mut command = match self.occasion {
            Occasion::Skip => given_up("skip")?,
            Occasion::Discard => given_up("discard")?,
            Occasion::Replay => self.command("replay", &["--from-position", "1"])?,
            _ => {
                let mended = self.path("mended.json");
                std::fs::write(&mended, self.shop.mended().await?)?;
                let mut command = self.command("dead-letters", &["requeue", "--key", TORN])?;
                command.arg("--payload").arg(mended);
                command
            }
        };
        command.args(["--subscription", "default"]);
        Ok(command)
    }

    /// Publishes all there is; letters that will not pass are decided about, one after the other.
    pub(super) async fn drain(&self) -> Result<()> {
        loop {
            let ended = self.ended(self.relay(&["--until-empty"])?.spawn()?).await?;
            if ended.code() != Some(BLOCKED) {
                return self.must_be_done(ended);
            }
            self.finish(self.operator().await?.spawn()?).await?;
        }
    }

    /// Calls a command to its end.
    pub(super) async fn call(&self, name: &str, arguments: &[&str]) -> Result<()> {
        self.finish(self.command(name, arguments)?.spawn()?).await
    }

    fn command(&self, name: &str, arguments: &[impl AsRef<OsStr>]) -> Result<Command> {
        self.command_at(&self.shop.relay_url(), name, arguments)
    }

    fn command_at(&self, url: &str, name: &str, arguments: &[impl AsRef<OsStr>]) -> Result<Command> {
        let log = std::fs::File::options().create(true).append(true).open(self.path("relay.log"))?;
        let mut command = Command::new(program());
        command.arg(name).args(arguments).args(["--database-url", url]).envs(self.retention());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        Ok(command)
    }

    /// Waits for a process that ends well.
    pub(super) async fn finish(&self, process: Child) -> Result<()> {
        let ended = self.ended(process).await?;
        self.must_be_done(ended)
    }

    pub(super) async fn ended(&self, mut process: Child) -> Result<ExitStatus> {
        match timeout(PATIENCE, process.wait()).await {
            Ok(ended) => Ok(ended?),
            Err(_) => bail!("the program does not end: …{}", self.log()),
        }
    }

    fn must_be_done(&self, ended: ExitStatus) -> Result<()> {
        ensure!(ended.success(), "the program ended with {ended}: …{}", self.log());
        Ok(())
    }

    /// Whether something has come out.
    pub(super) fn has_published(&self) -> bool {
        std::fs::metadata(self.output()).is_ok_and(|file| file.len() > 0)
    }

    /// Refuses to go on for ever.
    pub(super) fn must_come(&self) -> Result<()> {
        ensure!(self.began.elapsed() < PATIENCE, "nobody comes there: …{}", self.log());
        Ok(())
    }

    pub(super) fn log(&self) -> String {
        let log = std::fs::read(self.path("relay.log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned()
    }
}

/// The file of a shop that has no server.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join("shop.db")
}
