//! Rows of the types people have: sqlx writes and reads them, capture keeps them to the last byte.

use chrono::{DateTime, NaiveDateTime, Utc};
use outbox_core::source::Row as Read;
use outbox_core::{CaptureError, Entity, Outbox, Position};
use outbox_sqlx::SqliteOutbox;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Shop, everything, read};

const TABLE: &str = "CREATE TABLE things (id BLOB, at TEXT, day TEXT, clock TEXT, chrono_at TEXT, chrono_local TEXT, \
    amount TEXT, wide TEXT, document TEXT, raw TEXT, tags TEXT, maybe TEXT, signed INTEGER, unsigned TEXT, ratio REAL, \
    bytes BLOB, yes BOOLEAN)";
const INSERT: &str = "INSERT INTO things VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *";

#[derive(Debug, Clone, Serialize, Outbox)]
#[outbox(table = "things")]
struct Thing {
    #[outbox(key)]
    id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    day: time::Date,
    clock: time::Time,
    chrono_at: DateTime<Utc>,
    chrono_local: NaiveDateTime,
    /// SQLite has no decimal: it is text in the table.
    amount: Decimal,
    wide: String,
    document: Json<serde_json::Value>,
    raw: Json<Box<RawValue>>,
    tags: Json<Vec<Option<String>>>,
    maybe: Option<String>,
    signed: i64,
    /// Nor an unsigned integer of 64 bits.
    unsigned: u64,
    /// SQLite makes NULL of NaN.
    ratio: Option<f64>,
    bytes: Vec<u8>,
    yes: bool,
}

impl Thing {
    /// Writes the row, and gives back what stands in the table.
    async fn insert(&self, connection: &mut SqliteConnection) -> Self {
        let insert = sqlx::query(INSERT)
            .bind(self.id)
            .bind(self.at)
            .bind(self.day)
            .bind(self.clock)
            .bind(self.chrono_at)
            .bind(self.chrono_local)
            .bind(self.amount.to_string())
            .bind(&self.wide)
            .bind(&self.document)
            .bind(&self.raw)
            .bind(&self.tags)
            .bind(&self.maybe)
            .bind(self.signed)
            .bind(self.unsigned.to_string())
            .bind(self.ratio)
            .bind(&self.bytes)
            .bind(self.yes);
        Self::read(&insert.fetch_one(connection).await.unwrap())
    }

    fn read(row: &SqliteRow) -> Self {
        Self {
            id: row.get("id"),
            at: row.get("at"),
            day: row.get("day"),
            clock: row.get("clock"),
            chrono_at: row.get("chrono_at"),
            chrono_local: row.get("chrono_local"),
            amount: row.get::<String, _>("amount").parse().unwrap(),
            wide: row.get("wide"),
            document: row.get("document"),
            raw: row.get("raw"),
            tags: row.get("tags"),
            maybe: row.get("maybe"),
            signed: row.get("signed"),
            unsigned: row.get::<String, _>("unsigned").parse().unwrap(),
            ratio: row.get("ratio"),
            bytes: row.get("bytes"),
            yes: row.get("yes"),
        }
    }
}

/// Writes the row, captures it as it stands in the table, and gives back the payload of its event.
async fn captured(shop: &Shop, thing: &Thing, after: Position) -> (Thing, Vec<u8>, Position) {
    let mut tx = shop.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let stored = thing.insert(&mut tx).await;
    SqliteOutbox::new().insert(&mut tx, &stored).await.unwrap();
    tx.commit().await.unwrap();
    let mut source = outbox_core::Store::source(&shop.store, &outbox_core::Filter::default()).await.unwrap();
    let request = outbox_core::source::ReadRequest { after, ..everything() };
    let mut rows = read(&mut *source, &request).await.rows;
    match (rows.pop(), rows.len()) {
        (Some(Read::Event(event)), 0) => (stored, event.payload.unwrap().as_bytes().to_vec(), event.position),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_type_has_its_documented_form() {
    let shop = Shop::open().await;
    shop.run(TABLE).await;
    let deep = format!("{{\"z\":1,\"a\":2,\"z\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let example = Thing {
        id: Uuid::from_u128(7),
        at: time::macros::datetime!(2026-11-20 12:30:05.000001 +2),
        day: time::macros::date!(2026 - 11 - 20),
        clock: time::macros::time!(01:02:03.5),
        chrono_at: DateTime::from_timestamp_micros(1_000_001).unwrap(),
        chrono_local: DateTime::from_timestamp(0, 0).unwrap().naive_utc(),
        amount: "-12345678901234567890.12345600".parse().unwrap(),
        wide: "1234567890123456789012345678901234.5678".to_owned(),
        document: Json(serde_json::json!({"b": [1, null], "a": 9_007_199_254_740_993_i64})),
        raw: Json(RawValue::from_string(deep.clone()).unwrap()),
        tags: Json(vec![Some("ä\"\\\0".to_owned()), None]),
        maybe: Some("\0".to_owned()),
        signed: 9_007_199_254_740_993,
        unsigned: u64::MAX,
        ratio: Some(f64::NAN),
        bytes: vec![0, 255],
        yes: true,
    };
    let (_, payload, _) = captured(&shop, &example, 0).await;
    let wanted = [
        r#"{"id":"00000000-0000-0000-0000-000000000007","at":"2026-11-20T12:30:05.000001+02:00","day":"2026-11-20","#,
        r#""clock":"01:02:03.5","chrono_at":"1970-01-01T00:00:01.000001Z","chrono_local":"1970-01-01T00:00:00","#,
        r#""amount":"-12345678901234567890.12345600","wide":"1234567890123456789012345678901234.5678","#,
        r#""document":{"a":9007199254740993,"b":[1,null]},"raw":"#,
        &deep,
        r#","tags":["ä\"\\\u0000",null],"maybe":"\u0000","#,
        r#""signed":9007199254740993,"unsigned":18446744073709551615,"ratio":null,"bytes":[0,255],"yes":true}"#,
    ];
    assert_eq!(str::from_utf8(&payload).unwrap(), wanted.concat());
    let before_christ = Thing { at: time::macros::datetime!(-0044-03-15 12:00 +0), ..example };
    assert!(matches!(before_christ.image(), Err(CaptureError::Serialize { .. })), "RFC 3339 has no such year");
}

#[test]
fn capture_takes_every_row_the_table_takes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shop = runtime.block_on(Shop::open());
    runtime.block_on(shop.run(TABLE));
    let last = std::cell::Cell::new(0);
    let each = |thing: Thing| {
        let (stored, payload, position) = runtime.block_on(captured(&shop, &thing, last.get()));
        last.set(position);
        prop_assert_eq!(thing.image().unwrap(), stored.image().unwrap(), "what was written is what stands there");
        prop_assert_eq!(String::from_utf8(payload).unwrap(), stored.image().unwrap());
        Ok(())
    };
    TestRunner::new(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })
        .run(&things(), each)
        .unwrap();
}

/// From the year 1 to the year 9999, in microseconds.
fn micros() -> std::ops::Range<i64> {
    -62_135_596_800_000_000..253_402_300_799_000_000
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(Into::into),
        any::<bool>().prop_map(Into::into),
        any::<String>().prop_map(Into::into)
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn things() -> impl Strategy<Value = Thing> {
    let times = (micros(), micros(), micros(), 0..86_400_000_000_i64, micros());
    let numbers = (any::<i64>(), any::<u64>(), -(1_i128 << 96) + 1..1_i128 << 96, 0..=28_u32);
    let texts = (any::<String>(), prop::collection::vec(any::<Option<String>>(), 0..4), any::<Option<String>>());
    let others = (any::<u128>(), any::<Vec<u8>>(), any::<bool>());
    let exotic = (json(), json(), prop::option::of(prop::num::f64::ANY));
    (times, numbers, texts, others, exotic).prop_map(|(times, numbers, texts, others, exotic)| {
        let at = |micros: i64| OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).unwrap();
        let chrono = |micros| DateTime::from_timestamp_micros(micros).unwrap();
        Thing {
            id: Uuid::from_u128(others.0),
            at: at(times.0),
            day: at(times.1).date(),
            clock: time::Time::MIDNIGHT + time::Duration::microseconds(times.3),
            chrono_at: chrono(times.2),
            chrono_local: chrono(times.4).naive_utc(),
            amount: Decimal::from_i128_with_scale(numbers.2, numbers.3),
            wide: texts.0,
            document: Json(exotic.0),
            raw: Json(RawValue::from_string(format!(" {{\"{}\" :\t{}}}", numbers.0, exotic.1)).unwrap()),
            tags: Json(texts.1),
            maybe: texts.2,
            signed: numbers.0,
            unsigned: numbers.1,
            // SQLite forgets the sign of zero.
            ratio: exotic.2.map(|ratio| ratio + 0.0),
            bytes: others.1,
            yes: others.2,
        }
    })
}
