use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn stamped(context: &Context, headers: Option<&'static str>) -> Option<String> {
    let event = NewEvent { headers: headers.map(Cow::Borrowed), ..NewEvent::new("t", "k") };
    context.stamp(event).headers.map(Cow::into_owned)
}

#[test]
fn what_the_event_says_itself_stands() {
    let context = Context::new().tenant("acme").actor("ann").header("a", "context").header("b", "context");
    let plain = context.stamp(NewEvent::new("t", "k"));
    assert_eq!((plain.tenant_id.as_deref(), plain.actor.as_deref()), (Some("acme"), Some("ann")));
    let own = NewEvent {
        tenant_id: Some("other".into()),
        actor: Some("".into()),
        headers: Some(r#"{"a":"own"}"#.into()),
        ..NewEvent::new("t", "k")
    };
    let own = context.stamp(own);
    assert_eq!((own.tenant_id.as_deref(), own.actor.as_deref()), (Some("other"), Some("")));
    assert_eq!(own.headers.as_deref(), Some(r#"{"a":"own","b":"context"}"#));
}

#[test]
fn an_empty_context_changes_nothing() {
    let event = NewEvent { headers: Some("{ }".into()), ..NewEvent::new("t", "k") };
    assert_eq!(Context::new().stamp(event.clone()), event);
    assert_eq!(stamped(&Context::new(), None), None);
}

#[test]
fn own_headers_are_not_written_anew() {
    let context = Context::new().header("new", "\"\u{0}\n\u{1b}");
    for (own, wanted) in [
        ("{}", r#"{"new":"\"\u0000\n\u001b"}"#),
        (" {\t}\n", " {\t\"new\":\"\\\"\\u0000\\n\\u001b\"}\n"),
        (
            r#"{"b":12345678901234567890.10,"a":1e400,"a":{"x":"}"} }"#,
            r#"{"b":12345678901234567890.10,"a":1e400,"a":{"x":"}"} ,"new":"\"\u0000\n\u001b"}"#,
        ),
        (r#"{"n\u0065w":1}"#, r#"{"n\u0065w":1}"#),
    ] {
        assert_eq!(stamped(&context, Some(own)).unwrap(), wanted);
    }
}

#[test]
fn headers_that_are_no_object_are_kept_as_they_are() {
    let context = Context::new().tenant("acme").header("a", "1");
    for own in ["", "null", "[]", "{", r#"{"a":1} x"#, "not JSON", r#"{"\ud800":1}"#] {
        assert_eq!(stamped(&context, Some(own)).as_deref(), Some(own));
    }
    let event = NewEvent { headers: Some("[1]".into()), ..NewEvent::new("t", "k") };
    assert_eq!(context.stamp(event).tenant_id.as_deref(), Some("acme"));
}

#[test]
fn a_traceparent_that_is_none_is_ignored() {
    for good in [
        PARENT,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings",
    ] {
        let wanted = format!(r#"{{"traceparent":"{good}"}}"#);
        assert_eq!(stamped(&Context::new().traceparent(good), None), Some(wanted));
    }
    for bad in [
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
    ] {
        assert_eq!(stamped(&Context::new().traceparent(bad), None), None, "{bad}");
        assert_eq!(Context::new().traceparent(PARENT).header(TRACEPARENT, bad), Context::new().traceparent(PARENT));
    }
}

#[test]
fn a_tracestate_goes_along_with_its_own_parent() {
    let both = Context::new().tracestate("a=1").traceparent(PARENT);
    let wanted = format!(r#"{{"traceparent":"{PARENT}","tracestate":"a=1"}}"#);
    assert_eq!(stamped(&both, None), Some(wanted));
    assert_eq!(stamped(&both, Some(r#"{"traceparent":"x"}"#)).unwrap(), r#"{"traceparent":"x"}"#);
    assert_eq!(stamped(&Context::new().tracestate("a=1"), None), None);
    assert_eq!(both.tracestate(""), Context::new().traceparent(PARENT));
}

#[test]
fn the_case_of_a_trace_header_does_not_matter() {
    let both = Context::new().traceparent(PARENT).tracestate("a=1");
    assert_eq!(Context::new().header("Traceparent", PARENT).header("TraceState", "a=1"), both);
    assert_eq!(Context::new().header("Traceparent", "junk"), Context::new());
    assert_eq!(both.header("TRACESTATE", ""), Context::new().traceparent(PARENT));
    assert_eq!(stamped(&Context::new().header("Region", "eu"), None).unwrap(), r#"{"Region":"eu"}"#);
}

#[test]
fn a_consequence_names_its_cause_and_keeps_the_correlation() {
    let cause = |headers: Option<&str>| Event {
        position: 1,
        event_id: uuid::Uuid::from_u128(7),
        topic: "t".into(),
        key: "k".into(),
        event_type: None,
        aggregate_type: None,
        operation: None,
        payload: None,
        old_payload: None,
        content_type: crate::event::JSON.into(),
        headers: headers.map(Into::into),
        tenant_id: Some("acme".into()),
        actor: None,
        schema_version: None,
        transaction_id: None,
        occurred_at: time::OffsetDateTime::UNIX_EPOCH,
    };
    let id = "00000000-0000-0000-0000-000000000007";
    for (headers, correlation) in [
        (Some(r#"{"correlationid":"case-1","causationid":"x"}"#), "case-1"),
        (Some(r#"{"correlationid":1}"#), id),
        (None, id),
    ] {
        let wanted = Context::new().causation_id(id).correlation_id(correlation);
        assert_eq!(Context::new().caused_by(&cause(headers)), wanted);
    }
}

#[test]
fn values_of_headers_are_not_shown() {
    let context = Context::new().actor("ann").header("authorization", "hunter2");
    assert_eq!(format!("{context:?}"), r#"Context { tenant: None, actor: Some("ann"), headers: ["authorization"] }"#);
}
