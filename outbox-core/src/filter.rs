//! Which events a reader of the log wants.

use time::OffsetDateTime;

use crate::event::Operation;

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
