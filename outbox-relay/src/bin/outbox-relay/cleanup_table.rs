//! What a pass of cleanup did, as a table for people.

use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use outbox_relay::cleanup::{Outcome, Report, SegmentReport, Turn};

use crate::printable::printable;
use crate::quantity::bytes;
use crate::table::counted;

/// Tables wrap here.
const WIDTH: u16 = 100;

/// The whole report.
pub(crate) fn render(report: &Report, dry_run: bool) -> String {
    let mut out = String::new();
    if dry_run {
        out.push_str("dry run: nothing is changed\n");
    }
    if let Some(Turn { from, to }) = report.turned {
        let go = if dry_run { "would go" } else { "go" };
        _ = writeln!(out, "inserts {go} on in segment {to}, no longer in {from}");
    }
    for line in segments(&report.segments).lines() {
        _ = writeln!(out, "{}", line.trim_end());
    }
    if report.letters > 0 {
        let gone = if dry_run { "would be removed" } else { "removed" };
        _ = writeln!(out, "{} given up long ago {gone}", counted(report.letters, "dead letter"));
    }
    for subscription in &report.cut_off {
        let was = if dry_run { "would be" } else { "was" };
        _ = writeln!(out, "{} {was} cut off", printable(subscription));
    }
    for path in &report.archived {
        _ = writeln!(out, "archived in {}", printable(&path.display().to_string()));
    }
    if let Some(trouble) = &report.trouble {
        _ = writeln!(out, "attention: {}", printable(trouble));
    }
    out
}

fn segments(segments: &[SegmentReport]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["SEGMENT", "SIZE", "POSITIONS", "OUTCOME", "WHY"].map(Cell::new));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for numbers in [0, 1] {
        if let Some(column) = table.column_mut(numbers) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for segment in segments {
        table.add_row([
            segment.segment.to_string(),
            segment.bytes.map_or_else(|| "-".to_owned(), bytes),
            positions(segment),
            outcome(segment),
            segment.blocked_by.as_deref().map_or_else(String::new, |why| printable(why).into_owned()),
        ]);
    }
    table
}

fn positions(segment: &SegmentReport) -> String {
    match (segment.first_position, segment.last_position) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "-".to_owned(),
    }
}

fn outcome(segment: &SegmentReport) -> String {
    let word = match segment.outcome {
        Outcome::Empty => "empty",
        Outcome::Emptied => "emptied",
        Outcome::WouldBeEmptied => "would be emptied",
        Outcome::Kept => "kept",
    };
    match segment.events {
        Some(events) => format!("{word}: {events} events"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_what_went_and_why_the_rest_did_not() {
        let segment = |segment, outcome, blocked_by: Option<&str>| SegmentReport {
            segment,
            outcome,
            bytes: Some(8192),
            first_position: Some(1),
            last_position: Some(9),
            events: None,
            reason: None,
            blocked_by: blocked_by.map(str::to_owned),
        };
        let report = Report {
            turned: Some(Turn { from: 1, to: 2 }),
            segments: vec![
                segment(0, Outcome::Emptied, None),
                segment(1, Outcome::Kept, Some("it is locked by pid 7 (user a\u{1b}[2J)")),
            ],
            letters: 3,
            cut_off: vec!["billing".into()],
            trouble: Some("the log takes 3 MiB and may take 1 MiB".into()),
            ..Report::default()
        };
        assert_eq!(
            render(&report, false),
            "inserts go on in segment 2, no longer in 1\n\
             SEGMENT     SIZE  POSITIONS  OUTCOME  WHY\n      \
             0  8.0 KiB  1 to 9     emptied\n      \
             1  8.0 KiB  1 to 9     kept     it is locked by pid 7 (user a\\u{1b}[2J)\n\
             3 dead letters given up long ago removed\n\
             billing was cut off\n\
             attention: the log takes 3 MiB and may take 1 MiB\n"
        );
        assert!(render(&report, true).starts_with("dry run: nothing is changed\ninserts would go on"));
    }
}
