//! Where the outbox tables are: their schema and their prefix. The one place where their names are put into SQL.

use std::borrow::Cow;
use std::fmt;

/// The prefix of every table and sequence of the outbox, unless another is set.
pub const DEFAULT_PREFIX: &str = "outbox_";

/// Schema and prefix of the outbox tables; default: no schema (the connection's own) and `outbox_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    schema: Option<String>,
    prefix: String,
}

/// The name cannot be a schema or a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` cannot be a {what}: write 1 to 40 of the characters a-z, A-Z, 0-9 and _, not beginning with a digit",
    name.escape_debug()
)]
pub struct NameError {
    name: String,
    what: &'static str,
}

impl Default for Names {
    fn default() -> Self {
        Self { schema: None, prefix: DEFAULT_PREFIX.to_owned() }
    }
}

impl Names {
    /// Names with another schema or prefix.
    ///
    /// # Errors
    ///
    /// [`NameError`] for anything but letters, digits and `_`: such names need no quoting anywhere, so none can break out.
    pub fn new(schema: Option<&str>, prefix: Option<&str>) -> Result<Self, NameError> {
        let schema = schema.map(|name| identifier(name, "schema")).transpose()?;
        let prefix = identifier(prefix.unwrap_or(DEFAULT_PREFIX), "prefix")?;
        Ok(Self { schema, prefix })
    }

    /// The schema, where one is set.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The full name of the table or sequence that is called `outbox_{name}` by default, quoted as a statement needs it.
    pub fn quoted(&self, name: &str) -> String {
        let prefix = &self.prefix;
        match &self.schema {
            Some(schema) => format!("\"{schema}\".\"{prefix}{name}\""),
            None => format!("\"{prefix}{name}\""),
        }
    }

    /// The name of the role that is called `outbox_{name}` by default. A role belongs to the server and to no schema.
    pub fn role(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A statement of the `.sql` files with every `outbox_…` name in it replaced by [`Names::quoted`].
    pub fn render(&self, sql: &'static str) -> Cow<'static, str> {
        if *self == Self::default() {
            return Cow::Borrowed(sql);
        }
        let mut out = String::with_capacity(sql.len() + 256);
        let mut rest = sql;
        while let Some(start) = rest.find(DEFAULT_PREFIX) {
            let (before, found) = rest.split_at(start);
            let end = found.find(|c: char| !is_word(c)).unwrap_or(found.len());
            out.push_str(before);
            if before.chars().next_back().is_some_and(is_word) {
                out.push_str(&found[..end]);
            } else {
                out.push_str(&self.quoted(&found[DEFAULT_PREFIX.len()..end]));
            }
            rest = &found[end..];
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// As [`Names::render`], for a statement about the segment 0 that is to be about another: both the table
    /// `outbox_event_0` and the number in `/* segment */ 0` change.
    pub fn render_for_segment(&self, sql: &'static str, segment: i16) -> String {
        let table = |number| {
            if *self == Self::default() {
                format!("outbox_event_{number}")
            } else {
                self.quoted(&format!("event_{number}"))
            }
        };
        self.render(sql).replace(&table(0), &table(segment)).replace("/* segment */ 0", &segment.to_string())
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}*", self.prefix),
            None => write!(f, "{}*", self.prefix),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn identifier(name: &str, what: &'static str) -> Result<String, NameError> {
    let legal =
        (1..=40).contains(&name.len()) && name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit());
    if legal { Ok(name.to_owned()) } else { Err(NameError { name: name.chars().take(60).collect(), what }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_names_leave_the_statement_as_it_stands() {
        assert!(matches!(Names::default().render("SELECT 1 FROM outbox_event"), Cow::Borrowed(_)));
    }

    #[test]
    fn schema_and_prefix_reach_every_name() {
        let names = Names::new(Some("shop"), Some("ob_")).unwrap();
        assert_eq!(
            names.render("SELECT 'outbox_segment'::regclass, my_outbox_x FROM outbox_event e"),
            r#"SELECT '"shop"."ob_segment"'::regclass, my_outbox_x FROM "shop"."ob_event" e"#
        );
    }

    #[test]
    fn a_statement_about_one_segment_is_made_one_about_another() {
        let sql = "LOCK outbox_event_0; SELECT /* segment */ 0 + 0 FROM outbox_event";
        let names = Names::new(None, Some("ob_")).unwrap();
        assert_eq!(Names::default().render_for_segment(sql, 5), "LOCK outbox_event_5; SELECT 5 + 0 FROM outbox_event");
        assert_eq!(names.render_for_segment(sql, 5), r#"LOCK "ob_event_5"; SELECT 5 + 0 FROM "ob_event""#);
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in ["", "a b", "x\"; drop table y; --", "a'b", "a`b", "1a", "ä", "a\0b", &"x".repeat(41), "a.b", "a-b"]
        {
            assert!(Names::new(Some(name), None).is_err(), "{name}");
            assert!(Names::new(None, Some(name)).is_err(), "{name}");
        }
    }
}
