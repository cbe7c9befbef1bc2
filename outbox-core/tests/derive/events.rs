//! Domain events.

use outbox_core::{DomainEvent, Outbox, Payload};
use serde::Serialize;

use crate::OrderId;

/// Topic, key, type, tenant, version and payload of an event.
fn told(event: &impl DomainEvent) -> (String, String, Option<String>, Option<String>, Option<i32>, String) {
    let event = event.to_event().unwrap();
    assert_eq!((event.operation, &event.aggregate_type, &event.old_payload), (None, &None, &None));
    assert_eq!(event.content_type, "application/json");
    assert_eq!(event.event_id.get_version_num(), 7);
    let Some(Payload::Text(payload)) = event.payload else { panic!("an event has a payload") };
    (
        event.topic.into_owned(),
        event.key.into_owned(),
        event.event_type.map(Into::into),
        event.tenant_id.map(Into::into),
        event.schema_version,
        String::from_utf8(payload).unwrap(),
    )
}

macro_rules! assert_told {
    ($event:expr, $topic:literal, $key:literal, $kind:literal, $tenant:expr, $version:expr, $payload:expr) => {
        let tenant: Option<&str> = $tenant;
        let expected = (
            $topic.to_owned(),
            $key.to_owned(),
            Some($kind.to_owned()),
            tenant.map(str::to_owned),
            $version,
            $payload.to_owned(),
        );
        assert_eq!(told(&$event), expected);
    };
}

#[test]
fn an_enum_names_its_types_by_its_variants() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "shop.order-events", key = order_id, version = 1)]
    enum OrderEvent {
        Placed {
            order_id: OrderId,
            total_cents: i64,
        },
        #[outbox(event_type = "order-shipped", topic = "shop.shipping", version = 2)]
        Shipped {
            order_id: String,
            #[outbox(tenant)]
            region: &'static str,
        },
    }

    let placed = OrderEvent::Placed { order_id: OrderId(7), total_cents: 5 };
    let payload = r#"{"Placed":{"order_id":7,"total_cents":5}}"#;
    assert_told!(placed, "shop.order-events", "order-7", "Placed", None, Some(1), payload);
    let shipped = OrderEvent::Shipped { order_id: "a".to_owned(), region: "eu" };
    let payload = r#"{"Shipped":{"order_id":"a","region":"eu"}}"#;
    assert_told!(shipped, "shop.shipping", "a", "order-shipped", Some("eu"), Some(2), payload);
}

#[test]
fn a_struct_names_its_type_by_its_name() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "mail", key = "to", tenant = region)]
    struct MailQueued<'a> {
        to: &'a str,
        region: Option<u32>,
    }

    #[derive(Serialize, Outbox)]
    #[outbox(topic = "mail", unordered, event_type = "mail-purged")]
    struct Purged;

    let queued = MailQueued { to: "a@example.com", region: Some(4) };
    let payload = r#"{"to":"a@example.com","region":4}"#;
    assert_told!(queued, "mail", "a@example.com", "MailQueued", Some("4"), None, payload);
    assert_told!(Purged, "mail", "", "mail-purged", None, None, "null");
}

#[test]
fn keys_of_any_kind() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "a", key = "self.region().to_uppercase()", tenant = self.region())]
    enum ByExpression {
        One { region: String },
        Two,
    }

    impl ByExpression {
        fn region(&self) -> &str {
            match self {
                Self::One { region } => region,
                Self::Two => "nowhere",
            }
        }
    }

    #[derive(Serialize, Outbox)]
    #[outbox(topic = "b", key = 0)]
    enum ByPlace {
        Named(u8),
        Pair(&'static str, #[outbox(tenant)] u8),
    }

    #[derive(Serialize, Outbox)]
    enum ByField {
        #[outbox(topic = "c")]
        One(#[outbox(key)] u8, #[outbox(key)] u8),
        #[outbox(topic = "d")]
        Two {
            #[outbox(key, tenant)]
            id: u8,
        },
    }

    let one = ByExpression::One { region: "eu".to_owned() };
    assert_told!(one, "a", "EU", "One", Some("eu"), None, r#"{"One":{"region":"eu"}}"#);
    assert_told!(ByExpression::Two, "a", "NOWHERE", "Two", Some("nowhere"), None, r#""Two""#);
    assert_told!(ByPlace::Named(1), "b", "1", "Named", None, None, r#"{"Named":1}"#);
    assert_told!(ByPlace::Pair("x", 2), "b", "x", "Pair", Some("2"), None, r#"{"Pair":["x",2]}"#);
    assert_told!(ByField::One(1, 2), "c", "1/2", "One", None, None, r#"{"One":[1,2]}"#);
    assert_told!(ByField::Two { id: 3 }, "d", "3", "Two", Some("3"), None, r#"{"Two":{"id":3}}"#);
}

#[test]
fn tuple_structs_and_newtypes() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "moves", key = 0, tenant = 1, event_type = "moved")]
    struct Moved(u8, Option<String>, bool);

    #[derive(Serialize, Outbox)]
    #[outbox(topic = "moves", version = 2)]
    struct Stopped(#[outbox(key)] OrderId);

    #[derive(Serialize, Outbox)]
    #[outbox(topic = "moves", key = "self.0.id")]
    struct Wrapped<'a>(&'a Inner);

    #[derive(Serialize)]
    struct Inner {
        id: u8,
    }

    let payload = r#"[1,"eu",true]"#;
    assert_told!(Moved(1, Some("eu".to_owned()), true), "moves", "1", "moved", Some("eu"), None, payload);
    assert_told!(Stopped(OrderId(7)), "moves", "order-7", "Stopped", None, Some(2), "7");
    assert_told!(Wrapped(&Inner { id: 3 }), "moves", "3", "Wrapped", None, None, r#"{"id":3}"#);
}

#[test]
fn raw_names_are_written_without_their_mark() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "types", key = r#type, tenant = "r#match")]
    #[allow(non_camel_case_types, reason = "the names of a schema of somebody else")]
    enum r#enum {
        r#struct {
            r#type: u8,
            r#match: u8,
            #[outbox(redact)]
            r#token: u8,
        },
    }

    #[derive(Serialize, Outbox)]
    #[outbox(topic = "types", key = "self.r#type")]
    #[allow(non_camel_case_types, reason = "the names of a schema of somebody else")]
    struct r#loop {
        r#type: u8,
    }

    let event = r#enum::r#struct { r#type: 1, r#match: 2, r#token: 3 };
    let payload = r#"{"struct":{"type":1,"match":2,"token":"[redacted]"}}"#;
    assert_told!(event, "types", "1", "struct", Some("2"), None, payload);
    assert_told!(r#loop { r#type: 1 }, "types", "1", "loop", None, None, r#"{"type":1}"#);
}

#[test]
fn generic_events() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "changes", key = id)]
    enum Changed<'a, Id: Ord, T: ?Sized> {
        Added { id: Id, value: &'a T },
        Removed { id: Id },
    }

    let added = Changed::Added { id: 1, value: "x" };
    assert_told!(added, "changes", "1", "Added", None, None, r#"{"Added":{"id":1,"value":"x"}}"#);
    let removed: Changed<'_, _, str> = Changed::Removed { id: 'c' };
    assert_told!(removed, "changes", "c", "Removed", None, None, r#"{"Removed":{"id":"c"}}"#);
}

#[test]
fn a_value_that_is_no_json_is_an_error_with_its_type() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "a", unordered)]
    struct Odd {
        pairs: std::collections::BTreeMap<(u8, u8), u8>,
    }

    let error = Odd { pairs: [((1, 2), 3)].into() }.to_event().unwrap_err();
    assert!(error.to_string().ends_with("Odd` could not be written as JSON"), "{error}");
}
