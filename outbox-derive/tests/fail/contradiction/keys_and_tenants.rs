use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", key = id, unordered, event_type = "order")]
enum OrderEvent {
    Placed {
        #[outbox(key)]
        id: u64,
        #[outbox(tenant)]
        region: u64,
        #[outbox(tenant)]
        country: u64,
    },
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", unordered, tenant = region)]
struct Order {
    #[outbox(key)]
    id: u64,
    #[outbox(tenant)]
    region: u64,
}

fn main() {}
