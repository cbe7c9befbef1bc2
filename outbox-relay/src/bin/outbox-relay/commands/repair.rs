//! `outbox-relay repair`: what no longer fits the log after a restore, and setting it back.

use std::fmt::Write as _;

use outbox_core::continuity::{Break, Mender, Plan};
use serde::Serialize;

use crate::adapter;
use crate::arguments::Repair;
use crate::exit::{Exit, Failure};
use crate::printable::{printable, printable_json};
use crate::problem::{Place, Problems};
use crate::settings::Database;
use crate::signature::signature;
use crate::table::counted;

/// The form of the JSON.
#[derive(Serialize)]
struct Told<'p> {
    version: u32,
    applied: bool,
    #[serde(flatten)]
    plan: &'p Plan,
}

/// Says what is broken, or mends it.
pub(crate) async fn execute(flags: &Repair, database: &Database, json: bool) -> Result<Exit, Failure> {
    let signature = signature(&flags.signature)?;
    let mut mender = adapter::mender(database).await?;
    let subscription = flags.subscription.as_deref();
    if let Some(name) = subscription {
        refuse_unknown(mender.as_mut(), name).await?;
    }
    let plan =
        if flags.apply { mender.repair(subscription, &signature).await? } else { mender.plan(subscription).await? };
    if json {
        let told = Told { version: 1, applied: flags.apply, plan: &plan };
        let line = serde_json::to_string(&told).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{}\n", printable_json(&line)))?;
    } else {
        super::print(&said(&plan, flags.apply))?;
    }
    Ok(if flags.apply || plan.is_empty() { Exit::Done } else { Exit::Continuity })
}

async fn refuse_unknown(mender: &mut dyn Mender, name: &str) -> Result<(), Failure> {
    let known = mender.examine().await?.readers;
    if known.iter().any(|reader| reader.subscription == name) {
        return Ok(());
    }
    let mut names: Vec<&str> = known.iter().map(|reader| reader.subscription.as_str()).collect();
    names.dedup();
    let there = if names.is_empty() { "none has run yet".to_owned() } else { format!("there is {}", names.join(", ")) };
    let mut problems = Problems::default();
    problems.at(&Place::Flag("--subscription".into()), format!("there is no subscription `{name}`; {there}"));
    Err(problems.into())
}

/// The plan in plain words.
fn said(plan: &Plan, applied: bool) -> String {
    if plan.is_empty() {
        return "nothing to repair: every reader finds the log as it left it\n".to_owned();
    }
    let mut out = String::new();
    for reader in &plan.readers {
        tell(&mut out, reader, applied);
    }
    if let Some(raise) = plan.positions {
        let verb = if applied { "were raised" } else { "would be raised" };
        _ = writeln!(out, "positions {verb} from {} to {}, so that none is given out twice", raise.from, raise.to);
    }
    if let Some(floor) = plan.floor {
        let verb = if applied { "was" } else { "would be" };
        _ = writeln!(out, "the floor {verb} set to {floor}: events were written below it since cleanup was there");
    }
    if plan.doubles > 0 {
        let (events, verb) = (counted(plan.doubles as u64, "event"), if applied { "got" } else { "would get" });
        _ = writeln!(out, "{events} {verb} a position of their own: they share one with an earlier event");
    }
    if !applied {
        out.push_str("\nnothing was changed; stop the relays and run `outbox-relay repair --apply`\n");
    }
    out
}

fn tell(out: &mut String, reader: &Break, applied: bool) {
    let name = printable(&reader.subscription);
    let verb = if applied { "went" } else { "would go" };
    _ = writeln!(out, "{name}: {}", reader.broken);
    _ = writeln!(out, "  it {verb} back from position {} to {}", reader.position, reader.back_to);
    _ = writeln!(out, "  everything in the log above {} is published again", reader.back_to);
    if reader.open != "{}" {
        _ = writeln!(out, "  so is what stands at {}", reader.open);
    }
    if reader.missing > 0 {
        let events = counted(reader.missing as u64, "event");
        _ = writeln!(
            out,
            "  {events} of those it read last are missing here, and perhaps earlier ones: they were published, and"
        );
        out.push_str("  went with the database that held them; nothing here can bring them back\n");
    }
    if let Some(owner) = &reader.owner {
        _ = writeln!(out, "  relay `{}` works it: stop it first", printable(owner));
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::checkpoint::Checkpoint;
    use outbox_core::continuity::Raise;

    use super::*;

    fn plan() -> Plan {
        let reader = Break {
            subscription: "billing".into(),
            partition: 0,
            broken: "position 81 holds another event than was read there".into(),
            position: 100,
            back_to: 80,
            open: "{[5,6]}".into(),
            missing: 20,
            owner: Some("host-a".into()),
            checkpoint: Checkpoint::default(),
            epoch: 4,
        };
        Plan { readers: vec![reader], positions: Some(Raise { from: 95, to: 100 }), floor: None, doubles: 0 }
    }

    #[test]
    fn a_plan_says_what_is_repeated_and_what_is_gone() {
        assert_eq!(
            said(&plan(), false),
            "\
billing: position 81 holds another event than was read there
  it would go back from position 100 to 80
  everything in the log above 80 is published again
  so is what stands at {[5,6]}
  20 events of those it read last are missing here, and perhaps earlier ones: they were published, and
  went with the database that held them; nothing here can bring them back
  relay `host-a` works it: stop it first
positions would be raised from 95 to 100, so that none is given out twice

nothing was changed; stop the relays and run `outbox-relay repair --apply`
"
        );
        assert!(said(&plan(), true).contains("it went back") && !said(&plan(), true).contains("would"));
        assert!(said(&Plan::default(), false).starts_with("nothing to repair"));
    }
}
