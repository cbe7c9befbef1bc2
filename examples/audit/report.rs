//! The report: each row's life, and what each person did.

use std::collections::BTreeMap;

use outbox_core::{Event, Operation};
use outbox_examples::{Terminal, changed, fields};
use serde_json::Value;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

const TIME: StaticFormatDescription = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Values are cut to this many characters.
const SHOWN: usize = 16;

/// Collects changes in the order in which they happened.
pub(crate) struct Report {
    branch: String,
    terminal: Terminal,
    rows: BTreeMap<(String, String), Vec<String>>,
    people: BTreeMap<String, BTreeMap<&'static str, usize>>,
}

impl Report {
    pub(crate) fn new(branch: &str, terminal: Terminal) -> Self {
        Self { branch: branch.to_owned(), terminal, rows: BTreeMap::new(), people: BTreeMap::new() }
    }

    /// Adds one change; an event that is none says nothing of a row.
    pub(crate) fn add(&mut self, event: &Event) {
        let (Some(table), Some(operation)) = (&event.aggregate_type, event.operation) else {
            return;
        };
        let (verb, colour) = match operation {
            Operation::Insert => ("created", "32"),
            Operation::Update => ("changed", "33"),
            Operation::Delete => ("deleted", "31"),
            Operation::Snapshot => ("found", "36"),
        };
        let actor = event.actor.as_deref().unwrap_or("somebody");
        let line = format!(
            "  {}  {actor:<6} {}  {}",
            self.terminal.paint("2", &event.occurred_at.format(TIME).unwrap_or_default()),
            self.terminal.paint(colour, verb),
            self.told(event)
        );
        self.rows.entry((table.clone(), event.key.clone())).or_default().push(line);
        *self.people.entry(actor.to_owned()).or_default().entry(verb).or_default() += 1;
    }

    /// The whole report.
    pub(crate) fn finish(self) -> String {
        let Self { branch, terminal, rows, people } = self;
        let changes: usize = rows.values().map(Vec::len).sum();
        let title = |text: &str| format!("{}\n", terminal.paint("1", text));
        let mut out = title(&format!("What happened in branch {branch}"));
        for ((table, key), lines) in rows {
            let name = terminal.paint("1;36", &format!("{table} {key}"));
            out.extend(["\n", &name, "\n", &lines.join("\n"), "\n"]);
        }
        out.extend(["\n", &title("Who did it")]);
        out.extend(people.iter().map(|(person, verbs)| {
            let verbs: Vec<_> = verbs.iter().map(|(verb, count)| format!("{verb} {count}")).collect();
            format!("  {person:<6} {}\n", terminal.paint("2", &verbs.join(", ")))
        }));
        let said = format!("{changes} changes by {} people, and none of what was rolled back", people.len());
        out + &format!("\n{} {said}\n", terminal.paint("32", "✓"))
    }

    /// From what to what: of a changed row what is different, of any other all of it.
    fn told(&self, event: &Event) -> String {
        let fields: Vec<_> = match (&event.old_payload, &event.payload) {
            (Some(before), Some(after)) => {
                let changed = changed(before, after).into_iter();
                changed.map(|(name, old, new)| self.changed(&name, &old, &new)).collect()
            }
            (Some(only), None) | (None, Some(only)) => {
                let fields = fields(only).into_iter();
                fields.map(|(name, value)| format!("{} {}", self.name(&name), short(&value))).collect()
            }
            (None, None) => Vec::new(),
        };
        fields.join(", ")
    }

    fn changed(&self, name: &str, old: &Value, new: &Value) -> String {
        let (old, new) = (self.terminal.paint("31", &short(old)), self.terminal.paint("32", &short(new)));
        format!("{} {old} → {new}", self.name(name))
    }

    fn name(&self, name: &str) -> String {
        self.terminal.paint("2", &format!("{name}:"))
    }
}

/// A text without quotes, and not too long; what a terminal would act on is written out.
fn short(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), |text| text.escape_debug().to_string());
    let end = text.char_indices().nth(SHOWN).map(|(at, _)| at);
    end.map_or_else(|| text.clone(), |end| format!("{}…", &text[..end]))
}
