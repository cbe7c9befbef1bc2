//! The committed files: `<topic>/<event type or table>.v<version>.json`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::EventSchema;
use super::percent::encoded;

/// A file of the folder, by what its name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Topic and name, as they stand in the path.
    pub(super) event: (String, String),
    pub(super) version: i32,
}

/// Topic and name of an event, as they stand in a path.
pub(super) fn event(schema: &EventSchema) -> (String, String) {
    (encoded(schema.topic), encoded(schema.name))
}

pub(super) fn path(folder: &Path, schema: &EventSchema, version: i32) -> PathBuf {
    let (topic, name) = event(schema);
    folder.join(topic).join(format!("{name}.v{version}.json"))
}

/// All files whose names are those of schemas; a folder that is not there has none.
pub(super) fn files(folder: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for topic in entries(folder)? {
        if topic.is_dir() {
            files.extend(entries(&topic)?.into_iter().filter_map(file));
        }
    }
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn file(path: PathBuf) -> Option<File> {
    let topic = path.parent()?.file_name()?.to_str()?.to_owned();
    let (name, version) = path.file_name()?.to_str()?.strip_suffix(".json")?.rsplit_once(".v")?;
    let (name, version) = (name.to_owned(), version.parse().ok()?);
    Some(File { event: (topic, name), version, path })
}

/// The committed schema; `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Value>, String> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| error.to_string())?,
    };
    serde_json::from_str(&text).map(Some).map_err(|error| error.to_string())
}

pub(super) fn write(path: &Path, schema: &Value) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, serde_json::to_string_pretty(schema)? + "\n")
}
