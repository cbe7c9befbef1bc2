//! Rows and their changes.

use outbox_core::capture::change;
use outbox_core::{Entity, Operation, Outbox, Payload};
use serde::Serialize;

use crate::OrderId;

#[derive(Clone, Serialize, Outbox)]
#[outbox(table = "orders", topic = "shop.orders", version = 3)]
struct Order {
    #[outbox(key)]
    id: OrderId,
    #[outbox(tenant)]
    tenant_id: String,
    status: &'static str,
    #[outbox(skip)]
    internal_note: &'static str,
    #[outbox(redact)]
    card_number: &'static str,
}

fn order(status: &'static str) -> Order {
    Order {
        id: OrderId(7),
        tenant_id: "eu".to_owned(),
        status,
        internal_note: "haggles",
        card_number: "4111111111111111",
    }
}

const NEW: &str = concat!(r#"{"id":7,"tenant_id":"eu","status":"new","#, r#""card_number":"[redacted]"}"#);

fn text(payload: Option<&Payload>) -> Option<&str> {
    payload.map(|payload| str::from_utf8(payload.as_bytes()).unwrap())
}

#[test]
fn an_insert_has_an_after() {
    let new = order("new");
    let event = change(None, Some(&new)).unwrap().unwrap();
    assert_eq!(event.topic, "shop.orders");
    assert_eq!(event.key, "order-7");
    assert_eq!(event.aggregate_type.as_deref(), Some("orders"));
    assert_eq!(event.tenant_id.as_deref(), Some("eu"));
    assert_eq!(event.schema_version, Some(3));
    assert_eq!(event.event_type, None);
    assert_eq!(event.operation, Some(Operation::Insert));
    assert_eq!((text(event.old_payload.as_ref()), text(event.payload.as_ref())), (None, Some(NEW)));
}

#[test]
fn an_update_has_both_and_a_delete_a_before() {
    let (new, paid) = (order("new"), order("paid"));
    let update = change(Some(&new), Some(&paid)).unwrap().unwrap();
    let after = NEW.replace("new", "paid");
    assert_eq!(update.operation, Some(Operation::Update));
    assert_eq!((text(update.old_payload.as_ref()), text(update.payload.as_ref())), (Some(NEW), Some(&*after)));
    let delete = change(Some(&new), None).unwrap().unwrap();
    assert_eq!(delete.operation, Some(Operation::Delete));
    assert_eq!((text(delete.old_payload.as_ref()), text(delete.payload.as_ref())), (Some(NEW), None));
}

#[test]
fn a_change_of_protected_fields_alone_is_no_event() {
    let before = order("new");
    let after = Order { internal_note: "pays late", card_number: "5500005555555559", ..before.clone() };
    assert!(change(Some(&before), Some(&after)).unwrap().is_none());
}

#[test]
fn text_is_lent_and_the_topic_is_the_table() {
    #[derive(Serialize, Outbox)]
    #[outbox(table = "customers")]
    struct Customer<'a> {
        #[outbox(key)]
        email: &'a str,
        #[outbox(tenant)]
        region: Option<std::borrow::Cow<'a, str>>,
    }

    assert_eq!((Customer::TABLE, Customer::TOPIC, Customer::VERSION), ("customers", "customers", None));
    let mut customer = Customer { email: "a@example.com", region: Some("eu".into()) };
    assert!(matches!(customer.key(), std::borrow::Cow::Borrowed("a@example.com")));
    assert!(matches!(customer.tenant(), Some(std::borrow::Cow::Borrowed("eu"))));
    customer.region = None;
    assert_eq!(customer.tenant(), None);
}

#[test]
fn a_composite_key_tells_its_parts_apart() {
    #[derive(Serialize, Outbox)]
    #[outbox(table = "lines")]
    struct Line {
        #[outbox(key)]
        order: String,
        #[outbox(key)]
        number: u32,
        #[outbox(tenant)]
        tenant: Option<u8>,
    }

    let line = Line { order: r"a/1\".to_owned(), number: 2, tenant: Some(9) };
    assert_eq!(line.key(), r"a\/1\\/2");
    assert_eq!(line.tenant().as_deref(), Some("9"));
    assert_eq!(line.image().unwrap(), r#"{"order":"a/1\\","number":2,"tenant":9}"#);
}

#[test]
fn generic_rows_ask_of_their_parameters_what_is_needed() {
    #[derive(Serialize, Outbox)]
    #[outbox(table = "rows")]
    struct Row<Id, T = (), const N: usize = 2> {
        #[outbox(key)]
        id: Id,
        value: T,
        #[serde(skip)]
        _buffer: [u8; N],
    }

    fn key_of<E: Entity>(entity: &E) -> String {
        entity.key().into_owned()
    }

    let row: Row<u64, _> = Row { id: 5, value: [1.5], _buffer: [0; 2] };
    assert_eq!(key_of(&row), "5");
    assert_eq!(row.image().unwrap(), r#"{"id":5,"value":[1.5]}"#);
}

#[test]
fn newtypes_and_raw_identifiers() {
    #[derive(Serialize, Outbox)]
    #[outbox(table = "types")]
    struct Kind {
        #[outbox(key)]
        r#type: &'static str,
        #[outbox(rename = "loop_count")]
        r#loop: u8,
    }

    #[derive(Serialize, Outbox)]
    #[outbox(table = "kinds", key = "self.0.r#type", tenant = "self.0.r#loop + 1")]
    struct Wrapped(Kind);

    let kind = Wrapped(Kind { r#type: "a", r#loop: 3 });
    assert_eq!((kind.0.key(), kind.0.image().unwrap()), ("a".into(), r#"{"type":"a","loop_count":3}"#.to_owned()));
    assert_eq!((kind.key(), kind.tenant()), ("a".into(), Some("4".into())));
    assert_eq!(kind.image().unwrap(), r#"{"type":"a","loop":3}"#);
}
