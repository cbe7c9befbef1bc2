//! Every image fits the schema of its event.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use outbox_core::event_schema::{self, EventSchema, SchemaError};
use outbox_core::{DomainEvent, Entity, Outbox};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::schema_of;
use crate::validate::validate;

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Inner {
    count: u8,
    hint: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
enum Kind {
    Small,
    Large,
    Other { name: String },
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Small), Just(Kind::Large), "[a-z]{0,3}".prop_map(|name| Kind::Other { name })]
}

fn inners() -> impl Strategy<Value = Inner> {
    (any::<u8>(), any::<Option<String>>()).prop_map(|(count, hint)| Inner { count, hint })
}

/// An entity with a field of each treatment.
#[derive(Debug, Serialize, JsonSchema, Outbox)]
#[serde(rename_all = "kebab-case")]
#[outbox(table = "rows", version = 1, rename_all = "camelCase")]
struct Row {
    #[outbox(key)]
    own_id: u64,
    /// How it may be paid.
    #[outbox(redact)]
    card_number: Option<Vec<u8>>,
    #[outbox(hash)]
    client_token: String,
    #[outbox(hash)]
    other_token: Option<i32>,
    #[outbox(skip)]
    hidden: Hidden,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[outbox(rename = "remark")]
    note: Option<String>,
    kind: Kind,
    list: Vec<Inner>,
    #[serde(flatten)]
    flat: Inner,
    map: BTreeMap<String, bool>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
struct Hidden {
    how: String,
}

static ROW: LazyLock<EventSchema> = LazyLock::new(schema_of::<Row>);

proptest! {
    #[test]
    fn of_an_entity(
        own_id in any::<u64>(),
        card_number in any::<Option<Vec<u8>>>(),
        client_token in ".*",
        other_token in any::<Option<i32>>(),
        note in any::<Option<String>>(),
        kind in kinds(),
        list in proptest::collection::vec(inners(), 0..3),
        flat in inners(),
        map in any::<BTreeMap<String, bool>>(),
    ) {
        let hidden = Hidden::default();
        let row = Row { own_id, card_number, client_token, other_token, hidden, note, kind, list, flat, map };
        let image: Value = serde_json::from_str(&row.image().unwrap()).unwrap();
        prop_assert_eq!(validate(&ROW.schema, &image), Ok(()));
    }
}

#[test]
fn a_schema_says_what_is_left_and_what_it_became() {
    let schema = schema_of::<Row>();
    assert_eq!((schema.topic, schema.name, schema.version), ("rows", "rows", Some(1)));
    let Value::Object(document) = &schema.schema else { panic!("a schema of a row is an object") };
    assert_eq!(document["title"], "rows rows, version 1");
    let properties = &document["properties"];
    let names: Vec<&String> = properties.as_object().unwrap().keys().collect();
    let expected =
        ["cardNumber", "clientToken", "count", "hint", "kind", "list", "map", "otherToken", "ownId", "remark"];
    assert_eq!(names, expected);
    let redacted = json!({ "type": "string", "const": "[redacted]", "description": "How it may be paid." });
    assert_eq!(properties["cardNumber"], redacted);
    assert_eq!(properties["otherToken"], json!({ "type": ["string", "null"], "pattern": "^[0-9a-f]{64}$" }));
    let mut required: Vec<&str> = document["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    required.sort_unstable();
    assert_eq!(required, ["cardNumber", "clientToken", "count", "kind", "list", "map", "ownId"]);
    let definitions: Vec<&String> = document["$defs"].as_object().unwrap().keys().collect();
    assert_eq!(definitions, ["Inner", "Kind"], "what only a skipped field needs is not told");
    assert_eq!(document["$defs"]["Inner"]["required"], json!(["count"]), "what may be null may be absent");
}

/// An enum under one representation, with a variant of each style, and a rule in those with named fields.
macro_rules! under {
    ($name:ident, $(#[$serde:meta])* $(, $tuple:ident)?) => {
        mod $name {
            use super::*;

            #[derive(Debug, Clone, Serialize, JsonSchema, Outbox)]
            $(#[$serde])*
            #[outbox(topic = "events", unordered, version = 1)]
            enum Event {
                Opened {
                    id: u8,
                    #[outbox(redact)]
                    card: u8,
                },
                Closed {
                    id: u8,
                    #[outbox(skip)]
                    secret: u8,
                    #[outbox(rename = "why")]
                    reason: Option<String>,
                },
                Moved(Inner),
                $($tuple(u8, String),)?
                Paused,
                Resumed,
                /// A documented one has a schema of its own.
                Lost,
                #[serde(untagged)]
                Unknown {
                    #[outbox(hash)]
                    token: String,
                },
            }

            fn events() -> Vec<Event> {
                vec![
                    Event::Opened { id: 1, card: 2 },
                    Event::Closed { id: 1, secret: 2, reason: None },
                    Event::Moved(Inner { count: 1, hint: None }),
                    $(Event::$tuple(1, "a".to_owned()),)?
                    Event::Paused,
                    Event::Resumed,
                    Event::Lost,
                    Event::Unknown { token: "a".to_owned() },
                ]
            }

            #[test]
            fn each_variant_fits_its_own_schema() {
                let schemas = event_schema::of::<Event>().unwrap();
                assert_eq!(schemas.len(), events().len());
                for (event, schema) in events().into_iter().zip(&schemas) {
                    let event = event.to_event().unwrap();
                    assert_eq!(event.event_type.as_deref(), Some(schema.name));
                    let image = serde_json::from_slice(event.payload.unwrap().as_bytes()).unwrap();
                    let others = schemas.iter().filter(|schema| validate(&schema.schema, &image).is_ok());
                    let names: Vec<&str> = others.map(|schema| schema.name).collect();
                    assert!(names.contains(&schema.name), "{image} does not fit {}", schema.schema);
                    let is_told_apart = stringify!($name) != "untagged" && schema.name != "Unknown";
                    assert!(!is_told_apart || names.len() == 1, "{image} fits {names:?}");
                }
            }
        }
    };
}

under!(externally_tagged, , Pair);
under!(internally_tagged, #[serde(tag = "type", rename_all = "SCREAMING-KEBAB-CASE")]);
under!(adjacently_tagged, #[serde(tag = "type", content = "card", rename_all = "snake_case")], Pair);
under!(untagged, #[serde(untagged)], Pair);

#[test]
fn newtypes_generics_and_types_that_hold_themselves() {
    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(table = "nodes", key = "self.0.id", version = 1)]
    struct Wrapped<T: JsonSchema>(Node<T>);

    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(table = "nodes", version = 1)]
    struct Node<T: JsonSchema> {
        #[outbox(key)]
        id: u8,
        #[outbox(redact)]
        secret: T,
        children: Vec<Node<T>>,
    }

    let node = |children| Node { id: 1, secret: 5_u8, children };
    let tree = Wrapped(node(vec![node(Vec::new())]));
    let parse = |image: String| serde_json::from_str::<Value>(&image).unwrap();
    let plain = parse(tree.image().unwrap());
    assert_eq!(validate(&schema_of::<Wrapped<u8>>().schema, &plain), Ok(()));
    // Rules hold for the outermost alone, and so do their schemas.
    let schema = schema_of::<Node<u8>>().schema;
    assert_eq!(validate(&schema, &parse(tree.0.image().unwrap())), Ok(()));
    assert!(validate(&schema, &plain).is_err());
}

#[test]
fn a_json_schema_that_does_not_fit_is_an_error() {
    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(topic = "users", unordered)]
    struct User {
        #[schemars(rename = "pass")]
        #[outbox(skip)]
        password: u8,
    }

    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(topic = "users", unordered)]
    enum UserEvent {
        #[schemars(rename = "came")]
        Joined { id: u8 },
    }

    let error = event_schema::of::<User>().unwrap_err();
    assert!(matches!(error, SchemaError::UnknownField { field: "password", .. }), "{error}");
    let error = event_schema::of::<UserEvent>().unwrap_err();
    assert!(matches!(error, SchemaError::UnknownEvent { event: "Joined", .. }), "{error}");
}
