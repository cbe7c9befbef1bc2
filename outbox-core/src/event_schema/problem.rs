//! What the check tells a person, all at once.

use std::fmt;
use std::path::PathBuf;

use super::difference::{Breaks, Difference};
use super::{EventSchema, SchemaError};

/// How the committed schemas are written.
pub(super) const VARIABLE: &str = "OUTBOX_SCHEMAS";

/// Why events are not as they are committed.
#[derive(Debug)]
pub struct Mismatch {
    pub(super) problems: Vec<Problem>,
}

#[derive(Debug)]
pub(super) enum Problem {
    NoSchema(SchemaError),
    NoVersion(String),
    /// Two types write events of one name and version.
    Twice(String),
    /// A later version is committed.
    Back {
        event: String,
        committed: i32,
    },
    Missing(PathBuf),
    Changed {
        event: String,
        difference: Difference,
    },
    /// A committed schema of no event that is written.
    Orphan(PathBuf),
    File {
        path: PathBuf,
        error: String,
    },
}

impl Problem {
    /// Whether writing the file anew is all there is to do.
    pub(super) fn is_mended_by_writing(&self) -> bool {
        match self {
            Self::Missing(_) => true,
            Self::Changed { difference, .. } => difference.breaks == Breaks::Nobody,
            _ => false,
        }
    }
}

/// The event as a sentence names it.
pub(super) fn named(schema: &EventSchema) -> String {
    let version = schema.version.map_or_else(String::new, |version| format!(" version {version}"));
    format!("`{}` `{}`{version}", schema.topic, schema.name)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSchema(error) => write!(f, "{error}."),
            Self::NoVersion(event) => {
                write!(f, "{event} has no version to compare under: add `version = 1` to its `#[outbox(…)]`.")
            }
            Self::Twice(event) => {
                write!(f, "{event} is written by two types: give one another `event_type`, or another `version`.")
            }
            Self::Back { event, committed } => write!(
                f,
                "{event} is older than version {committed}, which is committed: write `version = {committed}` or a later \
                 one, or remove its file if no such event was ever written."
            ),
            Self::Missing(path) => write!(f, "{} is missing.", path.display()),
            Self::Changed { event, difference } => changed(f, event, difference),
            Self::Orphan(path) => write!(
                f,
                "{} is committed and no type here writes such an event: consumers that wait for it get none. Name its \
                 type by `.with::<…>()`, or remove the file.",
                path.display()
            ),
            Self::File { path, error } => write!(f, "{}: {error}.", path.display()),
        }
    }
}

fn changed(f: &mut fmt::Formatter<'_>, event: &str, difference: &Difference) -> fmt::Result {
    let Difference { path, change, breaks, remedy } = difference;
    let field = if path.is_empty() { "The payload".to_owned() } else { format!("`{path}`") };
    write!(f, "{field} of {event} {change}: {}.", breaks.words())?;
    if *breaks == Breaks::Nobody { Ok(()) } else { write!(f, " Raise the version, or {remedy}.") }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the events are not as they are committed\n")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n- {problem}"))?;
        if self.problems.iter().any(Problem::is_mended_by_writing) {
            let package = std::env::var("CARGO_PKG_NAME").map_or_else(|_| String::new(), |name| format!(" -p {name}"));
            write!(
                f,
                "\n\nWrite what is missing, and what changed without breaking anybody; look at it and commit it:\n\n    \
                 {VARIABLE}=write cargo test{package}"
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}
