use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
struct Order {
    id: u64,
}

#[derive(Serialize, Outbox)]
enum OrderEvent {
    Placed { id: u64 },
}

fn main() {}
