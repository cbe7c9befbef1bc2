//! The log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::arguments::{Global, LogForm};

/// Starts the log in the form and with the detail that was asked for.
pub(crate) fn start(global: &Global) {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours(std::io::stderr().is_terminal()))
        // A closed standard error must not end a relay.
        .log_internal_errors(false)
        .with_target(global.verbose > 0);
    let log = match global.log {
        LogForm::Text => log.boxed(),
        LogForm::Json => log.json().flatten_event(true).with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(log.with_filter(targets(global))).init();
}

/// Of others only errors: at more they would log statements.
fn targets(global: &Global) -> Targets {
    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let ours = ["outbox_relay", "outbox_core", "outbox_sqlx"].map(|target| (target, level));
    Targets::new().with_default(LevelFilter::ERROR).with_targets(ours)
}

/// Whether to write colours, see <https://no-color.org>.
pub(crate) fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
