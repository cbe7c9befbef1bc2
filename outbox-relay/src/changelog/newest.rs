//! The newest events: windows of positions, from the end of the log backwards.

use std::collections::VecDeque;

use outbox_core::source::{ReadRequest, Row, Source};
use outbox_core::{Position, StoreError};

use super::walk::{PAGE_BYTES, PAGE_EVENTS};

/// The newest `count` rows above one position, up to another, that pass the filter; oldest first.
pub(super) async fn newest(
    source: &mut dyn Source,
    above: Position,
    to: Position,
    count: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = VecDeque::new();
    let mut end = to;
    // The first window is as long as it would have to be if every position held a row that passes.
    let mut length = Position::try_from(count).unwrap_or(Position::MAX).min(PAGE_EVENTS.into());
    while rows.len() < count && end > above {
        let begin = end.saturating_sub(length).max(above);
        let window = read_window(source, begin, end, count - rows.len()).await?;
        // Where there is nothing at all, thousands of positions more cost nothing.
        let longest = if window.is_empty { Position::MAX } else { PAGE_EVENTS.into() };
        length = length.saturating_mul(2).min(longest);
        for row in window.passing.into_iter().rev() {
            rows.push_front(row);
        }
        end = begin;
    }
    Ok(rows.into())
}

/// The rows of some positions.
#[derive(Default)]
struct Window {
    /// The newest that pass, oldest first.
    passing: VecDeque<Row>,
    /// Whether no position of it holds a row.
    is_empty: bool,
}

/// Reads a window in position order and keeps its newest rows, `most` at most.
async fn read_window(
    source: &mut dyn Source,
    above: Position,
    to: Position,
    most: usize,
) -> Result<Window, StoreError> {
    let mut window = Window { is_empty: true, ..Window::default() };
    let mut after = above;
    while after < to {
        let max_events = u32::try_from(to - after).unwrap_or(u32::MAX).min(PAGE_EVENTS);
        let request = ReadRequest { max_events, max_bytes: PAGE_BYTES, ..ReadRequest::above(after) };
        let read = source.read(&request).await?;
        let Some(last) = read.rows.last().map(Row::position) else { break };
        for row in read.rows.into_iter().take_while(|row| row.position() <= to) {
            window.is_empty = false;
            if !matches!(row, Row::Filtered(_)) {
                window.passing.push_back(row);
            }
        }
        window.passing.drain(..window.passing.len().saturating_sub(most));
        after = last;
    }
    Ok(window)
}
