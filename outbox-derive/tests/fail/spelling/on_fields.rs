use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = "orders")]
struct WithValues {
    #[outbox(key(id), tenant = "eu")]
    id: u64,
    #[outbox(skip = true)]
    note: String,
    #[outbox(redact(all))]
    card: String,
    #[outbox(hash = "sha256")]
    token: String,
    #[outbox(plain = "yes")]
    secret: String,
    #[outbox(rename(to = "sum"))]
    total: u64,
    #[outbox(rename = "")]
    count: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(table = "orders")]
struct SaidTwice {
    #[outbox(key, tenant, tenant)]
    id: u64,
    #[outbox(rename = "a", rename = "b")]
    note: String,
    #[outbox(hash, hash)]
    token: String,
}

fn main() {}
