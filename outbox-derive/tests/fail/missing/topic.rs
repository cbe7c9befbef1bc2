use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(key = id)]
struct Order {
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(key = id)]
enum OrderEvent {
    #[outbox(topic = "orders")]
    Placed { id: u64 },
    Shipped { id: u64 },
}

fn main() {}
