use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[serde(tag = "type")]
#[outbox(topic = "orders", unordered)]
enum OrderEvent {
    Placed {
        #[outbox(rename = "type")]
        kind: String,
    },
    #[outbox(rename_all = "camelCase")]
    Moved {
        from_place: String,
        #[serde(rename = "x")]
        #[outbox(rename = "fromPlace")]
        other: String,
    },
    #[outbox(rename_all = "camelCase")]
    Archived,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "orders", unordered, rename_all = "camelCase")]
struct Pair(u64, u64);

#[derive(Serialize, Outbox)]
#[outbox(table = "orders", key = 0)]
struct Row(#[outbox(rename = "id")] u64);

fn main() {}
