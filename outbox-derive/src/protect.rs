//! The part of the checks that keeps secrets out of events.

use proc_macro2::Ident;
use syn::Member;

use crate::collect::{Input, Treatment};
use crate::errors::Errors;
use crate::model::{Field, Part, Shape, name_of};
use crate::names::secret_in;

/// Keys and tenants have columns of their own, where everybody can read them.
pub(crate) fn check_column(column: &str, part: &Part<'_>, errors: &mut Errors) {
    let Part::Field(field) = part else { return };
    let is_secret = secret_in(&name_of(&field.member)).is_some();
    if is_secret && field.serde.skip && field.words.treatments.is_empty() {
        errors.at(
            &field.member,
            format_args!("the {column} stands in the outbox as it is: confirm with `#[outbox(plain)]`"),
        );
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

pub(crate) fn check_treatment(input: &Input, shape: &Shape<'_>, field: &Field<'_>, errors: &mut Errors) {
    let raw = field.raw;
    let treatments = &raw.words.treatments;
    for extra in treatments.iter().skip(1) {
        let (first, second) = (&treatments[0].word, &extra.word);
        if first == second {
            errors.at(second, format_args!("`{second}` is said twice, keep one"));
        } else {
            errors.at(second, format_args!("`{first}` and `{second}` contradict each other, keep one"));
        }
    }
    if treatments.is_empty() && !raw.serde.skip {
        check_secret(field, errors);
    }
    let ruled_by: Vec<(&Ident, Option<Treatment>)> = treatments
        .iter()
        .filter(|said| said.value != Treatment::Plain)
        .map(|said| (&said.word, Some(said.value)))
        .chain(raw.words.rename.as_ref().map(|said| (&said.word, None)))
        .collect();
    for (word, treatment) in ruled_by {
        if let Some(reason) = unruly(input, shape, field, treatment) {
            errors.at(word, format_args!("`{word}` cannot work here: {reason}"));
        }
    }
    let is_skipped = treatments.iter().any(|said| said.value == Treatment::Skip);
    if let Some(rename) = raw.words.rename.as_ref().filter(|_| is_skipped) {
        errors.at(&rename.word, "a skipped field has no name in the image: remove `rename`, or `skip`");
    }
}

fn check_secret(field: &Field<'_>, errors: &mut Errors) {
    let Member::Named(ident) = &field.raw.member else {
        return;
    };
    let names = [Some(name_of(&field.raw.member)), field.serialized.clone(), field.renamed.clone()];
    let Some((name, word)) = names.into_iter().flatten().find_map(|name| secret_in(&name).map(|word| (name, word)))
    else {
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

pub(crate) fn check_case(input: &Input, shape: &Shape<'_>, errors: &mut Errors) {
    let own = shape.raw.words.rename_all.as_ref();
    let Some(case) = own.or(input.words.event.rename_all.as_ref()) else { return };
    // Said on an enum it is for those of the variants that have named fields.
    let needs_names = own.is_some() || !input.is_enum;
    if let Some(opaque) = opaque(input, shape) {
        errors.at(&case.word, format_args!("`rename_all` cannot work here: {opaque}"));
    } else if needs_names && shape.fields.iter().all(|field| field.serialized.is_none()) {
        errors.at(&case.word, "`rename_all` cannot work here: there are no fields with names");
    }
}

/// What makes the names of all fields unknown.
fn opaque(input: &Input, shape: &Shape<'_>) -> Option<String> {
    let word = input.serde.opaque.as_ref().or(shape.raw.serde.opaque.as_ref())?;
    Some(format!("`#[serde({word})]` hides the names of the fields"))
}

/// Why the image cannot treat or rename this field: serde writes it under a name that is not known here, or not at all.
fn unruly(input: &Input, shape: &Shape<'_>, field: &Field<'_>, treatment: Option<Treatment>) -> Option<String> {
    if let Some(reason) = opaque(input, shape) {
        return Some(reason);
    }
    if field.serialized.is_none() {
        return Some("a field without a name cannot be found in the image, give it one".to_owned());
    }
    if field.raw.serde.flatten && !field.raw.serde.skip {
        let reason = "`#[serde(flatten)]` writes the fields of this field in its place";
        let way_out = "put `#[serde(skip_serializing)]` on it, or capture a struct that holds only what may be seen";
        return Some(treatment.map_or_else(|| reason.to_owned(), |_| format!("{reason}; {way_out}")));
    }
    if field.raw.serde.skip && treatment != Some(Treatment::Skip) {
        return Some("serde leaves this field out, write `skip` or nothing".to_owned());
    }
    None
}
