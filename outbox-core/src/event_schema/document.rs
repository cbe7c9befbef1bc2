//! From what schemars says of a type to the document of one event.

use std::any::type_name;
use std::slice;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::definitions::Definitions;
use super::{EventSchema, SchemaError, rules};
use crate::shape::{Described, Place, Shape};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

pub(super) fn schemas<T: Described + JsonSchema>() -> Result<Vec<EventSchema>, SchemaError> {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    // Not as the root of a document: a type that holds itself would then refer to the image of the whole event.
    let own: Value = generator.subschema_for::<T>().into();
    let definitions = Definitions::new(generator.take_definitions(true));
    let root = definitions.resolve(&own).clone();
    T::SHAPES.iter().map(|shape| schema::<T>(shape, &root, &definitions)).collect()
}

fn schema<T>(shape: &Shape, root: &Value, definitions: &Definitions) -> Result<EventSchema, SchemaError> {
    let type_name = type_name::<T>();
    let unknown_event = SchemaError::UnknownEvent { type_name, event: shape.name() };
    let mut image = variant(shape.place(), root).ok_or(unknown_event)?;
    let within = match shape.place() {
        Place::Below(name) | Place::Within { content: name, .. } => Some(name),
        Place::Whole | Place::Beside { .. } | Place::Untagged { .. } => None,
    };
    let fields = match within {
        Some(name) => image.get_mut("properties").and_then(|properties| properties.get_mut(name)),
        None => Some(&mut image),
    };
    rules::apply(shape.rules(), fields, definitions).map_err(|field| SchemaError::UnknownField { type_name, field })?;
    let schema = document(shape, image, definitions);
    Ok(EventSchema { topic: shape.topic(), name: shape.name(), version: shape.version(), schema, within })
}

/// The schema of one variant among those of an enum.
fn variant(place: Place, root: &Value) -> Option<Value> {
    let choices = root.get("oneOf").or_else(|| root.get("anyOf")).and_then(Value::as_array);
    let choices = choices.map_or(slice::from_ref(root), Vec::as_slice);
    match place {
        Place::Whole => Some(root.clone()),
        Place::Below(name) => choices.iter().find_map(|choice| below(name, choice)),
        Place::Beside { tag, variant } | Place::Within { tag, variant, .. } => {
            choices.iter().find(|choice| choice["properties"][tag]["const"] == variant).cloned()
        }
        Place::Untagged { followers } => choices.iter().rev().nth(followers).cloned(),
    }
}

/// The choice where it is that of the variant; variants without fields may share one.
fn below(name: &str, choice: &Value) -> Option<Value> {
    let mut names = choice["enum"].as_array().into_iter().flatten().chain(choice.get("const"));
    if names.any(|other| other == name) {
        return Some(json!({ "type": "string", "const": name }));
    }
    choice["properties"].get(name).map(|_| choice.clone())
}

/// The image with a dialect, a title, and those definitions that it refers to.
fn document(shape: &Shape, image: Value, definitions: &Definitions) -> Value {
    let mut document = Schema::try_from(image).unwrap_or_default();
    let used = definitions.used_in(document.as_value());
    let keywords = document.ensure_object();
    let version = shape.version().map_or_else(String::new, |version| format!(", version {version}"));
    keywords.insert("$schema".to_owned(), DIALECT.into());
    keywords.insert("title".to_owned(), format!("{} {}{version}", shape.topic(), shape.name()).into());
    if !used.is_empty() {
        keywords.insert("$defs".to_owned(), used.into());
    }
    NullMayBeAbsent(definitions).transform(&mut document);
    document.into()
}

/// Takes what may be null from the required fields, all the way down.
struct NullMayBeAbsent<'a>(&'a Definitions);

impl Transform for NullMayBeAbsent<'_> {
    fn transform(&mut self, schema: &mut Schema) {
        let may_be_null = |name: &Value, schema: &Schema| {
            let field = schema.get("properties").and_then(|properties| properties.get(name.as_str()?));
            field.is_some_and(|field| self.0.admit_null(field))
        };
        if let Some(Value::Array(names)) = schema.get("required").cloned() {
            let required: Vec<Value> = names.into_iter().filter(|name| !may_be_null(name, schema)).collect();
            schema.insert("required".to_owned(), required.into());
        }
        transform_subschemas(self, schema);
    }
}
