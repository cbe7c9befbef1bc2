//! What must not compile stands in `fail/`, sorted by kind of mistake, each with the words the compiler answers.
//! `TRYBUILD=overwrite` writes those anew, to be read before they are committed.
//!
//! The cases stand in this crate, which brings little beside the derive: they are compiled with all that it brings.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::fs;
use std::path::{Path, PathBuf};

const KINDS: [&str; 6] = ["contradiction", "missing", "secrets", "shape", "spelling", "types"];

#[test]
fn each_mistake_is_told_where_it_stands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fail");
    let cases = trybuild::TestCases::new();
    for kind in KINDS {
        let found = rust_files(&folder.join(kind));
        assert!(!found.is_empty(), "no case in {kind}");
        for case in found {
            let answer = case.with_extension("stderr");
            assert!(answer.exists(), "{} has no answer to compare with", case.display());
            cases.compile_fail(case);
        }
    }
    let kinds = fs::read_dir(&folder).unwrap().count();
    assert_eq!(kinds, KINDS.len(), "a folder of cases is not in the list");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect();
    files.sort();
    files
}
