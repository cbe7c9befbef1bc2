use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize)]
struct Id(u64);

#[derive(Serialize, Outbox)]
#[outbox(table = "orders")]
struct Order {
    #[outbox(key)]
    id: Id,
    #[outbox(tenant)]
    tenant: Option<Id>,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "lines", unordered, tenant = "self.order")]
struct Line {
    order: Id,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "lines")]
enum LineEvent {
    Added {
        #[outbox(key)]
        order: u64,
        #[outbox(key)]
        line: Id,
    },
}

fn main() {}
