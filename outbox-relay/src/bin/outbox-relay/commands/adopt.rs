//! `outbox-relay adopt`: relays may work this database at the address it has now.

use std::fmt::Write as _;

use outbox_core::continuity::Adoption;

use crate::adapter;
use crate::arguments::Adopt;
use crate::exit::{Exit, Failure};
use crate::printable::{printable, printable_json};
use crate::settings::Database;
use crate::signature::signature;

/// Records the address, and gives the outbox an instance of its own where that is asked for.
pub(crate) async fn execute(flags: &Adopt, database: &Database, json: bool) -> Result<Exit, Failure> {
    let signature = signature(&flags.signature)?;
    let adoption = adapter::mender(database).await?.adopt(flags.new_instance, &signature).await?;
    if json {
        let line = serde_json::to_string(&adoption).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{}\n", printable_json(&line)))?;
    } else {
        super::print(&printable_lines(&said(&adoption)))?;
    }
    Ok(Exit::Done)
}

fn said(adoption: &Adoption) -> String {
    let Adoption { before, address, instance_before, instance } = adoption;
    let mut out = String::new();
    let worked = if before.is_empty() { "nowhere yet".to_owned() } else { before.join(" and ") };
    _ = writeln!(out, "worked so far: {worked}");
    if instance == instance_before {
        _ = writeln!(out, "from now on also: {address}");
    } else {
        _ = writeln!(out, "from now on only: {address}");
        _ = writeln!(out, "instance before: {instance_before}\ninstance now: {instance}");
        _ = writeln!(out, "where `expect_instance` is set, write the new one there");
    }
    out
}

fn printable_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", printable(line))).collect()
}
