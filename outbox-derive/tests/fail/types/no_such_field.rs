use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", key = "self.oder_id", tenant = self.region())]
struct Placed {
    order_id: u64,
}

fn main() {}
