//! How many events of which kind, as tables for people and as JSON.

use std::collections::BTreeMap;

use comfy_table::Table;
use outbox_core::Filter;
use outbox_core::store::Count;
use serde::Serialize;
use time::OffsetDateTime;

use super::listing::heading;
use super::value;
use crate::moment;
use crate::paint::Tone;
use crate::printable::printable_json;
use crate::table::{self, align_right, counted, marked, table, unknown};

/// So many tenants have a line; JSON has all of them.
const TENANTS: usize = 20;

/// The widest a name gets.
const NAME: usize = 32;

/// The words of the operations, in the order of their columns.
const OPERATIONS: [&str; 4] = ["insert", "update", "delete", "snapshot"];

/// What is counted: the operations, events without one, and all together.
const KINDS: [&str; OPERATIONS.len() + 2] = ["Insert", "Update", "Delete", "Snapshot", "Other", "Total"];

/// The counts as two tables: by table or topic, and by tenant.
pub(crate) fn tables(filter: &Filter, counts: &[Count], coloured: bool) -> String {
    let tone = coloured.then_some((|_| Tone::Strong) as fn(&str) -> Tone);
    let heading = heading(filter);
    let mut out = if coloured { Tone::Strong.paint(&heading) } else { heading } + "\n";
    if counts.is_empty() {
        return out + "\nno event\n";
    }
    let by_table = grouped(counts, |count| count.table.as_ref().unwrap_or(&count.topic).clone());
    table::write(&mut out, &rendered("Table or topic", &by_table, usize::MAX), tone);
    if counts.iter().any(|count| count.tenant != counts[0].tenant) {
        let by_tenant = grouped(counts, |count| count.tenant.clone().unwrap_or_else(unknown));
        table::write(&mut out, &rendered("Tenant", &by_tenant, TENANTS), tone);
        if by_tenant.len() > TENANTS {
            let more = counted((by_tenant.len() - TENANTS) as u64, "more tenant");
            out.extend(["and ", &more, "\n"]);
        }
    }
    out + "\n" + &total(counts)
}

/// The counts as one line of JSON.
pub(crate) fn json(counts: &[Count]) -> serde_json::Result<String> {
    let events = counts.iter().map(|count| count.events).sum();
    let line = serde_json::to_string(&Counts { events, counts: counts.iter().map(CountObject::of).collect() })?;
    Ok(format!("{}\n", printable_json(&line)))
}

#[derive(Serialize)]
struct Counts<'c> {
    events: u64,
    counts: Vec<CountObject<'c>>,
}

#[derive(Serialize)]
struct CountObject<'c> {
    operation: Option<&'c str>,
    table: Option<&'c str>,
    topic: &'c str,
    tenant_id: Option<&'c str>,
    events: u64,
    first_occurred_at: Option<String>,
    last_occurred_at: Option<String>,
}

impl<'c> CountObject<'c> {
    fn of(count: &'c Count) -> Self {
        Self {
            operation: count.operation.as_deref(),
            table: count.table.as_deref(),
            topic: &count.topic,
            tenant_id: count.tenant.as_deref(),
            events: count.events,
            first_occurred_at: count.first.map(moment::precise),
            last_occurred_at: count.last.map(moment::precise),
        }
    }
}

/// One line of a table.
#[derive(Default)]
struct Sum {
    numbers: [u64; KINDS.len()],
    last: Option<OffsetDateTime>,
}

/// Adds up what has the same name; the most events first.
fn grouped(counts: &[Count], name: impl Fn(&Count) -> String) -> Vec<(String, Sum)> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for count in counts {
        let sum = sums.entry(name(count)).or_default();
        let word = count.operation.as_deref();
        let column = word.and_then(|word| OPERATIONS.iter().position(|operation| *operation == word));
        sum.numbers[column.unwrap_or(OPERATIONS.len())] += count.events;
        sum.numbers[KINDS.len() - 1] += count.events;
        sum.last = sum.last.max(count.last);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.numbers[KINDS.len() - 1]));
    sums
}

/// A column for each kind of event there is.
fn rendered(what: &'static str, sums: &[(String, Sum)], most: usize) -> Table {
    let columns = KINDS.iter().enumerate().filter(|(kind, _)| sums.iter().any(|(_, sum)| sum.numbers[*kind] > 0));
    let (kinds, names): (Vec<_>, Vec<_>) = columns.map(|(kind, name)| (kind, *name)).unzip();
    let mut table = table([&[what], &names[..], &["Newest"]].concat());
    align_right(&mut table, 1..=names.len());
    for (name, sum) in sums.iter().take(most) {
        let mut row = vec![marked(&value::word(name, NAME))];
        row.extend(kinds.iter().map(|kind| match sum.numbers[*kind] {
            0 => unknown(),
            number => number.to_string(),
        }));
        row.push(sum.last.map_or_else(unknown, moment::seconds));
        table.add_row(row);
    }
    table
}

fn total(counts: &[Count]) -> String {
    let events = counted(counts.iter().map(|count| count.events).sum(), "event");
    let first = counts.iter().filter_map(|count| count.first).min();
    let last = counts.iter().filter_map(|count| count.last).max();
    match (first, last) {
        (Some(first), Some(last)) => {
            format!("{events} from {} to {} (UTC)\n", moment::seconds(first), moment::seconds(last))
        }
        _ => format!("{events}\n"),
    }
}

#[cfg(test)]
mod tests;
