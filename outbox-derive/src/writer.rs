//! Expressions over one struct or variant.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Member, Type};

use crate::collect::RawField;
use crate::model::{Form, Part, Shape, TextType, name_of};

/// Writes expressions over one shape.
pub(crate) struct Writer<'a> {
    pub(crate) outbox: &'a TokenStream,
    /// Whether fields are bound by a pattern, or reached through `self`.
    pub(crate) is_variant: bool,
}

impl Writer<'_> {
    /// The shape at `index` of what the type describes.
    pub(crate) fn shape_at(&self, index: usize) -> TokenStream {
        let outbox = self.outbox;
        quote!(<Self as #outbox::Described>::SHAPES[#index])
    }

    pub(crate) fn event(&self, index: usize, shape: &Shape<'_>) -> TokenStream {
        let (shape_at, key) = (self.shape_at(index), self.key(shape));
        let tenant = self.tenant(shape);
        quote!(#shape_at.event(self, #key, #tenant))
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

    pub(crate) fn tenant(&self, shape: &Shape<'_>) -> TokenStream {
        let outbox = self.outbox;
        let (part, field) = match &shape.tenant {
            None => return option(None),
            Some(part @ Part::Expression(_)) => return option(Some(self.text(part))),
            Some(part @ Part::Field(field)) => (part, field),
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
}

/// Named so that no constant of the application takes its place in a pattern.
pub(crate) fn binding(member: &Member) -> Ident {
    format_ident!("__{}", name_of(member))
}

pub(crate) fn option(value: Option<TokenStream>) -> TokenStream {
    let some = value.map(|value| quote!(::core::option::Option::Some(#value)));
    some.unwrap_or_else(|| quote!(::core::option::Option::None))
}
