//! The command line as groups of settings.

use super::section::Section;
use crate::arguments::{Events, Global, RelayFlags, Run, SubscriptionFlags};
use crate::problem::{Place, Placed, Problems};

/// A group of flags, each under the key its setting has in the file; flags do not nest.
#[derive(Clone, Default)]
pub(crate) struct Flags(Vec<(&'static str, Placed<String>)>);

impl Flags {
    /// The flags of `[database]`.
    pub(crate) fn database(global: &Global) -> Self {
        Self::default()
            .with("url", "--database-url", &global.database_url)
            .with("url_file", "--database-url-file", &global.database_url_file)
            .with("schema", "--schema", &global.schema)
            .with("prefix", "--prefix", &global.prefix)
            .with("expect_instance", "--expect-instance", &global.expect_instance)
    }

    /// The flags of `[relay]`.
    pub(crate) fn relay(flags: &RelayFlags) -> Self {
        Self::default()
            .with("lease", "--lease", &flags.lease)
            .with("poll_max", "--poll-max", &flags.poll_max)
            .with("wake", "--wake", &flags.wake)
            .with("window_events", "--window-events", &flags.window_events)
            .with("window_bytes", "--window-bytes", &flags.window_bytes)
    }

    /// The flags of `[metrics]`.
    pub(crate) fn metrics(flags: &Run) -> Self {
        Self::default().with("listen", "--metrics", &flags.metrics)
    }

    /// The flags of `[[subscription]]`.
    pub(crate) fn subscription(flags: &SubscriptionFlags) -> Self {
        Self::default()
            .with("url", "--publisher", &flags.publisher)
            .with("name", "--name", &flags.name)
            .with("start", "--start", &flags.start)
            .with("envelope", "--envelope", &flags.envelope)
            .with("partitions", "--partitions", &flags.partitions)
            .with("topics", "--topic", &flags.topic)
            .with("tables", "--table", &flags.table)
            .with("tenants", "--tenant", &flags.tenant)
            .with("operations", "--operation", &flags.operation)
    }

    /// The flags of a command under `events`.
    pub(crate) fn selection(command: &Events) -> Self {
        let filter = command.filter();
        let flags = Self::default()
            .with("topics", "--topic", &filter.topic)
            .with("tables", "--table", &filter.table)
            .with("tenants", "--tenant", &filter.tenant)
            .with("operations", "--operation", &filter.operation)
            .with("keys", "--key", &filter.key)
            .with("since", "--since", &filter.since)
            .with("until", "--until", &filter.until)
            .with("after", "--after", &filter.after);
        match command {
            Events::Show(show) | Events::Tail(show) => flags.with("last", "--last", &show.last),
            Events::Stats(_) => flags,
            Events::Export(export) => flags
                .with("format", "--format", &export.format)
                .with("output", "--output", &export.output)
                .with("since_last", "--since-last", &export.since_last),
        }
    }

    /// The same with this where the key was not given.
    pub(crate) fn or(self, key: &'static str, flag: &'static str, value: &str) -> Self {
        if self.0.iter().any(|(given, _)| *given == key) { self } else { self.with(key, flag, &[value.to_owned()]) }
    }

    /// The first flag that was given.
    pub(crate) fn first(&self) -> Option<&Place> {
        self.0.first().map(|(_, placed)| &placed.place)
    }

    fn with<'v>(mut self, key: &'static str, flag: &str, values: impl IntoIterator<Item = &'v String>) -> Self {
        let placed = |value: &String| Placed { value: value.clone(), place: Place::Flag(flag.to_owned()) };
        self.0.extend(values.into_iter().map(|value| (key, placed(value))));
        self
    }
}

impl Section for Flags {
    fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<Placed<String>> {
        self.list(key, problems).pop()
    }

    fn list(&mut self, key: &'static str, _: &mut Problems) -> Vec<Placed<String>> {
        self.0.iter().filter(|(given, _)| *given == key).map(|(_, placed)| placed.clone()).collect()
    }

    fn group<'s>(&'s mut self, _: &'static str, _: &mut Problems) -> Option<Box<dyn Section + 's>> {
        Some(Box::new(self.clone()))
    }
}
