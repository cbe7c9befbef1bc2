//! The environment as groups of settings: `OUTBOX_` with section and key in capitals.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::section::Section;
use crate::problem::{Place, Placed, Problems};

/// Every variable that is read.
const KNOWN: [&str; 21] = [
    "OUTBOX_DATABASE_URL",
    "OUTBOX_DATABASE_URL_FILE",
    "OUTBOX_DATABASE_SCHEMA",
    "OUTBOX_DATABASE_PREFIX",
    "OUTBOX_DATABASE_EXPECT_INSTANCE",
    "OUTBOX_TENANT",
    "OUTBOX_RELAY_NAME",
    "OUTBOX_RELAY_LEASE",
    "OUTBOX_RELAY_POLL_MAX",
    "OUTBOX_RELAY_WINDOW_EVENTS",
    "OUTBOX_RELAY_WINDOW_BYTES",
    "OUTBOX_RELAY_SHUTDOWN_TIMEOUT",
    "OUTBOX_METRICS_LISTEN",
    "OUTBOX_METRICS_TOKEN",
    "OUTBOX_METRICS_TOKEN_FILE",
    "OUTBOX_RELAY_WAKE",
    "OUTBOX_RETENTION_KEEP",
    "OUTBOX_RETENTION_SEGMENTS",
    "OUTBOX_RETENTION_MAX_DISK",
    "OUTBOX_RETENTION_ON_MAX_DISK",
    "OUTBOX_RETENTION_ARCHIVE",
];

/// The variables of this process. An empty one counts as not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    pub(crate) fn of_this_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable, if it is set.
    pub(crate) fn get(&self, name: &str) -> Option<Placed<String>> {
        let value = self.0.get(&OsString::from(name)).filter(|value| !value.is_empty())?;
        Some(Placed { value: value.to_string_lossy().into_owned(), place: Place::Variable(name.to_owned()) })
    }

    /// The variables that begin with `OUTBOX_` and this word.
    pub(crate) fn section(&self, word: &'static str) -> Variables<'_> {
        Variables { environment: self, word }
    }

    /// Refuses a variable that is one typing mistake away from one that is read: it would pass unseen. Shows no value.
    ///
    /// Any other name of the same beginning may well belong to a script around the program.
    pub(crate) fn refuse_misspelt(&self, problems: &mut Problems) {
        for name in self.0.keys().filter_map(|name| name.to_str()).filter(|name| !KNOWN.contains(name)) {
            if let Some(meant) = KNOWN.into_iter().find(|known| strsim::osa_distance(name, known) == 1) {
                let message = format!("unknown variable; the nearest is {meant}; there are {}", KNOWN.join(", "));
                problems.at(&Place::Variable(name.to_owned()), message);
            }
        }
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// The variables of one section; variables hold no lists and do not nest.
pub(crate) struct Variables<'a> {
    environment: &'a Environment,
    word: &'static str,
}

impl Section for Variables<'_> {
    fn text(&mut self, key: &'static str, _: &mut Problems) -> Option<Placed<String>> {
        self.environment.get(&format!("OUTBOX_{}_{}", self.word, key.to_ascii_uppercase()))
    }

    fn list(&mut self, _: &'static str, _: &mut Problems) -> Vec<Placed<String>> {
        Vec::new()
    }

    fn group<'s>(&'s mut self, _: &'static str, _: &mut Problems) -> Option<Box<dyn Section + 's>> {
        None
    }
}
