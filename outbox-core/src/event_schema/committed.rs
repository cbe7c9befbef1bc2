//! The comparison with the committed schemas.

use std::collections::{BTreeMap, HashSet};
use std::env;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;

use super::comparison::differences;
use super::difference::Difference;
use super::problem::{Mismatch, Problem, VARIABLE, named};
use super::{EventSchema, SchemaError, folder};
use crate::shape::Described;

/// Schemas of events that are committed beside the code, one file for each event type or table and each version:
/// `<folder>/<topic>/<event type or table>.v<version>.json`.
///
/// One of these knows all types whose events stand in its folder.
#[derive(Debug)]
#[must_use = "nothing is compared before `check`"]
pub struct Committed {
    folder: PathBuf,
    schemas: Vec<EventSchema>,
    errors: Vec<SchemaError>,
}

impl Committed {
    /// The schemas in a folder; cargo runs tests in the folder of their package, so `schemas` is one beside its `src`.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), schemas: Vec::new(), errors: Vec::new() }
    }

    /// Adds the events of a type.
    pub fn with<T: Described + JsonSchema>(mut self) -> Self {
        match super::of::<T>() {
            Ok(schemas) => self.schemas.extend(schemas),
            Err(error) => self.errors.push(error),
        }
        self
    }

    /// Fails a test whose events are not as they are committed; with `OUTBOX_SCHEMAS=write` in the environment it first
    /// writes what is missing, and what changed without breaking anybody.
    ///
    /// # Panics
    ///
    /// With everything that [`Committed::compare`] finds.
    #[track_caller]
    pub fn check(self) {
        let is_writing = env::var_os(VARIABLE).is_some_and(|value| value == "write");
        let outcome = if is_writing { self.write() } else { self.compare() };
        if let Err(mismatch) = outcome {
            panic!("{mismatch}");
        }
    }

    /// Compares the events with the committed schemas.
    ///
    /// # Errors
    ///
    /// Everything that is not as it is committed: changes under an unchanged version and whom they break, files that are
    /// missing or out of date, versions that went back, committed events that no type writes.
    pub fn compare(&self) -> Result<(), Mismatch> {
        outcome(self.problems())
    }

    /// Writes the files that are missing, and those whose change breaks nobody.
    ///
    /// # Errors
    ///
    /// What writing does not mend, as [`Committed::compare`] tells it, and files that cannot be written.
    pub fn write(&self) -> Result<(), Mismatch> {
        for schema in &self.schemas {
            let is_mended = self.problems_of(schema).iter().all(Problem::is_mended_by_writing);
            let Some(path) = self.path(schema).filter(|_| is_mended) else { continue };
            folder::write(&path, &schema.schema).map_err(|error| Mismatch { problems: vec![file(&path, &error)] })?;
        }
        self.compare()
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.errors.iter().cloned().map(Problem::NoSchema).collect();
        let mut seen = HashSet::new();
        for schema in &self.schemas {
            if !seen.insert((schema.topic, schema.name, schema.version)) {
                problems.push(Problem::Twice(named(schema)));
            }
            problems.extend(self.problems_of(schema));
        }
        problems.extend(self.problems_of_files());
        problems
    }

    fn problems_of(&self, schema: &EventSchema) -> Vec<Problem> {
        let Some(path) = self.path(schema) else { return vec![Problem::NoVersion(named(schema))] };
        match folder::read(&path) {
            Err(error) => vec![file(&path, &error)],
            Ok(None) => vec![Problem::Missing(path)],
            Ok(Some(committed)) => {
                let differences = differences(&committed, &schema.schema);
                let changed = |difference| Problem::Changed {
                    event: named(schema),
                    difference: Difference { path: field(schema, &difference), ..difference },
                };
                differences.into_iter().map(changed).collect()
            }
        }
    }

    /// What the names of the committed files tell.
    fn problems_of_files(&self) -> Vec<Problem> {
        let files = match folder::files(&self.folder) {
            Ok(files) => files,
            Err(error) => return vec![file(&self.folder, &error)],
        };
        let mut newest = BTreeMap::new();
        for schema in &self.schemas {
            let known = newest.entry(folder::event(schema)).or_insert(schema);
            if known.version < schema.version {
                *known = schema;
            }
        }
        let problem = |file: folder::File| match newest.get(&file.event) {
            None => Some(Problem::Orphan(file.path)),
            Some(schema) if schema.version.is_some_and(|version| version < file.version) => {
                Some(Problem::Back { event: named(schema), committed: file.version })
            }
            Some(_) => None,
        };
        files.into_iter().filter_map(problem).collect()
    }

    fn path(&self, schema: &EventSchema) -> Option<PathBuf> {
        Some(folder::path(&self.folder, schema, schema.version?))
    }
}

fn outcome(problems: Vec<Problem>) -> Result<(), Mismatch> {
    if problems.is_empty() { Ok(()) } else { Err(Mismatch { problems }) }
}

fn file(path: &Path, error: &impl ToString) -> Problem {
    Problem::File { path: path.to_owned(), error: error.to_string() }
}

/// The field as the type calls it, without the name of the variant that its fields stand below.
fn field(schema: &EventSchema, difference: &Difference) -> String {
    let below = |within| difference.path.strip_prefix(within);
    match schema.within.and_then(below) {
        Some("") => String::new(),
        Some(rest) if rest.starts_with('.') => rest[1..].to_owned(),
        _ => difference.path.clone(),
    }
}
