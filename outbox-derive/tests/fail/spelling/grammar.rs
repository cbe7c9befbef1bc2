use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox]
#[outbox = "orders"]
#[outbox("orders", topic == "orders", key tenant, version =)]
#[outbox(outbox::topic = "orders")]
struct Order {
    #[outbox(key[0])]
    id: u64,
}

fn main() {}
