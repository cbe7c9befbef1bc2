use time::macros::datetime;
use uuid::Uuid;

use super::*;
use crate::Operation;

fn event(payload: &[u8]) -> Event {
    Event {
        position: 42,
        event_id: Uuid::nil(),
        topic: "shop.orders".into(),
        key: "k\"\n1".into(),
        event_type: None,
        aggregate_type: None,
        operation: None,
        payload: Some(Payload::Text(payload.to_vec())),
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

fn line(event: &Event) -> Result<String, EnvelopeError> {
    let mut out = b"before".to_vec();
    let result = CloudEvents::new("/outbox/shop").write_line(event, &mut out);
    let text = String::from_utf8(out).unwrap();
    let written = text.strip_prefix("before").unwrap().to_owned();
    result.inspect_err(|_| assert_eq!(written, "")).map(|()| written)
}

#[test]
fn a_domain_event_has_every_field_of_the_contract_in_order() {
    assert_eq!(
        line(&event(b"{\"a\":\r\n1}")).unwrap(),
        "{\"specversion\":\"1.0\",\"id\":\"00000000-0000-0000-0000-000000000000\",\"source\":\"/outbox/shop\",\
         \"type\":\"shop.orders\",\"topic\":\"shop.orders\",\"time\":\"2026-11-19T23:02:03.000004Z\",\
         \"partitionkey\":\"k\\\"\\n1\",\"sequence\":\"00000000000000000042\",\
         \"datacontenttype\":\"application/json\",\"data\":{\"a\":  1}}\n"
    );
}

#[test]
fn a_change_event_carries_both_images_and_all_that_is_known() {
    let change = Event {
        operation: Some(Operation::Delete),
        old_payload: Some(Payload::Text(b"{\"id\":1}".to_vec())),
        payload: None,
        event_type: Some("Gone".into()),
        aggregate_type: Some("orders".into()),
        tenant_id: Some("t".into()),
        actor: Some("ann".into()),
        transaction_id: Some("77".into()),
        schema_version: Some(3),
        headers: Some("{\"x\":1,\"traceparent\":\"00-a-b-01\"}".into()),
        ..event(b"")
    };
    let line = line(&change).unwrap();
    let tail = line.split_once("\"data\"").unwrap().1;
    assert_eq!(
        tail,
        ":{\"before\":{\"id\":1},\"after\":null},\"subject\":\"orders\",\"operation\":\"delete\",\"tenantid\":\"t\",\
         \"actor\":\"ann\",\"transactionid\":\"77\",\"schemaversion\":3,\"traceparent\":\"00-a-b-01\"}\n"
    );
    assert!(line.contains("\"type\":\"Gone\""));
}

#[test]
fn a_traceparent_is_written_only_where_it_is_a_string() {
    for (value, expected) in [
        ("null", "}}\n"),
        ("7", "}}\n"),
        ("{\n\"a\":\r1}", "}}\n"),
        ("[\n]", "}}\n"),
        (" \n\"00-a-b-01\"\n", "},\"traceparent\":\"00-a-b-01\"}\n"),
    ] {
        let headers = Some(format!("{{\"traceparent\":{value}}}"));
        let line = line(&Event { headers, ..event(b"{}") }).unwrap();
        assert_eq!(line.split_once("\"data\":{").unwrap().1, expected, "{value}");
    }
}

#[test]
fn a_replay_says_so_and_is_the_same_otherwise() {
    let (mut line, mut again) = (Vec::new(), Vec::new());
    let envelope = CloudEvents::new("/outbox/shop");
    envelope.write_line(&event(b"1"), &mut line).unwrap();
    envelope.write_replay(&event(b"1"), &mut again).unwrap();
    let again = String::from_utf8(again).unwrap();
    assert_eq!(again.replace(r#","replayed":true"#, "").as_bytes(), line);
    assert!(again.ends_with(",\"replayed\":true}\n"), "{again}");
}

#[test]
fn empty_texts_count_as_absent() {
    let empty = Event { event_type: Some(String::new()), content_type: Cow::Borrowed(""), ..event(b"[1]") };
    assert_eq!(line(&empty).unwrap(), line(&event(b"[1]")).unwrap());
    let broken = Event { payload: Some(Payload::Text(b"[1".to_vec())), ..empty };
    assert!(line(&broken).unwrap_err().to_string().starts_with("payload is not JSON"));
}

#[test]
fn a_time_without_an_rfc_3339_form_is_refused() {
    let at = |occurred_at| line(&Event { occurred_at, ..event(b"{}") });
    assert!(at(datetime!(0000-01-01 00:00 +0)).unwrap().contains("\"time\":\"0000-01-01T00:00:00.000000Z\""));
    assert!(at(datetime!(9999-12-31 23:59:59 +0)).unwrap().contains("\"time\":\"9999-12-31T23:59:59.000000Z\""));
    for outside in [datetime!(-0001-06-01 00:00 +0), datetime!(0000-01-01 00:00 +1), datetime!(9999-12-31 23:00 -2)] {
        assert_eq!(at(outside).unwrap_err(), EnvelopeError::Time, "{outside}");
    }
}

#[test]
fn awkward_json_passes_unharmed() {
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    for payload in
        ["12345678901234567890123456789012345678", "{\"b\":1,\"a\":2,\"a\":3}", "\"\\u0000\\ud800\"", "1e400", &deep]
    {
        let line = line(&event(payload.as_bytes())).unwrap();
        assert!(line.ends_with(&format!("\"data\":{payload}}}\n")), "{}", &payload[..20.min(payload.len())]);
    }
}

#[test]
fn other_content_types_and_bytes_have_their_forms() {
    let text = Event { content_type: Cow::Borrowed("text/plain"), ..event(b"a\nb") };
    assert!(line(&text).unwrap().ends_with("\"data\":\"a\\nb\"}\n"));
    let binary = Event { payload: Some(Payload::Binary(vec![0, 255, 7, 1])), ..event(b"") };
    assert!(line(&binary).unwrap().ends_with("\"data_base64\":\"AP8HAQ==\"}\n"));
    let tombstone = Event { payload: None, ..event(b"") };
    assert!(line(&tombstone).unwrap().ends_with("\"data\":null}\n"));
    let changed = Event { operation: Some(Operation::Insert), ..binary };
    assert!(
        line(&changed)
            .unwrap()
            .ends_with("\"data\":{\"before\":null,\"after_base64\":\"AP8HAQ==\"},\"operation\":\"insert\"}\n")
    );
}

#[test]
fn what_is_wrong_is_said_without_showing_it() {
    for (bad, expected) in
        [(&b"{secret"[..], "payload is not JSON"), (b"\"\xff\"", "payload is not UTF-8"), (b"", "payload is not JSON")]
    {
        let reason = line(&event(bad)).unwrap_err().to_string();
        assert!(reason.starts_with(expected) && !reason.contains("secret"), "{reason}");
    }
    let headers = Event { headers: Some("[1]".into()), ..event(b"{}") };
    assert_eq!(line(&headers).unwrap_err(), EnvelopeError::Headers);
}
