use outbox_core::{DomainEvent, Entity, Outbox};
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = "orders")]
struct Order {
    #[outbox(key)]
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", key = id)]
struct OrderPlaced {
    id: u64,
}

fn append(_: &impl DomainEvent) {}
fn insert(_: &impl Entity) {}

fn main() {
    append(&Order { id: 1 });
    insert(&OrderPlaced { id: 1 });
}
