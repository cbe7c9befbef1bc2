//! Which events the commands under `events` are about.

use outbox_core::{Clock as _, Filter, Operation, Position};
use outbox_relay::SystemClock;

use super::environment::Environment;
use super::filter;
use super::flags::Flags;
use super::relay::name_of_anything;
use super::section::Section;
use crate::arguments::Events;
use crate::events::Format;
use crate::moment;
use crate::problem::{Place, Placed, Problems};

/// So many events are shown where nobody says how many.
const LAST: usize = 10;

/// Which events a command under `events` is about, and how it writes them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Which events.
    pub(crate) filter: Filter,
    /// Only events after this position.
    pub(crate) after: Position,
    /// So many of those that are already there.
    pub(crate) last: usize,
    /// How an export is written.
    pub(crate) format: Format,
    /// Where an export goes; standard output where nothing is said.
    pub(crate) output: Option<Placed<String>>,
    /// Under which name an export remembers how far it came.
    pub(crate) since_last: Option<String>,
}

impl Selection {
    /// Reads the flags; `OUTBOX_TENANT` stands in for `--tenant`.
    pub(super) fn read(command: &Events, environment: &Environment, problems: &mut Problems) -> Self {
        let mut flags = Flags::selection(command);
        let format = flags.text("format", problems).and_then(|format| format.parse(problems, Format::parse));
        let last = flags.text("last", problems).and_then(|last| last.parse(problems, count));
        let name = flags.text("since_last", problems).and_then(|name| name.parse(problems, name_of_anything));
        let after = flags.text("after", problems).and_then(|after| after.parse(problems, position));
        let mut selection = Self {
            filter: filter(&mut flags, environment, problems),
            after: after.map(|after| after.value).unwrap_or_default(),
            last: last.map_or(LAST, |last| last.value),
            format: format.map(|format| format.value).unwrap_or_default(),
            output: flags.text("output", problems),
            since_last: name.map(|name| name.value),
        };
        if selection.format == Format::CdcJson {
            selection.leave_to_changes(problems);
        }
        selection
    }

    /// `cdc-json` has a form for inserts, updates and deletes only.
    fn leave_to_changes(&mut self, problems: &mut Problems) {
        let operations = &mut self.filter.operations;
        if operations.is_empty() {
            *operations = vec![Operation::Insert, Operation::Update, Operation::Delete];
        }
        if operations.contains(&Operation::Snapshot) {
            let place = Place::Flag("--operation".to_owned());
            problems.at(&place, "cdc-json has no form for a snapshot; write json, jsonl or csv");
        }
    }
}

fn filter(flags: &mut Flags, environment: &Environment, problems: &mut Problems) -> Filter {
    let now = SystemClock.time_of_day();
    let mut time = |key| flags.text(key, problems)?.parse(problems, |text| moment::parse(text, now));
    let (since, until) = (time("since"), time("until"));
    if let (Some(since), Some(until)) = (&since, &until)
        && since.value >= until.value
    {
        problems.at(&until.place, "nothing is before --until and not before --since; write a later time");
    }
    let mut filter = filter::read(flags, problems);
    if filter.tenants.is_empty() {
        filter.tenants.extend(environment.get("OUTBOX_TENANT").map(|tenant| tenant.value));
    }
    // The empty key is one like any other: whoever needs no order among keys writes it.
    filter.keys = flags.list("keys", problems).into_iter().map(|key| key.value).collect();
    filter.since = since.map(|since| since.value);
    filter.until = until.map(|until| until.value);
    filter
}

fn position(text: &str) -> Result<Position, String> {
    let say = || format!("`{text}` is not a position; write a whole number such as 1200");
    text.parse().ok().filter(|position| *position >= 0).ok_or_else(say)
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is not a count; write a whole number such as 50"))
}
