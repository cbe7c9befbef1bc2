//! `#[derive(Outbox)]`: change events from entities, domain events from structs and enums.
//!
//! Use it by its name in `outbox-core`. A derive goes through four steps, each a file: `collect` reads the attributes,
//! `model` says what they mean, `check` what is wrong with them, `expand` writes the implementation. All mistakes are told
//! in one compile, each where it stands.

mod attribute;
mod case;
#[cfg(test)]
mod cases;
mod check;
mod collect;
mod description;
mod errors;
mod expand;
mod model;
mod names;
mod protect;
mod serde;
#[cfg(test)]
mod serde_names;
#[cfg(test)]
mod snapshots;
mod values;
mod variants;
mod writer;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::errors::Errors;

/// Makes a type an entity, whose changes are events, or a domain event.
///
/// A struct with a `table` is an entity; any other struct or enum is a domain event. The payload is the JSON that the
/// type's `Serialize` writes, so serde's attributes hold for it.
///
/// ```
/// use outbox_core::{DomainEvent, Entity, Outbox};
/// use serde::Serialize;
///
/// #[derive(Serialize, Outbox)]
/// #[outbox(table = "orders", topic = "shop.orders", version = 1)]
/// struct Order {
///     #[outbox(key)]
///     id: u64,
///     #[outbox(tenant)]
///     tenant_id: String,
///     #[outbox(redact)]
///     card_number: String,
/// }
///
/// #[derive(Serialize, Outbox)]
/// #[outbox(topic = "shop.order-events", key = order_id)]
/// enum OrderEvent {
///     Placed { order_id: u64, total_cents: i64 },
///     Shipped { order_id: u64 },
/// }
///
/// let order = Order { id: 7, tenant_id: "eu".to_owned(), card_number: "4111111111111111".to_owned() };
/// assert_eq!(order.key(), "7");
/// assert_eq!(order.image().unwrap(), r#"{"id":7,"tenant_id":"eu","card_number":"[redacted]"}"#);
///
/// let placed = OrderEvent::Placed { order_id: 7, total_cents: 1999 };
/// let event = placed.to_event().unwrap();
/// assert_eq!((&*event.topic, &*event.key, event.event_type.as_deref()), ("shop.order-events", "7", Some("Placed")));
/// # let _ = OrderEvent::Shipped { order_id: 7 };
/// ```
///
/// # On a struct or enum
///
/// | Attribute | Says |
/// |---|---|
/// | `table = "orders"` | a struct is an entity; its events carry this table |
/// | `topic = "shop.orders"` | the topic; an entity's is its table unless said otherwise |
/// | `key = order_id` | the field that says what must stay in order; every variant of an enum has it |
/// | `key = "self.order.id"` | the same as an expression over `self` |
/// | `unordered` | no order is wanted: the key is empty; not for entities |
/// | `tenant = tenant_id` | whose data it is: a field or an expression, as for `key` |
/// | `event_type = "order-placed"` | the type of a struct's event, otherwise the struct's name |
/// | `version = 1` | the version of the payload's shape |
/// | `rename_all = "camelCase"` | how fields are called in the payload, where serde's own names will not do |
/// | `crate = "shop::outbox"` | where `outbox-core` is found, for crates that export it again |
///
/// A variant takes `topic`, `event_type` (otherwise its name), `version` and `rename_all` for itself. No two variants are
/// one event type of one topic and version, for consumers could not tell them apart.
///
/// # On a field
///
/// | Attribute | Says |
/// |---|---|
/// | `key` | what must stay in order; on several fields a composite key, in their order |
/// | `tenant` | whose data it is; `None` of an `Option` is nobody's |
/// | `skip` | the payload leaves the field out |
/// | `redact` | the payload says `[redacted]` |
/// | `hash` | the payload has the value's SHA-256, which tells equal values and no more |
/// | `plain` | the payload has the value, whatever the field's name sounds like |
/// | `rename = "order_no"` | the field's name in the payload, where serde's own will not do |
///
/// A field whose name says password (also passwd, pwd, passphrase), secret, token, api key, card, cvv (also cvc), pin or
/// iban must carry one of `skip`, `redact`, `hash` and `plain`. Capitals, plurals and joined words such as `creditcard`
/// count. A pin is a word of its own, and words such as `discard` or `cardinality` are no cards.
/// A hash does not hide a value with few possibilities, such as a card number: whoever has the payload can try them all.
///
/// These attributes hold for the fields of the type itself. A struct within a field is written by its own `Serialize`,
/// and the attributes it has for its own events do not count there. The fields of a struct that serde's `flatten` draws
/// into this one are out of reach in the same way: a secret among them is not noticed.
///
/// What the type writes is also said as a constant, `outbox_core::Described`, from which the feature `schema` of
/// `outbox-core` makes a JSON Schema for each event type and version.
///
/// Keys and tenants are text: `String`, `&str` and the like are lent, anything else is written by its `Display`. The parts
/// of a composite key are joined by `/`; within a part `/` becomes `\/` and `\` becomes `\\`.
#[proc_macro_derive(Outbox, attributes(outbox))]
pub fn derive(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    implementation(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

fn implementation(input: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let mut errors = Errors::default();
    let input = collect::collect(input, &mut errors);
    let model = model::model(&input, &mut errors);
    check::check(&model, &mut errors);
    errors.into_result()?;
    Ok(expand::expand(&model))
}
