//! The command line of `events`.

use clap::{Args, Subcommand};

/// What to do with the change log.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Show the newest events: when, what, where, and before → after
    #[command(after_help = "\
Examples:
  outbox-relay events show --database-url sqlite:shop.db
  outbox-relay events show --last 50 --table orders --key 4711 --since 2h
  outbox-relay events show --tenant north --json | jq '.[] | {key, before, after}'

--json writes an array of objects with position, event_id, occurred_at, operation, table, topic, event_type,
key, tenant_id, actor, transaction_id, schema_version, before, after, payload and headers. JSON stands in
them as it was written, other text as a string, and bytes as a string data:CONTENT-TYPE;base64,...")]
    Show(Show),
    /// Show events as they are committed, until Ctrl-C
    #[command(after_help = "\
Examples:
  outbox-relay events tail --database-url sqlite:shop.db
  outbox-relay events tail --last 0 --topic 'shop.*' --json | jq .key

--json writes one object a line, with the fields that `events show` has.")]
    Tail(Show),
    /// Count events by operation, table and tenant
    #[command(after_help = "\
Examples:
  outbox-relay events stats --database-url sqlite:shop.db
  outbox-relay events stats --since 7d --tenant north --json

--json writes one object: events, and counts by table, topic, tenant_id and operation, each with its events,
first_occurred_at and last_occurred_at.")]
    Stats(Stats),
    /// Write events to a file or to standard output, whole or only what is new
    #[command(after_help = "\
Examples:
  outbox-relay events export --format jsonl --database-url sqlite:shop.db > events.jsonl
  outbox-relay events export --format csv --since 2026-01-01 --until 2026-02-01 --output january.csv
  outbox-relay events export --format jsonl --since-last hourly --output \"events-$(date +%Y%m%dT%H).jsonl\"

Formats:
  json      an array of the objects of `events show --json`
  jsonl     one of them a line
  csv       the same as columns under a header; control characters are written out, null is an empty field.
            A spreadsheet takes a text that begins with = + - or @ for a formula: import all columns as text
  cdc-json  an array of inserts, updates and deletes with event_id (the position), change_type, table_name,
            row_key, old_values and new_values (JSON as a string), tenant_id, timestamp and transaction_id;
            domain events and snapshots are left out

A file appears at once, when everything is written and synced, in place of one that has the name already.
With --since-last the next export of the name goes on where this one ended, but only if this one was complete.
Give each export a file of its own, and each set of filters a name of its own. What an open transaction has
yet to commit comes with the next export. A row that cannot be read as an event is left out and named on
standard error.")]
    Export(Export),
}

/// Flags of `events show` and `events tail`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Begin with so many events that are already there [default: 10]
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<String>,
    /// Which events.
    #[command(flatten)]
    pub(crate) filter: FilterFlags,
}

/// Flags of `events stats`.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Which events.
    #[command(flatten)]
    pub(crate) filter: FilterFlags,
}

/// Flags of `events export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// How events are written: json, jsonl, csv or cdc-json; --json alone means json
    #[arg(long, value_name = "F", required_unless_present = "json")]
    pub(crate) format: Option<String>,
    /// Write to this file, which is replaced [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
    /// Only what is new since the last export of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) since_last: Option<String>,
    /// Which events.
    #[command(flatten)]
    pub(crate) filter: FilterFlags,
}

/// Which events.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which events")]
pub(crate) struct FilterFlags {
    /// Only events of this tenant.
    #[arg(
        long,
        value_name = "T",
        help = "Only events of this tenant; may be repeated [default: OUTBOX_TENANT, or all]"
    )]
    pub(crate) tenant: Vec<String>,
    /// Only change events of this table; may be repeated
    #[arg(long, value_name = "T")]
    pub(crate) table: Vec<String>,
    /// Only topics like this, with * and ?; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) topic: Vec<String>,
    /// Only events of this key; may be repeated
    #[arg(long, value_name = "K")]
    pub(crate) key: Vec<String>,
    /// Only this operation: insert, update, delete or snapshot; may be repeated
    #[arg(long, value_name = "O")]
    pub(crate) operation: Vec<String>,
    /// Only events at or after this time: 2026-01-31T12:00:00Z, 2026-01-31, or 2h ago as 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only events before this time, written the same way
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only events after this position
    #[arg(long, value_name = "POSITION")]
    pub(crate) after: Option<String>,
}

impl Events {
    /// Which events they are about.
    pub(crate) fn filter(&self) -> &FilterFlags {
        match self {
            Self::Show(flags) | Self::Tail(flags) => &flags.filter,
            Self::Stats(flags) => &flags.filter,
            Self::Export(flags) => &flags.filter,
        }
    }
}
