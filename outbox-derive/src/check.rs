//! Third step: what contradicts itself. What would write a secret is in `protect`.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::ToTokens;

use crate::collect::Treatment;
use crate::errors::Errors;
use crate::model::{Field, Model, Part, Place, Shape, TextType};
use crate::protect::{check_case, check_column, check_treatment};
use crate::variants::check_variants;

const ENTITY: &str = "an entity is `#[outbox(table = \"orders\")]` with a `#[outbox(key)]` field";
const DOMAIN_EVENT: &str = "a domain event is `#[outbox(topic = \"shop.orders\", key = order_id)]`";

pub(crate) fn check(model: &Model<'_>, errors: &mut Errors) {
    let input = model.input;
    if !input.is_marked {
        errors.at(&input.ident, format_args!("say what `{}` is: {ENTITY}; {DOMAIN_EVENT}", input.ident));
    }
    if input.is_enum && input.shapes.is_empty() {
        errors.at(&input.ident, "an enum without variants has no events");
    }
    match model.table {
        Some(_) => check_entity(model, errors),
        None => check_event(model, errors),
    }
    check_variants(model, errors);
    for shape in &model.shapes {
        check_case(input, shape, errors);
        check_key(model, shape, errors);
        check_tenant(model, shape, errors);
        check_image_names(shape, errors);
        for field in &shape.fields {
            check_treatment(input, shape, field, errors);
        }
    }
}

fn check_entity(model: &Model<'_>, errors: &mut Errors) {
    let input = model.input;
    let words = &input.words;
    if let Some(table) = words.table.as_ref().filter(|_| input.is_enum) {
        errors.at(&table.word, format_args!("an enum has no table: {DOMAIN_EVENT}; only a struct can be an entity"));
        return;
    }
    if let Some(unordered) = &words.unordered {
        errors.at(&unordered.word, "the changes of a row have an order: mark its primary key with `#[outbox(key)]`");
    }
    if let Some(event_type) = &words.event.event_type {
        errors.at(
            &event_type.word,
            "a change event has an operation in place of a type: remove `event_type`, or `table`",
        );
    }
    // What a newtype holds may be an object.
    let is_object = |shape: &Shape<'_>| shape.fields.len() == 1 || !(shape.raw.is_tuple || shape.fields.is_empty());
    if !model.shapes.iter().all(is_object) {
        errors.at(&input.ident, "a row is written as a JSON object: give the fields of this struct names");
    }
}

fn check_event(model: &Model<'_>, errors: &mut Errors) {
    let words = &model.input.words;
    if let Some(event_type) = words.event.event_type.as_ref().filter(|_| model.input.is_enum) {
        errors.at(
            &event_type.word,
            "each variant is an event type of its own: write `#[outbox(event_type = \"…\")]` on the variant",
        );
    }
    if let (Some(key), Some(_)) = (&words.key, &words.unordered) {
        errors.at(&key.word, "`key` and `unordered` contradict each other, keep one");
    }
}

fn check_key(model: &Model<'_>, shape: &Shape<'_>, errors: &mut Errors) {
    let words = &model.input.words;
    let marks = shape.raw.fields.iter().filter_map(|field| field.words.key.as_ref());
    for mark in marks {
        if words.key.is_some() {
            errors.at(&mark.word, "the key is named by `#[outbox(key = …)]` already, keep one");
        } else if words.unordered.is_some() {
            errors.at(&mark.word, "`key` and `unordered` contradict each other, keep one");
        }
    }
    for part in &shape.key {
        check_column("key", part, errors);
        let Part::Field(field) = part else { continue };
        if TextType::of(&field.ty).is_optional {
            errors.at(&field.ty, "a key is never absent: take a field that is not an `Option`, or an expression");
        }
    }
    // What is wrong with a key that was said has been told already, as has a missing attribute.
    let is_told = ["key", "unordered"].into_iter().any(|word| words.meant.contains(word)) || !model.input.is_marked;
    if !shape.key.is_empty() || is_told {
        return;
    }
    let help = if model.input.is_enum {
        "this variant has no key: mark its field with `#[outbox(key)]`, or write `key = order_id` or `unordered` on the enum"
    } else if words.meant.contains("table") {
        "an entity needs a key: mark its primary key with `#[outbox(key)]`"
    } else {
        "an event needs a key, which says what must stay in order: write `key = order_id`, or `unordered` for no order"
    };
    errors.at(&shape.raw.ident, help);
}

fn check_tenant(model: &Model<'_>, shape: &Shape<'_>, errors: &mut Errors) {
    if let Some(tenant) = &shape.tenant {
        check_column("tenant", tenant, errors);
    }
    let marks = shape.raw.fields.iter().filter_map(|field| field.words.tenant.as_ref());
    for mark in marks.skip(usize::from(model.input.words.tenant.is_none())) {
        errors.at(&mark.word, "there is another tenant already, keep one");
    }
}

/// A name given by `rename` must not be another field's, nor that of serde's tag beside them.
fn check_image_names(shape: &Shape<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    if let Place::Beside { tag, .. } = shape.place {
        seen.insert(tag);
    }
    let is_written = |field: &&Field<'_>| {
        let skipped = field.treatment().is_some_and(|said| said.value == Treatment::Skip);
        !skipped && !field.raw.serde.skip && !field.raw.serde.flatten
    };
    for field in shape.fields.iter().filter(is_written) {
        let Some(name) = field.renamed.as_deref().or(field.serialized.as_deref()) else { continue };
        if !seen.insert(name) {
            errors.at(
                place(field),
                format_args!("`{name}` would stand in the image twice: give this field another name"),
            );
        }
    }
}

fn place(field: &Field<'_>) -> TokenStream {
    let rename = field.raw.words.rename.as_ref().map(|rename| rename.value.to_token_stream());
    rename.unwrap_or_else(|| field.raw.member.to_token_stream())
}
