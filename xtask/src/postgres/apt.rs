//! PostgreSQL from the distribution's packages, unpacked into a folder of this project: no root, nothing installed.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::binaries::{BIN_VARIABLE, Binaries};
use super::{complete, fetched};

/// Takes what an earlier run fetched, or fetches it now.
pub(super) fn fetch() -> Result<Binaries> {
    let root = fetched::folder("postgresql", |unpacked| {
        eprintln!("PostgreSQL is not installed: fetching the distribution's packages");
        unpack("postgresql", unpacked).with_context(instruction)
    })?;
    Binaries::newest_in(&root.join("usr/lib/postgresql")).with_context(instruction)
}

fn instruction() -> String {
    format!(
        "PostgreSQL 14 or newer is needed for the tests and cannot be fetched here: install it with its client programs \
         and pgbench (Debian, Ubuntu: `apt install postgresql`; Fedora: `dnf install postgresql-server \
         postgresql-contrib`; macOS: `brew install postgresql`), or let {BIN_VARIABLE} name the folder of its programs"
    )
}

/// Downloads a package with what it needs beyond the installed ones, and unpacks all of it below `root`.
pub(super) fn unpack(package: &str, root: &Path) -> Result<()> {
    let private = tempfile::tempdir()?;
    let apt = |arguments: &[&str]| complete(apt_get(private.path()).args(arguments));
    for folder in ["state/lists/partial", "cache/archives/partial", "packages"] {
        fs::create_dir_all(private.path().join(folder))?;
    }
    apt(&["update"])?;
    let plan = apt(&["install", "--simulate", "--no-install-recommends", "--reinstall", package])?;
    let names: Vec<&str> = packages_of(&plan).collect();
    let downloads = private.path().join("packages");
    complete(apt_get(private.path()).arg("download").args(names).current_dir(&downloads))?;
    for package in fs::read_dir(&downloads)? {
        complete(Command::new("dpkg-deb").arg("--extract").arg(package?.path()).arg(root))?;
    }
    Ok(())
}

/// `apt-get` with its lists and downloads in a private folder; only the record of what is installed is the machine's.
fn apt_get(private: &Path) -> Command {
    let mut command = Command::new("apt-get");
    for (option, folder) in [("Dir::State", "state"), ("Dir::State::lists", "state/lists"), ("Dir::Cache", "cache")] {
        command.arg("-o").arg(format!("{option}={}", private.join(folder).display()));
    }
    command.args([
        "-o",
        "Dir::State::status=/var/lib/dpkg/status",
        "-o",
        "APT::Sandbox::User=",
        "-o",
        "Debug::NoLocking=1",
    ]);
    command.args(["-q", "-y"]).env("LC_ALL", "C");
    command
}

/// The names in a plan's lines such as `Inst postgresql-15 (15.14 Debian:12 [amd64])`.
fn packages_of(plan: &str) -> impl Iterator<Item = &str> {
    plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
}

/// The library folders that a fetched server's programs need: those of the root it was unpacked into.
pub(super) fn libraries_beside(programs: &Path) -> Option<OsString> {
    let root = programs.to_str()?.split_once("/usr/lib/postgresql/")?.0;
    if root.is_empty() { None } else { libraries_below(Path::new(root)) }
}

/// The library folders of a root that packages were unpacked into.
pub(super) fn libraries_below(root: &Path) -> Option<OsString> {
    let libraries = ["usr/lib", "lib"].map(|folder| root.join(folder));
    let per_machine = libraries.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let per_machine = per_machine.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with("-gnu"));
    env::join_paths(per_machine).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_packages_of_a_plan() {
        let plan = "Reading package lists...\nInst libpq5 (15.14 Debian:12 [amd64])\nConf libpq5 (15.14)\n\
                    Inst postgresql-15 [15.13] (15.14 Debian:12 [amd64])\n";
        assert_eq!(packages_of(plan).collect::<Vec<_>>(), ["libpq5", "postgresql-15"]);
    }

    #[test]
    fn only_fetched_servers_bring_their_libraries() {
        assert_eq!(libraries_beside(Path::new("/usr/lib/postgresql/15/bin")), None);
        assert_eq!(libraries_beside(Path::new("/opt/pgsql/bin")), None);
        let root = tempfile::tempdir().unwrap();
        let libraries = root.path().join("usr/lib/x86_64-linux-gnu");
        fs::create_dir_all(&libraries).unwrap();
        let found = libraries_beside(&root.path().join("usr/lib/postgresql/15/bin"));
        assert_eq!(found, Some(libraries.into_os_string()));
    }

    #[test]
    fn the_instruction_says_what_to_install() {
        assert!(instruction().contains("apt install postgresql"));
    }
}
