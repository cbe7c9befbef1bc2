//! Expressions that describe a type: what it writes, known before there is a value.

use proc_macro2::TokenStream;
use quote::quote;

use crate::collect::Treatment;
use crate::model::{Field, Model, Place, Shape};

/// All shapes of a type, as a slice.
pub(crate) fn shapes(outbox: &TokenStream, model: &Model<'_>) -> TokenStream {
    let shapes = model.shapes.iter().map(|shape| self::shape(outbox, model, shape));
    quote!(&[#(#shapes),*])
}

/// What is not said has its default, so that a plain struct costs the compiler little.
fn shape(outbox: &TokenStream, model: &Model<'_>, shape: &Shape<'_>) -> TokenStream {
    let (name, topic) = (model.table.as_ref().unwrap_or(&shape.event_type), &shape.topic);
    let version = shape.version.map(|version| quote!(.with_version(#version)));
    let place = place(outbox, &shape.place).map(|place| quote!(.at(#place)));
    let mut rules = shape.fields.iter().filter_map(|field| rule(outbox, field)).peekable();
    let rules = rules.peek().is_some().then(|| quote!(.by(&[#(#rules),*])));
    quote!(#outbox::shape::Shape::new(#name, #topic) #version #place #rules)
}

fn place(outbox: &TokenStream, place: &Place<'_>) -> Option<TokenStream> {
    let place = match place {
        Place::Whole => return None,
        Place::Below(variant) => quote!(Below(#variant)),
        Place::Beside { tag, variant } => quote!(Beside { tag: #tag, variant: #variant }),
        Place::Within { tag, variant, content } => {
            quote!(Within { tag: #tag, variant: #variant, content: #content })
        }
        Place::Untagged { followers } => quote!(Untagged { followers: #followers }),
    };
    Some(quote!(#outbox::shape::Place::#place))
}

fn rule(outbox: &TokenStream, field: &Field<'_>) -> Option<TokenStream> {
    let serialized = field.serialized.as_ref().filter(|_| field.is_ruled())?;
    let treatment = match field.treatment().map(|said| said.value) {
        Some(Treatment::Skip) => quote!(skip),
        Some(Treatment::Redact) => quote!(redact),
        Some(Treatment::Hash) => quote!(hash),
        Some(Treatment::Plain) | None => quote!(plain),
    };
    let named = field.renamed.as_ref().map(|name| quote!(.named(#name)));
    let may_be_absent = field.raw.serde.skip_if.then(|| quote!(.may_be_absent()));
    Some(quote!(#outbox::image::Rule::#treatment(#serialized) #named #may_be_absent))
}
