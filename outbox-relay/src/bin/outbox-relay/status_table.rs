//! The status as a table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::Table;
use outbox_core::PositionSet;
use outbox_core::continuity::Continuity;
use outbox_core::status::{HoleStatus, PartitionStatus, RelayStatus, Status, SubscriptionStatus};

use crate::paint::Tone;
use crate::printable::{printable, without_secrets};
use crate::quantity::{age, bytes};
use crate::table::{self, align_right, counted, marked, table, unknown};

/// So many ranges of open positions, and so many holes, are shown; the rest is counted.
const SHOWN: usize = 3;

/// The whole status; coloured if the reader is a terminal.
pub(crate) fn render(status: &Status, coloured: bool) -> String {
    let tone = coloured.then_some(tone as fn(&str) -> Tone);
    let mut out = header(status);
    if let Some(known) = &status.continuity {
        continuity(&mut out, known);
    }
    if !status.relays.is_empty() {
        table::write(&mut out, &relays(&status.relays), tone);
    }
    if status.subscriptions.is_empty() {
        out.push_str("\nno subscription has run yet\n");
    } else {
        table::write(&mut out, &subscriptions(&status.subscriptions), tone);
    }
    for subscription in &status.subscriptions {
        trouble(&mut out, subscription);
    }
    out
}

fn header(status: &Status) -> String {
    let database = &status.database;
    let mut out = format!(
        "{} {}, outbox {}\n",
        printable(database.kind),
        printable(&database.server_version),
        printable(&database.instance)
    );
    match (status.log.first_position, status.log.last_position) {
        (Some(first), Some(last)) => _ = write!(out, "log: positions {first} to {last}"),
        _ => out.push_str("log: empty"),
    }
    if let Some(size) = status.log.bytes {
        _ = write!(out, ", {}", bytes(size));
    }
    let segments = &status.log.segments;
    if segments.len() > 1 {
        let empty = segments.iter().filter(|segment| segment.state == "empty").count();
        _ = write!(out, ", {} segments, {empty} empty", segments.len());
    }
    out.push('\n');
    for segment in segments {
        if let Some(blocker) = &segment.blocked_by {
            _ = writeln!(out, "segment {} cannot be emptied: {}", segment.segment, printable(blocker));
        }
    }
    out
}

/// Where it was worked, and what no longer fits.
fn continuity(out: &mut String, known: &Continuity) {
    if !known.addresses.is_empty() {
        _ = writeln!(out, "worked at: {}", printable(&known.addresses.join(", ")));
    }
    if let Some(why) = &known.refused {
        _ = writeln!(out, "not worked at {}: {}", printable(&known.address), printable(why));
    }
    for (subscription, broken) in known.subscriptions() {
        if let Some(broken) = broken {
            _ = writeln!(out, "{}: {broken}; run `outbox-relay repair --plan`", printable(subscription));
        }
    }
}

fn relays(relays: &[RelayStatus]) -> Table {
    let mut table = table(["RELAY", "STATE", "SEEN"]);
    for relay in relays {
        let seen = format!("{} ago", age(relay.seen_seconds_ago));
        table.add_row([printable(&relay.name).into_owned(), marked(relay.state), seen]);
    }
    table
}

fn subscriptions(subscriptions: &[SubscriptionStatus]) -> Table {
    let mut table = table(["SUBSCRIPTION", "STATE", "LAG", "OLDEST", "POSITION", "OPEN", "OWNER", "PUBLISHER"]);
    align_right(&mut table, 2..=4);
    for subscription in subscriptions {
        let partition = subscription.partitions.iter().min_by_key(|partition| partition.position);
        table.add_row([
            printable(&subscription.name).into_owned(),
            marked(&subscription.state),
            subscription.lag_events.map_or_else(unknown, |events| events.to_string()),
            subscription.lag_seconds.map_or_else(unknown, age),
            partition.map_or_else(unknown, |partition| partition.position.to_string()),
            partition.map_or_else(unknown, |partition| open(&partition.open)),
            owners(&subscription.partitions),
            subscription.publisher.as_deref().map_or_else(unknown, |url| printable(&without_secrets(url)).into_owned()),
        ]);
    }
    table
}

/// Who works the partitions, with how many each where there are several.
fn owners(partitions: &[PartitionStatus]) -> String {
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for owner in partitions.iter().filter_map(|partition| partition.owner.as_deref()) {
        *owners.entry(owner).or_default() += 1;
    }
    let all = partitions.len();
    let shown = owners.iter().map(|(owner, count)| match all {
        0 | 1 => printable(owner).into_owned(),
        all => format!("{} ({count} of {all})", printable(owner)),
    });
    let shown: Vec<_> = shown.collect();
    if shown.is_empty() { unknown() } else { shown.join(", ") }
}

/// What holds a subscription up: an operator, its error, its blocked events, its holes.
fn trouble(out: &mut String, subscription: &SubscriptionStatus) {
    let SubscriptionStatus { parked_events, parked_keys, holes, .. } = subscription;
    let mut lines = Vec::new();
    if let Some(note) = &subscription.paused {
        lines.push(format!("paused ({})", printable(&without_secrets(note))));
    }
    if *parked_events > 0 {
        lines.push(format!(
            "{} of {} will not pass, or wait behind one that does not",
            counted(*parked_events, "event"),
            counted(*parked_keys, "key")
        ));
    }
    if let Some(error) = &subscription.last_error {
        lines.push(format!("last error: {}", printable(&without_secrets(error))));
    }
    lines.extend(holes.iter().take(SHOWN).map(hole));
    if holes.len() > SHOWN {
        lines.push(format!("and {} more", counted((holes.len() - SHOWN) as u64, "hole")));
    }
    if !lines.is_empty() {
        _ = writeln!(out, "\n{}:", printable(&subscription.name));
    }
    for line in lines {
        _ = writeln!(out, "  {line}");
    }
}

fn hole(hole: &HoleStatus) -> String {
    let range = if hole.from == hole.to {
        format!("position {} is", hole.from)
    } else {
        format!("positions {} to {} are", hole.from, hole.to)
    };
    let holders: Vec<_> = hole.holders.iter().map(|holder| printable(&holder.to_string()).into_owned()).collect();
    let held = if holders.is_empty() { "nobody known".to_owned() } else { holders.join(", ") };
    format!("{range} missing for {}; may still be filled by {held}", age(hole.age_seconds))
}

/// The first ranges of open positions.
fn open(text: &str) -> String {
    let Ok(set) = text.parse::<PositionSet>() else {
        return printable(text).into_owned();
    };
    let shown = set.ranges().take(SHOWN).map(|range| match (range.start(), range.end()) {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    });
    let mut shown: Vec<_> = shown.collect();
    if set.range_count() > SHOWN {
        shown.push(format!("+{}", set.range_count() - SHOWN));
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(" ") }
}

/// How the word of a state looks.
fn tone(state: &str) -> Tone {
    match state {
        "running" | "alive" => Tone::Green,
        "blocked" | "silent" => Tone::Red,
        "retrying" | "paused" | "unowned" => Tone::Yellow,
        _ => Tone::Faint,
    }
}

#[cfg(test)]
mod tests;
