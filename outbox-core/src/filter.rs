//! Which events a subscription wants.

use crate::event::Operation;

/// Which events a subscription wants; an empty list wants all. An event must pass every list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Topics, with `*` for any characters and `?` for one.
    pub topics: Vec<String>,
    /// Tables of change events; domain events have none and pass only an empty list.
    pub tables: Vec<String>,
    /// Tenants; events without one pass only an empty list.
    pub tenants: Vec<String>,
    /// Operations of change events; domain events have none and pass only an empty list.
    pub operations: Vec<Operation>,
}

impl Filter {
    /// Whether every event passes.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.tables.is_empty() && self.tenants.is_empty() && self.operations.is_empty()
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
