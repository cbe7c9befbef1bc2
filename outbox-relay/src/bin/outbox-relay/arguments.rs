//! The command line. Values are read as text here and judged with those of the environment and the file.

mod dead_letters;
mod events;
mod mending;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub(crate) use dead_letters::{ByFlags, DeadLetters, Pause, Replay, WhichFlags};
pub(crate) use events::Events;
pub(crate) use mending::{Adopt, Repair, SignatureFlags};

/// Moves events from a transactional outbox to publishers, in order and without losing any.
#[derive(Debug, Parser)]
#[command(
    name = "outbox-relay",
    version,
    after_help = "\
Examples:
  outbox-relay migrate --database-url sqlite:shop.db
  outbox-relay migrate --roles --database-url postgres://owner@localhost/shop
  outbox-relay run --database-url sqlite:shop.db --publisher stdout
  outbox-relay status --config relay.toml

Settings: flag, then OUTBOX_DATABASE_URL, OUTBOX_RELAY_LEASE and so on, then DATABASE_URL, then the file.
Exit codes: 0 done, 1 failed, 2 bad usage, configuration or precondition, 3 continuity failed,
4 --until-empty ended with parked or blocked events, 130 second signal."
)]
pub(crate) struct Arguments {
    /// Flags of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command, before or after its name.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Read settings from this file, such as relay.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<String>,
    /// The URL of the database.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "The database: postgres://user@host/database or sqlite:path"
    )]
    pub(crate) database_url: Option<String>,
    /// Read the database's URL from this file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) database_url_file: Option<String>,
    /// The schema of the outbox tables [default: the connection's own]
    #[arg(long, global = true, value_name = "S")]
    pub(crate) schema: Option<String>,
    /// What the names of the outbox tables begin with [default: outbox_]
    #[arg(long, global = true, value_name = "P")]
    pub(crate) prefix: Option<String>,
    /// Work on the outbox of this instance alone, as status shows it [default: any]
    #[arg(long, global = true, value_name = "UUID")]
    pub(crate) expect_instance: Option<String>,
    /// Write results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log errors only, and let migrate and export say nothing when they are done
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The form of the log, which goes to standard error
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t = LogForm::Text)]
    pub(crate) log: LogForm,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create the outbox tables; a second time changes nothing
    #[command(after_help = "\
Examples:
  outbox-relay migrate --database-url sqlite:shop.db
  outbox-relay migrate --roles --database-url postgres://owner@localhost/shop
  outbox-relay migrate --print --database-url postgres://app@localhost/shop > outbox.sql")]
    Migrate(Migrate),
    /// Publish events: the subscriptions of the configuration, or one from flags
    #[command(after_help = "\
Examples:
  outbox-relay run --config relay.toml
  outbox-relay run --database-url sqlite:shop.db --publisher file:events.jsonl --until-empty
  outbox-relay run --publisher stdout --topic 'shop.*' --start now
  outbox-relay run --publisher null --metrics 127.0.0.1:9000 & curl -s http://127.0.0.1:9000/readyz")]
    Run(Box<Run>),
    /// Show relays, subscriptions, their lag, and what holds them up
    #[command(after_help = "\
Examples:
  outbox-relay status --database-url sqlite:shop.db
  outbox-relay status --json | jq '.subscriptions[] | {name, state, lag_events}'")]
    Status,
    /// Say in plain words why something is not being published, and what to do
    #[command(after_help = "\
Examples:
  outbox-relay why --database-url postgres://localhost/shop
  outbox-relay why --subscription billing")]
    Why {
        /// Only this subscription
        #[arg(long, value_name = "S")]
        subscription: Option<String>,
    },
    /// Check settings, privileges and state of database and outbox; exit code 1 if a check fails
    #[command(after_help = "\
Examples:
  outbox-relay doctor --database-url postgres://localhost/shop
  outbox-relay doctor --json | jq '.[] | select(.verdict != \"ok\")'")]
    Doctor,
    /// The change log: show, follow, count or export what happened
    #[command(after_help = "\
Examples:
  outbox-relay events show --database-url sqlite:shop.db --table orders
  outbox-relay events tail --tenant north
  outbox-relay events stats --since 7d
  outbox-relay events export --format jsonl --since-last hourly --output \"events-$(date +%Y%m%dT%H).jsonl\"")]
    Events {
        /// Which of them.
        #[command(subcommand)]
        command: Box<Events>,
    },
    /// Events that will not pass, and what waits behind them: show, send again, or give up
    #[command(after_help = "\
Examples:
  outbox-relay dead-letters list --subscription billing
  outbox-relay dead-letters requeue --subscription billing --key order-7
  outbox-relay dead-letters skip --subscription billing --position 1207 --reason 'sent by hand' --actor ann")]
    DeadLetters {
        /// What to do about them.
        #[command(subcommand)]
        command: DeadLetters,
    },
    /// Send again what a subscription has published, marked, in the order of its keys
    #[command(after_help = "\
Examples:
  outbox-relay replay --subscription billing --since 2h --dry-run
  outbox-relay replay --subscription billing --from-position 1200 --key order-7 --rate 100/s")]
    Replay(Replay),
    /// Let a subscription hand nothing over until it is resumed
    #[command(after_help = "\
Examples:
  outbox-relay pause --subscription billing --reason 'the far side is being moved' --actor ann")]
    Pause(Pause),
    /// Let a paused subscription go on
    #[command(after_help = "\
Examples:
  outbox-relay resume --subscription billing")]
    Resume(Pause),
    /// Remove what every subscription has passed, once, as a running relay does by itself
    #[command(after_help = "\
Examples:
  outbox-relay cleanup --dry-run --database-url sqlite:shop.db
  outbox-relay cleanup --config relay.toml --json | jq '.segments[] | {segment, outcome, blocked_by}'")]
    Cleanup(Cleanup),
    /// After a restore or a failover: set back what no longer fits the log, so that nothing is lost
    #[command(after_help = "\
Examples:
  outbox-relay repair --plan --database-url postgres://localhost/shop
  outbox-relay repair --apply --reason 'restored the backup of Monday' --actor ops

Exit codes of --plan: 0 nothing to do, 3 something is to be repaired.")]
    Repair(Repair),
    /// Let relays work this database at the address it has now
    #[command(after_help = "\
Examples:
  outbox-relay adopt --database-url postgres://new-host/shop --reason 'moved to new-host'
  outbox-relay adopt --new-instance --database-url postgres://staging/shop --reason 'clone for staging'")]
    Adopt(Adopt),
}

/// Flags of `migrate`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct Migrate {
    /// Write the SQL to standard output and touch no database
    #[arg(long)]
    pub(crate) print: bool,
    /// Make the roles of PostgreSQL, too, for writers, relays and operators; with --print show them alone
    #[arg(long)]
    pub(crate) roles: bool,
    /// How many segments the log uses on PostgreSQL, new or there already; SQLite has none [default: 8]
    #[arg(long, value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..=i64::from(outbox_core::schema::MAX_SEGMENTS)))]
    pub(crate) segments: Option<u8>,
    /// Let plain SQL wake a sleeping relay on PostgreSQL, by a trigger; not with two-phase commits
    #[arg(long)]
    pub(crate) wake_trigger: bool,
    /// Take that trigger away
    #[arg(long, conflicts_with = "wake_trigger")]
    pub(crate) no_wake_trigger: bool,
}

impl Migrate {
    /// Whether the trigger is to be there, if anything was said of it.
    pub(crate) fn wake_trigger(&self) -> Option<bool> {
        (self.wake_trigger || self.no_wake_trigger).then_some(self.wake_trigger)
    }
}

/// Flags of `cleanup`.
#[derive(Debug, Args)]
pub(crate) struct Cleanup {
    /// Change nothing; say what would be removed, and what stands against the rest
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The one subscription that is given by flags.
    #[command(flatten)]
    pub(crate) subscription: SubscriptionFlags,
    /// Limits of the relay.
    #[command(flatten)]
    pub(crate) relay: RelayFlags,
    /// Where to serve /metrics, /healthz and /readyz.
    #[arg(
        long,
        value_name = "ADDR",
        help = "Serve /metrics, /healthz and /readyz there, or `off` [default: 127.0.0.1:8269]"
    )]
    pub(crate) metrics: Option<String>,
    /// End when every event committed before the start is done with
    #[arg(long)]
    pub(crate) until_empty: bool,
    /// With --until-empty: fail after so long without progress; no effect alone [default: 60s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
}

/// The subscription that is given by flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "One subscription from flags")]
pub(crate) struct SubscriptionFlags {
    /// Where to publish.
    #[arg(long, value_name = "URL", help = "Where to publish: stdout, file:PATH or null")]
    pub(crate) publisher: Option<String>,
    /// The subscription's name, under which its progress is kept [default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where a new subscription begins: beginning, now, position:N or time:RFC3339 [default: beginning]
    #[arg(long, value_name = "START")]
    pub(crate) start: Option<String>,
    /// Only topics like this, with * and ?; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) topic: Vec<String>,
    /// Only change events of this table; may be repeated
    #[arg(long, value_name = "T")]
    pub(crate) table: Vec<String>,
    /// Only events of this tenant; may be repeated
    #[arg(long, value_name = "T")]
    pub(crate) tenant: Vec<String>,
    /// Only this operation: insert, update, delete or snapshot; may be repeated
    #[arg(long, value_name = "O")]
    pub(crate) operation: Vec<String>,
    /// How events are written: cloudevents [default: cloudevents]
    #[arg(long, value_name = "E")]
    pub(crate) envelope: Option<String>,
    /// How many ordered streams its keys fall into: 1 to 256 [default: as many as before, at first 1]
    #[arg(long, value_name = "N")]
    pub(crate) partitions: Option<String>,
}

/// Limits of the relay.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct RelayFlags {
    /// At most so many events between read and acknowledgement [default: 10000]
    #[arg(long, value_name = "N")]
    pub(crate) window_events: Option<String>,
    /// At most so many bytes of events between read and acknowledgement [default: 16MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) window_bytes: Option<String>,
    /// How long another relay waits before it takes over from one that fell silent [default: 5s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) lease: Option<String>,
    /// The longest pause between two looks at a quiet outbox [default: 2s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) poll_max: Option<String>,
    /// Whether writers wake it: auto, poll, or notify even where transactions are prepared [default: auto]
    #[arg(long, value_name = "MODE")]
    pub(crate) wake: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_shows_an_example() {
        let mut command = Arguments::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands_mut().filter(|subcommand| subcommand.get_name() != "help") {
            let help = subcommand.render_help().to_string();
            assert!(help.contains("Examples:\n  outbox-relay "), "{help}");
        }
    }

    #[test]
    fn flags_of_every_command_stand_before_it_or_after_it() {
        for line in [["outbox-relay", "--prefix", "ob_", "status"], ["outbox-relay", "status", "--prefix", "ob_"]] {
            assert_eq!(Arguments::parse_from(line).global.prefix.as_deref(), Some("ob_"));
        }
    }
}
