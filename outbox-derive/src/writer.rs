//! Expressions over one struct or variant.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Member, Type};

use crate::collect::{RawField, Treatment};
use crate::model::{Field, Form, Part, Shape, TextType, name_of};

/// Writes expressions over one shape.
pub(crate) struct Writer<'a> {
    pub(crate) outbox: &'a TokenStream,
    /// Whether fields are bound by a pattern, or reached through `self`.
    pub(crate) is_variant: bool,
}

impl Writer<'_> {
    pub(crate) fn event(&self, shape: &Shape<'_>) -> TokenStream {
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

    pub(crate) fn key(&self, shape: &Shape<'_>) -> TokenStream {
        let outbox = self.outbox;
        match &shape.key[..] {
            [] => quote!(::std::borrow::Cow::Borrowed("")),
            [part] => self.text(part),
            parts => {
                let parts = parts.iter().map(|part| self.part(part));
                quote!(#outbox::image::joined(&[#(#parts),*]))
            }
        }
    }

    pub(crate) fn tenant(&self, part: &Part<'_>) -> TokenStream {
        let outbox = self.outbox;
        let Part::Field(field) = part else {
            return option(Some(self.text(part)));
        };
        let TextType { form, is_optional, inner } = TextType::of(&field.ty);
        let value = self.reference(field);
        match (is_optional, form) {
            (false, _) => option(Some(self.text(part))),
            (true, Form::Text) => quote!((#value).as_deref().map(#outbox::image::text)),
            (true, Form::Displayed) => {
                let displayed = self.of_type(&quote!(displayed), inner);
                quote!((#value).as_ref().map(#displayed))
            }
        }
    }

    /// A part that is the whole text.
    fn text(&self, part: &Part<'_>) -> TokenStream {
        let outbox = self.outbox;
        let field = match part {
            Part::Expression(expression) => {
                return quote_spanned!(expression.span()=> #outbox::image::displayed(&(#expression)));
            }
            Part::Field(field) => field,
        };
        let value = self.reference(field);
        match TextType::of(&field.ty).form {
            Form::Text => quote!(#outbox::image::text(#value)),
            Form::Displayed => {
                let displayed = self.of_type(&quote!(displayed), &field.ty);
                quote!(#displayed(#value))
            }
        }
    }

    /// A part among others.
    fn part(&self, part: &Part<'_>) -> TokenStream {
        match part {
            Part::Expression(expression) => quote_spanned!(expression.span()=> &(#expression)),
            Part::Field(field) => {
                let (part, value) = (self.of_type(&quote!(part), &field.ty), self.reference(field));
                quote!(#part(#value))
            }
        }
    }

    /// A function of one type, named so that the compiler shows what the type lacks where the type stands.
    fn of_type(&self, function: &TokenStream, ty: &Type) -> TokenStream {
        let outbox = self.outbox;
        quote_spanned!(ty.span()=> #outbox::image::#function::<#ty>)
    }

    fn reference(&self, field: &RawField) -> TokenStream {
        let member = &field.member;
        if self.is_variant { binding(member).into_token_stream() } else { quote!(&self.#member) }
    }

    pub(crate) fn image(&self, shape: &Shape<'_>) -> TokenStream {
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

/// Named so that no constant of the application takes its place in a pattern.
pub(crate) fn binding(member: &Member) -> Ident {
    format_ident!("__{}", name_of(member))
}

pub(crate) fn option(value: Option<TokenStream>) -> TokenStream {
    let some = value.map(|value| quote!(::core::option::Option::Some(#value)));
    some.unwrap_or_else(|| quote!(::core::option::Option::None))
}
