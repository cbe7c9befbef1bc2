use outbox_core::Outbox;
use serde::Serialize;

#[derive(Clone, Serialize)]
struct Other {
    password: String,
}

impl From<IntoOther> for Other {
    fn from(from: IntoOther) -> Self {
        Self { password: from.password }
    }
}

#[derive(Clone, Serialize, Outbox)]
#[serde(into = "Other")]
#[outbox(topic = "users", unordered, rename_all = "camelCase")]
struct IntoOther {
    #[outbox(redact)]
    password: String,
}

#[derive(Serialize, Outbox)]
#[serde(transparent)]
#[outbox(topic = "users", unordered)]
struct Transparent {
    #[outbox(hash)]
    password: String,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "users", unordered)]
struct Flat {
    #[serde(flatten)]
    #[outbox(skip)]
    secrets: Other,
    #[serde(flatten)]
    #[outbox(rename = "x")]
    others: Other,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "users", unordered)]
struct Nameless(#[outbox(redact)] String, u64);

#[derive(Serialize, Outbox)]
#[outbox(topic = "users", unordered)]
enum Event {
    Nameless(#[outbox(skip)] String),
    #[serde(serialize_with = "by_hand")]
    ByHand {
        #[outbox(redact)]
        password: String,
    },
}

fn by_hand<S: serde::Serializer>(password: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(password)
}

fn main() {}
