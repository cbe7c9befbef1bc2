use outbox_core::Outbox;
use serde::Serialize;

mod shop {}

#[derive(Serialize, Outbox)]
#[outbox(table = "orders", crate = "shop::outbox")]
struct Order {
    #[outbox(key)]
    id: u64,
}

fn main() {}
