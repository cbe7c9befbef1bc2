//! The part of JSON Schema that schemas of events use, read from its specification; a keyword that is not known fails.

use serde_json::{Map, Value};

/// Whether a value fits a document, and if not, where.
pub(crate) fn validate(document: &Value, value: &Value) -> Result<(), String> {
    Reader { document }.fits(document, value, "")
}

struct Reader<'a> {
    document: &'a Value,
}

impl Reader<'_> {
    fn fits(&self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        let keywords = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(keywords) => keywords,
            _ => return Err(format!("{path}: nothing is allowed here")),
        };
        keywords.iter().try_for_each(|(keyword, said)| self.keyword(keywords, keyword, said, value, path))
    }

    fn keyword(
        &self,
        keywords: &Map<String, Value>,
        keyword: &str,
        said: &Value,
        value: &Value,
        path: &str,
    ) -> Result<(), String> {
        let schemas = || said.as_array().unwrap().iter();
        let fitting = || schemas().filter(|schema| self.fits(schema, value, path).is_ok()).count();
        let ok = match keyword {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" => true,
            "$ref" => {
                let pointer = said.as_str().unwrap().strip_prefix('#').unwrap();
                return self.fits(self.document.pointer(pointer).expect("a definition is there"), value, path);
            }
            "type" => match said {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
                kind => is_of(kind, value),
            },
            "const" => said == value,
            "enum" => schemas().any(|other| other == value),
            "anyOf" => fitting() > 0,
            "oneOf" => fitting() == 1,
            "allOf" => fitting() == schemas().count(),
            "pattern" => value.as_str().is_none_or(|text| matches(said.as_str().unwrap(), text)),
            "minimum" => value.as_f64().is_none_or(|number| number >= said.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= said.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= said.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= said.as_u64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= said.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= said.as_u64().unwrap()),
            "uniqueItems" => value
                .as_array()
                .is_none_or(|items| items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))),
            "required" => {
                value.as_object().is_none_or(|object| schemas().all(|name| object.contains_key(name.as_str().unwrap())))
            }
            "items" | "prefixItems" | "properties" | "additionalProperties" => {
                return self.inner(keywords, keyword, said, value, path);
            }
            other => panic!("{path}: the keyword {other} is not known"),
        };
        if ok { Ok(()) } else { Err(format!("{path}: {keyword} {said} does not allow {value}")) }
    }

    fn inner(
        &self,
        keywords: &Map<String, Value>,
        keyword: &str,
        said: &Value,
        value: &Value,
        path: &str,
    ) -> Result<(), String> {
        let items = value.as_array().into_iter().flatten().enumerate();
        let fields = || value.as_object().into_iter().flatten();
        match keyword {
            "items" => {
                let before = keywords.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                items.skip(before).try_for_each(|(index, item)| self.fits(said, item, &format!("{path}/{index}")))
            }
            "prefixItems" => {
                let pairs = said.as_array().unwrap().iter().zip(items);
                pairs.into_iter().try_for_each(|(schema, (_, item))| self.fits(schema, item, path))
            }
            "properties" => fields()
                .filter_map(|(name, field)| Some((said.get(name)?, name, field)))
                .try_for_each(|(schema, name, field)| self.fits(schema, field, &format!("{path}/{name}"))),
            _ => {
                let is_named = |name: &str| keywords.get("properties").is_some_and(|named| named.get(name).is_some());
                let further = fields().filter(|(name, _)| !is_named(name));
                further.into_iter().try_for_each(|(name, field)| self.fits(said, field, &format!("{path}/{name}")))
            }
        }
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    }
}

/// The patterns that occur.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[0-9a-f]{64}$" => text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        r"^-?\d+(\.\d+)?$" => text.parse::<f64>().is_ok(),
        other => panic!("the pattern {other} is not known"),
    }
}

#[test]
fn a_value_that_does_not_fit_is_found() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "a": { "type": ["integer", "null"], "minimum": 0 } },
        "required": ["a"],
        "additionalProperties": false
    });
    let fits = |text: &str| validate(&schema, &serde_json::from_str(text).unwrap()).is_ok();
    assert!(fits(r#"{"a":1}"#) && fits(r#"{"a":null}"#));
    for wrong in [r#"{"a":-1}"#, r#"{"a":"1"}"#, "{}", r#"{"a":1,"b":1}"#, "[]"] {
        assert!(!fits(wrong), "{wrong}");
    }
}
