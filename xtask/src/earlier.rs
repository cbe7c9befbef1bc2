//! The relays of earlier revisions of the tables, each built from the last commit that had it.

use std::env::join_paths;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{cargo, executables};
use crate::children::Children;

/// The last commits of revision 1 and 2.
const COMMITS: [&str; 2] = ["b74725c308912b0f674aa266b4f73b4c4ff7e483", "1f81f9e83ec710e816edc1624fcb83c3f50c07b3"];

/// Builds them below `target`, and says where they are, as a list of paths.
pub(crate) fn relays(children: &Children) -> Result<OsString> {
    let relays = COMMITS.iter().map(|commit| relay(children, commit)).collect::<Result<Vec<_>>>()?;
    Ok(join_paths(relays)?)
}

fn relay(children: &Children, commit: &str) -> Result<PathBuf> {
    let folder = PathBuf::from("target/earlier").join(commit);
    fs::create_dir_all(&folder)?;
    let archive = folder.join("source.tar");
    let write = &mut Command::new("git");
    let written = children.must(write.args(["archive", "--format=tar", "--output"]).arg(&archive).arg(commit));
    written.with_context(|| {
        format!("commit {commit} cannot be had from git; in a shallow clone run `git fetch --unshallow`")
    })?;
    children.must(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&folder))?;
    let build =
        &mut cargo(["build", "--release", "-p", "outbox-relay", "--no-default-features", "--features", "postgres"]);
    build.arg("--manifest-path").arg(folder.join("Cargo.toml")).arg("--target-dir").arg(folder.join("target"));
    let mut programs = executables(children, build.args(["--bin", "outbox-relay"]))?;
    programs.remove("outbox-relay").context("the build made no outbox-relay")
}
