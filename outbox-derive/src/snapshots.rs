//! What the derive writes, as a formatter shows it.

use proc_macro2::TokenStream;

fn expanded(input: &str) -> String {
    let tokens: TokenStream = input.parse().unwrap();
    prettyplease::unparse(&syn::parse2(crate::implementation(tokens).unwrap()).unwrap())
}

/// The messages of all mistakes, in order.
fn mistakes(input: &str) -> Vec<String> {
    let tokens: TokenStream = input.parse().unwrap();
    crate::implementation(tokens).unwrap_err().into_iter().map(|error| error.to_string()).collect()
}

#[test]
fn entity() {
    insta::assert_snapshot!(expanded(
        r#"
        #[outbox(table = "orders", topic = "shop.orders", version = 1)]
        struct Order {
            #[outbox(key)] id: Uuid,
            #[outbox(tenant)] tenant_id: String,
            status: Status,
            #[outbox(redact)] card_number: String,
        }
        "#
    ));
}

#[test]
fn enum_of_domain_events() {
    insta::assert_snapshot!(expanded(
        r#"
        #[outbox(topic = "shop.order-events", key = order_id)]
        enum OrderEvent {
            Placed { order_id: Uuid, total_cents: i64 },
            #[outbox(event_type = "order-shipped", topic = "shop.shipping", version = 2)]
            Shipped { order_id: String, #[outbox(tenant)] tenant: Option<String> },
        }
        "#
    ));
}

#[test]
fn struct_as_domain_event() {
    insta::assert_snapshot!(expanded(
        r#"
        #[outbox(topic = "mail", key = "self.mail.to()", tenant = self.mail.tenant(), crate = "shop::outbox")]
        struct MailQueued { mail: Mail, #[outbox(hash, rename = "address")] to_card: String }
        "#
    ));
}

#[test]
fn composite_key_with_generics() {
    insta::assert_snapshot!(expanded(
        r#"
        #[outbox(table = "lines")]
        struct Line<'a, Id: Copy, const N: usize> {
            #[outbox(key)] order: Wrapper<Id>,
            #[outbox(key)] number: u32,
            #[outbox(tenant)] tenant: Option<Id>,
            text: &'a str,
        }
        "#
    ));
}

#[test]
fn rules_of_each_kind_go_by_serdes_names() {
    insta::assert_snapshot!(expanded(
        r#"
        #[serde(tag = "kind", content = "data", rename_all_fields = "camelCase")]
        #[outbox(topic = "users", unordered, rename_all = "SCREAMING-KEBAB-CASE")]
        enum UserEvent {
            Joined {
                #[outbox(skip)] pass_word: String,
                #[serde(rename = "n")] full_name: String,
                #[serde(rename(serialize = "t"), skip_serializing_if = "Option::is_none")] #[outbox(hash)] a_token: Option<String>,
                #[serde(flatten)] rest: Rest,
                #[serde(skip)] secret: Secret,
            },
            Left(u64),
            #[serde(untagged)]
            Renamed { #[outbox(plain)] r#card: String },
        }
        "#
    ));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mistakes = mistakes(
        r#"
        #[outbox(topc = "a", table = 3, version = 0)]
        #[outbox(key)]
        struct Order {
            #[outbox(kee, redact = "x", topic = "b")] id: Uuid,
            card_number: String,
        }
        "#,
    );
    let starts = [
        "`topc` is no word for a struct or enum, did you mean `topic`?",
        "`table` needs a string, write `table = \"orders\"`",
        "a version is a whole number from 1",
        "name a field, `key = order_id`",
        "`kee` is no word for a field, did you mean `key`?",
        "`redact` takes no value here, write `redact`",
        "`topic` is no word for a field: it goes on a struct or enum",
        "`card_number` sounds like a secret",
    ];
    for start in starts {
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(start)), "{start:?} is not in {mistakes:#?}");
    }
}
