//! Text from outside on its way to a terminal: without control characters and without secrets.

use std::borrow::Cow;

/// The text with every character written out that could move a cursor, change colours, turn the reading direction or not be seen.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    written_out(text, is_dangerous)
}

/// Text of several lines as it is, but for the characters that could move a cursor elsewhere or change colours.
pub(crate) fn printable_text(text: &str) -> Cow<'_, str> {
    written_out(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

fn written_out(text: &str, is_dangerous: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_dangerous(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// JSON with the characters written out that a terminal may act on and JSON allows as they are.
pub(crate) fn printable_json(json: &str) -> Cow<'_, str> {
    let acted_on = |c: char| matches!(c, '\u{7f}'..='\u{9f}');
    if !json.contains(acted_on) {
        return Cow::Borrowed(json);
    }
    json.chars().map(|c| if acted_on(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// The text without the user and password of URLs, and without the values of `password=` and the like.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains("password") {
        return Cow::Borrowed(text);
    }
    let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`');
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(is_end) {
        let word = match (word.find("://"), word.rfind('@')) {
            (Some(scheme), Some(at)) if scheme < at => Cow::Owned(format!("{}***{}", &word[..scheme + 3], &word[at..])),
            _ => Cow::Borrowed(word),
        };
        out.push_str(&mask_parameters(&word));
    }
    Cow::Owned(out)
}

/// Masks what follows `password=` up to the next `&` or the end of the word.
fn mask_parameters(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(start) = rest.find("password=") {
        let value = start + "password=".len();
        let is_end = |c: char| c.is_whitespace() || matches!(c, '&' | '\'' | '"' | '`');
        let end = rest[value..].find(is_end).map_or(rest.len(), |end| value + end);
        out.push_str(&rest[..value]);
        out.push_str("***");
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_written_out() {
        assert_eq!(printable("a\x1b[31mb\u{9b}2J\u{202e}\u{7f}\nä"), "a\\u{1b}[31mb\\u{9b}2J\\u{202e}\\u{7f}\\nä");
        assert_eq!(printable("shop.orders: ä 你"), "shop.orders: ä 你");
        for unseen in ['\u{ad}', '\u{61c}', '\u{180e}', '\u{200b}', '\u{2066}', '\u{feff}', '\u{e0000}', '\u{e007f}'] {
            assert_eq!(printable(&format!("a{unseen}b")), format!("a{}b", unseen.escape_unicode()));
        }
        assert_eq!(printable_json("{\"a\":\"\u{9b}ä\"}"), "{\"a\":\"\\u009bä\"}");
    }

    #[test]
    fn no_user_and_no_password_is_left() {
        for (text, expected) in [
            ("cannot reach postgres://app:c@n/ry@db:1/shop now", "cannot reach postgres://***@db:1/shop now"),
            ("'postgres://db/shop?password=canary&x=1'", "'postgres://db/shop?password=***&x=1'"),
            ("password=canary", "password=***"),
            ("password authentication failed", "password authentication failed"),
            ("mail ann@example.org", "mail ann@example.org"),
            ("sqlite:shop.db", "sqlite:shop.db"),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
    }
}
