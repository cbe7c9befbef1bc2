//! Values for people: short, on one line, and safe on a terminal.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::printable::printable;
use crate::quantity::bytes;

/// So many characters of a value are shown; of a longer one its size as well.
const SHOWN: usize = 64;

/// So many characters stand before the first that is different.
const CONTEXT: usize = 12;

/// A JSON value: a text without quotes where nothing else could be meant, anything else without white space.
pub(super) fn json(value: &RawValue) -> String {
    match text_of(value) {
        Some(text) => quoted(&text, 0),
        None => cut(&compact(value), 0, value.get().len()),
    }
}

/// Two values of one field; of two long texts that begin alike, the place where they part.
pub(super) fn pair(before: &RawValue, after: &RawValue) -> (String, String) {
    match (text_of(before), text_of(after)) {
        (Some(before), Some(after)) if is_long(&before) || is_long(&after) => {
            let alike = before.chars().zip(after.chars()).take_while(|(old, new)| old == new).count();
            let skipped = if alike > SHOWN / 2 { alike - CONTEXT } else { 0 };
            (quoted(&before, skipped), quoted(&after, skipped))
        }
        _ => (json(before), json(after)),
    }
}

/// Any text.
pub(super) fn text(text: &str) -> String {
    cut(text, 0, text.len())
}

/// A text in a column of this width.
pub(super) fn word(text: &str, width: usize) -> String {
    let shown = printable(text);
    if shown.chars().nth(width).is_none() {
        return shown.into_owned();
    }
    shown.chars().take(width - 1).chain(['…']).collect()
}

fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

fn is_long(text: &str) -> bool {
    text.chars().nth(SHOWN).is_some()
}

fn quoted(text: &str, skipped: usize) -> String {
    let is_plain = !text.is_empty()
        && text.trim() == text
        && !text.contains([',', '→', '"'])
        && serde_json::from_str::<&RawValue>(text).is_err();
    if is_plain {
        return cut(text, skipped, text.len());
    }
    let (shown, size) = parts(text, skipped, text.len());
    format!("\"{shown}\"{size}")
}

fn cut(text: &str, skipped: usize, size: usize) -> String {
    let (shown, size) = parts(text, skipped, size);
    format!("{shown}{size}")
}

/// What is shown of a text, and the size if that is not all.
fn parts(text: &str, skipped: usize, size: usize) -> (String, String) {
    let from = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
    let rest = &text[from..];
    let end = rest.char_indices().nth(SHOWN).map(|(at, _)| at);
    let shown = printable(&rest[..end.unwrap_or(rest.len())]);
    let (before, after) = (if skipped > 0 { "…" } else { "" }, if end.is_some() { "…" } else { "" });
    let size = if skipped > 0 || end.is_some() { format!(" ({})", bytes(size as u64)) } else { String::new() };
    (format!("{before}{shown}{after}"), size)
}

/// The beginning of a value without white space between tokens.
fn compact(value: &RawValue) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let shown = value.get().chars().filter(|c| {
        let is_end = in_string && !escaped && *c == '"';
        escaped = in_string && !escaped && *c == '\\';
        in_string = if in_string { !is_end } else { *c == '"' };
        in_string || !c.is_ascii_whitespace()
    });
    shown.take(SHOWN + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_text_has_quotes_only_where_something_else_could_be_meant() {
        for (value, expected) in [
            (r#""paid""#, "paid"),
            (r#""Grüße 你""#, "Grüße 你"),
            ("5.00", "5.00"),
            (r#""5.00""#, r#""5.00""#),
            (r#""null""#, r#""null""#),
            ("null", "null"),
            (r#""""#, r#""""#),
            (r#"" a""#, r#"" a""#),
            (r#""a, b""#, r#""a, b""#),
            ("[1, {\"a b\" :\n\"c \\\" d\"}]", r#"[1,{"a b":"c \" d"}]"#),
            (r#""\ud800""#, r#""\ud800""#),
            (r#""\u001b[2J\u009b\u202e""#, r"\u{1b}[2J\u{9b}\u{202e}"),
        ] {
            assert_eq!(json(raw(value)), expected);
        }
    }

    #[test]
    fn long_values_are_cut_and_show_their_size() {
        let long = format!("\"{}\"", "ä".repeat(1 << 20));
        assert_eq!(json(raw(&long)), format!("{}… (2.0 MiB)", "ä".repeat(64)));
        let list = format!("[{}1]", "1, ".repeat(1000));
        assert!(json(raw(&list)).ends_with("1,1… (2.9 KiB)"), "{}", json(raw(&list)));
        assert_eq!(word("a very long name", 8), "a very …");
    }

    #[test]
    fn long_texts_that_begin_alike_are_shown_where_they_part() {
        let text = |end: &str| format!("\"{}{end}\"", "x".repeat(100));
        let alike = format!("…{}", "x".repeat(12));
        assert_eq!(
            pair(raw(&text("old")), raw(&text(""))),
            (format!("{alike}old (103 B)"), format!("{alike} (100 B)"))
        );
        assert_eq!(pair(raw("\"a\""), raw("7")), ("a".to_owned(), "7".to_owned()));
    }
}
