use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = orders, topic, version = "1", rename_all = "camel", crate = 5)]
struct WrongKinds {
    #[outbox(key = id)]
    id: u64,
    #[outbox(rename, redact = true)]
    note: String,
}

#[derive(Serialize, Outbox)]
#[outbox(table = "", topic = "shop\norders", version = 0, key = "", tenant)]
struct Unusable {
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", key = "self.id + ", tenant = self., rename_all = "camelcase")]
struct Unfinished {
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", unordered = true, version = 4000000000)]
struct TooMuch {
    id: u64,
}

fn main() {}
