//! `cargo deny`: licences, banned crates, sources, and known holes where their list can be had.

use std::process::Stdio;

use anyhow::{Result, bail};

use crate::cargo::{cargo, has_command};
use crate::children::Children;

/// Checks licences, bans and sources against `deny.toml`.
pub(super) fn check(children: &Children) -> Result<()> {
    if !has_command("deny") {
        println!("cargo-deny is missing: installing it");
        children.must(&mut cargo(["install", "--locked", "--quiet", "cargo-deny"]))?;
    }
    children.must(&mut cargo(["deny", "--all-features", "--log-level=error", "check", "licenses", "bans", "sources"]))
}

/// Checks for known holes; a list that cannot be fetched is said, not held against the code.
pub(super) fn advisories(children: &Children) -> Result<()> {
    let mut fetch = cargo(["deny", "fetch", "db"]);
    if !children.run(fetch.stdout(Stdio::null()).stderr(Stdio::null()))?.success() {
        println!("the list of advisories cannot be fetched here: not checked");
        return Ok(());
    }
    let status = children.run(&mut cargo(["deny", "--all-features", "check", "advisories"]))?;
    if !status.success() {
        bail!("a dependency has a known hole, see above");
    }
    Ok(())
}
