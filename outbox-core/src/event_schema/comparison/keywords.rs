//! Two forms of one type: what their keywords say.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{CHANGE_BACK, Walk};
use crate::event_schema::difference::Breaks;
use crate::event_schema::forms::Form;
use crate::event_schema::limits::{LIMITS, Limit};

/// What a keyword that is not there allows.
const ANYTHING: Value = Value::Bool(true);

impl Walk {
    pub(super) fn keywords(&mut self, path: &str, old: &Form, new: &Form) {
        self.object(path, old, new);
        if old.kind() == new.kind() {
            for limit in &LIMITS {
                self.limit(path, limit, old, new);
            }
        } else {
            self.number(path, old, new);
        }
        for keyword in names([Some(&old.0), Some(&new.0)]) {
            self.keyword(path, keyword, old.0.get(keyword), new.0.get(keyword));
        }
    }

    /// Whole numbers and all numbers: two types under one label.
    fn number(&mut self, path: &str, old: &Form, new: &Form) {
        let [was, is] = [old, new].map(|form| form.kind() == Some("integer"));
        let change = format!("was {} and is {}", old.words(), new.words());
        self.note(path, change, Breaks::by(was, is), CHANGE_BACK);
    }

    fn object(&mut self, path: &str, old: &Form, new: &Form) {
        let [was, is] = [old, new].map(|form| form.0.get("properties").and_then(Value::as_object));
        for name in names([was, is]) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let [was_required, is_required] = [old, new].map(|form| requires(form, name));
            match (was.and_then(|was| was.get(name)), is.and_then(|is| is.get(name))) {
                (Some(was), Some(is)) => {
                    self.presence(&path, was_required, is_required);
                    self.fields(&path, was, is);
                }
                (Some(_), None) => self.note(&path, "was removed", Breaks::Readers, "keep the field"),
                (None, _) => {
                    let is_refused = old.0.get("additionalProperties") == Some(&Value::Bool(false));
                    self.note(&path, "was added", Breaks::by(is_refused, is_required), "make it an `Option`");
                }
            }
        }
    }

    fn presence(&mut self, path: &str, was_required: bool, is_required: bool) {
        match (was_required, is_required) {
            (true, false) => self.note(path, "may be absent or null now", Breaks::Readers, "always give it a value"),
            (false, true) => {
                self.note(path, "is never absent or null any more", Breaks::Replays, "leave it an `Option`");
            }
            _ => {}
        }
    }

    fn limit(&mut self, path: &str, limit: &Limit, old: &Form, new: &Form) {
        let [was, is] = [old, new].map(|form| limit.of(form));
        let breaks = Breaks::by(is.exceeds(was), was.exceeds(is));
        if breaks != Breaks::Nobody {
            let change = format!("has another range of {}, {is} in place of {was}", limit.what);
            self.note(path, change, breaks, CHANGE_BACK);
        }
    }

    fn keyword(&mut self, path: &str, keyword: &str, old: Option<&Value>, new: Option<&Value>) {
        let [was, is] = [old, new].map(|value| value.unwrap_or(&ANYTHING));
        match keyword {
            "type" | "properties" | "required" => {}
            _ if LIMITS.iter().any(|limit| limit.is_made_by(keyword, [old, new])) => {}
            "items" => self.schemas(&format!("{path}[]"), was, is),
            "prefixItems" => self.places(path, was, is),
            "additionalProperties" => self.further_fields(&format!("{path}{{}}"), old, new),
            "patternProperties" => self.patterns(path, was, is),
            _ if old == new => {}
            _ => {
                let [was, is] = [old, new].map(|value| value.map_or_else(|| "none".to_owned(), Value::to_string));
                let change = format!("has another `{keyword}`, {is} in place of {was}");
                self.note(path, change, Breaks::Both, CHANGE_BACK);
            }
        }
    }

    /// Fields without a name of their own: the entries of a map.
    fn further_fields(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(was), Some(is)) => self.schemas(path, was, is),
            (Some(Value::Bool(false)), None) => self.note(path, "may be there now", Breaks::Readers, CHANGE_BACK),
            (Some(_), None) => self.note(path, "was removed", Breaks::Readers, "keep the map"),
            (None, Some(Value::Bool(false)) | None) => {}
            (None, Some(_)) => self.note(path, "was added", Breaks::Nobody, CHANGE_BACK),
        }
    }

    /// The items of a tuple.
    fn places(&mut self, path: &str, old: &Value, new: &Value) {
        let count = [old, new].into_iter().filter_map(Value::as_array).map(Vec::len).max().unwrap_or_default();
        for place in 0..count {
            let [was, is] = [old, new].map(|items| items.get(place).unwrap_or(&ANYTHING));
            self.schemas(&format!("{path}[{place}]"), was, is);
        }
    }

    /// The entries of a map whose keys follow a pattern, such as those of numbers.
    fn patterns(&mut self, path: &str, old: &Value, new: &Value) {
        for pattern in names([old.as_object(), new.as_object()]) {
            let [was, is] = [old, new].map(|schemas| schemas.get(pattern).unwrap_or(&ANYTHING));
            self.schemas(&format!("{path}{{}}"), was, is);
        }
    }
}

/// The keys of both, each once.
fn names(maps: [Option<&Map<String, Value>>; 2]) -> BTreeSet<&String> {
    maps.into_iter().flatten().flat_map(Map::keys).collect()
}

fn requires(form: &Form, name: &str) -> bool {
    form.0.get("required").and_then(Value::as_array).is_some_and(|required| required.iter().any(|other| other == name))
}
