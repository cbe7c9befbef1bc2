//! Last step: the implementation.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Generics, WherePredicate, parse_quote};

use crate::description::shapes;
use crate::model::{Field, Form, Model, Part, Shape, TextType};
use crate::writer::{Writer, binding, option};

pub(crate) fn expand(model: &Model<'_>) -> TokenStream {
    let said = model.input.words.krate.as_ref().map(|path| path.value.to_token_stream());
    let outbox = said.unwrap_or_else(|| quote!(::outbox_core));
    let (target, body) = match (&model.table, model.shapes.first()) {
        (Some(table), Some(shape)) => (quote!(Entity), entity(&outbox, table, shape)),
        _ => (quote!(DomainEvent), domain_event(&outbox, model)),
    };
    let shapes = shapes(&outbox, model);
    let generics = &model.input.generics;
    let described = implementation(
        &outbox,
        model,
        generics,
        &quote!(Described),
        &quote! {
            const SHAPES: &'static [#outbox::shape::Shape] = #shapes;
        },
    );
    let captured = implementation(&outbox, model, &bounded(model, &outbox), &target, &body);
    quote!(#described #captured)
}

fn implementation(
    outbox: &TokenStream,
    model: &Model<'_>,
    generics: &Generics,
    target: &TokenStream,
    body: &TokenStream,
) -> TokenStream {
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let ident = &model.input.ident;
    quote! {
        #[automatically_derived]
        impl #impl_generics #outbox::#target for #ident #type_generics #where_clause {
            #body
        }
    }
}

/// The generics, bounded by what the implementation asks of them.
fn bounded(model: &Model<'_>, outbox: &TokenStream) -> Generics {
    let mut generics = model.input.generics.clone();
    let parameters: Vec<Ident> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    if parameters.is_empty() {
        return generics;
    }
    let mut bounds: Vec<WherePredicate> = vec![parse_quote!(Self: #outbox::image::Serialize)];
    for part in model.shapes.iter().flat_map(|shape| shape.key.iter().chain(&shape.tenant)) {
        let Part::Field(field) = part else { continue };
        let TextType { form, inner, .. } = TextType::of(&field.ty);
        if form == Form::Displayed && mentions(inner.to_token_stream(), &parameters) {
            bounds.push(parse_quote!(#inner: ::core::fmt::Display));
        }
    }
    generics.make_where_clause().predicates.extend(bounds);
    generics
}

fn mentions(tokens: TokenStream, parameters: &[Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => parameters.contains(&ident),
        TokenTree::Group(group) => mentions(group.stream(), parameters),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn entity(outbox: &TokenStream, table: &str, shape: &Shape<'_>) -> TokenStream {
    let Shape { topic, .. } = shape;
    let writer = Writer { outbox, is_variant: false };
    let version = option(shape.version.map(ToTokens::into_token_stream));
    let key = writer.key(shape);
    let (tenant, shape_at) = (writer.tenant(shape), writer.shape_at(0));
    quote! {
        const TABLE: &'static str = #table;
        const TOPIC: &'static str = #topic;
        const VERSION: ::core::option::Option<i32> = #version;

        fn key(&self) -> ::std::borrow::Cow<'_, str> {
            #key
        }

        fn tenant(&self) -> ::core::option::Option<::std::borrow::Cow<'_, str>> {
            #tenant
        }

        fn image(&self) -> ::core::result::Result<::std::string::String, #outbox::CaptureError> {
            #shape_at.image(self)
        }
    }
}

fn domain_event(outbox: &TokenStream, model: &Model<'_>) -> TokenStream {
    let writer = Writer { outbox, is_variant: model.input.is_enum };
    let events = model.shapes.iter().enumerate().map(|(index, shape)| writer.event(index, shape));
    let body = if model.input.is_enum {
        let patterns = model.shapes.iter().map(pattern);
        quote!(match self { #(#patterns => #events,)* })
    } else {
        events.collect()
    };
    quote! {
        fn to_event(&self) -> ::core::result::Result<#outbox::NewEvent<'_>, #outbox::CaptureError> {
            #body
        }
    }
}

/// A variant with the fields that its key and tenant are made of.
fn pattern(shape: &Shape<'_>) -> TokenStream {
    let variant = &shape.raw.ident;
    let is_used = |field: &&Field<'_>| {
        let is_it = |part: &Part<'_>| matches!(part, Part::Field(used) if used.member == field.raw.member);
        shape.key.iter().chain(&shape.tenant).any(is_it)
    };
    let bindings = shape.fields.iter().filter(is_used).map(|field| {
        let (member, name) = (&field.raw.member, binding(&field.raw.member));
        quote!(#member: #name,)
    });
    quote!(Self::#variant { #(#bindings)* .. })
}
