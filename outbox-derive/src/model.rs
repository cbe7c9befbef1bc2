//! Second step: what the attributes mean, with defaults filled in and names looked up.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{GenericArgument, Member, PathArguments, Type};

use crate::case::Case;
use crate::collect::{Input, RawField, RawShape, Said, Source, Treatment};
use crate::errors::Errors;
use crate::names::nearest;

/// A struct or enum, ready to be checked and expanded.
pub(crate) struct Model<'a> {
    pub(crate) input: &'a Input,
    /// The table of an entity; a domain event has none.
    pub(crate) table: Option<String>,
    pub(crate) shapes: Vec<Shape<'a>>,
}

/// A struct, or one variant.
pub(crate) struct Shape<'a> {
    pub(crate) raw: &'a RawShape,
    pub(crate) topic: String,
    pub(crate) event_type: String,
    pub(crate) version: Option<i32>,
    /// None where no order is wanted, several where the key is composite.
    pub(crate) key: Vec<Part<'a>>,
    pub(crate) tenant: Option<Part<'a>>,
    pub(crate) fields: Vec<Field<'a>>,
    pub(crate) place: Place<'a>,
}

/// Where serde writes the fields of a shape, as `outbox_core::shape::Place` has it.
pub(crate) enum Place<'a> {
    Whole,
    Below(String),
    Beside { tag: &'a str, variant: String },
    Within { tag: &'a str, variant: String, content: &'a str },
    Untagged { followers: usize },
}

/// Where a text comes from.
pub(crate) enum Part<'a> {
    Field(&'a RawField),
    Expression(&'a TokenStream),
}

pub(crate) struct Field<'a> {
    pub(crate) raw: &'a RawField,
    /// What serde calls it; a field of a tuple has no name.
    pub(crate) serialized: Option<String>,
    /// What it is called in the image, where that is not serde's name.
    pub(crate) renamed: Option<String>,
}

impl Field<'_> {
    pub(crate) fn treatment(&self) -> Option<&Said<Treatment>> {
        self.raw.words.treatments.first()
    }

    /// Whether the image needs a rule for it.
    pub(crate) fn is_ruled(&self) -> bool {
        let treated = self.treatment().is_some_and(|treatment| treatment.value != Treatment::Plain);
        (treated && !self.raw.serde.skip) || self.renamed.is_some()
    }
}

pub(crate) fn model<'a>(input: &'a Input, errors: &mut Errors) -> Model<'a> {
    let table = input.words.table.as_ref().map(|table| table.value.value());
    let mut shapes: Vec<Shape<'a>> = input.shapes.iter().map(|raw| shape(input, raw, errors)).collect();
    if input.is_marked {
        topics(input, table.as_deref(), &mut shapes, errors);
    }
    Model { input, table, shapes }
}

fn shape<'a>(input: &'a Input, raw: &'a RawShape, errors: &mut Errors) -> Shape<'a> {
    let words = &input.words;
    let event_type = raw.words.event_type.as_ref().or(words.event.event_type.as_ref());
    let version = raw.words.version.as_ref().or(words.event.version.as_ref());
    let marked =
        |is_marked: fn(&RawField) -> bool| raw.fields.iter().filter(move |field| is_marked(field)).map(Part::Field);
    let key = words.key.as_ref().and_then(|source| part("key", &source.value, input, raw, errors));
    let tenant = words.tenant.as_ref().and_then(|source| part("tenant", &source.value, input, raw, errors));
    Shape {
        raw,
        topic: String::new(),
        event_type: event_type.map_or_else(|| raw.ident.unraw().to_string(), |said| said.value.value()),
        version: version.map(|said| said.value),
        key: key.into_iter().chain(marked(|field| field.words.key.is_some())).collect(),
        tenant: tenant.or_else(|| marked(|field| field.words.tenant.is_some()).next()),
        fields: raw.fields.iter().map(|field| self::field(input, raw, field)).collect(),
        place: place(input, raw),
    }
}

fn place<'a>(input: &'a Input, raw: &'a RawShape) -> Place<'a> {
    if !input.is_enum {
        return Place::Whole;
    }
    if input.serde.untagged || raw.serde.untagged {
        let behind = input.shapes.iter().skip_while(|shape| shape.ident != raw.ident).skip(1);
        return Place::Untagged { followers: behind.filter(|shape| shape.serde.skip.is_none()).count() };
    }
    let ident = raw.ident.unraw().to_string();
    let cased = || input.serde.rename_all.map(|case| case.of_variant(&ident));
    let variant = raw.serde.rename.clone().or_else(cased).unwrap_or_else(|| ident.clone());
    match (input.serde.tag.as_deref(), input.serde.content.as_deref()) {
        (None, _) => Place::Below(variant),
        (Some(tag), None) => Place::Beside { tag, variant },
        (Some(tag), Some(content)) => Place::Within { tag, variant, content },
    }
}

fn topics(input: &Input, table: Option<&str>, shapes: &mut [Shape<'_>], errors: &mut Errors) {
    let of_all = input.words.event.topic.as_ref().map(|said| said.value.value()).or_else(|| table.map(str::to_owned));
    for shape in shapes {
        match shape.raw.words.topic.as_ref().map(|said| said.value.value()).or_else(|| of_all.clone()) {
            Some(topic) => shape.topic = topic,
            None if input.is_enum && input.shapes.iter().any(|shape| shape.words.topic.is_some()) => {
                errors.at(
                    &shape.raw.ident,
                    "this variant has no topic: add `topic = \"shop.orders\"` to it, or to the enum",
                );
            }
            None if input.words.meant.contains("topic") || input.words.meant.contains("table") => {}
            None => {
                errors.at(&input.ident, "an event needs a topic: add `topic = \"shop.orders\"` to `#[outbox(…)]`");
                return;
            }
        }
    }
}

/// The field or expression a container names for each of its shapes.
fn part<'a>(word: &str, source: &'a Source, input: &Input, raw: &'a RawShape, errors: &mut Errors) -> Option<Part<'a>> {
    let wanted = match source {
        Source::Expression(expression) => return Some(Part::Expression(expression)),
        Source::Field(member) => member,
    };
    let wanted_name = name_of(wanted);
    if let Some(field) = raw.fields.iter().find(|field| name_of(&field.member) == wanted_name) {
        return Some(Part::Field(field));
    }
    let names: Vec<String> = raw.fields.iter().map(|field| name_of(&field.member)).collect();
    let hint = nearest(&wanted_name, names.iter().map(String::as_str))
        .map_or_else(String::new, |name| format!(", did you mean `{name}`?"));
    if input.is_enum {
        let ident = &raw.ident;
        errors.at(
            ident,
            format_args!(
                "`{word} = {wanted_name}` asks for a field `{wanted_name}` in every variant: `{ident}` has none{hint}"
            ),
        );
    } else {
        errors.at(wanted, format_args!("there is no field `{wanted_name}`{hint}"));
    }
    None
}

fn field<'a>(input: &'a Input, shape: &'a RawShape, raw: &'a RawField) -> Field<'a> {
    let Member::Named(ident) = &raw.member else {
        return Field { raw, serialized: None, renamed: None };
    };
    let plain = ident.unraw().to_string();
    let cased = |case: Option<Case>| case.map(|case| case.of_field(&plain));
    let case =
        shape.serde.rename_all.or(if input.is_enum { input.serde.rename_all_fields } else { input.serde.rename_all });
    let serialized = raw.serde.rename.clone().or_else(|| cased(case)).unwrap_or_else(|| plain.clone());
    let own_case = shape.words.rename_all.as_ref().or(input.words.event.rename_all.as_ref()).map(|said| said.value);
    let is_skipped = raw.words.treatments.iter().any(|said| said.value == Treatment::Skip);
    let is_written = !is_skipped && !raw.serde.skip && !raw.serde.flatten;
    let renamed = match &raw.words.rename {
        Some(said) => Some(said.value.value()),
        None => cased(own_case.filter(|_| is_written)),
    };
    let renamed = renamed.filter(|name| *name != serialized);
    Field { raw, serialized: Some(serialized), renamed }
}

/// A field's name as a person would write it.
pub(crate) fn name_of(member: &Member) -> String {
    match member {
        Member::Named(ident) => ident.unraw().to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

/// How the text of a key or tenant is got out of a type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// It is text, and lent.
    Text,
    /// It is written by its `Display`.
    Displayed,
}

/// A type as the text of a key or tenant.
pub(crate) struct TextType<'t> {
    pub(crate) form: Form,
    pub(crate) is_optional: bool,
    /// The type, or what the `Option` holds.
    pub(crate) inner: &'t Type,
}

impl<'t> TextType<'t> {
    pub(crate) fn of(ty: &'t Type) -> Self {
        let optional = argument_of(ty, &["Option"]);
        let inner = optional.unwrap_or(ty);
        Self { form: plain_form(inner), is_optional: optional.is_some(), inner }
    }
}

fn plain_form(ty: &Type) -> Form {
    match ty {
        Type::Reference(reference) => plain_form(&reference.elem),
        Type::Group(group) => plain_form(&group.elem),
        Type::Path(path)
            if path.path.segments.last().is_some_and(|last| last.ident == "String" || last.ident == "str") =>
        {
            Form::Text
        }
        _ => match argument_of(ty, &["Box", "Rc", "Arc", "Cow"]) {
            Some(inner) if inner.to_token_stream().to_string() == "str" => Form::Text,
            _ => Form::Displayed,
        },
    }
}

/// The type within a wrapper of one of these names.
fn argument_of<'t>(ty: &'t Type, wrappers: &[&str]) -> Option<&'t Type> {
    let path = match ty {
        Type::Path(path) => &path.path,
        Type::Group(group) => return argument_of(&group.elem, wrappers),
        _ => return None,
    };
    let last = path.segments.last().filter(|last| wrappers.iter().any(|wrapper| last.ident == wrapper))?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
