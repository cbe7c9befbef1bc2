use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", key = id, version = 1)]
enum OrderEvent {
    Placed { id: u64 },
    #[outbox(event_type = "Placed")]
    PlacedByPhone { id: u64 },
    #[outbox(event_type = "Placed", version = 2)]
    PlacedAnew { id: u64 },
    #[outbox(event_type = "Placed", topic = "phone-orders")]
    PlacedElsewhere { id: u64 },
    #[serde(skip_serializing)]
    Internal { id: u64 },
}

fn main() {}
