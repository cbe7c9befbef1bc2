//! Prometheus' text format, read strictly: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
#![expect(clippy::unwrap_used, reason = "what goes wrong here ends the test that asked for it")]

use std::collections::BTreeMap;

/// The metrics of one reading.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    /// The type of each family.
    families: BTreeMap<String, String>,
    /// Each series as it was written, with its value.
    series: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads a whole page; before the relay has started there is nothing on it.
    ///
    /// # Panics
    ///
    /// Where the page is not what the format asks for.
    pub(super) fn parse(page: &str) -> Self {
        assert!(page.is_empty() || page.ends_with('\n'), "the last line has an end: {page:?}");
        let mut exposition = Self::default();
        let mut family = String::new();
        let mut described = String::new();
        for line in page.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                assert!(!text.is_empty(), "{line}");
                name.clone_into(&mut described);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind) && name == described, "{line}");
                assert!(is_name(name), "{line}");
                let before = exposition.families.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "one family, one place: {line}");
                name.clone_into(&mut family);
            } else {
                exposition.sample(&family, line);
            }
        }
        exposition.check_histograms();
        exposition
    }

    fn sample(&mut self, family: &str, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value = match value {
            "+Inf" | "-Inf" | "NaN" => value.trim_start_matches('+').parse().unwrap(),
            number => {
                assert!(number.starts_with(|c: char| c.is_ascii_digit() || c == '-'), "{line}");
                number.parse().unwrap()
            }
        };
        let (name, labels) = series.split_once('{').map_or((series, None), |(name, labels)| (name, Some(labels)));
        let parts: &[&str] = if self.families[family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(parts.iter().any(|part| name == format!("{family}{part}")), "{line} in {family}");
        if let Some(labels) = labels {
            check_labels(labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}")));
        }
        assert_eq!(self.series.insert(series.to_owned(), value), None, "twice: {line}");
    }

    /// Classes add up from the smallest to the last, which holds all.
    fn check_histograms(&self) {
        let mut last: BTreeMap<(&str, String), f64> = BTreeMap::new();
        for (series, value) in self.series.iter().filter(|(series, _)| series.contains("_bucket{")) {
            let (name, labels) = series.split_once("_bucket{").unwrap();
            let (others, class) = labels.trim_end_matches('}').split_once("le=\"").unwrap();
            let rest = others.trim_end_matches(',').to_owned();
            if class.trim_end_matches('"') == "+Inf" {
                assert_eq!(self.value(&format!("{name}_count{{{rest}}}")), Some(*value), "{series}");
            }
            let most = last.entry((name, rest)).or_default();
            *most = most.max(*value);
        }
        for ((name, labels), most) in last {
            assert_eq!(self.value(&format!("{name}_count{{{labels}}}")), Some(most), "{name}");
        }
    }

    /// The value of a series, written as the page has it.
    pub(super) fn value(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    /// The names of all families.
    pub(super) fn families(&self) -> impl Iterator<Item = &str> {
        self.families.keys().map(String::as_str)
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `a="b",c="d"`, where `\\`, `\"` and `\n` stand for what a value may not hold itself.
fn check_labels(labels: &str) {
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        assert!(is_name(name), "{labels}");
        let mut escaped = false;
        let end = value.find(|c: char| {
            let ends = c == '"' && !escaped;
            assert!(!escaped || matches!(c, '\\' | '"' | 'n'), "{labels}");
            escaped = c == '\\' && !escaped;
            ends
        });
        let after = &value[end.unwrap_or_else(|| panic!("{labels}")) + 1..];
        rest = after.strip_prefix(',').unwrap_or_else(|| {
            assert_eq!(after, "", "{labels}");
            after
        });
    }
}
