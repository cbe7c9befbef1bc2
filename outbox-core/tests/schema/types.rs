//! The types that people have in their rows.

use std::collections::{BTreeMap, HashSet};

use outbox_core::{Entity, Outbox};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::schema_of;
use crate::validate::validate;

#[derive(Serialize, JsonSchema, Outbox)]
#[outbox(table = "rows", version = 1)]
struct Row<'a> {
    #[outbox(key)]
    id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String")]
    placed_at: time::OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>")]
    paid_at: Option<time::OffsetDateTime>,
    changed_at: chrono::DateTime<chrono::Utc>,
    day: Option<chrono::NaiveDate>,
    total: rust_decimal::Decimal,
    attributes: Value,
    raw: &'a serde_json::value::RawValue,
    tags: Vec<Option<String>>,
    unique: HashSet<u8>,
    pair: (u8, String),
    fixed: [i64; 2],
    by_name: BTreeMap<String, f64>,
    letter: char,
    text: &'a str,
}

#[test]
fn each_has_a_schema_that_its_image_fits() {
    let row = Row {
        id: Uuid::now_v7(),
        placed_at: time::OffsetDateTime::UNIX_EPOCH,
        paid_at: None,
        changed_at: chrono::DateTime::UNIX_EPOCH,
        day: chrono::NaiveDate::from_ymd_opt(2026, 2, 28),
        total: rust_decimal::Decimal::new(1999, 2),
        attributes: serde_json::json!({ "any": ["thing", null] }),
        raw: serde_json::from_str("[1e400]").unwrap(),
        tags: vec![None, Some("a".to_owned())],
        unique: HashSet::new(),
        pair: (1, "b".to_owned()),
        fixed: [i64::MIN, i64::MAX],
        by_name: BTreeMap::from([("c".to_owned(), 0.5)]),
        letter: 'd',
        text: "e",
    };
    let image = row.image().unwrap().replace("1e400", "1");
    let image: Value = serde_json::from_str(&image).unwrap();
    let schema = schema_of::<Row<'_>>().schema;
    assert_eq!(validate(&schema, &image), Ok(()));
    let properties = &schema["properties"];
    assert_eq!((&properties["id"]["format"], &properties["placed_at"]["type"]), (&"uuid".into(), &"string".into()));
    assert_eq!((&properties["changed_at"]["format"], &properties["attributes"]), (&"date-time".into(), &true.into()));
}
