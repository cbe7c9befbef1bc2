use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = "users")]
struct User {
    #[outbox(key)]
    id: u64,
    password_hash: String,
    #[serde(rename = "clientSecret")]
    client: String,
    #[outbox(rename = "IBAN")]
    account: String,
    r#token: String,
    #[serde(skip)]
    secret: String,
    #[serde(flatten)]
    card: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "users", unordered)]
enum UserEvent {
    Joined { card_number: String },
}

fn main() {}
