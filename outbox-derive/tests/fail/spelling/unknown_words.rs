use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(topc = "orders", eventtype = "placed", key = id)]
struct NearWords {
    #[outbox(kee, redcat)]
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(banana)]
struct FarWord {
    id: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", unordered, redact)]
enum WordsOfAnotherPlace {
    #[outbox(table = "orders", key)]
    Placed {
        #[outbox(version = 1)]
        id: u64,
    },
}

fn main() {}
