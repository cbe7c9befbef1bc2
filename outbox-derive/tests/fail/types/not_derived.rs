use outbox_core::{Described, DomainEvent, Entity};

struct Order;

fn describe<T: Described>() {}
fn append(_: &impl DomainEvent) {}
fn insert(_: &impl Entity) {}

fn main() {
    describe::<Order>();
    append(&Order);
    insert(&Order);
}
