//! The expansion in surroundings that share none of its names.
#![deny(warnings, missing_docs, unused_qualifications, clippy::all, clippy::pedantic)]

/// A crate that exports the outbox under another name.
mod shop {
    pub(super) use outbox_core as outbox;
}

/// Nothing of the prelude means here what it means elsewhere.
mod hostile {
    #![allow(dead_code, clippy::allow_attributes)]

    type Option = ();
    type Result = ();
    type String = ();
    struct Some;
    struct None;
    struct Ok;
    mod std {}
    mod core {}
    mod outbox_core {}

    /// A row.
    #[derive(::serde::Serialize, ::outbox_core::Outbox)]
    #[outbox(table = "rows", version = 1)]
    pub(super) struct Row {
        /// Its key.
        #[outbox(key)]
        pub(super) id: u8,
        /// Its owner.
        #[outbox(tenant)]
        pub(super) owner: u8,
        /// Protected.
        #[outbox(redact)]
        pub(super) secret: u8,
    }

    /// What happened to a row.
    #[derive(::serde::Serialize, ::outbox_core::Outbox)]
    #[outbox(topic = "rows", key = event, tenant = id, version = 1, crate = "super::shop::outbox")]
    pub(super) enum RowEvent {
        /// It is there.
        Added {
            /// Its key.
            event: u8,
            /// Its owner.
            id: u8,
        },
    }
}

/// Fields and attributes that a macro of the application puts together.
macro_rules! table {
    ($name:ident, $table:literal, $key:ident: $type:ty) => {
        #[derive(serde::Serialize, outbox_core::Outbox)]
        #[outbox(table = $table)]
        struct $name {
            #[outbox(key)]
            $key: $type,
        }
    };
}

table!(Made, "made", number: u16);

/// Keys and tenants over `self`, from within the macro and from its caller.
macro_rules! event {
    ($name:ident, $topic:literal, $key:expr, $tenant:ident, $version:literal) => {
        #[derive(serde::Serialize, outbox_core::Outbox)]
        #[outbox(topic = $topic, key = $key, tenant = self.number + 1, version = $version)]
        struct $name {
            number: u16,
        }

        #[derive(serde::Serialize, outbox_core::Outbox)]
        #[outbox(topic = $topic, key = "self.number", tenant = $tenant)]
        struct Other {
            number: u16,
        }
    };
}

event!(Called, "called", "self.number", number, 2);

#[test]
fn names_do_not_clash() {
    use outbox_core::{DomainEvent, Entity};

    let row = hostile::Row { id: 1, owner: 2, secret: 3 };
    assert_eq!(row.image().unwrap(), r#"{"id":1,"owner":2,"secret":"[redacted]"}"#);
    assert_eq!((row.key(), row.tenant()), ("1".into(), Some("2".into())));
    let added = hostile::RowEvent::Added { event: 1, id: 2 };
    let event = added.to_event().unwrap();
    assert_eq!((&*event.key, event.tenant_id.as_deref()), ("1", Some("2")));
    assert_eq!((Made::TABLE, &*Made { number: 3 }.key()), ("made", "3"));
    let called = Called { number: 3 };
    let event = called.to_event().unwrap();
    assert_eq!((&*event.topic, &*event.key, event.tenant_id.as_deref()), ("called", "3", Some("4")));
    assert_eq!(event.schema_version, Some(2));
    let other = Other { number: 5 };
    let event = other.to_event().unwrap();
    assert_eq!((&*event.key, event.tenant_id.as_deref()), ("5", Some("5")));
}
