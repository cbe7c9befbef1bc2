//! Which rule a field meets, and what becomes of it.

use std::cell::Cell;

use serde::Serialize;
use serde::ser::Error;
use sha2::{Digest, Sha256};

use super::{REDACTED, Rule, Treatment};

/// The rules of one image, and which of them have met their field.
pub(super) struct Ledger<'a> {
    entries: Vec<(&'a Rule, Cell<bool>)>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(rules: &'a [Rule]) -> Self {
        Self { entries: rules.iter().map(|rule| (rule, Cell::new(rule.may_be_absent))).collect() }
    }

    /// A field that had to turn up and did not.
    pub(super) fn missing(&self) -> Option<&'static str> {
        self.entries.iter().find(|(_, met)| !met.get()).map(|(rule, _)| rule.field)
    }

    fn meet(&self, field: &str) -> Option<&'a Rule> {
        let (rule, met) = self.entries.iter().find(|(rule, _)| rule.field == field)?;
        met.set(true);
        Some(rule)
    }
}

/// Where the rules hold: for the outermost fields, or for those below the field named `within`.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) ledger: &'a Ledger<'a>,
    pub(super) within: Option<&'a str>,
}

/// How a field is to be written.
pub(super) enum Field<'a> {
    /// As it is.
    Untouched,
    /// As it is, with the rules for its own fields.
    Filtered(Scope<'a>),
    /// Under this name.
    Named(&'static str),
    /// This in place of its value; `None` is null.
    Replaced(&'static str, Option<String>),
    /// Not at all.
    Left,
}

impl<'a> Scope<'a> {
    /// Whether [`Scope::field`] does anything with a field of this name.
    pub(super) fn concerns(self, key: &str) -> bool {
        match self.within {
            Some(content) => key == content,
            None => self.ledger.entries.iter().any(|(rule, _)| rule.field == key),
        }
    }

    pub(super) fn field<T: Serialize + ?Sized, E: Error>(self, key: &str, value: &T) -> Result<Field<'a>, E> {
        if let Some(content) = self.within {
            let inner = Scope { within: None, ..self };
            return Ok(if key == content { Field::Filtered(inner) } else { Field::Untouched });
        }
        let Some(rule) = self.ledger.meet(key) else {
            return Ok(Field::Untouched);
        };
        Ok(match rule.treatment {
            Treatment::Plain => Field::Named(rule.name),
            Treatment::Skip => Field::Left,
            Treatment::Redact => Field::Replaced(rule.name, Some(REDACTED.to_owned())),
            Treatment::Hash => Field::Replaced(rule.name, hash(value).map_err(E::custom)?),
        })
    }

    /// A field that its `Serialize` leaves out has met its rule.
    pub(super) fn absent(self, key: &str) {
        if self.within.is_none() {
            self.ledger.meet(key);
        }
    }
}

/// The error says nothing of the value: what its `Serialize` says might.
fn hash<T: Serialize + ?Sized>(value: &T) -> Result<Option<String>, &'static str> {
    const FAILED: &str = "a hashed field could not be written as JSON";
    let json = serde_json::to_string(value).map_err(|_| FAILED)?;
    let digest = match json.as_bytes() {
        b"null" => return Ok(None),
        [b'"', ..] => Sha256::digest(serde_json::from_str::<String>(&json).map_err(|_| FAILED)?),
        _ => Sha256::digest(&json),
    };
    Ok(Some(format!("{digest:x}")))
}
