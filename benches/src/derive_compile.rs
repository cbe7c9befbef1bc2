//! `derive-compile`: what `#[derive(Outbox)]` costs the compiler, against serde's derives on the same structs.

mod source;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::source::{Derives, library, manifest};
use crate::Options;
use crate::report::Table;

const STRUCTS: usize = 200;
const GOAL: f64 = 1.5;

/// The workspace whose lock file names the versions, and whose `outbox-core` is compiled.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What cargo is asked to do: types alone, and code too.
const COMMANDS: [(&str, &str); 2] = [("check", "s check"), ("build", "s build")];

/// Three crates of the same structs, compiled in turn with everything they depend on compiled before.
pub(crate) fn run(options: &Options) -> Result<Table> {
    eprintln!("derive-compile");
    let folder = tempfile::tempdir()?;
    lay_out(folder.path())?;
    for (command, _) in COMMANDS {
        cargo(folder.path(), &[command, "--workspace"])?;
    }
    let mut table =
        Table::new(format!("derive-compile: one crate of {STRUCTS} structs, its dependencies compiled before"));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        for (command, unit) in COMMANDS {
            for derives in Derives::ALL {
                // A source that is newer than what was made of it.
                fs::write(folder.path().join(derives.package()).join("src/lib.rs"), library(derives, STRUCTS))?;
                let start = Instant::now();
                cargo(folder.path(), &[command, "--package", derives.package()])?;
                table.record(derives.variant(), unit, start.elapsed().as_secs_f64());
            }
        }
    }
    for (command, unit) in COMMANDS {
        let [plain, serde, outbox] = Derives::ALL.map(Derives::variant);
        let found = table.ratio_of_costs((outbox, serde), (serde, plain), unit);
        table.at_most(&format!("cargo {command}: what Outbox adds / what Serialize and Deserialize add"), found, GOAL);
    }
    Ok(table)
}

fn lay_out(folder: &Path) -> Result<()> {
    let members = Derives::ALL.map(|derives| format!("{:?}", derives.package())).join(", ");
    fs::write(folder.join("Cargo.toml"), format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n"))?;
    fs::copy(Path::new(WORKSPACE).join("Cargo.lock"), folder.join("Cargo.lock"))?;
    for derives in Derives::ALL {
        let package = folder.join(derives.package());
        fs::create_dir_all(package.join("src"))?;
        fs::write(package.join("Cargo.toml"), manifest(derives, Path::new(WORKSPACE)))?;
        fs::write(package.join("src/lib.rs"), library(derives, STRUCTS))?;
    }
    Ok(())
}

/// Offline: everything is there, for this program was built of it.
fn cargo(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(arguments).args(["--offline", "--quiet"]).current_dir(folder);
    command.env("CARGO_TARGET_DIR", folder.join("target")).env("CARGO_INCREMENTAL", "0");
    let status = command.status().context("cargo does not start")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}
