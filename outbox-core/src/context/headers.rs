//! Headers as the text of a JSON object, and how those of a context stand beside an event's own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{TRACEPARENT, TRACESTATE};

const EMPTY: &str = "{}";

/// Headers of a context.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// Each value as a JSON string.
    values: BTreeMap<String, String>,
    /// All of them as one object, written once for every event that brings none of its own.
    object: Option<String>,
}

impl Headers {
    pub(super) fn set(&mut self, name: String, value: &str) {
        self.values.insert(name, json(value));
        self.write();
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.values.remove(name);
        self.write();
    }

    fn write(&mut self) {
        let object = self.added_to(EMPTY, &BTreeMap::new());
        self.object = (object != EMPTY).then_some(object);
    }

    #[cfg(feature = "opentelemetry")]
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// An event's own headers and those of the context that it lacks.
    ///
    /// What the event says is not written anew: numbers keep their digits, members their order and their repetitions.
    pub(super) fn beside<'a>(&'a self, own: Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
        let Some(object) = &self.object else {
            return own;
        };
        let Some(own) = own else {
            return Some(Cow::Borrowed(object));
        };
        let merged = serde_json::from_str(&own).map(|said| self.added_to(&own, &said));
        Some(merged.map_or(own, Cow::Owned))
    }

    /// The text of an object with the members said in it, and behind them those that it lacks.
    fn added_to(&self, object: &str, said: &BTreeMap<String, &RawValue>) -> String {
        // A state says something about its own parent alone.
        let has_parent = self.values.contains_key(TRACEPARENT) && !said.contains_key(TRACEPARENT);
        let lacking = self.values.iter().filter(|(name, _)| !said.contains_key(*name));
        let (before, after) = object.split_at(object.rfind('}').unwrap_or(object.len()));
        let mut text = before.to_owned();
        let mut is_first = said.is_empty();
        for (name, value) in lacking.filter(|(name, _)| has_parent || *name != TRACESTATE) {
            if !is_first {
                text.push(',');
            }
            is_first = false;
            text.extend([json(name).as_str(), ":", value]);
        }
        text + after
    }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}
