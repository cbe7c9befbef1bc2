//! Assertions: they pass where they should, and show everything where they do not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use outbox_core::testing::{Captured, MemoryStore};
use outbox_core::{NewEvent, Outbox};
use serde::Serialize;
use serde_json::json;

#[derive(Serialize, Outbox)]
#[outbox(table = "orders", topic = "shop.orders")]
struct Order {
    #[outbox(key)]
    id: u64,
    item: &'static str,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "shop.order-events", key = id)]
enum Told {
    Placed { id: u64 },
}

type Assertion = Box<dyn Fn(&Captured) -> &Captured>;

/// An insert, an update, a delete and a domain event.
fn captured() -> Captured {
    let (tea, cake) = (Order { id: 7, item: "tea" }, Order { id: 7, item: "cake" });
    let store = MemoryStore::new();
    let mut tx = store.begin();
    tx.insert(&tea).unwrap();
    tx.update(&tea, &cake).unwrap();
    tx.delete(&cake).unwrap();
    tx.append(&Told::Placed { id: 8 }).unwrap();
    tx.captured()
}

/// What a failing assertion says.
fn said(assert: impl Fn(&Captured) -> &Captured) -> String {
    let captured = captured();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(assert(&captured).clone()))).unwrap_err();
    *panic.downcast::<String>().unwrap()
}

#[test]
fn what_was_captured_is_found() {
    let (tea, cake) = (json!({"id": 7, "item": "tea"}), json!({"item": "cake", "id": 7}));
    captured()
        .assert_topics(["shop.orders", "shop.orders", "shop.orders", "shop.order-events"])
        .assert_inserted("shop.orders", "7", tea.clone())
        .assert_updated("shop.orders", "7", tea.clone(), cake.clone())
        .assert_deleted("shop.orders", "7", cake.clone())
        .assert_event("shop.orders", "7", cake)
        .assert_event("shop.order-events", "8", json!({"Placed": {"id": 8}}));
    captured().of_key("8").assert_topics(["shop.order-events"]);
    captured().of_key("9").assert_none();
}

#[test]
fn what_was_not_is_missed() {
    let tea = || json!({"id": 7, "item": "tea"});
    let wrong: [Assertion; 8] = [
        Box::new(|captured| captured.assert_none()),
        Box::new(|captured| captured.assert_topics(["shop.orders"])),
        Box::new(move |captured| captured.assert_event("shop.orders", "8", tea())),
        Box::new(move |captured| captured.assert_event("shop.order-events", "7", tea())),
        Box::new(|captured| captured.assert_event("shop.orders", "7", json!({"id": 7}))),
        Box::new(|captured| captured.assert_inserted("shop.orders", "7", json!({"id": 7, "item": "cake"}))),
        Box::new(move |captured| captured.assert_updated("shop.orders", "7", tea(), tea())),
        Box::new(move |captured| captured.assert_deleted("shop.orders", "7", tea())),
    ];
    for (number, assert) in wrong.iter().enumerate() {
        let text = said(assert);
        assert!(text.contains("expected ") && text.contains("there is:\n"), "{number}: {text}");
        assert!(text.contains("Placed") && text.contains("shop.order-events"), "{number}: everything is shown: {text}");
    }
}

#[test]
fn a_failure_reads_well() {
    let text = said(|captured| captured.assert_deleted("shop.orders", "7", json!({"id": 8})));
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            r#"expected the delete of `shop.orders` with key `7` from {"id":8} to nothing; there is:"#,
            "position topic key type payload",
            r#"1 shop.orders 7 insert {"id":7,"item":"tea"}"#,
            r#"2 shop.orders 7 update {"id":7,"item":"tea"} → {"id":7,"item":"cake"}"#,
            r#"3 shop.orders 7 delete {"id":7,"item":"cake"} → (none)"#,
            r#"4 shop.order-events 8 Placed {"Placed":{"id":8}}"#,
        ]
    );
}

#[test]
fn a_dump_is_safe_to_print() {
    let store = MemoryStore::new();
    let mut tx = store.begin();
    tx.append(&NewEvent::new("t", "\u{1b}[31mred").json("\"line\nfeed\"")).unwrap();
    tx.append(&NewEvent::new("t", "").json("x".repeat(10_000))).unwrap();
    tx.append(&NewEvent::new("t", "k").binary("application/protobuf", vec![0; 42])).unwrap();
    tx.append(&NewEvent::new("t", "k")).unwrap();
    let dump = tx.captured().to_string();
    assert!(!dump.contains('\u{1b}') && dump.contains(r"\u{1b}[31mred") && dump.contains(r"line\nfeed"), "{dump}");
    assert!(dump.len() < 2_000 && dump.contains("xxx…"), "{dump}");
    assert!(dump.contains("(42 bytes)") && dump.contains("(none)"), "{dump}");
    assert_eq!(dump.lines().count(), 5, "{dump}");
    assert_eq!(Captured::new(Vec::new()).to_string(), "(no events)");
}
