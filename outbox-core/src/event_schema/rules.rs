//! What the rules of an image make of the schema of its fields.

use serde_json::{Map, Value, json};

use super::definitions::Definitions;
use crate::image::{REDACTED, Rule, Treatment};

/// How a SHA-256 looks in an image.
pub(super) const DIGEST: &str = "^[0-9a-f]{64}$";

/// A field on its way to its place in the image.
struct Field {
    name: &'static str,
    schema: Value,
    is_required: bool,
}

/// Rewrites the schema of an object; the error is a field that it does not know.
pub(super) fn apply(rules: &[Rule], object: Option<&mut Value>, definitions: &Definitions) -> Result<(), &'static str> {
    let mut nothing = Map::new();
    let object = object.and_then(Value::as_object_mut).unwrap_or(&mut nothing);
    // Two fields may change names with each other, so all are taken before any is put back.
    let mut fields = Vec::new();
    for rule in rules {
        let (schema, is_required) = take(object, rule.field).ok_or(rule.field)?;
        if let Some(schema) = treated(rule.treatment, schema, definitions) {
            fields.push(Field { name: rule.name, schema, is_required });
        }
    }
    for field in fields {
        put(object, field);
    }
    Ok(())
}

fn take(object: &mut Map<String, Value>, field: &str) -> Option<(Value, bool)> {
    let schema = object.get_mut("properties")?.as_object_mut()?.remove(field)?;
    let mut is_required = false;
    if let Some(Value::Array(required)) = object.get_mut("required") {
        is_required = required.iter().any(|name| name == field);
        required.retain(|name| name != field);
    }
    Some((schema, is_required))
}

/// The schema of what stands in place of a value, described as the value is.
fn treated(treatment: Treatment, schema: Value, definitions: &Definitions) -> Option<Value> {
    let mut treated = match treatment {
        Treatment::Plain => return Some(schema),
        Treatment::Skip => return None,
        Treatment::Redact => json!({ "type": "string", "const": REDACTED }),
        Treatment::Hash if definitions.admit_null(&schema) => json!({ "type": ["string", "null"], "pattern": DIGEST }),
        Treatment::Hash => json!({ "type": "string", "pattern": DIGEST }),
    };
    if let Some(description) = schema.get("description") {
        treated["description"] = description.clone();
    }
    Some(treated)
}

fn put(object: &mut Map<String, Value>, Field { name, schema, is_required }: Field) {
    object.entry("properties").or_insert_with(|| json!({}))[name] = schema;
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let (true, Value::Array(required)) = (is_required, required) {
        required.push(name.into());
    }
}
