use outbox_core::Outbox;

#[derive(Outbox)]
#[outbox(table = "orders")]
struct Order {
    #[outbox(key)]
    id: u64,
}

fn main() {}
