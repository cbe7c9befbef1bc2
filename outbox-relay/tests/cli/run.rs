//! What `run` publishes.

use serde_json::json;

use crate::shop::{Running, Shop, until};

#[test]
fn an_event_comes_out_by_the_contract() {
    let shop = Shop::open();
    shop.sql(
        "INSERT INTO outbox_event (event_id, topic, event_key, event_type, payload, headers, tenant_id, actor, schema_version,
             transaction_id, occurred_at)
         VALUES ('01930000-0000-7000-8000-000000000001', 'shop.orders', 'o-1', 'Placed', '{\"b\":1.50,\n\"a\":2}',
             '{\"traceparent\":\"00-1-2-01\"}', 't1', 'ann', 3, 'x7', '2026-01-31T12:00:00.123456Z');
         INSERT INTO outbox_event (event_id, topic, event_key, aggregate_type, operation, old_payload, occurred_at)
         VALUES ('01930000-0000-7000-8000-000000000002', 'shop.orders', 'o-1', 'orders', 'delete', '{\"id\":1}',
             '2026-01-31T12:00:01.000000Z');",
    );
    let placed = concat!(
        r#"{"specversion":"1.0","id":"01930000-0000-7000-8000-000000000001","source":"/outbox/shop","type":"Placed","#,
        r#""topic":"shop.orders","time":"2026-01-31T12:00:00.123456Z","partitionkey":"o-1","sequence":"00000000000000000001","#,
        r#""datacontenttype":"application/json","data":{"b":1.50, "a":2},"tenantid":"t1","actor":"ann","transactionid":"x7","#,
        r#""schemaversion":3,"traceparent":"00-1-2-01"}"#,
    );
    let deleted = concat!(
        r#"{"specversion":"1.0","id":"01930000-0000-7000-8000-000000000002","source":"/outbox/shop","type":"shop.orders","#,
        r#""topic":"shop.orders","time":"2026-01-31T12:00:01.000000Z","partitionkey":"o-1","sequence":"00000000000000000002","#,
        r#""datacontenttype":"application/json","data":{"before":{"id":1},"after":null},"subject":"orders","operation":"delete"}"#,
    );
    let expected = format!("{placed}\n{deleted}\n");
    let ended = shop.call(&["run", "--publisher", "stdout", "--until-empty"]).expect_code(0);
    assert_eq!(ended.stdout, expected);
    let file = ["run", "--publisher", "file:out.jsonl", "--name", "file", "--until-empty"];
    assert_eq!(shop.call(&file).expect_code(0).stdout, "");
    assert_eq!(shop.read("out.jsonl"), expected);
    shop.call(&file).expect_code(0);
    assert_eq!(shop.read("out.jsonl"), expected, "a second run repeats nothing");
}

#[test]
fn filters_of_flags_leave_out_the_others() {
    let shop = Shop::open();
    shop.sql(
        "INSERT INTO outbox_event (topic, event_key, payload, tenant_id, aggregate_type, operation) VALUES
             ('shop.orders', 'a', '{}', 't1', 'orders', 'insert'), ('shop.users', 'a', '{}', 't2', 'users', 'update'),
             ('shop.orders', 'a', '{}', 't2', 'orders', 'delete'), ('mail', 'a', '{}', null, null, null)",
    );
    let published = |name, filter: &[&str]| shop.published(&[&["--name", name], filter].concat());
    assert_eq!(published("all", &[]), [1, 2, 3, 4]);
    assert_eq!(published("topic", &["--topic", "shop.?rders", "--topic", "m*"]), [1, 3, 4]);
    assert_eq!(published("tenant", &["--tenant", "t2"]), [2, 3]);
    assert_eq!(published("table", &["--table", "orders", "--table", "users"]), [1, 2, 3]);
    assert_eq!(published("operation", &["--operation", "delete", "--operation", "insert", "--tenant", "t1"]), [1]);
}

#[test]
fn a_new_subscription_begins_where_it_was_told() {
    let shop = Shop::open();
    shop.sql(
        "INSERT INTO outbox_event (topic, event_key, payload, occurred_at) VALUES
             ('a', 'k', '{}', '2026-01-01T00:00:00.000000Z'), ('a', 'k', '{}', '2026-01-02T00:00:00.000000Z'),
             ('a', 'k', '{}', '2026-01-03T00:00:00.000000Z')",
    );
    let published = |name, start| shop.published(&["--name", name, "--start", start]);
    assert_eq!(published("beginning", "beginning"), [1, 2, 3]);
    assert_eq!(published("time", "time:2026-01-02T01:00:00+01:00"), [2, 3]);
    assert_eq!(published("now", "now"), [0_u64; 0]);
    let beyond = shop.call(&["run", "--publisher", "stdout", "--name", "far", "--start", "position:99"]).expect_code(2);
    assert!(
        beyond.stderr.contains("the log ends at 3; start at position:4 or earlier, or at now"),
        "{}",
        beyond.stderr
    );
    let from_position = published("position", "position:2");
    assert_eq!(from_position.last(), Some(&3));
    shop.event("a", "k", "{}");
    assert_eq!(published("now", "now"), [4], "the start counts for a new subscription only");
    assert_eq!(published("beginning", "now"), [4]);
}

#[test]
fn the_subscriptions_of_a_file_run_side_by_side() {
    let shop = Shop::open();
    std::fs::write(
        shop.path("relay.toml"),
        "[relay]\nname = \"host-a\"\nlease = \"2s\"\nwindow_events = 100\n\
         [[subscription]]\nname = \"orders\"\npublisher = { url = \"file:orders.jsonl\" }\nfilter = { topics = [\"orders\"] }\n\
         [[subscription]]\nname = \"strict\"\norder = \"strict\"\npublisher = { url = \"file:strict.jsonl\" }\n",
    )
    .unwrap();
    shop.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO outbox_event (topic, event_key, payload)
         SELECT iif(i % 2, 'orders', 'users'), i % 7, json_object('n', i) FROM n",
    );
    let arguments = ["run", "--config", "relay.toml", "--until-empty", "--log", "json"];
    let ended = shop.call(&arguments).expect_code(0);
    assert_eq!(shop.read("orders.jsonl").lines().count(), 250);
    assert_eq!(shop.read("strict.jsonl").lines().count(), 500);
    for line in ended.stderr.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["level"].is_string() && entry["message"].is_string(), "{line}");
    }
    let quiet = shop.call(&["run", "-q", "--config", "relay.toml", "--until-empty"]).expect_code(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_run_that_says_no_number_of_partitions_keeps_the_one_there_is() {
    let shop = Shop::open();
    let partitions = || shop.subscription()["partitions"].as_array().map(Vec::len);
    shop.published(&["--partitions", "4"]);
    shop.published(&[]);
    assert_eq!(partitions(), Some(4));
    let mut relay = Running::start(&mut shop.program(&["run", "--publisher", "null", "--partitions", "2"]));
    let said = relay.wait_for_log("the number of partitions has changed");
    assert!(said.contains("from=4 to=2"), "{said}");
    relay.terminate();
    assert_eq!(relay.wait().code(), Some(0));
    assert_eq!(partitions(), Some(2));
}

#[test]
fn a_running_relay_publishes_what_comes_and_ends_well_at_sigterm() {
    let shop = Shop::open();
    let mut relay = Running::start(&mut shop.program(&["run", "--publisher", "file:out.jsonl"]));
    for n in 1..=3_usize {
        shop.event("a", "k", &json!({ "n": n }).to_string());
        until("the event is published", || {
            std::fs::read_to_string(shop.path("out.jsonl")).is_ok_and(|lines| lines.lines().count() == n)
        });
    }
    relay.terminate();
    assert_eq!(relay.wait().code(), Some(0));
    let subscription = shop.subscription();
    assert_eq!((&subscription["lag_events"], &subscription["state"]), (&json!(0), &json!("unowned")), "{subscription}");
    assert_eq!(subscription["partitions"][0]["position"], 3);
    assert_eq!(shop.published(&[]), [0_u64; 0], "the checkpoint was written before the end");
}
