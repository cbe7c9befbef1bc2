//! Last step: the implementation.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Generics, Member, WherePredicate, parse_quote};

use crate::collect::{RawField, Treatment};
use crate::model::{Field, Form, Model, Part, Shape, TextType, name_of};

pub(crate) fn expand(model: &Model<'_>) -> TokenStream {
    let said = model.input.words.krate.as_ref().map(|path| path.value.to_token_stream());
    let outbox = said.unwrap_or_else(|| quote!(::outbox_core));
    let (target, body) = match (&model.table, model.shapes.first()) {
        (Some(table), Some(shape)) => (quote!(Entity), entity(&outbox, table, shape)),
        _ => (quote!(DomainEvent), domain_event(&outbox, model)),
    };
    let generics = bounded(model, &outbox);
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
    let tenant = shape.tenant.as_ref().map_or_else(|| option(None), |tenant| writer.tenant(tenant));
    let image = writer.image(shape);
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
            #image
        }
    }
}

fn domain_event(outbox: &TokenStream, model: &Model<'_>) -> TokenStream {
    let writer = Writer { outbox, is_variant: model.input.is_enum };
    let body = if model.input.is_enum {
        let arms = model.shapes.iter().map(|shape| {
            let (pattern, event) = (pattern(shape), writer.event(shape));
            quote!(#pattern => #event,)
        });
        quote!(match self { #(#arms)* })
    } else {
        model.shapes.iter().map(|shape| writer.event(shape)).collect()
    };
    quote! {
        fn to_event(&self) -> ::core::result::Result<#outbox::NewEvent<'_>, #outbox::CaptureError> {
            ::core::result::Result::Ok(#body)
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

/// Named so that no constant of the application takes its place in a pattern.
fn binding(member: &Member) -> Ident {
    format_ident!("__{}", name_of(member))
}

fn option(value: Option<TokenStream>) -> TokenStream {
    let some = value.map(|value| quote!(::core::option::Option::Some(#value)));
    some.unwrap_or_else(|| quote!(::core::option::Option::None))
}

/// Writes expressions over one shape.
struct Writer<'a> {
    outbox: &'a TokenStream,
    /// Whether fields are bound by a pattern, or reached through `self`.
    is_variant: bool,
}

impl Writer<'_> {
    fn event(&self, shape: &Shape<'_>) -> TokenStream {
        let (outbox, topic, event_type) = (self.outbox, &shape.topic, &shape.event_type);
        let (key, image) = (self.key(shape), self.image(shape));
        let tenant = shape.tenant.as_ref().map(|tenant| self.tenant(tenant)).map(|tenant| quote!(tenant_id: #tenant,));
        let version = shape.version.map(|version| {
            let version = option(Some(version.into_token_stream()));
            quote!(schema_version: #version,)
        });
        quote! {
            #outbox::NewEvent {
                event_type: ::core::option::Option::Some(::std::borrow::Cow::Borrowed(#event_type)),
                #tenant
                #version
                ..#outbox::NewEvent::new(#topic, #key).json(#image?)
            }
        }
    }

    fn key(&self, shape: &Shape<'_>) -> TokenStream {
        let outbox = self.outbox;
        match &shape.key[..] {
            [] => quote!(::std::borrow::Cow::Borrowed("")),
            [Part::Expression(expression)] => quote!(#outbox::image::displayed(&(#expression))),
            [Part::Field(field)] => self.text(field),
            parts => {
                let parts = parts.iter().map(|part| match part {
                    Part::Expression(expression) => quote!(&(#expression)),
                    Part::Field(field) => {
                        let value = self.reference(field);
                        quote_spanned!(field.ty.span()=> #outbox::image::displayed(#value))
                    }
                });
                quote!(#outbox::image::joined(&[#(#parts),*]))
            }
        }
    }

    fn tenant(&self, part: &Part<'_>) -> TokenStream {
        let outbox = self.outbox;
        let field = match part {
            Part::Expression(expression) => return option(Some(quote!(#outbox::image::displayed(&(#expression))))),
            Part::Field(field) => field,
        };
        let TextType { form, is_optional, .. } = TextType::of(&field.ty);
        let value = self.reference(field);
        match (is_optional, form) {
            (false, _) => option(Some(self.text(field))),
            (true, Form::Text) => quote!((#value).as_deref().map(#outbox::image::text)),
            (true, Form::Displayed) => {
                quote_spanned!(field.ty.span()=> (#value).as_ref().map(#outbox::image::displayed))
            }
        }
    }

    fn text(&self, field: &RawField) -> TokenStream {
        let (outbox, value) = (self.outbox, self.reference(field));
        match TextType::of(&field.ty).form {
            Form::Text => quote!(#outbox::image::text(#value)),
            Form::Displayed => quote_spanned!(field.ty.span()=> #outbox::image::displayed(#value)),
        }
    }

    fn reference(&self, field: &RawField) -> TokenStream {
        let member = &field.member;
        if self.is_variant {
            binding(member).into_token_stream()
        } else {
            quote!(&self.#member)
        }
    }

    fn image(&self, shape: &Shape<'_>) -> TokenStream {
        let outbox = self.outbox;
        let rules: Vec<TokenStream> = shape.fields.iter().filter_map(|field| self.rule(field)).collect();
        let within = shape.within.filter(|_| !rules.is_empty());
        let within = within.map(|content| quote!(#outbox::image::to_json_within(self, #content, &[#(#rules),*])));
        within.unwrap_or_else(|| quote!(#outbox::image::to_json(self, &[#(#rules),*])))
    }

    fn rule(&self, field: &Field<'_>) -> Option<TokenStream> {
        let (outbox, serialized) = (self.outbox, field.serialized.as_ref().filter(|_| field.is_ruled())?);
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
}
