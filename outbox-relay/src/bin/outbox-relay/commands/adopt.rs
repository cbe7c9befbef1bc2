//! `outbox-relay adopt`: relays may work this database at the address it has now.

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
        super::print(&said(&adoption))?;
    }
    Ok(Exit::Done)
}

fn said(adoption: &Adoption) -> String {
    let Adoption { before, address, instance_before, instance } = adoption;
    let worked = if before.is_empty() { "nowhere yet".to_owned() } else { before.join(" and ") };
    let mut lines = vec![format!("worked so far: {worked}")];
    if instance == instance_before && before.contains(address) {
        lines.push("that is where it is now: nothing has changed".to_owned());
    } else if instance == instance_before {
        lines.push(format!("from now on also: {address}"));
    } else {
        lines.push(format!("from now on only: {address}"));
        lines.push(format!("instance before: {instance_before}"));
        lines.push(format!("instance now: {instance}"));
        lines.push("where `expect_instance` is set, write the new one there".to_owned());
    }
    let lines: Vec<_> = lines.iter().map(|line| printable(line)).collect();
    lines.join("\n") + "\n"
}
