//! The command line of `repair` and `adopt`.

use clap::Args;

/// Flags of `repair`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["plan", "apply"]))]
pub(crate) struct Repair {
    /// Say what is broken and what would be done; change nothing
    #[arg(long)]
    pub(crate) plan: bool,
    /// Do it, in one transaction; relays of what is mended must be stopped
    #[arg(long)]
    pub(crate) apply: bool,
    /// Only this subscription; an export by name is export:NAME
    #[arg(long, value_name = "S")]
    pub(crate) subscription: Option<String>,
    /// Who does it, and why.
    #[command(flatten)]
    pub(crate) signature: SignatureFlags,
}

/// Flags of `adopt`.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    /// Make it an outbox of its own, with a new instance: for a copy whose original goes on as well
    #[arg(long)]
    pub(crate) new_instance: bool,
    /// Who does it, and why.
    #[command(flatten)]
    pub(crate) signature: SignatureFlags,
}

/// Who does it, and why; recorded with the time.
#[derive(Debug, Args)]
pub(crate) struct SignatureFlags {
    /// Why, for those who come later; recorded with the time
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who does it; recorded too [default: the user of this process]
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
}
