use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = "orders")]
struct Entity {
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders")]
struct Event {
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders")]
enum OrderEvent {
    Placed {
        #[outbox(key)]
        id: u64,
    },
    Shipped { id: u64 },
}

fn main() {}
