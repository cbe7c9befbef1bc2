//! `outbox-relay replay`: sends again what was published, marked.

use std::fmt::Write as _;
use std::sync::Arc;

use outbox_core::{Clock as _, Filter};
use outbox_relay::{Replay as Replaying, Replayed, SystemClock};

use crate::adapter;
use crate::arguments::Replay;
use crate::exit::{Exit, Failure};
use crate::moment;
use crate::printable::{printable, printable_json};
use crate::problem::{Place, Problems};
use crate::settings::Database;
use crate::table::counted;

/// Hands events to the relay of the subscription, or says how many that would be.
pub(crate) async fn execute(flags: &Replay, database: &Database, json: bool) -> Result<Exit, Failure> {
    let replay = asked(flags)?;
    let store = adapter::store(database)?;
    adapter::check_instance(&store.check().await?.instance, database)?;
    let done = replay.run(Arc::from(store), &flags.of.subscription).await?;
    let text = if json { told(flags, done) } else { said(flags, done) };
    super::print(&text)?;
    Ok(Exit::Done)
}

fn asked(flags: &Replay) -> Result<Replaying, Failure> {
    let mut problems = Problems::default();
    let mut problem = |flag: &str, message: String| problems.at(&Place::Flag(flag.into()), message);
    let since = flags.since.as_deref().map(|text| moment::parse(text, SystemClock.time_of_day()));
    let since = since.and_then(|since| since.map_err(|message| problem("--since", message)).ok());
    let rate = flags.rate.as_deref().map(|text| rate(text).ok_or_else(|| format!("`{text}` is no rate; write 100/s")));
    let rate = rate.and_then(|rate| rate.map_err(|message| problem("--rate", message)).ok());
    if flags.from_position.is_some_and(|position| position < 1) {
        problem("--from-position", "positions begin at 1".into());
    }
    problems.settle()?;
    let list = |word: &Option<String>| word.iter().cloned().collect::<Vec<_>>();
    let (keys, topics, tenants) = (list(&flags.key), list(&flags.topic), list(&flags.tenant));
    let filter = Filter { keys, topics, tenants, since, ..Filter::default() };
    Ok(Replaying::new(filter).from(flags.from_position.unwrap_or(1)).rate(rate).dry_run(flags.dry_run))
}

/// `100/s`, or `100`.
fn rate(text: &str) -> Option<u32> {
    text.strip_suffix("/s").unwrap_or(text).parse().ok().filter(|rate| *rate > 0)
}

fn told(flags: &Replay, done: Replayed) -> String {
    let Replayed { events, first, last, letters, unreadable, removed } = done;
    let told = serde_json::json!({
        "subscription": flags.of.subscription, "dry_run": flags.dry_run,
        "events": events, "first": first, "last": last, "dead_letters": letters, "unreadable": unreadable,
        "removed": removed,
    });
    format!("{}\n", printable_json(&told.to_string()))
}

fn said(flags: &Replay, done: Replayed) -> String {
    let name = printable(&flags.of.subscription);
    let events = counted(done.events, "event");
    let range = match (done.first, done.last) {
        (Some(first), Some(last)) => format!(", positions {first} to {last}"),
        _ => String::new(),
    };
    let what = if flags.dry_run { "would be sent again" } else { "handed to its relay to be sent again, marked" };
    let mut text = format!("subscription {name}: {events} {what}{range}\n");
    if done.letters > 0 {
        let are = if done.letters == 1 { "that is a dead letter" } else { "that are dead letters" };
        _ = writeln!(text, "{} left out {are}", counted(done.letters, "event"));
    }
    if let Some(removed) = done.removed {
        _ = writeln!(text, "cleanup has removed events up to position {removed}; those are not sent again");
    }
    if done.unreadable > 0 {
        _ = writeln!(text, "{} left out that cannot become events", counted(done.unreadable, "row"));
    }
    text
}
