//! Which events were chosen, in words, for whoever wonders why there are so few.

use outbox_core::{Filter, Position};

use crate::moment;
use crate::printable::printable;

/// What stands behind `3 events`, such as ` of tenant 'north', table 'orders' since 2026-01-31 12:00:00`; nothing for all.
pub(crate) fn chosen(filter: &Filter, after: Position) -> String {
    let Filter { topics, tables, keys, tenants, operations, since, until } = filter;
    let operations: Vec<_> = operations.iter().map(|operation| operation.as_str().to_owned()).collect();
    let lists = [("tenant", tenants), ("table", tables), ("topic", topics), ("key", keys), ("operation", &operations)];
    let lists: Vec<_> = lists.into_iter().filter_map(|(what, words)| any_of(what, words)).collect();
    let lists = (!lists.is_empty()).then(|| format!(" of {}", lists.join(", ")));
    let since = since.map(|since| format!(" since {}", moment::seconds(since)));
    let until = until.map(|until| format!(" before {}", moment::seconds(until)));
    let after = (after > 0).then(|| format!(" after position {after}"));
    [lists, since, until, after].into_iter().flatten().collect()
}

fn any_of(what: &str, words: &[String]) -> Option<String> {
    let words: Vec<_> = words.iter().map(|word| format!("'{}'", printable(word))).collect();
    (!words.is_empty()).then(|| format!("{what} {}", words.join(" or ")))
}

#[cfg(test)]
mod tests {
    use outbox_core::Operation;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_narrows_the_events_is_named() {
        assert_eq!(chosen(&Filter::default(), 0), "");
        let tenants = Filter { tenants: vec!["a\u{1b}".into(), "b".into()], ..Filter::default() };
        assert_eq!(chosen(&tenants, 7), " of tenant 'a\\u{1b}' or 'b' after position 7");
        let all = Filter {
            topics: vec!["shop.*".into()],
            tables: vec!["orders".into()],
            keys: vec![String::new()],
            tenants: vec!["north".into()],
            operations: vec![Operation::Delete],
            since: Some(datetime!(2026-01-31 13:00 +1)),
            until: Some(datetime!(2026-02-01 00:00 UTC)),
        };
        assert_eq!(
            chosen(&all, 0),
            " of tenant 'north', table 'orders', topic 'shop.*', key '', operation 'delete' since 2026-01-31 12:00:00 \
             before 2026-02-01 00:00:00"
        );
    }
}
