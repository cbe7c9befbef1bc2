//! The named parts of a document, and references to them.

use serde_json::{Map, Value};

use super::forms::forms;
use super::percent;

/// What `$ref` may refer to.
#[derive(Debug, Default)]
pub(super) struct Definitions(Map<String, Value>);

impl Definitions {
    pub(super) fn new(definitions: Map<String, Value>) -> Self {
        Self(definitions)
    }

    /// Those of a whole document.
    pub(super) fn of(document: &Value) -> Self {
        Self(document.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default())
    }

    /// The definition that a schema refers to.
    pub(super) fn referred(&self, schema: &Value) -> Option<&Value> {
        self.0.get(&name_in(schema)?)
    }

    /// The schema, or the definition where it is nothing but a reference.
    pub(super) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        self.referred(schema).unwrap_or(schema)
    }

    pub(super) fn admit_null(&self, schema: &Value) -> bool {
        forms(schema, self).iter().any(|form| form.is_null() || form.is_anything())
    }

    /// The definitions that a schema refers to, and those that they refer to.
    pub(super) fn used_in(&self, schema: &Value) -> Map<String, Value> {
        let mut used = Map::new();
        let mut open = vec![schema];
        while let Some(value) = open.pop() {
            if let Some((name, definition)) = name_in(value).and_then(|name| self.0.get_key_value(&name))
                && used.insert(name.clone(), definition.clone()).is_none()
            {
                open.push(definition);
            }
            match value {
                Value::Object(members) => open.extend(members.values()),
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
        used
    }
}

/// The name in `{"$ref": "#/$defs/Name"}`: a JSON pointer in the fragment of a URI, so escaped twice.
fn name_in(schema: &Value) -> Option<String> {
    let pointer = percent::decoded(schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?);
    Some(pointer.replace("~1", "/").replace("~0", "~"))
}
