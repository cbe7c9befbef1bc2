//! The configuration file, `relay.toml`, as groups of settings.

use toml::de::{DeTable, DeValue};

use super::database::DatabaseLayer;
use super::metrics::MetricsLayer;
use super::relay::RelayLayer;
use super::retention::RetentionLayer;
use super::section::Section as _;
use super::subscription::{self, Subscription};
use super::table::{Source, Table};
use crate::problem::{Place, Problems};

/// Reads a file.
pub(crate) fn load(path: &str, problems: &mut Problems) -> Option<Source> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(Source { name: path.to_owned(), text }),
        Err(error) => {
            problems.at(&Place::Flag("--config".into()), format!("cannot read `{path}`: {error}"));
            None
        }
    }
}

/// The configuration file.
pub(crate) struct File<'a> {
    source: &'a Source,
    root: DeTable<'a>,
}

/// The subscriptions of the file.
#[derive(Default)]
pub(crate) struct FromFile {
    /// How many sections there are, readable or not.
    pub(crate) sections: usize,
    /// Those that could be read.
    pub(crate) subscriptions: Vec<Subscription>,
}

impl<'a> File<'a> {
    /// Takes the text apart; what is not TOML is a problem of its line.
    pub(crate) fn parse(source: &'a Source, problems: &mut Problems) -> Self {
        let (root, errors) = DeTable::parse_recoverable(&source.text);
        for error in errors {
            let place = error.span().map_or(Place::File(source.name.clone()), |span| source.place(span.start));
            problems.at(&place, format!("not TOML: {}", error.message()));
        }
        Self { source, root: root.into_inner() }
    }

    /// The section `[database]`.
    pub(crate) fn database(&self, problems: &mut Problems) -> DatabaseLayer {
        self.section("database", problems).map_or_else(DatabaseLayer::default, |mut table| {
            let layer = DatabaseLayer::read(&mut table, problems);
            table.finish(problems);
            layer
        })
    }

    /// The section `[relay]`.
    pub(crate) fn relay(&self, problems: &mut Problems) -> RelayLayer {
        self.section("relay", problems).map_or_else(RelayLayer::default, |mut table| {
            let layer = RelayLayer::read(&mut table, problems);
            table.finish(problems);
            layer
        })
    }

    /// The section `[metrics]`.
    pub(crate) fn metrics(&self, problems: &mut Problems) -> MetricsLayer {
        self.section("metrics", problems).map_or_else(MetricsLayer::default, |mut table| {
            let layer = MetricsLayer::read(&mut table, problems);
            table.finish(problems);
            layer
        })
    }

    /// The section `[retention]`.
    pub(crate) fn retention(&self, problems: &mut Problems) -> RetentionLayer {
        self.section("retention", problems).map_or_else(RetentionLayer::default, |mut table| {
            let layer = RetentionLayer::read(&mut table, problems);
            table.finish(problems);
            layer
        })
    }

    /// The sections `[[subscription]]`.
    pub(crate) fn subscriptions(&self, problems: &mut Problems) -> FromFile {
        let Some((key, value)) = self.root.get_key_value("subscription") else {
            return FromFile::default();
        };
        let DeValue::Array(sections) = value.get_ref() else {
            let place = self.source.place(key.span().start);
            problems.at(&place, "write [[subscription]] in double brackets: there may be several");
            return FromFile { sections: 1, subscriptions: Vec::new() };
        };
        let mut subscriptions = Vec::new();
        for section in sections {
            let place = self.source.place(section.span().start);
            match section.get_ref() {
                DeValue::Table(table) => {
                    let mut table = Table::new(self.source, "[[subscription]]", place, table);
                    table.require(&["name", "publisher"], problems);
                    subscriptions.extend(subscription::read(&mut table, problems));
                }
                _ => problems.at(&place, "not a section; write [[subscription]]"),
            }
        }
        FromFile { sections: sections.len(), subscriptions }
    }

    /// Refuses sections that nobody asked for.
    pub(crate) fn finish(&self, problems: &mut Problems) {
        let place = Place::File(self.source.name.clone());
        let mut root = Table::new(self.source, "the file", place, &self.root);
        root.know(&["database", "relay", "metrics", "retention", "subscription"]);
        root.finish(problems);
    }

    fn section(&self, name: &'static str, problems: &mut Problems) -> Option<Table<'_>> {
        let (key, value) = self.root.get_key_value(name)?;
        let place = self.source.place(key.span().start);
        if let DeValue::Table(table) = value.get_ref() {
            return Some(Table::new(self.source, &format!("[{name}]"), place, table));
        }
        problems.at(&place, format!("`{name}` is a section; write [{name}]"));
        None
    }
}
