use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", key = oder_id, tenant = owner)]
struct Order {
    order_id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", key = order_id)]
enum OrderEvent {
    Placed { order_id: u64 },
    Shipped { orderid: u64 },
    Archived,
    Returned(u64),
}

fn main() {}
