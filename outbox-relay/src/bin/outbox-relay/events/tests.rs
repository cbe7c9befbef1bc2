use std::borrow::Cow;

use outbox_core::source::{Row, Unreadable};
use outbox_core::{Event, Filter, Operation, Payload};
use time::macros::datetime;
use uuid::Uuid;

use super::*;

#[expect(clippy::unnecessary_wraps, reason = "events have optional payloads")]
fn text(json: &str) -> Option<Payload> {
    Some(Payload::Text(json.as_bytes().to_vec()))
}

fn domain(payload: Option<Payload>) -> Event {
    Event {
        position: 42,
        event_id: Uuid::nil(),
        topic: "shop.orders".into(),
        key: "o-1".into(),
        event_type: None,
        aggregate_type: None,
        operation: None,
        payload,
        old_payload: None,
        content_type: Cow::Borrowed("application/json"),
        headers: None,
        tenant_id: None,
        actor: None,
        schema_version: None,
        transaction_id: None,
        occurred_at: datetime!(2026-11-20 01:02:03.000004 +2),
    }
}

fn change(operation: Operation, before: Option<Payload>, after: Option<Payload>) -> Event {
    Event {
        operation: Some(operation),
        aggregate_type: Some("orders".into()),
        old_payload: before,
        tenant_id: Some("north".into()),
        actor: Some("ann".into()),
        ..domain(after)
    }
}

fn written(format: Format, events: &[Event]) -> String {
    let mut out = Vec::new();
    let mut document = format.document(&mut out);
    for event in events {
        document.write(event).unwrap();
    }
    document.end().unwrap();
    drop(document);
    String::from_utf8(out).unwrap()
}

fn listed(filter: &Filter, events: Vec<Event>, width: usize, coloured: bool) -> String {
    let rows: Vec<_> = events.into_iter().map(|event| Row::Event(Box::new(event))).collect();
    let mut listing = Listing::new(filter, width, coloured);
    let begin = listing.begin(&rows);
    let lines: String = rows.iter().map(|row| listing.next(row)).collect();
    begin + &lines + &listing.end(&rows)
}

/// What the table says of one change, without its columns.
fn told(event: Event) -> String {
    let text = listed(&Filter { tenants: vec!["north".into()], ..Filter::default() }, vec![event], 1000, false);
    text.lines().nth(3).unwrap().split("o-1").nth(1).unwrap().trim().to_owned()
}

#[test]
fn json_has_every_field_of_the_contract_in_order_and_payloads_as_they_were_written() {
    let update = Event {
        event_type: Some("Changed".into()),
        transaction_id: Some("77".into()),
        schema_version: Some(3),
        headers: Some("{\"x\": 1.0}".into()),
        ..change(Operation::Update, text("{\"b\":1.50,\r\n\"a\":[ ]}"), text("12345678901234567890.10"))
    };
    let object = "{\"position\":42,\"event_id\":\"00000000-0000-0000-0000-000000000000\",\
        \"occurred_at\":\"2026-11-19T23:02:03.000004Z\",\"operation\":\"update\",\"table\":\"orders\",\
        \"topic\":\"shop.orders\",\"event_type\":\"Changed\",\"key\":\"o-1\",\"tenant_id\":\"north\",\"actor\":\"ann\",\
        \"transaction_id\":\"77\",\"schema_version\":3,\"before\":{\"b\":1.50,  \"a\":[ ]},\
        \"after\":12345678901234567890.10,\"payload\":null,\"headers\":{\"x\": 1.0}}";
    let domain = domain(text("{}"));
    let lines = written(Format::JsonLines, &[update.clone(), domain.clone()]);
    let [first, second] = lines.lines().collect::<Vec<_>>()[..] else { panic!("{lines}") };
    assert_eq!(first, object);
    assert!(second.contains("\"before\":null,\"after\":null,\"payload\":{},\"headers\":null"), "{second}");
    assert_eq!(written(Format::Json, &[update, domain]), format!("[\n{first},\n{second}\n]\n"));
    assert_eq!((written(Format::Json, &[]).as_str(), written(Format::JsonLines, &[]).as_str()), ("[]\n", ""));
}

#[test]
fn what_is_not_json_is_a_string() {
    let payload = |event: Event| {
        let line = written(Format::JsonLines, &[event]);
        line.split_once("\"payload\":").unwrap().1.split_once(",\"headers\"").unwrap().0.to_owned()
    };
    let of_type = |content_type, payload| Event { content_type: Cow::Borrowed(content_type), ..domain(Some(payload)) };
    assert_eq!(payload(domain(text("{\"a"))), r#""{\"a""#);
    assert_eq!(payload(of_type("text/plain", Payload::Text(b"42\n".to_vec()))), r#""42\n""#);
    assert_eq!(payload(of_type("text/plain", Payload::Text(vec![0xff]))), r#""data:text/plain;base64,/w==""#);
    let bytes = of_type("application/x-protobuf", Payload::Binary(vec![0, 255, 7, 1]));
    assert_eq!(payload(bytes), r#""data:application/x-protobuf;base64,AP8HAQ==""#);
    assert_eq!(payload(domain(text("\"\u{7f}\u{9b}2J\u{e9}\u{a0}\""))), "\"\\u007f\\u009b2J\u{e9}\u{a0}\"");
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    assert_eq!(payload(domain(text(&deep))), deep);
}

#[test]
fn cdc_json_has_its_fields_in_order_and_images_as_texts() {
    let update = Event {
        transaction_id: Some("77".into()),
        ..change(Operation::Update, text("{\"a\": \"x\\n\"}"), text("{\"a\":2}"))
    };
    let insert = Event { tenant_id: None, ..change(Operation::Insert, None, text("{}")) };
    let delete = change(Operation::Delete, text("{broken"), None);
    let events = [domain(text("{}")), update, change(Operation::Snapshot, None, text("{}")), insert, delete];
    let object = |rest| format!("{{\"event_id\":42,\"change_type\":{rest}}}");
    let expected = [
        object(
            "\"Update\",\"table_name\":\"orders\",\"row_key\":\"o-1\",\"old_values\":\"{\\\"a\\\": \\\"x\\\\n\\\"}\",\
             \"new_values\":\"{\\\"a\\\":2}\",\"tenant_id\":\"north\",\"timestamp\":\"2026-11-19 23:02:03\",\
             \"transaction_id\":\"77\"",
        ),
        object(
            "\"Insert\",\"table_name\":\"orders\",\"row_key\":\"o-1\",\"old_values\":null,\"new_values\":\"{}\",\
             \"tenant_id\":null,\"timestamp\":\"2026-11-19 23:02:03\",\"transaction_id\":null",
        ),
        object(
            "\"Delete\",\"table_name\":\"orders\",\"row_key\":\"o-1\",\"old_values\":\"{broken\",\"new_values\":null,\
             \"tenant_id\":\"north\",\"timestamp\":\"2026-11-19 23:02:03\",\"transaction_id\":null",
        ),
    ];
    assert_eq!(written(Format::CdcJson, &events), format!("[\n{}\n]\n", expected.join(",\n")));
    assert_eq!(written(Format::CdcJson, &events[..1]), "[]\n");
}

#[test]
fn csv_has_a_header_and_quotes_what_needs_quotes() {
    let header = "position,event_id,occurred_at,operation,table,topic,event_type,key,tenant_id,actor,transaction_id,\
        schema_version,before,after,payload,headers\n";
    assert_eq!(written(Format::Csv, &[]), header);
    let update = change(Operation::Update, text("{\"a\":1,\"b\":\"x\"}"), text("[1]"));
    let mut hostile = domain(text("\"a\""));
    hostile.key = "k\x1b[2J,\n\u{9b}".into();
    let record = "42,00000000-0000-0000-0000-000000000000,2026-11-19T23:02:03.000004Z,";
    assert_eq!(
        written(Format::Csv, &[update, hostile]),
        format!(
            "{header}{record}update,orders,shop.orders,,o-1,north,ann,,,\"{{\"\"a\"\":1,\"\"b\"\":\"\"x\"\"}}\",[1],,\n\
             {record},,shop.orders,,\"k\\u{{1b}}[2J,\n\\u{{9b}}\",,,,,,,\"\"\"a\"\"\",\n"
        )
    );
}

#[test]
fn a_table_is_headed_by_its_tenant_and_tells_each_change() {
    let filter = Filter { tenants: vec!["north".into()], ..Filter::default() };
    let events = || {
        let insert = change(Operation::Insert, None, text(r#"{"id":1,"item":"tea"}"#));
        let update = change(Operation::Update, text(r#"{"id":1,"status":"new"}"#), text(r#"{"id":1,"status":"paid"}"#));
        let mut placed = domain(text(r#"{"total_cents":700}"#));
        placed.event_type = Some("Placed".into());
        vec![insert, update, change(Operation::Delete, text(r#"{"id":1,"status":"paid"}"#), None), placed]
    };
    assert_eq!(
        listed(&filter, events(), 100, false),
        "\
CDC events for tenant 'north'

Timestamp            Type    Table        Row key  Change
2026-11-19 23:02:03  Insert  orders       o-1      id: 1, item: tea (by ann)
2026-11-19 23:02:03  Update  orders       o-1      status: new → paid (by ann)
2026-11-19 23:02:03  Delete  orders       o-1      id: 1, status: paid (by ann)
2026-11-19 23:02:03  Placed  shop.orders  o-1      total_cents: 700

4 events, positions 42 to 42, times in UTC
"
    );
    assert_eq!(
        listed(&Filter::default(), events()[1..2].to_vec(), 60, false),
        "\
CDC events of all tenants

Timestamp            Type    Table   Row key
2026-11-19 23:02:03  Update  orders  o-1
    status: new → paid (by ann for north)

position 42, time in UTC
"
    );
    let mut long = events()[1].clone();
    long.key = "019f2b6c-6a0b-7c3e-9a51-2f6a4d1e8b77".into();
    let narrow = listed(&filter, vec![events()[3].clone(), long], 75, false);
    assert!(
        narrow.contains("\n2026-11-19 23:02:03  Update  orders  019f2b6c-6a0b-7c3e-9a51-2f6a4d1e8b77\n"),
        "{narrow}"
    );
    let several = Filter { tenants: vec!["a\x1b".into(), "b".into()], ..Filter::default() };
    assert_eq!(listed(&several, Vec::new(), 60, false).lines().next(), Some("CDC events for tenants 'a\\u{1b}', 'b'"));
}

#[test]
fn a_change_is_told_whatever_it_carries() {
    let json = |before, after| told(Event { actor: None, ..change(Operation::Update, text(before), text(after)) });
    assert_eq!(json(r#"{"a":1,"b":{"c":1}}"#, r#"{"b":{"c":2},"d":null}"#), "b.c: 1 → 2, +d: null, -a: 1");
    assert_eq!(json("[1,2]", "[1, 3]"), "[1,2] → [1,3]");
    assert_eq!(json(r#"{"a":1}"#, r#"{"a":1}"#), "nothing is different");
    assert_eq!(json("{broken", "{}"), "not JSON: {broken → {}");
    assert_eq!(told(domain(None)), "no payload");
    assert_eq!(told(domain(text("{}"))), "{}");
    assert_eq!(told(domain(text("{\"a"))), r#"not JSON: {"a"#);
    let bytes = Event { content_type: "image/png".into(), ..domain(Some(Payload::Binary(vec![0x1b; 3000]))) };
    assert_eq!(told(bytes), "2.9 KiB of image/png");
    let large = told(domain(text(&format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20)))));
    assert_eq!(large, format!("a: {}… (1.0 MiB)", "x".repeat(64)));
}

#[test]
fn the_table_keeps_to_its_width_whatever_the_texts() {
    let long = || {
        let mut event = change(
            Operation::Insert,
            None,
            text(&format!(r#"{{"a":"{}","b":["{}"]}}"#, "你".repeat(90), "x ".repeat(90))),
        );
        event.key = "key".repeat(50);
        event.aggregate_type = Some("table".repeat(50));
        event.actor = Some("actor".repeat(50));
        event
    };
    for width in [1, 30, 60, 100, 200] {
        let text = listed(&Filter::default(), vec![long()], width, false);
        let change = text.lines().skip(4).take_while(|line| !line.is_empty());
        for line in change {
            let used = unicode_width::UnicodeWidthStr::width(line);
            assert!(used <= width.max(6), "{used} of {width}: {line}");
        }
    }
}

#[test]
fn control_characters_reach_no_terminal_and_colours_only_one() {
    let hostile = "\x1b[2J\u{9b}\r\n\u{202e}";
    let json = format!("{{{0}:{0}}}", serde_json::to_string(hostile).unwrap());
    let mut event = change(Operation::Update, text(&json), text("{}"));
    for name in [&mut event.topic, &mut event.key] {
        hostile.clone_into(name);
    }
    for name in [&mut event.actor, &mut event.tenant_id, &mut event.aggregate_type] {
        *name = Some(hostile.to_owned());
    }
    let broken = Event { operation: None, payload: text(hostile), event_type: Some(hostile.into()), ..event.clone() };
    let bytes = Event { content_type: hostile.into(), payload: Some(Payload::Binary(vec![1])), ..broken.clone() };
    let unreadable = Unreadable {
        copy: None,
        position: 7,
        event_id: Uuid::nil(),
        topic: hostile.into(),
        key: hostile.into(),
        reason: hostile.into(),
    };
    let mut listing = Listing::new(&Filter::default(), 100, false);
    let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    for event in [&event, &broken, &bytes] {
        let shown = listing.next(&Row::Event(Box::new(event.clone())));
        assert!(!shown.contains(acts), "{shown:?}");
    }
    let shown = listing.next(&Row::Unreadable(unreadable));
    assert!(!shown.contains(acts) && shown.contains("Unreadable"), "{shown:?}");

    let mut coloured = Listing::new(&Filter::default(), 100, true);
    let shown = coloured.next(&Row::Event(Box::new(event)));
    assert!(shown.contains("\x1b[33mUpdate\x1b[0m") && !shown.contains("\x1b[2J"), "{shown:?}");
}
