//! A protected value shows nowhere.

use outbox_core::capture::change;
use outbox_core::{DomainEvent, Entity, Outbox};
use serde::{Serialize, Serializer};

const CANARY: &str = "canary-4111111111111111";

#[derive(Clone, Serialize, Outbox)]
#[outbox(table = "users")]
struct User {
    #[outbox(key)]
    id: u8,
    #[outbox(skip)]
    password: String,
    #[outbox(redact)]
    card: Vec<String>,
    #[outbox(hash)]
    iban: String,
    #[outbox(plain)]
    token: Refusing,
}

#[derive(Serialize, Outbox)]
#[outbox(topic = "users", key = id)]
enum UserEvent {
    Joined {
        id: u8,
        #[outbox(redact)]
        secret: Refusing,
        #[outbox(hash)]
        token: String,
    },
    Failed {
        id: u8,
        #[outbox(hash)]
        secret: Refusing,
    },
}

/// Says its value in the error when it is written, unless it is empty.
#[derive(Clone)]
struct Refusing(&'static str);

impl Serialize for Refusing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() { serializer.serialize_unit() } else { Err(serde::ser::Error::custom(self.0)) }
    }
}

#[test]
fn neither_image_nor_debug_nor_error_shows_a_protected_value() {
    let user = User {
        id: 1,
        password: CANARY.to_owned(),
        card: vec![CANARY.to_owned()],
        iban: CANARY.to_owned(),
        token: Refusing(""),
    };
    let gone = User { id: 2, ..user.clone() };
    let joined = UserEvent::Joined { id: 1, secret: Refusing(CANARY), token: CANARY.to_owned() };
    let failed = UserEvent::Failed { id: 1, secret: Refusing(CANARY) };

    let change = change(Some(&gone), Some(&user)).unwrap().unwrap();
    let joined = joined.to_event().unwrap();
    let error = failed.to_event().unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    let payloads = [&change.payload, &change.old_payload, &joined.payload]
        .map(|payload| String::from_utf8(payload.as_ref().unwrap().as_bytes().to_vec()).unwrap());
    let shown = [user.image().unwrap(), payloads.join(""), format!("{change:?} {joined:?} {error} {error:?} {source}")];
    for text in shown {
        assert!(!text.contains("4111111111111111"), "{text}");
    }
    assert_eq!(
        payloads[2],
        format!(r#"{{"Joined":{{"id":1,"secret":"[redacted]","token":"{}"}}}}"#, sha256_of_canary())
    );
}

/// From `printf canary-4111111111111111 | sha256sum`.
fn sha256_of_canary() -> &'static str {
    "436129a5c62ce5cd0f351bf20d28ec14a6e3a30d8a0071217191fcb07bb74fff"
}
