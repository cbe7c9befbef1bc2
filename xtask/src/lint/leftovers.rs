//! Marks of unfinished work that must not be committed.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::children::Children;

/// Built from halves, so that this file does not accuse itself.
const MARKS: [&str; 5] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("db", "g!("), concat!("#[ig", "nore")];

/// Looks through every Rust file that is committed or would be.
pub(super) fn check(children: &Children) -> Result<()> {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.rs"]);
    let mut found = 0;
    for path in children.output(&mut list)?.lines() {
        // A file that was removed but not yet committed is still listed.
        let Ok(text) = fs::read_to_string(path) else { continue };
        for (number, line, mark) in marks_in(&text) {
            println!("{path}:{number}: {mark}: {}", line.trim());
            found += 1;
        }
    }
    ensure!(found == 0, "{found} leftovers, finish or remove them");
    Ok(())
}

fn marks_in(text: &str) -> impl Iterator<Item = (usize, &str, &'static str)> {
    let found = |line: &str| MARKS.into_iter().find(|mark| line.contains(mark));
    (1..).zip(text.lines()).filter_map(move |(number, line)| Some((number, line, found(line)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_mark_with_its_line() {
        for mark in MARKS {
            let text = format!("fn main() {{\n    {mark} later\n}}\n");
            let found: Vec<_> = marks_in(&text).map(|(number, _, mark)| (number, mark)).collect();
            assert_eq!(found, [(2, mark)]);
        }
    }

    #[test]
    fn leaves_ordinary_words_alone() {
        assert_eq!(marks_in("// ignored rows, debugging, todos\n").count(), 0);
    }
}
