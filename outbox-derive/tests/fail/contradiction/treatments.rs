use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = "orders")]
struct Order {
    #[outbox(key)]
    id: u64,
    #[outbox(skip, redact)]
    note: String,
    #[outbox(plain)]
    #[outbox(hash)]
    token: String,
    #[outbox(skip, rename = "other")]
    comment: String,
    #[serde(skip)]
    #[outbox(redact)]
    unwritten: String,
    #[outbox(rename = "comments")]
    one: u64,
    #[serde(rename = "comments")]
    two: u64,
    #[outbox(rename = "comments")]
    three: u64,
}

fn main() {}
