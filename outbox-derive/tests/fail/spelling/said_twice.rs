use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = "orders", version = 1, table = "lines")]
#[outbox(version = 2)]
struct Order {
    #[outbox(key, key)]
    id: u64,
}

fn main() {}
