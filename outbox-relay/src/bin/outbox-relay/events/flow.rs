//! Coloured text that flows into a column.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::paint::Tone;

/// A piece of text in one tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// The text, safe on a terminal and without line breaks.
    pub(super) text: String,
    /// How it looks.
    pub(super) tone: Tone,
}

/// What belongs together: it stands on one line wherever it fits on one.
pub(super) type Group = Vec<Span>;

/// One line.
pub(super) type Line = Vec<Span>;

/// A text in a tone.
pub(super) fn span(text: impl Into<String>, tone: Tone) -> Span {
    Span { text: text.into(), tone }
}

/// The columns a terminal takes for it.
pub(super) fn width(spans: &[Span]) -> usize {
    spans.iter().map(|span| span.text.width()).sum()
}

/// Lays groups one after another, with a space between, on lines of this width.
pub(super) fn flow(groups: Vec<Group>, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = Line::new();
    for group in groups {
        if !line.is_empty() {
            if width(&line) + 1 + width(&group) <= columns {
                line.push(span(" ", Tone::Plain));
            } else {
                lines.push(std::mem::take(&mut line));
            }
        }
        line.extend(group);
        while let Some(rest) = overhang(&mut line, columns) {
            lines.push(std::mem::replace(&mut line, rest));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Takes off what stands beyond the width.
fn overhang(line: &mut Line, columns: usize) -> Option<Line> {
    let mut used = 0;
    for index in 0..line.len() {
        for (at, c) in line[index].text.char_indices() {
            used += c.width().unwrap_or(0);
            // A first character that is wider than the column stands there all the same.
            if used > columns && (index, at) != (0, 0) {
                let mut rest = line.split_off(index);
                let tail = rest[0].text.split_off(at);
                let head = std::mem::replace(&mut rest[0].text, tail);
                line.push(span(head, rest[0].tone));
                return Some(rest);
            }
        }
    }
    None
}

/// The line as text, in colours where they are wanted.
pub(super) fn written(line: &[Span], coloured: bool) -> String {
    line.iter().map(|span| if coloured { span.tone.paint(&span.text) } else { span.text.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(groups: &[&str], columns: usize) -> Vec<String> {
        let groups = groups.iter().map(|text| vec![span(*text, Tone::Plain)]).collect();
        flow(groups, columns).iter().map(|line| written(line, false)).collect()
    }

    #[test]
    fn groups_stay_together_where_they_fit() {
        assert_eq!(lines(&["a: 1,", "b: 2,", "c: 3"], 11), ["a: 1, b: 2,", "c: 3"]);
        assert_eq!(lines(&["ab", "cdefghij", "k"], 4), ["ab", "cdef", "ghij", "k"]);
        assert_eq!(lines(&["你好你好"], 5), ["你好", "你好"]);
        assert_eq!(lines(&["你"], 1), ["你"]);
        assert!(lines(&[], 9).is_empty());
    }

    #[test]
    fn a_tone_goes_on_over_the_break() {
        let line = vec![span("ab", Tone::Plain), span("cdef", Tone::Red)];
        let lines: Vec<_> = flow(vec![line], 4).iter().map(|line| written(line, true)).collect();
        assert_eq!(lines, ["ab\x1b[31mcd\x1b[0m", "\x1b[31mef\x1b[0m"]);
    }
}
