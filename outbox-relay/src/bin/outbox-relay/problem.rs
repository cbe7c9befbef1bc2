//! What is wrong with the way the program was called or set up: collected, so that all of it is told at once.

use std::fmt;

use crate::printable::printable;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A line of the configuration file, from 1.
    Line(String, usize),
    /// The configuration file as a whole.
    File(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) | Self::File(name) => f.write_str(&printable(name)),
            Self::Line(file, line) => write!(f, "{}:{line}", printable(file)),
        }
    }
}

/// A value with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it was written.
    pub(crate) place: Place,
}

impl Placed<String> {
    /// The value as `parse` reads it; what it says against the text becomes a problem of this place.
    pub(crate) fn parse<T>(
        self,
        problems: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        match parse(&self.value) {
            Ok(value) => Some(Placed { value, place: self.place }),
            Err(message) => {
                problems.at(&self.place, message);
                None
            }
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Where it was written, if anywhere.
    pub(crate) place: Option<Place>,
    /// What is wrong and what to write instead.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything found wrong so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem of a place.
    pub(crate) fn at(&mut self, place: &Place, message: impl Into<String>) {
        self.0.push(Problem { place: Some(place.clone()), message: message.into() });
    }

    /// Adds a problem of no place, such as something that is missing.
    pub(crate) fn add(&mut self, message: impl Into<String>) {
        self.0.push(Problem { place: None, message: message.into() });
    }

    /// Takes what was found, in the order of places; nothing found is `Ok`.
    pub(crate) fn settle(mut self) -> Result<(), Self> {
        self.0.sort();
        self.0.dedup();
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The problems.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

/// The word of `legal` that is most like `word`.
pub(crate) fn nearest<'a>(word: &str, legal: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(word, candidate);
    legal.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_stand_in_the_order_of_the_file_and_once() {
        let mut problems = Problems::default();
        for line in [12, 3, 12] {
            problems.at(&Place::Line("relay.toml".into(), line), "wrong");
        }
        problems.add("missing");
        let lines: Vec<String> = problems.settle().unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["missing", "relay.toml:3: wrong", "relay.toml:12: wrong"]);
    }

    #[test]
    fn the_nearest_word_is_the_one_meant() {
        let keys = ["name", "lease", "poll_max", "window_events", "window_bytes"];
        for (word, expected) in [("lese", "lease"), ("pollmax", "poll_max"), ("window_byte", "window_bytes")] {
            assert_eq!(nearest(word, keys), Some(expected));
        }
    }
}
