//! Which events are wanted.

use outbox_core::{Filter, Operation};

use super::section::Section;
use crate::problem::Problems;

/// Reads topics, tables, tenants and operations.
pub(super) fn read(section: &mut dyn Section, problems: &mut Problems) -> Filter {
    let topics = words(section, "topics", problems);
    let tables = words(section, "tables", problems);
    let tenants = words(section, "tenants", problems);
    let operations = section.list("operations", problems).into_iter();
    let operations = operations.filter_map(|word| Some(word.parse(problems, operation)?.value)).collect();
    Filter { topics, tables, tenants, operations, ..Filter::default() }
}

/// Reads a list of texts, none of them empty.
fn words(section: &mut dyn Section, key: &'static str, problems: &mut Problems) -> Vec<String> {
    let words = section.list(key, problems).into_iter();
    words.filter_map(|word| Some(word.parse(problems, not_empty)?.value)).collect()
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("an empty text matches nothing; leave it out".to_owned()) } else { Ok(text.to_owned()) }
}

fn operation(text: &str) -> Result<Operation, String> {
    Operation::parse(text)
        .ok_or_else(|| format!("`{text}` is not an operation; write insert, update, delete or snapshot"))
}
