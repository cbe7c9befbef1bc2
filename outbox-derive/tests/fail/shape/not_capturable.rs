use outbox_core::Outbox;
use serde::Serialize;

#[derive(Outbox)]
#[outbox(table = "orders")]
union Bits {
    id: u64,
    text: u64,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "nothing", unordered)]
enum Nothing {}

#[derive(Serialize, Outbox)]
#[outbox(table = "pairs")]
struct Pair(#[outbox(key)] u64, u64);

#[derive(Serialize, Outbox)]
#[outbox(table = "units", key = "'a'")]
struct Unit;

#[derive(Serialize, Outbox)]
#[outbox(table = "orders")]
struct OptionalKey {
    #[outbox(key)]
    id: Option<u64>,
}

fn main() {}
