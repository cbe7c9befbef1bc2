//! Rows of the types people have: sqlx writes and reads them, capture keeps them to the last byte.

use chrono::{DateTime, NaiveDateTime, Utc};
use outbox_core::capture::changed_fields;
use outbox_core::{Entity, Outbox, Position};
use outbox_sqlx::PgOutbox;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use sqlx::{Connection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::{TestDatabase, above, execute};

const TABLE: &str = "CREATE TABLE things (id uuid, at timestamptz, day date, clock time, chrono_at timestamptz, \
    chrono_local timestamp, amount numeric, wide numeric(38, 4), document jsonb, raw json, tags text[], numbers bigint[], \
    maybe text, signed bigint, unsigned numeric(20), ratio double precision, bytes bytea, yes boolean); GRANT SELECT, INSERT ON things TO outbox_writer";
const INSERT: &str = "INSERT INTO things VALUES ($1, $2, $3, $4, $5, $6, $7, $8::numeric, $9, $10::text::json, $11, $12, $13, $14, \
    $15::numeric, $16, $17, $18) RETURNING id, at, day, clock, chrono_at, chrono_local, amount, wide::text, document, raw, \
    tags, numbers, maybe, signed, unsigned::text, ratio, bytes, yes";

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
    amount: Decimal,
    /// More digits than a `Decimal` has.
    wide: String,
    document: Json<serde_json::Value>,
    raw: Json<Box<RawValue>>,
    tags: Vec<Option<String>>,
    numbers: Vec<i64>,
    maybe: Option<String>,
    signed: i64,
    unsigned: u64,
    ratio: f64,
    bytes: Vec<u8>,
    yes: bool,
}

impl Thing {
    /// Writes the row, and gives back what stands in the table.
    async fn insert(&self, connection: &mut PgConnection) -> Self {
        let insert = sqlx::query(INSERT)
            .bind(self.id)
            .bind(self.at)
            .bind(self.day)
            .bind(self.clock)
            .bind(self.chrono_at)
            .bind(self.chrono_local)
            .bind(self.amount)
            .bind(&self.wide)
            .bind(&self.document)
            // sqlx says jsonb of every `Json`, and jsonb writes it anew
            .bind(self.raw.get())
            .bind(&self.tags)
            .bind(&self.numbers)
            .bind(&self.maybe)
            .bind(self.signed)
            .bind(self.unsigned.to_string())
            .bind(self.ratio)
            .bind(&self.bytes)
            .bind(self.yes);
        Self::read(&insert.fetch_one(connection).await.unwrap())
    }

    fn read(row: &PgRow) -> Self {
        Self {
            id: row.get("id"),
            at: row.get("at"),
            day: row.get("day"),
            clock: row.get("clock"),
            chrono_at: row.get("chrono_at"),
            chrono_local: row.get("chrono_local"),
            amount: row.get("amount"),
            wide: row.get("wide"),
            document: row.get("document"),
            raw: row.get("raw"),
            tags: row.get("tags"),
            numbers: row.get("numbers"),
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
async fn captured(database: &TestDatabase, thing: &Thing, after: Position) -> (Thing, Vec<u8>, Position) {
    let mut session = database.writer().await;
    let mut tx = session.begin().await.unwrap();
    let stored = thing.insert(&mut tx).await;
    PgOutbox::new().insert(&mut tx, &stored).await.unwrap();
    tx.commit().await.unwrap();
    let mut rows = database.source().await.read(&above(after)).await.unwrap().rows;
    match (rows.pop(), rows.len()) {
        (Some(outbox_core::source::Row::Event(event)), 0) => {
            (stored, event.payload.unwrap().as_bytes().to_vec(), event.position)
        }
        other => panic!("{other:?}"),
    }
}

fn example() -> Thing {
    let deep = format!("{{\"z\":1,\"a\":2,\"z\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    Thing {
        id: Uuid::from_u128(7),
        at: time::macros::datetime!(2026-11-20 12:30:05.000001 +2),
        day: time::macros::date!(2026 - 11 - 20),
        clock: time::macros::time!(01:02:03.5),
        chrono_at: DateTime::from_timestamp_micros(1_000_001).unwrap(),
        chrono_local: DateTime::from_timestamp(0, 0).unwrap().naive_utc(),
        amount: "-1234567890123456789.1234567800".parse().unwrap(),
        wide: "1234567890123456789012345678901234.5678".to_owned(),
        document: Json(serde_json::json!({"b": [1, null], "a": 9_007_199_254_740_993_i64})),
        raw: Json(RawValue::from_string(deep).unwrap()),
        tags: vec![Some("ä\"\\".to_owned()), None],
        numbers: vec![i64::MIN, 9_007_199_254_740_993],
        maybe: None,
        signed: 9_007_199_254_740_993,
        unsigned: u64::MAX,
        ratio: f64::NAN,
        bytes: vec![0, 255],
        yes: true,
    }
}

#[tokio::test]
async fn each_type_has_its_documented_form() {
    let database = TestDatabase::migrated().await;
    execute(&mut database.session().await, TABLE).await;
    let example = example();
    let (_, payload, _) = captured(&database, &example, 0).await;
    let wanted = [
        r#"{"id":"00000000-0000-0000-0000-000000000007","at":"2026-11-20T10:30:05.000001Z","day":"2026-11-20","#,
        r#""clock":"01:02:03.5","chrono_at":"1970-01-01T00:00:01.000001Z","chrono_local":"1970-01-01T00:00:00","#,
        r#""amount":"-1234567890123456789.1234567800","wide":"1234567890123456789012345678901234.5678","#,
        r#""document":{"a":9007199254740993,"b":[1,null]},"raw":"#,
        example.raw.get(),
        r#","tags":["ä\"\\",null],"numbers":[-9223372036854775808,9007199254740993],"maybe":null,"#,
        r#""signed":9007199254740993,"unsigned":18446744073709551615,"ratio":null,"bytes":[0,255],"yes":true}"#,
    ];
    assert_eq!(str::from_utf8(&payload).unwrap(), wanted.concat());
    let changed = Thing { unsigned: u64::MAX - 1, bytes: vec![0, 254], ..example.clone() };
    assert_eq!(changed_fields(&example, &changed).unwrap(), ["unsigned", "bytes"]);
    assert_eq!(changed_fields(&example, &Thing { ratio: f64::INFINITY, ..example.clone() }).unwrap(), [""; 0]);
}

#[test]
fn capture_takes_every_row_the_table_takes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::migrated());
    runtime.block_on(async { execute(&mut database.session().await, TABLE).await });
    let last = std::cell::Cell::new(0);
    let each = |thing: Thing| {
        let (stored, payload, position) = runtime.block_on(captured(&database, &thing, last.get()));
        last.set(position);
        prop_assert_eq!(thing.image().unwrap(), stored.image().unwrap(), "what was written is what stands there");
        prop_assert_eq!(String::from_utf8(payload).unwrap(), stored.image().unwrap());
        Ok(())
    };
    TestRunner::new(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })
        .run(&things(), each)
        .unwrap();
}

/// PostgreSQL has no NUL in a text.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', "\u{1}"))
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
        text().prop_map(Into::into)
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn things() -> impl Strategy<Value = Thing> {
    let times = (micros(), micros(), micros(), 0..86_400_000_000_i64, micros());
    let numbers = (any::<i64>(), any::<u64>(), -(1_i128 << 96) + 1..1_i128 << 96, 0..=28_u32);
    let texts = (text(), prop::option::of(text()), prop::collection::vec(prop::option::of(text()), 0..4));
    let others = (any::<u128>(), any::<Vec<u8>>(), any::<Vec<i64>>(), any::<bool>());
    let exotic = ("-?[1-9][0-9]{33}\\.[0-9]{4}", json(), json(), prop::num::f64::ANY);
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
            amount: Decimal::from_i128_with_scale(numbers.2, numbers.3).normalize(),
            wide: exotic.0,
            document: Json(exotic.1),
            raw: Json(RawValue::from_string(format!(" {{\"{}\" :\t{}}}", numbers.0, exotic.2)).unwrap()),
            tags: texts.2,
            numbers: others.2,
            maybe: texts.1,
            signed: numbers.0,
            unsigned: numbers.1,
            ratio: exotic.3,
            bytes: others.1,
            yes: others.3,
        }
    })
}
