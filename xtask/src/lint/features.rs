//! The features of the published crates: each compiles alone, and the default ones stay light.

use std::iter;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, features};
use crate::children::Children;

/// The crates whose features users choose among.
const CRATES: [&str; 3] = ["outbox-core", "outbox-sqlx", "outbox-relay"];

/// A crate that only a client of a server database brings.
const SERVER_CLIENT: &str = "sqlx-postgres";

/// Checks each crate with no feature and with each of its features alone; clippy, because it can refuse warnings.
pub(super) fn each_alone(children: &Children) -> Result<()> {
    let of_each = features(children)?;
    for name in CRATES {
        let names = of_each.get(name).with_context(|| format!("{name} is no member of the workspace"))?;
        for feature in iter::once("").chain(names.iter().map(String::as_str)) {
            let mut check = cargo(["clippy", "--quiet", "-p", name, "--no-default-features"]);
            children.must(check.args(["--features", feature, "--", "-D", "warnings"]))?;
        }
    }
    Ok(())
}

/// A plain `cargo build` and the quickstart compile no client of a server database.
pub(super) fn default_build_has_no_server_client(children: &Children) -> Result<()> {
    let tree = children.output(&mut cargo(["tree", "--edges=normal,build,dev", "--prefix=none", "--format={p}"]))?;
    ensure!(tree.contains("outbox-relay "), "the tree of the default members lacks outbox-relay");
    let found = tree.lines().any(|line| line.split_whitespace().next() == Some(SERVER_CLIENT));
    ensure!(!found, "the default build compiles {SERVER_CLIENT}, see `cargo tree --invert {SERVER_CLIENT}`");
    Ok(())
}
