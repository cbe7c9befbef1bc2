use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", key = id)]
enum WrongKinds {
    #[outbox(topic = 3, event_type, version = "two", rename_all = "dromedary")]
    Placed { id: u64 },
    #[outbox(topic = "", event_type = "order\tshipped", version = -1, rename_all)]
    Shipped { id: u64 },
    #[outbox(topic = "a", topic = "b", event_type = "c", event_type = "d", version = 1, version = 2)]
    #[outbox(rename_all = "camelCase")]
    #[outbox(rename_all = "kebab-case")]
    Returned { id: u64 },
    #[outbox(unordered, tenant = id, crate = "shop", redact)]
    Archived { id: u64 },
}

fn main() {}
