//! How the program ends: the exit code, and what it says on standard error.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use outbox_core::{PublishErrorKind, StoreError, StoreErrorKind};
use outbox_relay::RelayError;
use outbox_relay::dead_letters::DecisionError;
use outbox_sqlx::MigrateError;

use crate::printable::{printable, without_secrets};
use crate::problem::Problems;

/// The exit codes; a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or a drained shutdown.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// Bad usage, configuration or precondition.
    Refused = 2,
    /// The log is not the one the checkpoint was written on.
    Continuity = 3,
    /// `--until-empty` ended with parked or blocked events.
    Blocked = 4,
    /// A second signal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program ends badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Settings are wrong.
    #[error("the settings are wrong")]
    Settings(Problems),
    /// The database refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tables could not be created.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The relay did not start, or stopped.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Metrics cannot be served where they were asked for.
    #[error("metrics cannot be served on {address}; write another address to --metrics, or off")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Standard output takes nothing more.
    #[error("standard output cannot be written")]
    Output(#[source] std::io::Error),
    /// The target of an export takes nothing more.
    #[error("{target} cannot be written; the export is not complete")]
    Target {
        /// Where the export was to go.
        target: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A signal came before an export was complete.
    #[error("stopped before the export was complete")]
    Stopped,
    /// Nothing was decided about dead letters.
    #[error(transparent)]
    Decision(DecisionError),
    /// The system gave no runtime or no signals.
    #[error("the program could not be set up")]
    System(#[source] std::io::Error),
}

impl From<DecisionError> for Failure {
    fn from(error: DecisionError) -> Self {
        match error {
            DecisionError::Store(error) => Self::Store(error),
            other => Self::Decision(other),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Settings(problems)
    }
}

impl Failure {
    /// The exit code for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_)
            | Self::Migrate(MigrateError::Newer { .. })
            | Self::Listen { .. }
            | Self::Decision(DecisionError::Refused(_))
            | Self::Relay(RelayError::Configuration(_)) => Exit::Refused,
            Self::Store(error) | Self::Migrate(MigrateError::Store(error)) | Self::Relay(RelayError::Store(error)) => {
                store(error)
            }
            Self::Relay(RelayError::Publisher { error, .. }) => match error.kind() {
                PublishErrorKind::Misconfigured => Exit::Refused,
                _ => Exit::Failed,
            },
            Self::Migrate(_)
            | Self::Relay(_)
            | Self::Output(_)
            | Self::Target { .. }
            | Self::Stopped
            | Self::Decision(_)
            | Self::System(_) => Exit::Failed,
        }
    }

    /// Says it on standard error, for people.
    pub(crate) fn report(&self) {
        // Where standard error is closed too, the exit code has to say it all.
        let _ = std::io::stderr().lock().write_all(self.text().as_bytes());
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if let Self::Settings(problems) = self {
            for problem in problems.iter() {
                let _ = writeln!(text, "error: {}", clean(&problem.to_string()));
            }
            return text;
        }
        let mut said = self.to_string();
        let _ = writeln!(text, "error: {}", clean(&said));
        let mut cause = self.source();
        while let Some(error) = cause {
            let message = error.to_string();
            // Some errors quote their cause.
            if !said.contains(&message) {
                let _ = writeln!(text, "  caused by: {}", clean(&message));
            }
            said = message;
            cause = error.source();
        }
        if let Some(help) = self.help() {
            let _ = writeln!(text, "help: {help}");
        }
        text
    }

    fn help(&self) -> Option<&'static str> {
        match self.exit() {
            Exit::Continuity => Some(
                "what to do after a restore, a failover or a clone stands in docs/guides/restore.md; `outbox-relay doctor` says how \
                 it all stands",
            ),
            _ => None,
        }
    }
}

fn store(error: &StoreError) -> Exit {
    match error.kind() {
        StoreErrorKind::Precondition => Exit::Refused,
        StoreErrorKind::Continuity => Exit::Continuity,
        _ => Exit::Failed,
    }
}

fn clean(text: &str) -> String {
    printable(&without_secrets(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let store = |kind| StoreError::new(kind, "x");
        for (failure, exit) in [
            (Failure::Store(store(StoreErrorKind::Unavailable)), Exit::Failed),
            (Failure::Store(store(StoreErrorKind::Fenced)), Exit::Failed),
            (Failure::Migrate(store(StoreErrorKind::Precondition).into()), Exit::Refused),
            (Failure::Relay(RelayError::Store(store(StoreErrorKind::Continuity))), Exit::Continuity),
            (Failure::Relay(RelayError::Configuration("x".into())), Exit::Refused),
            (Failure::Settings(Problems::default()), Exit::Refused),
        ] {
            assert_eq!(failure.exit(), exit, "{failure:?}");
        }
    }

    #[test]
    fn causes_are_told_once_and_without_secrets() {
        let cause = StoreError::new(StoreErrorKind::Unavailable, "postgres://app:canary@db/x\x1b[2J refused");
        let failure = Failure::from(StoreError::new(StoreErrorKind::Unavailable, "cannot reach it").caused_by(cause));
        assert_eq!(failure.text(), "error: cannot reach it\n  caused by: postgres://***@db/x\\u{1b}[2J refused\n");
        let quoting = Failure::from(RelayError::Store(StoreError::new(StoreErrorKind::Unavailable, "gone")));
        assert_eq!(quoting.text(), "error: gone\n");
    }
}
