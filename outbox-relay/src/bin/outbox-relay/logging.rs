//! The log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::arguments::{Global, LogForm};

/// Starts the log in the form and with the detail that was asked for.
pub(crate) fn start(global: &Global) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(global))
        .with_writer(std::io::stderr)
        .with_ansi(colours(std::io::stderr().is_terminal()))
        // A closed standard error must not end a relay.
        .log_internal_errors(false)
        .with_target(global.verbose > 0);
    match global.log {
        LogForm::Text => log.init(),
        LogForm::Json => log.json().flatten_event(true).with_ansi(false).init(),
    }
}

/// Of others only errors: at more they would log statements.
fn filter(global: &Global) -> EnvFilter {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    EnvFilter::new(format!("error,outbox_relay={level},outbox_core={level},outbox_sqlx={level}"))
}

/// Whether to write colours, see <https://no-color.org>.
pub(crate) fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
