//! The change log as a table for people: rows as they come, in columns as wide as the widest so far.

use outbox_core::Filter;
use outbox_core::source::Row;
use unicode_width::UnicodeWidthStr as _;

use super::flow::{Line, Span, flow, span, written};
use super::row::{COLUMNS, NAMES, Shown, show};
use crate::paint::Tone;
use crate::printable::printable;

/// Spaces between two columns.
const GAP: usize = 2;

/// A change gets a column of its own where it is at least so wide; else it stands below its row.
const NARROW: usize = 36;

/// How far a change below its row stands in.
const INDENT: usize = 4;

/// The table, a row at a time.
pub(crate) struct Listing {
    heading: String,
    columns: [usize; COLUMNS],
    terminal: usize,
    coloured: bool,
    with_tenant: bool,
}

/// What the events are: `CDC events for tenant 'X'`.
pub(super) fn heading(filter: &Filter) -> String {
    let tenants: Vec<_> = filter.tenants.iter().map(|tenant| format!("'{}'", printable(tenant))).collect();
    match tenants.len() {
        0 => "CDC events of all tenants".to_owned(),
        1 => format!("CDC events for tenant {}", tenants.join("")),
        _ => format!("CDC events for tenants {}", tenants.join(", ")),
    }
}

impl Listing {
    /// A table for a terminal of this width; each row tells its tenant where they may differ.
    pub(crate) fn new(filter: &Filter, terminal: usize, coloured: bool) -> Self {
        let columns = NAMES.map(str::len);
        let with_tenant = filter.tenants.len() != 1;
        Self { heading: heading(filter), columns, terminal, coloured, with_tenant }
    }

    /// Heading and names of the columns, which the first rows make as wide as they need.
    pub(crate) fn begin(&mut self, rows: &[Row]) -> String {
        let with_tenant = self.with_tenant;
        rows.iter().filter_map(|row| show(row, with_tenant)).for_each(|shown| self.widen(&shown));
        let mut names = self.row(&NAMES.map(|name| span(name, Tone::Strong)));
        if self.beside().is_some() {
            names.push(span("Change", Tone::Strong));
        }
        self.text(&[vec![span(self.heading.clone(), Tone::Strong)], Line::new(), names])
    }

    /// One row with its change.
    pub(crate) fn next(&mut self, row: &Row) -> String {
        let Some(shown) = show(row, self.with_tenant) else {
            return String::new();
        };
        self.widen(&shown);
        let mut lines = vec![self.row(&shown.cells)];
        if let Some(room) = self.beside() {
            let mut change = flow(shown.change, room).into_iter();
            lines[0].extend(change.next().unwrap_or_default());
            lines.extend(change.map(|line| indented(self.terminal - room, line)));
        } else {
            let room = self.terminal.saturating_sub(INDENT).max(1);
            lines.extend(flow(shown.change, room).into_iter().map(|line| indented(INDENT, line)));
        }
        self.text(&lines)
    }

    /// How many there were, and where to go on.
    pub(crate) fn end(&self, rows: &[Row]) -> String {
        let said = match rows {
            [] => "no event".to_owned(),
            [only] => format!("position {}, time in UTC", only.position()),
            [first, .., last] => {
                format!("{} events, positions {} to {}, times in UTC", rows.len(), first.position(), last.position())
            }
        };
        self.text(&[Line::new(), vec![span(said, Tone::Faint)]])
    }

    fn widen(&mut self, shown: &Shown) {
        for (column, cell) in self.columns.iter_mut().zip(&shown.cells) {
            *column = cell.text.width().max(*column);
        }
    }

    /// The room beside the columns, if there is any.
    fn room(&self) -> Option<usize> {
        self.terminal.checked_sub(self.columns.iter().map(|column| column + GAP).sum())
    }

    /// The same, if it is enough for a change.
    fn beside(&self) -> Option<usize> {
        self.room().filter(|room| *room >= NARROW)
    }

    /// The cells under one another, or where the columns are too wide for that, one after another.
    fn row(&self, cells: &[Span; COLUMNS]) -> Line {
        let is_aligned = self.room().is_some();
        let padded = self.columns.iter().zip(cells).flat_map(|(column, cell)| {
            let short = if is_aligned { column - cell.text.width() } else { 0 };
            [cell.clone(), span(" ".repeat(short + GAP), Tone::Plain)]
        });
        padded.collect()
    }

    fn text(&self, lines: &[Line]) -> String {
        let line = |line: &Line| format!("{}\n", trimmed(line, self.coloured));
        lines.iter().map(line).collect()
    }
}

fn indented(columns: usize, mut line: Line) -> Line {
    line.insert(0, span(" ".repeat(columns), Tone::Plain));
    line
}

/// A line without spaces at its end.
fn trimmed(line: &[Span], coloured: bool) -> String {
    let end = line.iter().rposition(|span| !span.text.trim().is_empty()).map_or(0, |last| last + 1);
    written(&line[..end], coloured)
}
