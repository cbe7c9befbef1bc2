//! Rules under each way serde writes fields.

use outbox_core::{DomainEvent, Entity, Outbox};
use serde::Serialize;

fn image(event: &impl DomainEvent) -> String {
    String::from_utf8(event.to_event().unwrap().payload.unwrap().as_bytes().to_vec()).unwrap()
}

#[derive(Clone, Serialize)]
struct Rest {
    a: u8,
    b: u8,
}

const REST: Rest = Rest { a: 1, b: 2 };

/// One enum under one representation; `$image` is the image of its only variant.
macro_rules! under {
    ($test:ident, $(#[$serde:meta])* => $image:literal) => {
        #[test]
        fn $test() {
            #[derive(Serialize, Outbox)]
            $(#[$serde])*
            #[outbox(topic = "users", key = id)]
            enum Event {
                Joined {
                    id: u8,
                    #[outbox(skip)]
                    password: &'static str,
                    #[outbox(redact)]
                    card: Rest,
                    inner: Inner,
                },
            }

            #[derive(Serialize)]
            struct Inner {
                password: u8,
            }

            let event = Event::Joined { id: 1, password: "canary", card: REST, inner: Inner { password: 2 } };
            assert_eq!(image(&event), $image);
        }
    };
}

under!(externally_tagged, => r#"{"Joined":{"id":1,"card":"[redacted]","inner":{"password":2}}}"#);
under!(internally_tagged, #[serde(tag = "type")] =>
    r#"{"type":"Joined","id":1,"card":"[redacted]","inner":{"password":2}}"#);
under!(adjacently_tagged, #[serde(tag = "type", content = "password")] =>
    r#"{"type":"Joined","password":{"id":1,"card":"[redacted]","inner":{"password":2}}}"#);
under!(untagged, #[serde(untagged)] => r#"{"id":1,"card":"[redacted]","inner":{"password":2}}"#);

/// The same with a flattened field, which makes serde write a map.
macro_rules! flattened_under {
    ($test:ident, $(#[$serde:meta])* => $image:literal) => {
        #[test]
        fn $test() {
            #[derive(Serialize, Outbox)]
            $(#[$serde])*
            #[outbox(topic = "users", unordered)]
            enum Event {
                Joined {
                    #[outbox(skip)]
                    password: &'static str,
                    #[outbox(hash)]
                    token: Option<u8>,
                    #[serde(flatten)]
                    rest: Rest,
                },
            }

            assert_eq!(image(&Event::Joined { password: "canary", token: None, rest: REST }), $image);
        }
    };
}

flattened_under!(flattened_externally_tagged, => r#"{"Joined":{"token":null,"a":1,"b":2}}"#);
flattened_under!(flattened_internally_tagged, #[serde(tag = "t")] => r#"{"t":"Joined","token":null,"a":1,"b":2}"#);
flattened_under!(flattened_adjacently_tagged, #[serde(tag = "t", content = "c")] =>
    r#"{"t":"Joined","c":{"token":null,"a":1,"b":2}}"#);
flattened_under!(flattened_untagged, #[serde(untagged)] => r#"{"token":null,"a":1,"b":2}"#);

/// A rule that misses its field is an error, so each of these shows that the derive knows serde's name.
macro_rules! cased {
    ($test:ident, $case:literal => $name:literal) => {
        #[test]
        fn $test() {
            #[derive(Serialize, Outbox)]
            #[serde(rename_all = $case)]
            #[outbox(table = "users")]
            struct User {
                #[outbox(key)]
                id: u8,
                #[outbox(redact)]
                _client_secret2_x: &'static str,
            }

            let user = User { id: 1, _client_secret2_x: "canary" };
            let written: std::collections::BTreeMap<String, serde_json::Value> =
                serde_json::from_str(&user.image().unwrap()).unwrap();
            assert_eq!(written[$name], "[redacted]");
            assert_eq!(written.len(), 2);
        }
    };
}

cased!(lower, "lowercase" => "_client_secret2_x");
cased!(upper, "UPPERCASE" => "_CLIENT_SECRET2_X");
cased!(pascal, "PascalCase" => "ClientSecret2X");
cased!(camel, "camelCase" => "clientSecret2X");
cased!(snake, "snake_case" => "_client_secret2_x");
cased!(screaming_snake, "SCREAMING_SNAKE_CASE" => "_CLIENT_SECRET2_X");
cased!(kebab, "kebab-case" => "-client-secret2-x");
cased!(screaming_kebab, "SCREAMING-KEBAB-CASE" => "-CLIENT-SECRET2-X");

#[test]
fn serdes_own_names_are_followed() {
    #[derive(Serialize, Outbox)]
    #[serde(tag = "t", rename_all_fields(serialize = "UPPERCASE"))]
    #[outbox(topic = "users", unordered)]
    enum Event {
        One {
            #[outbox(redact)]
            password: u8,
            #[serde(rename(serialize = "pin", deserialize = "x"))]
            #[outbox(redact)]
            token: u8,
        },
        #[serde(rename_all = "PascalCase")]
        Two {
            #[outbox(redact)]
            user_password: u8,
            #[serde(skip_serializing_if = "Option::is_none")]
            #[outbox(redact)]
            token: Option<u8>,
            #[serde(skip)]
            _secret: u8,
        },
    }

    assert_eq!(
        image(&Event::One { password: 1, token: 2 }),
        r#"{"t":"One","PASSWORD":"[redacted]","pin":"[redacted]"}"#
    );
    let two = |token| Event::Two { user_password: 1, token, _secret: 2 };
    assert_eq!(image(&two(None)), r#"{"t":"Two","UserPassword":"[redacted]"}"#);
    assert_eq!(image(&two(Some(1))), r#"{"t":"Two","UserPassword":"[redacted]","Token":"[redacted]"}"#);
}

#[test]
fn a_flattened_struct_that_serde_skips_is_not_in_the_image() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "users", unordered)]
    struct Event {
        id: u8,
        #[serde(flatten, skip_serializing)]
        _secrets: Rest,
        #[serde(flatten, skip_serializing)]
        #[outbox(skip)]
        _more: Rest,
    }

    assert_eq!(image(&Event { id: 1, _secrets: REST, _more: REST }), r#"{"id":1}"#);
}

#[test]
fn a_flattened_struct_may_leave_a_protected_field_out() {
    #[derive(Serialize, Outbox)]
    #[outbox(topic = "users", unordered)]
    struct Event {
        #[serde(skip_serializing_if = "Option::is_none")]
        #[outbox(redact)]
        token: Option<u8>,
        #[serde(flatten)]
        rest: Rest,
    }

    assert_eq!(image(&Event { token: None, rest: REST }), r#"{"a":1,"b":2}"#);
    assert_eq!(image(&Event { token: Some(1), rest: REST }), r#"{"token":"[redacted]","a":1,"b":2}"#);
}

#[test]
fn an_untagged_variant_has_no_content_around_it() {
    #[derive(Serialize, Outbox)]
    #[serde(tag = "t", content = "c")]
    #[outbox(topic = "users", unordered)]
    enum Event {
        Tagged {
            #[outbox(redact)]
            token: u8,
        },
        #[serde(untagged)]
        Bare {
            #[outbox(redact)]
            token: u8,
        },
    }

    assert_eq!(image(&Event::Tagged { token: 1 }), r#"{"t":"Tagged","c":{"token":"[redacted]"}}"#);
    assert_eq!(image(&Event::Bare { token: 1 }), r#"{"token":"[redacted]"}"#);
}

#[test]
fn names_of_its_own_leave_serdes_alone() {
    #[derive(Serialize, Outbox)]
    #[serde(rename_all = "kebab-case")]
    #[outbox(table = "orders", rename_all = "camelCase")]
    struct Order {
        #[outbox(key)]
        row_id: u8,
        #[outbox(rename = "total")]
        total_cents: u8,
        #[outbox(redact, rename = "cardNo")]
        card_number: u8,
        #[serde(flatten)]
        rest: Rest,
    }

    let order = Order { row_id: 1, total_cents: 2, card_number: 3, rest: REST };
    assert_eq!(serde_json::to_string(&order).unwrap(), r#"{"row-id":1,"total-cents":2,"card-number":3,"a":1,"b":2}"#);
    assert_eq!(order.image().unwrap(), r#"{"rowId":1,"total":2,"cardNo":"[redacted]","a":1,"b":2}"#);
}

#[test]
fn a_serialize_that_hides_a_protected_field_is_an_error() {
    #[derive(Outbox)]
    #[outbox(table = "users")]
    struct User {
        #[outbox(key)]
        id: u8,
        #[outbox(redact)]
        password: &'static str,
    }

    impl Serialize for User {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (self.id, self.password).serialize(serializer)
        }
    }

    let error = User { id: 1, password: "canary" }.image().unwrap_err();
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[test]
fn numbers_and_raw_json_pass_unharmed() {
    #[derive(Serialize, Outbox)]
    #[outbox(table = "accounts")]
    struct Account {
        #[outbox(key)]
        zeta: u128,
        #[outbox(skip)]
        token: u8,
        exact: Box<serde_json::value::RawValue>,
        text: &'static str,
        odd: f64,
    }

    let exact = r#"{"b":12345678901234567890123456789012345678.90,"a":1,"a":2}"#;
    let account = Account {
        zeta: u128::MAX,
        token: 0,
        exact: serde_json::from_str(exact).unwrap(),
        text: "\0\u{10ffff}",
        odd: f64::NAN,
    };
    let expected = format!("{{\"zeta\":{},\"exact\":{exact},\"text\":\"\\u0000\u{10ffff}\",\"odd\":null}}", u128::MAX);
    assert_eq!(account.image().unwrap(), expected);
}
