//! Tables for people, 100 columns wide at most.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use crate::paint::Tone;
use crate::printable::printable;

/// Tables wrap here.
const WIDTH: u16 = 100;

/// Stands on both sides of a word to be coloured, has no width, and never comes out of [`printable`].
const MARK: char = '\u{2060}';

/// An empty table with these columns.
pub(crate) fn table(names: impl IntoIterator<Item = &'static str>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(names.into_iter().map(Cell::new));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Puts the numbers of these columns under one another.
pub(crate) fn align_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Appends an empty line and the table; `tone` says how marked words look on a terminal.
pub(crate) fn write(out: &mut String, table: &Table, tone: Option<fn(&str) -> Tone>) {
    out.push('\n');
    for line in table.lines() {
        out.push_str(&coloured(line.trim_end(), tone));
        out.push('\n');
    }
}

/// A word that [`write()`] colours.
pub(crate) fn marked(word: &str) -> String {
    format!("{MARK}{}{MARK}", printable(word))
}

/// Colours the marked word of a line.
fn coloured(line: &str, tone: Option<fn(&str) -> Tone>) -> String {
    let mut parts = line.split(MARK);
    let (Some(before), Some(word), Some(after), Some(tone)) = (parts.next(), parts.next(), parts.next(), tone) else {
        return line.replace(MARK, "");
    };
    format!("{before}{}{after}", tone(word).paint(word))
}

/// A count with its thing, such as `1 event` or `2 events`.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// What stands where nothing is known.
pub(crate) fn unknown() -> String {
    "-".to_owned()
}
