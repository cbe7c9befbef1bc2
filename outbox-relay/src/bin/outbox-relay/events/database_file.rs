//! Which files hold an SQLite database, so that no export takes the place of one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What SQLite keeps a database in: the file itself, and those beside it that have its name and this behind it.
const PARTS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Whether a path leads to a part of the database, under whatever name, or would to one that is not there yet.
pub(super) fn is_part_of(path: &Path, database: &Path) -> bool {
    let (Some(path), Some(database)) = (without_links(path), without_links(database)) else { return false };
    PARTS.iter().any(|ending| {
        let mut part = database.clone().into_os_string();
        part.push(ending);
        path == part || is_same_file(&path, Path::new(&part))
    })
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).ok().map(|there| (there.dev(), there.ino()));
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// The path without links; where no file is there yet, that of its folder goes before its name.
fn without_links(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok().or_else(|| {
        let path = std::path::absolute(path).ok()?;
        Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?))
    })
}
