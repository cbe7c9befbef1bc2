//! The folder of one server, and the guard that ends the server and removes the folder whatever becomes of this process.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::account::Account;
use super::binaries::Binaries;
use super::settings;

/// A socket's path holds at most 107 bytes; `/.s.PGSQL.12345.lock` and a margin are taken off.
const LONGEST_PATH: usize = 80;

/// Waits for the other end of its standard input to close, then does the work of `Drop`.
///
/// A pipe rather than the kernel's parent death signal, because that one fires when the starting *thread* ends.
const GUARD: &str = r#"read -r nothing; "$1" -D "$2" -m immediate -w stop; rm -rf "$3""#;

/// A server's folder (`data`, the log and the sockets).
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    parent: Option<PathBuf>,
    account: Account,
    guard: Child,
}

impl Folder {
    /// Makes the folder and sets the guard over it.
    pub(super) fn create(parent: Option<&Path>, binaries: &Binaries, account: Account) -> Result<Self> {
        let place = parent.unwrap_or(Path::new("/tmp"));
        let folder = tempfile::Builder::new().prefix("outbox-pg-").tempdir_in(place);
        let folder = folder.with_context(|| format!("no folder can be made in {}", place.display()))?;
        let length = folder.path().as_os_str().len();
        ensure!(length <= LONGEST_PATH, "{} is too long to hold a socket, choose a shorter one", place.display());
        account.give(folder.path())?;

        let mut guard = binaries.shell(GUARD);
        guard.arg("guard").arg(binaries.path("pg_ctl")).arg(folder.path().join("data")).arg(folder.path());
        // Its own process group: an interrupt from the terminal must not end the guard before its work.
        guard.process_group(0).current_dir("/");
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        account.run_as(&mut guard);
        let guard = guard.spawn().context("sh cannot be started")?;
        Ok(Self { path: folder.keep(), parent: parent.map(Path::to_owned), account, guard })
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder it was made in, if one was asked for.
    pub(super) fn parent(&self) -> Option<&Path> {
        self.parent.as_deref()
    }

    /// The server's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The server's log.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Lets a program run in the folder, under the server's account.
    pub(super) fn command(&self, mut command: Command) -> Command {
        command.current_dir(&self.path).stdin(Stdio::null());
        self.account.run_as(&mut command);
        command
    }

    /// Adds settings; they are stronger than those before them.
    pub(super) fn configure(&self, settings: &[(String, String)]) -> Result<()> {
        let path = self.data().join("postgresql.conf");
        let file = fs::OpenOptions::new().append(true).open(&path);
        file.and_then(|mut file| file.write_all(settings::lines(settings).as_bytes()))
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Whether the last start failed because the port was taken.
    pub(super) fn lost_its_port(&self) -> bool {
        self.end_of_log().contains("Address already in use")
    }

    /// The last lines the server wrote.
    pub(super) fn end_of_log(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // What fails here leaves a folder behind; there is nobody to tell in a drop.
        let _ = self.guard.wait();
        // The guard could empty the folder, but its account cannot take it out of a parent that is closed to it.
        let _ = fs::remove_dir_all(&self.path);
    }
}
