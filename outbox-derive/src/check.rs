//! Third step: what contradicts itself, or would write a secret.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::Member;

use crate::collect::{Input, Treatment};
use crate::errors::Errors;
use crate::model::{Field, Model, Part, Shape, TextType, name_of};
use crate::names::secret_in;

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
        errors.at(&event_type.word, "a change event has an operation in place of a type: remove `event_type`, or `table`");
    }
    let is_object = |shape: &Shape<'_>| !shape.raw.is_tuple || shape.fields.len() == 1;
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
    // A container's key that names no field has been told already, as has a missing attribute.
    if !shape.key.is_empty() || words.key.is_some() || words.unordered.is_some() || !model.input.is_marked {
        return;
    }
    let help = if model.input.is_enum {
        "this variant has no key: mark its field with `#[outbox(key)]`, or write `key = order_id` or `unordered` on the enum"
    } else if model.table.is_some() {
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

/// Keys and tenants have columns of their own, where everybody can read them.
fn check_column(column: &str, part: &Part<'_>, errors: &mut Errors) {
    let Part::Field(field) = part else { return };
    let is_secret = secret_in(&name_of(&field.member)).is_some();
    if is_secret && field.serde.skip && field.words.treatments.is_empty() {
        errors.at(&field.member, format_args!("the {column} stands in the outbox as it is: confirm with `#[outbox(plain)]`"));
    }
    for treatment in &field.words.treatments {
        let contradicts = match treatment.value {
            Treatment::Plain => false,
            Treatment::Skip => is_secret,
            Treatment::Redact | Treatment::Hash => true,
        };
        if contradicts {
            errors.at(
                &treatment.word,
                format_args!("the {column} stands in the outbox as it is: take another field for it, or write `plain`"),
            );
        }
    }
}

fn check_treatment(input: &Input, shape: &Shape<'_>, field: &Field<'_>, errors: &mut Errors) {
    let raw = field.raw;
    let treatments = &raw.words.treatments;
    for extra in treatments.iter().skip(1) {
        let first = &treatments[0].word;
        errors.at(&extra.word, format_args!("`{first}` and `{}` contradict each other, keep one", extra.word));
    }
    if treatments.is_empty() && !raw.serde.skip {
        check_secret(field, errors);
    }
    let ruled_by: Vec<(&Ident, bool)> = treatments
        .iter()
        .filter(|said| said.value != Treatment::Plain)
        .map(|said| (&said.word, said.value == Treatment::Skip))
        .chain(raw.words.rename.as_ref().map(|said| (&said.word, false)))
        .collect();
    for (word, is_skip) in ruled_by {
        if let Some(reason) = unruly(input, shape, field, is_skip) {
            errors.at(word, format_args!("`{word}` cannot work here: {reason}"));
        }
    }
    let is_skipped = treatments.iter().any(|said| said.value == Treatment::Skip);
    if let Some(rename) = raw.words.rename.as_ref().filter(|_| is_skipped) {
        errors.at(&rename.word, "a skipped field has no name in the image: remove `rename`, or `skip`");
    }
}

fn check_secret(field: &Field<'_>, errors: &mut Errors) {
    let Member::Named(ident) = &field.raw.member else { return };
    let names = [Some(name_of(&field.raw.member)), field.serialized.clone(), field.renamed.clone()];
    let Some((name, word)) = names.into_iter().flatten().find_map(|name| secret_in(&name).map(|word| (name, word))) else {
        return;
    };
    errors.at(
        ident,
        format_args!(
            "`{name}` sounds like a secret (`{word}`): say what the event shows\n\
             `#[outbox(skip)]` nothing\n\
             `#[outbox(redact)]` the text `[redacted]`\n\
             `#[outbox(hash)]` its SHA-256, to compare by\n\
             `#[outbox(plain)]` the value itself"
        ),
    );
}

fn check_case(input: &Input, shape: &Shape<'_>, errors: &mut Errors) {
    let case = shape.raw.words.rename_all.as_ref().or(input.words.event.rename_all.as_ref());
    if let (Some(case), Some(opaque)) = (case, opaque(input, shape)) {
        errors.at(&case.word, format_args!("`rename_all` cannot work here: {opaque}"));
    }
}

/// What makes the names of all fields unknown.
fn opaque(input: &Input, shape: &Shape<'_>) -> Option<String> {
    let word = input.serde.opaque.as_ref().or(shape.raw.serde.opaque.as_ref())?;
    Some(format!("`#[serde({word})]` hides the names of the fields"))
}

/// Why the image cannot treat this field: serde writes it under a name that is not known here, or not at all.
fn unruly(input: &Input, shape: &Shape<'_>, field: &Field<'_>, is_skip: bool) -> Option<String> {
    if let Some(reason) = opaque(input, shape) {
        return Some(reason);
    }
    if field.serialized.is_none() {
        return Some("a field without a name cannot be found in the image, give it one".to_owned());
    }
    if field.raw.serde.flatten {
        return Some("`#[serde(flatten)]` writes the fields of this field in its place".to_owned());
    }
    if field.raw.serde.skip && !is_skip {
        return Some("serde leaves this field out, write `skip` or nothing".to_owned());
    }
    None
}

/// A name given by `rename` must not be another field's.
fn check_image_names(shape: &Shape<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    let is_written = |field: &&Field<'_>| {
        let skipped = field.treatment().is_some_and(|said| said.value == Treatment::Skip);
        !skipped && !field.raw.serde.skip && !field.raw.serde.flatten
    };
    for field in shape.fields.iter().filter(is_written) {
        let Some(name) = field.renamed.as_ref().or(field.serialized.as_ref()) else { continue };
        if !seen.insert(name) {
            errors.at(place(field), format_args!("two fields would be called `{name}` in the image"));
        }
    }
}

fn place(field: &Field<'_>) -> TokenStream {
    let rename = field.raw.words.rename.as_ref().map(|rename| rename.value.to_token_stream());
    rename.unwrap_or_else(|| field.raw.member.to_token_stream())
}
