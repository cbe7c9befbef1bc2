//! First step: the attributes as they are written, each word in its place. What they mean together comes later.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream};
use syn::{Attribute, Data, DataUnion, DeriveInput, Fields, Generics, LitStr, Member, Type};

use crate::attribute::{Item, items};
use crate::case::Case;
use crate::errors::Errors;
use crate::names::{CONTAINER, FIELD, Place, VARIANT, nearest_word, unknown};
use crate::serde::{SerdeContainer, SerdeField, SerdeVariant};
use crate::values::{alone, case, name, path, source, version};

/// A value with the word that gave it, to point at.
pub(crate) struct Said<T> {
    pub(crate) word: Ident,
    pub(crate) value: T,
}

/// The whole derive input.
pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) words: ContainerWords,
    pub(crate) serde: SerdeContainer,
    pub(crate) is_enum: bool,
    /// Whether `#[outbox(…)]` stands on the container, or on one of its variants, at all.
    pub(crate) is_marked: bool,
    /// The struct itself, or the variants of the enum.
    pub(crate) shapes: Vec<RawShape>,
}

#[derive(Default)]
pub(crate) struct ContainerWords {
    /// The words that stand there, also where their value is wrong or a letter is amiss: they need no second mistake.
    pub(crate) meant: HashSet<String>,
    pub(crate) table: Option<Said<LitStr>>,
    pub(crate) key: Option<Said<Source>>,
    pub(crate) unordered: Option<Said<()>>,
    pub(crate) tenant: Option<Said<Source>>,
    pub(crate) krate: Option<Said<syn::Path>>,
    pub(crate) event: EventWords,
}

/// What a container and each of its variants may say.
#[derive(Default)]
pub(crate) struct EventWords {
    pub(crate) topic: Option<Said<LitStr>>,
    pub(crate) event_type: Option<Said<LitStr>>,
    pub(crate) version: Option<Said<i32>>,
    pub(crate) rename_all: Option<Said<Case>>,
}

/// Where a key or tenant comes from.
pub(crate) enum Source {
    Field(Member),
    Expression(TokenStream),
}

pub(crate) struct RawShape {
    pub(crate) ident: Ident,
    pub(crate) words: EventWords,
    pub(crate) serde: SerdeVariant,
    pub(crate) fields: Vec<RawField>,
    pub(crate) is_tuple: bool,
}

pub(crate) struct RawField {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    pub(crate) words: FieldWords,
    pub(crate) serde: SerdeField,
}

#[derive(Default)]
pub(crate) struct FieldWords {
    pub(crate) key: Option<Said<()>>,
    pub(crate) tenant: Option<Said<()>>,
    pub(crate) rename: Option<Said<LitStr>>,
    pub(crate) treatments: Vec<Said<Treatment>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    Plain,
    Skip,
    Redact,
    Hash,
}

pub(crate) fn collect(input: DeriveInput, errors: &mut Errors) -> Input {
    let words = container_words(&input.attrs, errors);
    let is_outbox = |attribute: &Attribute| attribute.path().is_ident("outbox");
    let mut is_marked = input.attrs.iter().any(is_outbox);
    let (is_enum, shapes) = match input.data {
        Data::Struct(data) => (false, vec![shape(&input.ident, &[], data.fields, errors)]),
        Data::Enum(data) => {
            is_marked |= data.variants.iter().any(|variant| variant.attrs.iter().any(is_outbox));
            let variant = |variant: syn::Variant| shape(&variant.ident, &variant.attrs, variant.fields, errors);
            (true, data.variants.into_iter().map(variant).collect())
        }
        Data::Union(DataUnion { union_token, .. }) => {
            errors.at(union_token, "a union cannot be captured, use a struct or an enum");
            (false, Vec::new())
        }
    };
    Input {
        words,
        serde: SerdeContainer::read(&input.attrs),
        ident: input.ident,
        generics: input.generics,
        is_enum,
        is_marked,
        shapes,
    }
}

fn container_words(attributes: &[Attribute], errors: &mut Errors) -> ContainerWords {
    let mut words = ContainerWords::default();
    for item in items(attributes, "outbox", errors) {
        words.meant.insert(nearest_word(&item.name(), &CONTAINER));
        match item.name().as_str() {
            "table" => set(&mut words.table, &item, name(&item, &CONTAINER, errors), errors),
            "key" => set(&mut words.key, &item, source(&item, errors), errors),
            "unordered" => set(&mut words.unordered, &item, alone(&item, errors), errors),
            "tenant" => set(&mut words.tenant, &item, source(&item, errors), errors),
            "crate" => set(&mut words.krate, &item, path(&item, errors), errors),
            _ => event_word(&mut words.event, &item, &CONTAINER, errors),
        }
    }
    words
}

fn event_word(words: &mut EventWords, item: &Item, place: &Place, errors: &mut Errors) {
    match item.name().as_str() {
        "topic" => set(&mut words.topic, item, name(item, place, errors), errors),
        "event_type" => set(&mut words.event_type, item, name(item, place, errors), errors),
        "version" => set(&mut words.version, item, version(item, errors), errors),
        "rename_all" => set(&mut words.rename_all, item, case(item, errors), errors),
        word => errors.at(&item.word, unknown(word, place)),
    }
}

fn shape(ident: &Ident, attributes: &[Attribute], fields: Fields, errors: &mut Errors) -> RawShape {
    let mut words = EventWords::default();
    for item in items(attributes, "outbox", errors) {
        event_word(&mut words, &item, &VARIANT, errors);
    }
    let is_tuple = matches!(fields, Fields::Unnamed(_));
    let members: Vec<Member> = fields.members().collect();
    let field = |(member, field): (Member, syn::Field)| RawField {
        member,
        words: field_words(&field.attrs, errors),
        serde: SerdeField::read(&field.attrs),
        ty: field.ty,
    };
    let fields = members.into_iter().zip(fields).map(field).collect();
    RawShape { ident: ident.clone(), words, serde: SerdeVariant::read(attributes), fields, is_tuple }
}

fn field_words(attributes: &[Attribute], errors: &mut Errors) -> FieldWords {
    let mut words = FieldWords::default();
    for item in items(attributes, "outbox", errors) {
        let word = item.name();
        if word == "rename" {
            set(&mut words.rename, &item, name(&item, &FIELD, errors), errors);
            continue;
        }
        let treatment = match word.as_str() {
            "key" | "tenant" => None,
            "plain" => Some(Treatment::Plain),
            "skip" => Some(Treatment::Skip),
            "redact" => Some(Treatment::Redact),
            "hash" => Some(Treatment::Hash),
            _ => {
                errors.at(&item.word, unknown(&word, &FIELD));
                continue;
            }
        };
        alone(&item, errors);
        match treatment {
            Some(value) => words.treatments.push(Said { word: item.word, value }),
            None if word == "key" => set(&mut words.key, &item, Some(()), errors),
            None => set(&mut words.tenant, &item, Some(()), errors),
        }
    }
    words
}

fn set<T>(slot: &mut Option<Said<T>>, item: &Item, value: Option<T>, errors: &mut Errors) {
    if slot.is_some() {
        errors.at(&item.word, format_args!("`{}` is said twice, keep one", item.word));
    }
    if let Some(value) = value {
        *slot = Some(Said { word: item.word.clone(), value });
    }
}
