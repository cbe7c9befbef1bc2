use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = "orders", event_type = "order", unordered)]
struct Order {
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(table = "orders")]
enum OrderEvent {
    Placed {
        #[outbox(key)]
        id: u64,
    },
}

fn main() {}
