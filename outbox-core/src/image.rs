//! The JSON image of a captured value, and the texts of its key and tenant.
//!
//! `#[derive(Outbox)]` writes calls to this module; code that implements [`Entity`](crate::Entity) or
//! [`DomainEvent`](crate::DomainEvent) by hand may use it too, through [`Shape::image`](crate::shape::Shape::image).
//!
//! An image is what the value's `Serialize` writes, in its own order and with its numbers to the last digit. [`Rule`]s
//! leave fields out, mask or rename them on the way: a protected value never reaches the text, and one that is skipped
//! or redacted is not even looked at. Rules hold for the fields of the captured value itself, by the names serde gives
//! them; a struct within a field is written as it is.
//!
//! # How everyday types are written
//!
//! What sqlx reads from a column and serde writes is captured; whatever it is, no digit and no character is changed.
//!
//! | Type of the field | In the image | To know |
//! |---|---|---|
//! | `String`, `&str` | string | NUL and any other character has an escape |
//! | `bool`, `i16` … `i64`, `u64`, `i128` | number, every digit | a reader that keeps numbers as `f64` rounds above 2<sup>53</sup>; write an id as a string if such readers are near |
//! | `f32`, `f64` | the shortest number that is read back as the same | NaN and the infinities are `null`, for JSON has no word for them |
//! | `uuid::Uuid` (its feature `serde`) | `"0190b5a5-…"` | |
//! | `time::OffsetDateTime` with `#[serde(with = "time::serde::rfc3339")]` | `"2026-11-20T12:30:05.000001Z"` | years 0 to 9999; the image of any other is an error |
//! | `time::Date`, `time::Time` (its feature `serde-human-readable`) | `"2026-11-20"`, `"12:30:05.5"` | |
//! | `chrono::DateTime<Utc>`, `NaiveDateTime`, `NaiveDate`, `NaiveTime` (its feature `serde`; feature `chrono` of `outbox-sqlx`) | `"2026-11-20T12:30:05.000001Z"`, … | |
//! | `rust_decimal::Decimal` (its feature `serde`; feature `decimal` of `outbox-sqlx`) | `"1.50"`, zeros at the end too | 28 digits; PostgreSQL alone, SQLite keeps decimals as text |
//! | wider decimals | string | read the column as text: `SELECT amount::text` |
//! | `sqlx::types::Json<T>`, `serde_json::Value` (feature `json` of `outbox-sqlx`) | the JSON itself | a `Value` orders keys and rounds numbers beyond `i64`, `u64` and `f64` |
//! | `sqlx::types::Json<Box<RawValue>>` | the JSON as the database gives it, however deep | sqlx writes every `Json` as `jsonb`, which orders keys anew; a column `json` keeps its text if it is bound as text |
//! | `Vec<T>`, of an array in PostgreSQL | array | |
//! | `Vec<u8>`, of `bytea` or `BLOB` | array of numbers, some four bytes each | for large ones name a `serialize_with` that writes base 64 |
//! | `Option<T>` | `null` or as `T` | |

mod filter;
mod scope;

use std::borrow::Cow;
use std::fmt::{Display, Write};

#[doc(hidden)]
pub use serde::Serialize;
use serde::ser::Error;

use self::filter::Filter;
use self::scope::{Ledger, Scope};

/// What stands in an image in place of a redacted value.
pub const REDACTED: &str = "[redacted]";

/// How one field of a captured value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Rule {
    pub(crate) field: &'static str,
    pub(crate) name: &'static str,
    pub(crate) treatment: Treatment,
    may_be_absent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    Plain,
    Skip,
    Redact,
    Hash,
}

impl Rule {
    const fn new(field: &'static str, treatment: Treatment) -> Self {
        Self { field, name: field, treatment, may_be_absent: false }
    }

    /// The field that serde calls `field`, as it is; of use with [`Rule::named`].
    pub const fn plain(field: &'static str) -> Self {
        Self::new(field, Treatment::Plain)
    }

    /// Leaves the field out.
    pub const fn skip(field: &'static str) -> Self {
        Self::new(field, Treatment::Skip)
    }

    /// Writes [`REDACTED`] in place of the value, whatever it is.
    pub const fn redact(field: &'static str) -> Self {
        Self::new(field, Treatment::Redact)
    }

    /// Writes the SHA-256 of the value in hexadecimal digits; null stays null.
    ///
    /// A string is hashed as its UTF-8 bytes, anything else as its JSON. The hash tells whether two values are equal; a
    /// value with few possibilities, such as a card number, can be found by trying them all.
    pub const fn hash(field: &'static str) -> Self {
        Self::new(field, Treatment::Hash)
    }

    /// Gives the field another name in the image.
    pub const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Says that serde may leave the field out by itself, as `skip_serializing_if` does.
    ///
    /// A field of a rule that does not turn up is an error otherwise: it may have been written under another name.
    pub const fn may_be_absent(self) -> Self {
        Self { may_be_absent: true, ..self }
    }
}

/// The value as JSON, its fields written by the rules; those of the fields below `within`, where that is given.
pub(crate) fn write<T: Serialize + ?Sized>(
    value: &T,
    rules: &[Rule],
    within: Option<&str>,
) -> serde_json::Result<String> {
    if rules.is_empty() { serde_json::to_string(value) } else { filtered(value, rules, within) }
}

fn filtered<T: Serialize + ?Sized>(value: &T, rules: &[Rule], within: Option<&str>) -> serde_json::Result<String> {
    let ledger = Ledger::new(rules);
    let mut json = Vec::new();
    let scope = Scope { ledger: &ledger, within };
    value.serialize(Filter { inner: &mut serde_json::Serializer::new(&mut json), scope })?;
    match ledger.missing() {
        Some(field) => Err(Error::custom(format_args!(
            "the protected or renamed field `{field}` is not in what Serialize wrote: derive Serialize, or name the \
             fields as the derive would"
        ))),
        None => String::from_utf8(json).map_err(Error::custom),
    }
}

/// A key or tenant that is text already, borrowed.
pub fn text(value: &(impl AsRef<str> + ?Sized)) -> Cow<'_, str> {
    Cow::Borrowed(value.as_ref())
}

/// A key or tenant as its `Display` writes it.
pub fn displayed<T: Display + ?Sized>(value: &T) -> Cow<'static, str> {
    Cow::Owned(value.to_string())
}

/// A part of a composite key, for [`joined`].
pub fn part<T: Display>(value: &T) -> &dyn Display {
    value
}

/// The parts of a composite key in one text, joined by `/`; within a part `/` becomes `\/` and `\` becomes `\\`.
///
/// Keys of as many parts are equal only where all their parts are.
///
/// # Examples
///
/// ```
/// use outbox_core::image::joined;
///
/// assert_eq!(joined(&[&"eu", &7]), "eu/7");
/// assert_eq!(joined(&[&"a/b", &"c"]), r"a\/b/c");
/// ```
pub fn joined(parts: &[&dyn Display]) -> Cow<'static, str> {
    let mut key = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            key.push('/');
        }
        // Writing to a `String` fails only where the part's own `Display` does, and then `to_string` panics as well.
        write!(Escaped(&mut key), "{part}").expect("`Display` of a part of the key works");
    }
    Cow::Owned(key)
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            if matches!(character, '/' | '\\') {
                self.0.push('\\');
            }
            self.0.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
