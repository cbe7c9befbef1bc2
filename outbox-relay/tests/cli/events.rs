//! The change log: `events show`, `events tail`, `events stats`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::shop::{Running, Shop, ended};

/// Two tenants, three tables, each operation, and a domain event.
const HISTORY: &str = r#"
INSERT INTO outbox_event (event_id, topic, event_key, aggregate_type, operation, old_payload, payload, tenant_id, actor, occurred_at)
VALUES
    ('01930000-0000-7000-8000-000000000001', 'shop.orders', 'o-1', 'orders', 'insert', null, '{"id":1,"status":"new"}', 'north', 'ann', '2026-01-01T12:00:00.000000Z'),
    ('01930000-0000-7000-8000-000000000002', 'shop.orders', 'o-1', 'orders', 'update', '{"id":1,"status":"new"}', '{"id":1,"status":"paid"}', 'north', 'bob', '2026-01-02T12:00:00.000000Z'),
    ('01930000-0000-7000-8000-000000000003', 'shop.users', 'u-1', 'users', 'insert', null, '{"id":1}', 'south', null, '2026-01-03T12:00:00.000000Z'),
    ('01930000-0000-7000-8000-000000000004', 'shop.order-events', 'o-1', null, null, null, '{"total_cents":12345678901234567890.10}', 'north', null, '2026-01-04T12:00:00.000000Z'),
    ('01930000-0000-7000-8000-000000000005', 'shop.orders', 'o-1', 'orders', 'delete', '{"id":1,"status":"paid"}', null, 'north', 'ann', '2026-01-05T12:00:00.000000Z'),
    ('01930000-0000-7000-8000-000000000006', 'shop.stock', 's-1', 'stock', 'snapshot', null, '{"amount":5}', 'south', null, '2026-01-06T12:00:00.000000Z');
"#;

/// A shop in which this happened.
pub(crate) fn shop() -> Shop {
    let shop = Shop::open();
    shop.sql(HISTORY);
    shop
}

fn shown(shop: &Shop, arguments: &[&str]) -> Vec<Value> {
    let ended = shop.call(&[&["events", "show", "--json"], arguments].concat()).expect_code(0);
    assert_eq!(ended.stderr, "");
    let Value::Array(events) = ended.json() else { panic!("no array: {}", ended.stdout) };
    events
}

#[test]
fn people_see_when_what_where_and_the_change() {
    let shown = shop().call(&["events", "show", "--tenant", "north"]).expect_code(0);
    assert_eq!(
        shown.stdout,
        "\
CDC events for tenant 'north'

Timestamp            Type    Table              Row key  Change
2026-01-01 12:00:00  Insert  orders             o-1      id: 1, status: new (by ann)
2026-01-02 12:00:00  Update  orders             o-1      status: new → paid (by bob)
2026-01-04 12:00:00  Event   shop.order-events  o-1      total_cents: 12345678901234567890.10
2026-01-05 12:00:00  Delete  orders             o-1      id: 1, status: paid (by ann)

4 events, positions 1 to 5, times in UTC
"
    );
    assert_eq!(shown.stderr, "");
    let none = Shop::open().call(&["events", "show"]).expect_code(0);
    assert!(
        none.stdout.starts_with("CDC events of all tenants\n") && none.stdout.ends_with("\nno event\n"),
        "{}",
        none.stdout
    );
}

#[test]
fn the_json_is_an_array_of_the_fields_of_the_contract() {
    let shop = shop();
    let shown = shown(&shop, &["--last", "4"]);
    let [_, placed, deleted, _] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!(
        *deleted,
        json!({
            "position": 5, "event_id": "01930000-0000-7000-8000-000000000005", "occurred_at": "2026-01-05T12:00:00.000000Z",
            "operation": "delete", "table": "orders", "topic": "shop.orders", "event_type": null, "key": "o-1",
            "tenant_id": "north", "actor": "ann", "transaction_id": null, "schema_version": null,
            "before": {"id": 1, "status": "paid"}, "after": null, "payload": null, "headers": null,
        })
    );
    assert_eq!((&placed["before"], &placed["after"], &placed["operation"]), (&Value::Null, &Value::Null, &Value::Null));
    let text = shop.call(&["events", "show", "--json"]).stdout;
    assert!(text.contains("\"payload\":{\"total_cents\":12345678901234567890.10}"), "{text}");
}

#[test]
fn filters_leave_out_the_others() {
    let shop = shop();
    let positions = |arguments: &[&str]| {
        let shown = shown(&shop, arguments);
        shown.iter().map(|event| event["position"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(positions(&[]), [1, 2, 3, 4, 5, 6]);
    assert_eq!(positions(&["--last", "2"]), [5, 6]);
    assert_eq!(positions(&["--last", "0"]), [0_u64; 0]);
    assert_eq!(positions(&["--last", "2", "--tenant", "north"]), [4, 5], "the newest that pass");
    assert_eq!(positions(&["--table", "users", "--table", "stock"]), [3, 6]);
    assert_eq!(positions(&["--topic", "shop.order*", "--operation", "update", "--operation", "delete"]), [2, 5]);
    assert_eq!(positions(&["--key", "u-1", "--key", "s-1"]), [3, 6]);
    assert_eq!(positions(&["--since", "2026-01-02T13:00:00+01:00", "--until", "2026-01-05"]), [2, 3, 4]);
    assert_eq!(positions(&["--since", "2026-01-03 12:00:00", "--until", "2026-01-05T12:00:00Z"]), [3, 4]);
    assert_eq!(positions(&["--since", "1h"]), [0_u64; 0]);
    assert_eq!(positions(&["--after", "4"]), [5, 6]);
    shop.event("shop.notes", "", "{}");
    assert_eq!(positions(&["--key", ""]), [7], "no order is wanted, but the event is");
}

#[test]
fn the_tenant_of_the_environment_is_the_default() {
    let shop = shop();
    let shown = |arguments: &[&str]| {
        let arguments = [&["events", "show"], arguments].concat();
        ended(shop.program(&arguments).env("OUTBOX_TENANT", "south")).expect_code(0).stdout
    };
    let south = shown(&[]);
    assert!(south.starts_with("CDC events for tenant 'south'\n") && !south.contains("orders"), "{south}");
    assert!(shown(&["--tenant", "north"]).starts_with("CDC events for tenant 'north'\n"), "the flag wins");
    let published =
        ended(shop.program(&["run", "--publisher", "stdout", "--until-empty"]).env("OUTBOX_TENANT", "south"));
    assert_eq!(published.lines().len(), 6, "a relay publishes for everybody");
}

#[test]
fn wrong_values_are_told_with_what_to_write() {
    let shop = shop();
    for (arguments, told) in [
        (
            &["show", "--since", "yesterday"][..],
            "--since: `yesterday` is not a time; write one such as 2026-01-31T12:00:00Z",
        ),
        (&["stats", "--until", "2026-02-30"], "--until: `2026-02-30` is not a time"),
        (&["show", "--since", "2026-01-02", "--until", "2026-01-02"], "--until: nothing is before --until"),
        (&["tail", "--operation", "upsert"], "--operation: `upsert` is not an operation; write insert"),
        (&["show", "--last", "ten"], "--last: `ten` is not a count; write a whole number"),
        (&["show", "--after", "-1"], "unexpected argument '-1'"),
        (&["show", "--after=-1"], "--after: `-1` is not a position; write a whole number"),
        (&["show", "--tenant", ""], "--tenant: an empty text matches nothing"),
        (&["show", "--topic", ""], "--topic: an empty text matches nothing"),
        (&["export"], "--format <F>"),
        (&["export", "--format", "xml"], "--format: `xml` is not a format; the nearest is"),
        (
            &["export", "--format", "cdc-json", "--operation", "snapshot"],
            "--operation: cdc-json has no form for a snapshot",
        ),
        (&["export", "--format", "json", "--since-last", ""], "--since-last: the name is empty"),
    ] {
        let refused = shop.call(&[&["events"], arguments].concat()).expect_code(2);
        assert!(refused.stderr.contains(told), "{arguments:?}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{arguments:?}");
    }
}

#[test]
fn a_missing_schema_is_exit_2_and_names_migrate() {
    let shop = Shop::empty();
    shop.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)");
    for arguments in [&["show"][..], &["tail"], &["stats"], &["export", "--format", "json", "--output", "out.json"]] {
        let refused = shop.call(&[&["events"], arguments].concat()).expect_code(2);
        assert!(refused.stderr.contains("run `outbox-relay migrate`"), "{}", refused.stderr);
    }
    assert_eq!(shop.files(), ["shop.db"], "nothing is left behind");
}

#[test]
fn a_tail_shows_what_was_and_what_comes_until_ctrl_c() {
    let shop = shop();
    let mut tail = Running::start(shop.program(&["events", "tail", "--json", "--last", "1"]).stderr(Stdio::null()));
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["position"], 6);
    for n in 7..=8 {
        shop.event("a", "k", &json!({ "n": n }).to_string());
        let event = next();
        assert_eq!((&event["position"], &event["payload"]["n"]), (&json!(n), &json!(n)));
    }
    tail.interrupt();
    assert_eq!(tail.wait().code(), Some(0));
    assert_eq!(lines.count(), 0);
}

#[test]
fn a_tail_for_people_is_the_table_line_by_line() {
    let shop = shop();
    let mut tail = Running::start(&mut shop.program(&["events", "tail", "--last", "1", "--table", "orders"]));
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!([next(), next()], ["CDC events of all tenants", ""]);
    assert_eq!(next(), "Timestamp            Type    Table   Row key  Change");
    assert_eq!(next(), "2026-01-05 12:00:00  Delete  orders  o-1      id: 1, status: paid (by ann for north)");
    shop.sql(
        "INSERT INTO outbox_event (topic, event_key, aggregate_type, operation, payload, occurred_at)
         VALUES ('t', 'o-2', 'orders', 'insert', '{\"id\":2}', '2026-01-07T12:00:00.000000Z')",
    );
    assert_eq!(next(), "2026-01-07 12:00:00  Insert  orders  o-2      id: 2");
    tail.terminate();
    assert_eq!(tail.wait().code(), Some(0));
}

#[test]
fn stats_count_by_operation_table_and_tenant() {
    let shop = shop();
    let table = shop.call(&["events", "stats"]).expect_code(0).stdout;
    let line = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (line("orders").as_str(), line("north").as_str()),
        ("1 1 1 - - 3 2026-01-05 12:00:00", "1 1 1 - 1 4 2026-01-05 12:00:00"),
        "{table}"
    );
    assert!(table.ends_with("\n6 events from 2026-01-01 12:00:00 to 2026-01-06 12:00:00 (UTC)\n"), "{table}");

    let ended = shop.call(&["events", "stats", "--json", "--tenant", "north", "--after", "1"]).expect_code(0);
    let [stats] = &ended.lines()[..] else { panic!("not one line: {}", ended.stdout) };
    let count = |operation: &str, at: &str| {
        json!({"operation": operation, "table": "orders", "topic": "shop.orders", "tenant_id": "north", "events": 1,
            "first_occurred_at": at, "last_occurred_at": at})
    };
    assert_eq!(stats["events"], 3);
    for expected in [count("update", "2026-01-02T12:00:00.000000Z"), count("delete", "2026-01-05T12:00:00.000000Z")] {
        assert!(stats["counts"].as_array().unwrap().contains(&expected), "{stats}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let shop = shop();
    for arguments in
        [&["show"][..], &["show", "--json"], &["tail"], &["tail", "--json"], &["stats"], &["stats", "--json"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = ended(shop.program(&[&["events"], arguments].concat()).stdout(Stdio::from(writer))).expect_code(0);
        assert_eq!(ended.stderr, "", "{arguments:?}");
    }
}
