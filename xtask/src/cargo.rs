//! Calls to cargo, and what it says about this workspace.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::children::Children;

/// The cargo that runs this program, with some arguments.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    // Set for this program by `cargo run`; a child that builds would take them for its own.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// Whether an additional cargo command such as `nextest` is installed.
pub(crate) fn has_command(name: &str) -> bool {
    let mut command = cargo([name, "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Builds, and tells where the executables are, by name.
///
/// # Errors
///
/// When the build fails, or cargo's messages cannot be read.
pub(crate) fn executables(children: &Children, build: &mut Command) -> Result<BTreeMap<String, PathBuf>> {
    let messages = children.output(build.arg("--message-format=json-render-diagnostics"))?;
    let mut found = BTreeMap::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("cargo's message is not JSON")?;
        let program = message["target"]["kind"] == serde_json::json!(["bin"]) && message["profile"]["test"] == false;
        if let (true, Some(name), Some(path)) =
            (program, message["target"]["name"].as_str(), message["executable"].as_str())
        {
            found.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(found)
}

/// The features of each package of the workspace, without `default`.
///
/// # Errors
///
/// When cargo refuses the workspace's manifests.
pub(crate) fn features(children: &Children) -> Result<BTreeMap<String, Vec<String>>> {
    let metadata = children.output(&mut cargo(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    let features_of = |package: &Value| {
        let features = package["features"].as_object()?;
        let names = features.keys().filter(|name| *name != "default").cloned().collect();
        Some((package["name"].as_str()?.to_owned(), names))
    };
    Ok(packages.iter().filter_map(features_of).collect())
}
