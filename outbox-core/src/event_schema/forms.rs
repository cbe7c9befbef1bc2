//! The forms a value may take by a schema, with references followed and choices taken apart.

use serde_json::{Map, Value};

use super::definitions::Definitions;
use crate::image::REDACTED;

/// What says nothing about the values themselves.
const ANNOTATIONS: [&str; 13] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentMediaType",
    "contentSchema",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// References that lead to references end here, in case they lead round in a circle.
const DEPTH: usize = 32;

/// A schema of one type, or of one constant.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Form(pub(super) Map<String, Value>);

/// All forms that a schema allows; none means that no value fits.
pub(super) fn forms(schema: &Value, definitions: &Definitions) -> Vec<Form> {
    let merged = within(schema, definitions, DEPTH);
    merged.into_iter().flat_map(split).map(Form).collect()
}

fn within(schema: &Value, definitions: &Definitions, depth: usize) -> Vec<Map<String, Value>> {
    let Value::Object(keywords) = schema else {
        return if *schema == Value::Bool(false) { Vec::new() } else { vec![Map::new()] };
    };
    if depth == 0 {
        return vec![keywords.clone()];
    }
    let mut own = keywords.clone();
    own.retain(|keyword, _| !ANNOTATIONS.contains(&&**keyword));
    let inner = |schema: &Value| within(schema, definitions, depth - 1);
    let mut parts = Vec::new();
    if let Some(definition) = definitions.referred(schema) {
        own.remove("$ref");
        parts.push(inner(definition));
    }
    if let Some(Value::Array(all)) = own.remove("allOf") {
        parts.extend(all.iter().map(inner));
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = own.remove(keyword) {
            parts.push(choices.iter().flat_map(inner).collect());
        }
    }
    parts.into_iter().fold(vec![own], |forms, part| {
        forms.iter().flat_map(|form| part.iter().map(|other| both(form, other))).collect()
    })
}

/// What holds when both hold, as far as schemas made from types go.
fn both(one: &Map<String, Value>, other: &Map<String, Value>) -> Map<String, Value> {
    let mut both = one.clone();
    for (keyword, value) in other {
        match (both.get_mut(keyword), value) {
            (Some(Value::Object(own)), Value::Object(more))
                if keyword == "properties" || keyword == "patternProperties" =>
            {
                more.iter().for_each(|(name, schema)| {
                    own.entry(name).or_insert_with(|| schema.clone());
                });
            }
            (Some(Value::Array(own)), Value::Array(more)) if keyword == "required" => own.extend(more.iter().cloned()),
            (Some(_), _) => {}
            (None, _) => {
                both.insert(keyword.clone(), value.clone());
            }
        }
    }
    both
}

/// One for each constant or type.
fn split(mut keywords: Map<String, Value>) -> Vec<Map<String, Value>> {
    let alone = |keyword: &str, value: Value| Map::from_iter([(keyword.to_owned(), value)]);
    if let Some(constant) = keywords.remove("const") {
        return vec![alone("const", constant)];
    }
    if let Some(Value::Array(constants)) = keywords.remove("enum") {
        return constants.into_iter().map(|constant| alone("const", constant)).collect();
    }
    let Some(Value::Array(types)) = keywords.get("type").cloned() else { return vec![keywords] };
    let of_type = |kind: Value| {
        // Nothing else in the schema can be meant for these.
        if let Some("null" | "boolean") = kind.as_str() {
            return alone("type", kind);
        }
        let mut keywords = keywords.clone();
        keywords.insert("type".to_owned(), kind);
        keywords
    };
    types.into_iter().map(of_type).collect()
}

impl Form {
    pub(super) fn is_null(&self) -> bool {
        self.kind() == Some("null") || self.0.get("const") == Some(&Value::Null)
    }

    pub(super) fn is_anything(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn kind(&self) -> Option<&str> {
        self.0.get("type").and_then(Value::as_str)
    }

    /// What two forms have in common that are one and the same to a person: the constant, the variant, or the type.
    pub(super) fn label(&self) -> String {
        if let Some(constant) = self.0.get("const") {
            return constant.to_string();
        }
        match self.kind() {
            Some("integer" | "number") => "number".to_owned(),
            Some("object") => {
                self.variant().map_or_else(|| "object".to_owned(), |variant| format!("an object \"{variant}\""))
            }
            kind => kind.unwrap_or("anything").to_owned(),
        }
    }

    /// The variant of an enum that an object holds: below its name alone, or beside a tag.
    fn variant(&self) -> Option<&str> {
        let properties = self.0.get("properties")?.as_object()?;
        let is_alone = properties.len() == 1 && self.0.get("additionalProperties") == Some(&Value::Bool(false));
        let only = properties.keys().next().filter(|_| is_alone);
        let constants = || properties.values().filter_map(|schema| schema.get("const")?.as_str());
        let tag = || constants().find(|constant| *constant != REDACTED);
        only.map(String::as_str).or_else(tag)
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        match self.kind() {
            Some("null") => "null".to_owned(),
            Some("boolean") => "true or false".to_owned(),
            Some("integer") => "a whole number".to_owned(),
            Some("number") => "a number".to_owned(),
            Some("string") => "text".to_owned(),
            Some("array") => "a list".to_owned(),
            Some("object") if self.variant().is_none() => "an object".to_owned(),
            _ => self.label(),
        }
    }
}
