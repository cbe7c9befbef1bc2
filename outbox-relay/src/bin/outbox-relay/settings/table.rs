//! One table of the configuration file, taken apart key by key; what is left over is unknown.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::section::Section;
use crate::printable::printable;
use crate::problem::{Place, Placed, Problems, nearest};

/// The text of a file.
pub(crate) struct Source {
    /// Its path, as it was given.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) text: String,
}

impl Source {
    /// The line of a byte.
    pub(crate) fn place(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        Place::Line(self.name.clone(), 1 + before.matches('\n').count())
    }
}

/// One table of the file.
pub(crate) struct Table<'a> {
    source: &'a Source,
    name: String,
    place: Place,
    entries: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// A table, called `name` towards people.
    pub(crate) fn new(source: &'a Source, name: &str, place: Place, entries: &'a DeTable<'a>) -> Self {
        Self { source, name: name.to_owned(), place, entries, known: Vec::new() }
    }

    /// Adds keys that somebody else reads.
    pub(crate) fn know(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Refuses the table if one of these is missing.
    pub(crate) fn require(&self, keys: &[&str], problems: &mut Problems) {
        for key in keys.iter().filter(|key| !self.entries.contains_key(**key)) {
            problems.at(&self.place, format!("{} has no `{key}`; write one", self.name));
        }
    }

    fn value(&mut self, key: &'static str) -> Option<(Place, &'a Spanned<DeValue<'a>>)> {
        self.known.push(key);
        let (given, value) = self.entries.get_key_value(key)?;
        Some((self.source.place(given.span().start), value))
    }
}

impl Section for Table<'_> {
    fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<Placed<String>> {
        let (place, value) = self.value(key)?;
        text(key, place, value, problems)
    }

    fn number(&mut self, key: &'static str, problems: &mut Problems) -> Option<Placed<String>> {
        let (place, value) = self.value(key)?;
        if let DeValue::Integer(number) = value.get_ref() {
            let decimal = i64::from_str_radix(number.as_str(), number.radix());
            return Some(Placed {
                value: decimal.map_or_else(|_| number.to_string(), |number| number.to_string()),
                place,
            });
        }
        let kind = kind(value.get_ref());
        problems.at(&place, format!("`{key}` is a number, not {kind}; write it without quotes, such as `{key} = 1`"));
        None
    }

    fn list(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Placed<String>> {
        let Some((place, value)) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(values) = value.get_ref() else {
            problems.at(&place, format!("`{key}` is a list; write {key} = [\"…\"]"));
            return Vec::new();
        };
        let words = values.iter().map(|value| (self.source.place(value.span().start), value));
        words.filter_map(|(place, value)| text(key, place, value, problems)).collect()
    }

    fn group<'s>(&'s mut self, key: &'static str, problems: &mut Problems) -> Option<Box<dyn Section + 's>> {
        let (place, value) = self.value(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            return Some(Box::new(Table::new(self.source, &format!("`{key}`"), place, table)));
        }
        problems.at(&place, format!("`{key}` is a table; write {key} = {{ … }}"));
        None
    }

    fn finish(&mut self, problems: &mut Problems) {
        for given in self.entries.keys().filter(|given| !self.is_known(given.get_ref())) {
            let key = printable(given.get_ref());
            let meant = nearest(given.get_ref(), self.known.iter().copied()).unwrap_or_default();
            let legal = self.known.join(", ");
            let message = format!("unknown key `{key}`; the nearest is `{meant}`; {} has {legal}", self.name);
            problems.at(&self.source.place(given.span().start), message);
        }
    }
}

impl Table<'_> {
    fn is_known(&self, key: &str) -> bool {
        self.known.contains(&key)
    }
}

/// A text; another type is shown by its name only, for the value may be a secret.
fn text(key: &str, place: Place, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Placed<String>> {
    if let DeValue::String(text) = value.get_ref() {
        return Some(Placed { value: text.to_string(), place });
    }
    let kind = kind(value.get_ref());
    problems.at(&place, format!("`{key}` is a text, not {kind}; write it in quotes, such as {}", example(key)));
    None
}

/// The type of a value, with its article.
fn kind(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

fn example(key: &str) -> &'static str {
    match key {
        "lease" | "poll_max" | "shutdown_timeout" | "first" | "max" | "budget" => "\"5s\"",
        "keep" => "\"7d\"",
        "window_bytes" => "\"16MiB\"",
        "max_disk" => "\"10GiB\"",
        "on_max_disk" => "\"hold\"",
        "listen" => "\"127.0.0.1:8269\"",
        "token_file" => "\"/run/secrets/metrics\"",
        "start" => "\"beginning\"",
        _ => "\"…\"",
    }
}
