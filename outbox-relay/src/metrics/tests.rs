use std::collections::BTreeSet;

use super::names::ALL;
use super::*;

/// What people read about the metrics.
const PAGE: &str = include_str!("../../../docs/metrics.md");

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

#[test]
fn the_page_tells_of_each_metric_and_of_no_other() {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `outbox_"));
    let told: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let [_, name, kind, labels, answer, _] = cells[..] else { panic!("not four cells: {row}") };
            assert!(answer.contains('?'), "no question: {row}");
            (name.trim_matches('`').to_owned(), kind.to_owned(), labels.to_owned())
        })
        .collect();
    let labels = |metric: &Metric| match metric.labels {
        [] => "–".to_owned(),
        labels => labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", "),
    };
    let there: BTreeSet<_> =
        ALL.iter().map(|metric| (metric.name.to_owned(), kind(metric).to_owned(), labels(metric))).collect();
    assert_eq!(told, there);
}

#[test]
fn the_page_names_nothing_else_in_its_rules() {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = PAGE.split(|c| !is_part(c)).filter(|word| word.starts_with("outbox_") && *word != "outbox_relay");
    for word in words {
        let name = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word);
        assert!(ALL.iter().any(|metric| metric.name == name), "{word}");
    }
}

#[test]
fn names_follow_the_customs_of_prometheus() {
    let mut names = BTreeSet::new();
    for metric in ALL {
        let Metric { name, unit, help, .. } = metric;
        assert!(names.insert(name), "{name} stands there twice");
        assert!(name.starts_with("outbox_") && help.ends_with('.'), "{name}: {help}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert_eq!(matches!(metric.kind, Kind::Counter), name.ends_with("_total"), "{name}");
        let base = name.trim_end_matches("_total");
        assert_eq!(*unit == Unit::Seconds, base.ends_with("_seconds"), "{name}");
        assert_eq!(*unit == Unit::Bytes, base.ends_with("_bytes"), "{name}");
        if let Kind::Histogram(classes) = metric.kind {
            assert!(classes.is_sorted() && !classes.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_label_holds_what_this_crate_or_the_settings_say() {
    let known = ["subscription", "row", "kind", "operation", "reason", "version", "relay", "database", "outbox"];
    for metric in ALL {
        assert!(metric.labels.iter().all(|label| known.contains(label)), "{}: {:?}", metric.name, metric.labels);
    }
}
