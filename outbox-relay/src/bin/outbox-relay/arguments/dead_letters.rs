//! Flags of `dead-letters`, `pause` and `resume`.

use clap::{ArgGroup, Args, Subcommand};

/// What to do about dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// Show them, without what they carry
    #[command(after_help = "\
Examples:
  outbox-relay dead-letters list --subscription billing
  outbox-relay dead-letters list --subscription billing --json | jq '.[] | {position, state, reason}'")]
    List {
        /// Whose they are.
        #[command(flatten)]
        subscription: Of,
        /// Only those of this key
        #[arg(long, value_name = "K")]
        key: Option<String>,
        /// Only the one of the event at this position
        #[arg(long, value_name = "P", conflicts_with = "key")]
        position: Option<i64>,
    },
    /// Show one with what it carries: of a key the one that is parked first
    #[command(group = ArgGroup::new("shown").required(true).args(["key", "position"]), after_help = "\
Examples:
  outbox-relay dead-letters show --subscription billing --key order-7
  outbox-relay dead-letters show --subscription billing --position 1207
  outbox-relay dead-letters show --subscription billing --position 1207 --json | jq .event.payload")]
    Show {
        /// Whose it is.
        #[command(flatten)]
        subscription: Of,
        /// Its key
        #[arg(long, value_name = "K")]
        key: Option<String>,
        /// The position of its event
        #[arg(long, value_name = "P")]
        position: Option<i64>,
    },
    /// Send a parked key again, in order; its later events go on behind it
    #[command(after_help = "\
Examples:
  outbox-relay dead-letters requeue --subscription billing --key order-7
  outbox-relay dead-letters requeue --subscription billing --position 1207 --payload mended.json")]
    Requeue {
        /// Which.
        #[command(flatten)]
        which: WhichFlags,
        /// Send this file as the payload of the first event, under the same event id
        #[arg(long, value_name = "FILE")]
        payload: Option<String>,
    },
    /// Give one event up: of a key the one that is parked; the rest of the key goes on
    #[command(after_help = "\
Examples:
  outbox-relay dead-letters skip --subscription billing --key order-7 --reason 'sent by hand' --actor ann")]
    Skip {
        /// Which.
        #[command(flatten)]
        which: WhichFlags,
    },
    /// Give a key's whole queue up, or one event
    #[command(after_help = "\
Examples:
  outbox-relay dead-letters discard --subscription billing --key order-7 --reason 'a test order' --actor ann")]
    Discard {
        /// Which.
        #[command(flatten)]
        which: WhichFlags,
    },
}

/// The subscription.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The subscription
    #[arg(long, value_name = "S")]
    pub(crate) subscription: String,
}

/// Which letters are meant, and who decides.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["key", "position"]))]
pub(crate) struct WhichFlags {
    /// Whose they are.
    #[command(flatten)]
    pub(crate) of: Of,
    /// The key
    #[arg(long, value_name = "K")]
    pub(crate) key: Option<String>,
    /// The position of the event
    #[arg(long, value_name = "P")]
    pub(crate) position: Option<i64>,
    /// Who decides and why.
    #[command(flatten)]
    pub(crate) by: ByFlags,
}

/// Who decides and why.
#[derive(Debug, Args)]
pub(crate) struct ByFlags {
    /// Why, for those who ask later; needed where something is given up
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who decides; needed where something is given up
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
}

/// Flags of `pause` and `resume`.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The subscription.
    #[command(flatten)]
    pub(crate) of: Of,
    /// Who decides and why.
    #[command(flatten)]
    pub(crate) by: ByFlags,
}

/// Flags of `replay`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("start").required(true).args(["from_position", "since"]))]
pub(crate) struct Replay {
    /// The subscription.
    #[command(flatten)]
    pub(crate) of: Of,
    /// Begin at this position
    #[arg(long, value_name = "P")]
    pub(crate) from_position: Option<i64>,
    /// Only what was captured since: a time, a date, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only this key
    #[arg(long, value_name = "K")]
    pub(crate) key: Option<String>,
    /// Only topics like this, with * and ?
    #[arg(long, value_name = "T")]
    pub(crate) topic: Option<String>,
    /// Only this tenant
    #[arg(long, value_name = "T")]
    pub(crate) tenant: Option<String>,
    /// Send nothing; say how many events that would be
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// At most so many events a second, such as 100/s
    #[arg(long, value_name = "N/s")]
    pub(crate) rate: Option<String>,
}
