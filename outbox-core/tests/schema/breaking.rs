//! Which change of a type, under one version, breaks whom. Each case is a line of the table in `docs/guides/versions.md`.

use std::collections::BTreeMap;
use std::path::Path;

use outbox_core::event_schema::Committed;
use outbox_core::{Described, Outbox};
use schemars::JsonSchema;
use serde::Serialize;

const READERS: &str = ": consumers that read it break.";
const REPLAYS: &str = ": consumers of the new schema break when they replay older events.";
const BOTH: &str = ": consumers that read it break, and so do those of the new schema when they replay older events.";
const NOBODY: &str = ": nobody breaks.";

fn committed<T: Described + JsonSchema>(folder: &Path) -> Committed {
    Committed::in_folder(folder).with::<T>()
}

/// What the check tells when `Old` is committed and `New` is what the code says.
fn told<Old: Described + JsonSchema, New: Described + JsonSchema>() -> String {
    let folder = tempfile::tempdir().unwrap();
    committed::<Old>(folder.path()).write().unwrap();
    committed::<Old>(folder.path()).compare().unwrap();
    committed::<New>(folder.path()).compare().err().map_or_else(String::new, |mismatch| mismatch.to_string())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Status")]
enum TwoStates {
    Paid,
    Open { since: u8 },
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Status")]
enum ThreeStates {
    Paid,
    Lost,
    Open { since: u8 },
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Status")]
enum FullStates {
    Paid { at: u8 },
    Open { since: String },
}

#[derive(Serialize, JsonSchema)]
struct Point {
    x: u8,
}

/// One more.
#[derive(Serialize, JsonSchema)]
struct Place {
    x: u8,
}

/// A row before and after, and the sentences that are told, each without its field's place and the advice at its end.
macro_rules! change {
    ($test:ident: { $($old:tt)* } => { $($new:tt)* } $(, $sentence:literal $whom:expr)*) => {
        #[test]
        fn $test() {
            mod old {
                use super::*;

                #[derive(Serialize, JsonSchema, Outbox)]
                #[outbox(table = "orders", topic = "shop", version = 1, key = id)]
                pub(super) struct Order { id: u8, $($old)* }
            }
            mod new {
                use super::*;

                #[derive(Serialize, JsonSchema, Outbox)]
                #[outbox(table = "orders", topic = "shop", version = 1, key = id)]
                pub(super) struct Order { id: u8, $($new)* }
            }

            let told = told::<old::Order, new::Order>();
            let expected: &[String] = &[$($sentence.replace("…", "of `shop` `orders` version 1") + $whom),*];
            let found: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("- ")).collect();
            assert_eq!(found.len(), expected.len(), "{told}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{found:?} does not start with {expected:?}");
                assert_eq!(found.contains("Raise the version, or "), !expected.ends_with(NOBODY), "{found}");
            }
        }
    };
}

change!(nothing: { a: u8 } => { a: u8 });
change!(words_about_a_field: { a: u8 } => {
    /// What it is.
    a: u8
});
change!(the_order_of_fields: { a: u8, b: u8 } => { b: u8, a: u8 });
change!(the_name_of_a_type: { a: Point } => { a: Place });

change!(an_optional_field_more: {} => { a: Option<u8> }, "`a` … was added" NOBODY);
change!(a_field_that_may_be_left_out_more: {} => { #[serde(skip_serializing_if = "Vec::is_empty")] a: Vec<u8> },
    "`a` … was added" NOBODY);
change!(a_map_of_fields_more: {} => { #[serde(flatten)] a: BTreeMap<String, u8> }, "`{}` … was added" NOBODY);
change!(a_required_field_more: {} => { a: u8 }, "`a` … was added" REPLAYS);

change!(a_field_less: { a: u8 } => {}, "`a` … was removed" READERS);
change!(an_optional_field_less: { a: Option<u8> } => {}, "`a` … was removed" READERS);
change!(a_skipped_field: { a: u8 } => { #[outbox(skip)] a: u8 }, "`a` … was removed" READERS);
change!(a_map_of_fields_less: { #[serde(flatten)] a: BTreeMap<String, u8> } => {}, "`{}` … was removed" READERS);
change!(another_name: { a: u8 } => { b: u8 }, "`a` … was removed" READERS, "`b` … was added" REPLAYS);

change!(optional: { a: u8 } => { a: Option<u8> }, "`a` … may be absent or null now" READERS);
change!(left_out_at_times: { a: String } => { #[serde(skip_serializing_if = "String::is_empty")] a: String },
    "`a` … may be absent or null now" READERS);
change!(left_out_in_place_of_null: { a: Option<u8> } => {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u8>
});
change!(required: { a: Option<u8> } => { a: u8 }, "`a` … is never absent or null any more" REPLAYS);
change!(null_among_items: { a: Vec<u8> } => { a: Vec<Option<u8>> }, "`a[]` … may be null now" READERS);

change!(another_type: { a: u8 } => { a: String }, "`a` … was a whole number and is text" BOTH);
change!(any_type: { a: bool } => { a: serde_json::Value }, "`a` … may be absent or null now" READERS,
    "`a` … was true or false and is anything" BOTH);
change!(fractions: { a: u64 } => { a: f64 }, "`a` … was a whole number and is a number" READERS);
change!(no_fractions: { a: f32 } => { a: i8 }, "`a` … was a number and is a whole number" REPLAYS);
change!(more_digits: { a: f32 } => { a: f64 });
change!(a_wider_number: { a: u8 } => { a: i64 },
    "`a` … has another range of values, -9223372036854775808 to 9223372036854775807 in place of 0 to 255" READERS);
change!(a_narrower_number: { a: u32 } => { a: u16 },
    "`a` … has another range of values, 0 to 65535 in place of 0 to 4294967295" REPLAYS);
change!(a_number_moved: { a: i8 } => { a: u8 },
    "`a` … has another range of values, 0 to 255 in place of -128 to 127" BOTH);
change!(another_format: { a: uuid::Uuid } => { a: String },
    "`a` … has another `format`, none in place of \"uuid\"" BOTH);
change!(unique_items: { a: Vec<u8> } => { a: std::collections::HashSet<u8> },
    "`a` … has another `uniqueItems`, true in place of none" BOTH);
change!(more_items: { a: [u8; 2] } => { a: [u8; 3] },
    "`a` … has another range of items, 3 to 3 in place of 2 to 2" BOTH);
change!(a_tuple: { a: (u8, u8) } => { a: (u8, bool) }, "`a[1]` … was a whole number and is true or false" BOTH);
change!(values_of_a_map: { a: BTreeMap<String, u8> } => { a: BTreeMap<String, bool> },
    "`a{}` … was a whole number and is true or false" BOTH);
change!(values_by_number: { a: BTreeMap<u8, u8> } => { a: BTreeMap<u8, bool> },
    "`a{}` … was a whole number and is true or false" BOTH);

change!(a_state_more: { a: TwoStates } => { a: ThreeStates }, "`a` … may be \"Lost\" now" READERS);
change!(a_state_less: { a: Vec<ThreeStates> } => { a: Vec<TwoStates> },
    "`a[]` … is never \"Lost\" any more" REPLAYS);
change!(text_that_is_a_state: { a: String } => { #[schemars(with = "TwoStates")] a: String },
    "`a` … was text and is \"Paid\" or an object \"Open\"" BOTH);
change!(a_state_with_fields: { a: TwoStates } => { a: FullStates }, "`a` … is never \"Paid\" any more" REPLAYS,
    "`a` … may be an object \"Paid\" now" READERS, "`a.Open.since` … was a whole number and is text" BOTH);

change!(redacted: { a: u8 } => { #[outbox(redact)] a: u8 }, "`a` … was plain and is redacted" BOTH);
change!(hashed_in_place_of_redacted: { #[outbox(redact)] a: u8 } => { #[outbox(hash)] a: u8 },
    "`a` … was redacted and is hashed" BOTH);
change!(no_longer_hashed: { #[outbox(hash)] a: Option<String> } => { a: Option<String> },
    "`a` … was hashed and is plain" BOTH);

#[derive(Serialize, JsonSchema, Outbox)]
#[outbox(topic = "shop.order-events", key = order_id, version = 1)]
enum OrderEvent {
    Placed { order_id: u8, total_cents: i64 },
}

mod new {
    use super::*;

    #[derive(Serialize, JsonSchema)]
    pub(super) struct Tree {
        leaf: bool,
        children: Vec<Tree>,
    }

    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(topic = "shop.order-events", key = order_id, version = 1)]
    pub(super) enum OrderEvent {
        Placed { order_id: u8 },
    }
}

mod old {
    use super::*;

    #[derive(Serialize, JsonSchema)]
    pub(super) struct Tree {
        leaf: u8,
        children: Vec<Tree>,
    }
}

change!(a_type_that_holds_itself: { a: old::Tree } => { a: new::Tree },
    "`a.leaf` … was a whole number and is true or false" BOTH);

#[test]
fn the_sentence_says_which_field_broke_whom_and_what_to_do() {
    assert_eq!(
        told::<OrderEvent, new::OrderEvent>(),
        "the events are not as they are committed\n\n- `total_cents` of `shop.order-events` `Placed` version 1 was \
         removed: consumers that read it break. Raise the version, or keep the field."
    );
}
