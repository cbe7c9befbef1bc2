//! Which events a reader of the log wants.

use time::OffsetDateTime;

use crate::event::{Event, Operation};

/// Which events a reader of the log wants; an empty list wants all. An event must pass every list and both times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Topics, with `*` for any characters and `?` for one.
    pub topics: Vec<String>,
    /// Tables of change events; domain events have none and pass only an empty list.
    pub tables: Vec<String>,
    /// Keys.
    pub keys: Vec<String>,
    /// Tenants; events without one pass only an empty list.
    pub tenants: Vec<String>,
    /// Operations of change events; domain events have none and pass only an empty list.
    pub operations: Vec<Operation>,
    /// Events captured at this time or later, by the database's clock. SQLite compares whole milliseconds, and lets a time
    /// pass that it does not understand.
    pub since: Option<OffsetDateTime>,
    /// Events captured before this time, so that one period ends where the next begins.
    pub until: Option<OffsetDateTime>,
}

impl Filter {
    /// Whether every event passes.
    pub fn is_empty(&self) -> bool {
        let Self { topics, tables, keys, tenants, operations, since, until } = self;
        let lists = [topics, tables, keys, tenants];
        lists.iter().all(|list| list.is_empty()) && operations.is_empty() && since.is_none() && until.is_none()
    }

    /// Whether an event passes, as the databases decide it.
    pub fn passes(&self, event: &Event) -> bool {
        let listed = |list: &[String], word: &Option<String>| {
            list.is_empty() || word.as_ref().is_some_and(|word| list.contains(word))
        };
        (self.topics.is_empty()
            || self.topics.iter().any(|pattern| matches(pattern.as_bytes(), event.topic.as_bytes())))
            && listed(&self.tables, &event.aggregate_type)
            && (self.keys.is_empty() || self.keys.contains(&event.key))
            && self.since.is_none_or(|since| event.occurred_at >= since)
            && self.until.is_none_or(|until| event.occurred_at < until)
            && listed(&self.tenants, &event.tenant_id)
            && (self.operations.is_empty() || event.operation.is_some_and(|word| self.operations.contains(&word)))
    }

    /// The topics as patterns of SQL's `LIKE` with `\` as escape.
    pub fn topics_as_like(&self) -> Vec<String> {
        let translate = |c| match c {
            '*' => "%".to_owned(),
            '?' => "_".to_owned(),
            '%' | '_' | '\\' => format!("\\{c}"),
            other => other.to_string(),
        };
        self.topics.iter().map(|topic| topic.chars().map(translate).collect()).collect()
    }

    /// The topics as patterns of SQLite's `GLOB`, whose `[` has a meaning that ours has not.
    pub fn topics_as_glob(&self) -> Vec<String> {
        self.topics.iter().map(|topic| topic.replace('[', "[[]")).collect()
    }
}

/// Whether a topic matches a pattern with `*` for any characters and `?` for one.
fn matches(pattern: &[u8], topic: &[u8]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=topic.len()).any(|skipped| matches(rest, &topic[skipped..])),
        ([b'?', rest @ ..], [first, ..]) => matches(rest, &topic[character(*first).min(topic.len())..]),
        ([wanted, rest @ ..], [found, others @ ..]) if wanted == found => matches(rest, others),
        _ => false,
    }
}

/// How many bytes a character of UTF-8 takes that begins with this one.
fn character(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_keep_their_meaning_in_both_dialects() {
        let filter = Filter { topics: vec!["shop.*_?%[".into()], ..Filter::default() };
        assert_eq!(filter.topics_as_like(), [r"shop.%\__\%["]);
        assert_eq!(filter.topics_as_glob(), ["shop.*_?%[[]"]);
    }
}
