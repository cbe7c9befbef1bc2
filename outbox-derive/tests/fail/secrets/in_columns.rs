use outbox_core::Outbox;
use serde::Serialize;

#[derive(Serialize, Outbox)]
#[outbox(table = "users")]
struct User {
    #[outbox(key, redact)]
    email: String,
    #[outbox(tenant, hash)]
    company: String,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "sessions", key = token, tenant = secret)]
struct Session {
    #[outbox(skip)]
    token: String,
    #[serde(skip)]
    secret: String,
}

fn main() {}
