//! First step: the attributes as they are written, each word in its place. What they mean together comes later.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{Attribute, Data, DataUnion, DeriveInput, Fields, Generics, LitStr, Member, Type};

use crate::attribute::{Item, Value, items};
use crate::errors::Errors;
use crate::names::{CASES, CONTAINER, Case, FIELD, Place, VARIANT, unknown};
use crate::serde::{SerdeContainer, SerdeField, SerdeVariant};

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
        words: container_words(&input.attrs, errors),
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
        let treatment = match item.name().as_str() {
            "key" => {
                set(&mut words.key, &item, alone(&item, errors), errors);
                continue;
            }
            "tenant" => {
                set(&mut words.tenant, &item, alone(&item, errors), errors);
                continue;
            }
            "rename" => {
                set(&mut words.rename, &item, name(&item, &FIELD, errors), errors);
                continue;
            }
            "plain" => Treatment::Plain,
            "skip" => Treatment::Skip,
            "redact" => Treatment::Redact,
            "hash" => Treatment::Hash,
            word => {
                errors.at(&item.word, unknown(word, &FIELD));
                continue;
            }
        };
        alone(&item, errors);
        words.treatments.push(Said { word: item.word, value: treatment });
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

fn alone(item: &Item, errors: &mut Errors) -> Option<()> {
    let alone = matches!(item.value, Value::Nothing);
    if !alone {
        errors.at(item, format_args!("`{0}` takes no value here, write `{0}`", item.word));
    }
    alone.then_some(())
}

/// A string that names something: not empty, and nothing in it that a terminal or a header would act on.
fn name(item: &Item, place: &Place, errors: &mut Errors) -> Option<LitStr> {
    let word = item.name();
    let spelling = place.words.iter().find(|(known, _)| *known == word).map_or("", |(_, spelling)| *spelling);
    let Some(name) = item.string() else {
        errors.at(item, format_args!("`{word}` needs a string, write `{spelling}`"));
        return None;
    };
    let text = name.value();
    if text.trim().is_empty() || text.contains(char::is_control) {
        errors.at(&name, format_args!("not a name: write something such as `{spelling}`, without control characters"));
        return None;
    }
    Some(name)
}

fn version(item: &Item, errors: &mut Errors) -> Option<i32> {
    let version = item.integer().and_then(|version| version.base10_parse().ok()).filter(|version| *version >= 1);
    if version.is_none() {
        errors.at(item, "a version is a whole number from 1 to 2147483647, write `version = 1`");
    }
    version
}

fn case(item: &Item, errors: &mut Errors) -> Option<Case> {
    let case = item.string().and_then(|case| Case::parse(&case.value()));
    if case.is_none() {
        let known = CASES.map(|(name, _)| format!("`\"{name}\"`")).join(", ");
        errors.at(item, format_args!("`rename_all` is one of {known}"));
    }
    case
}

fn path(item: &Item, errors: &mut Errors) -> Option<syn::Path> {
    let path = match &item.value {
        Value::Equals(value) => match item.string() {
            Some(string) => string.parse().ok(),
            None => syn::parse2(value.clone()).ok(),
        },
        Value::Nothing | Value::List(_) => None,
    };
    if path.is_none() {
        errors.at(item, "`crate` needs a path, write `crate = \"shop::outbox\"`");
    }
    path
}

/// A single name, or the number of a tuple's field, is a field; anything else, in quotes or not, is an expression over `self`.
fn source(item: &Item, errors: &mut Errors) -> Option<Source> {
    let word = &item.word;
    let tokens = match (&item.value, item.string()) {
        (Value::Equals(_), Some(string)) => string.parse::<TokenStream>().unwrap_or_default(),
        (Value::Equals(value), None) => value.clone(),
        (Value::Nothing | Value::List(_), _) => TokenStream::new(),
    };
    if tokens.is_empty() {
        let help = format!("name a field, `{word} = order_id`, or write an expression, `{word} = \"self.order.id\"`");
        errors.at(item.to_token_stream(), help);
        return None;
    }
    Some(match syn::parse2::<Member>(tokens.clone()) {
        Ok(field) => Source::Field(field),
        Err(_) => Source::Expression(tokens),
    })
}
