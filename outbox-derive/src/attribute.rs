//! The grammar of `#[outbox(…)]` and `#[serde(…)]`: `word`, `word = value` and `word(list)`, separated by commas.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, LitInt, LitStr, Meta};

use crate::errors::Errors;

/// One element of an attribute's list.
pub(crate) struct Item {
    pub(crate) word: Ident,
    pub(crate) value: Value,
}

/// What follows the word.
pub(crate) enum Value {
    Nothing,
    Equals(TokenStream),
    List(TokenStream),
}

impl Item {
    pub(crate) fn name(&self) -> String {
        self.word.unraw().to_string()
    }

    /// The string of `word = "string"`.
    pub(crate) fn string(&self) -> Option<LitStr> {
        match &self.value {
            Value::Equals(value) => syn::parse2(value.clone()).ok(),
            Value::Nothing | Value::List(_) => None,
        }
    }

    /// The number of `word = 1`.
    pub(crate) fn integer(&self) -> Option<LitInt> {
        match &self.value {
            Value::Equals(value) => syn::parse2(value.clone()).ok(),
            Value::Nothing | Value::List(_) => None,
        }
    }
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.word.to_tokens(tokens);
        match &self.value {
            Value::Nothing => {}
            Value::Equals(value) | Value::List(value) => value.to_tokens(tokens),
        }
    }
}

/// The items of all attributes called `name`.
pub(crate) fn items(attributes: &[Attribute], name: &str, errors: &mut Errors) -> Vec<Item> {
    let mut found = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
        match &attribute.meta {
            Meta::List(list) => found.extend(split(list.tokens.clone(), errors)),
            meta => errors.at(meta, format_args!("write a list: `#[{name}(…)]`")),
        }
    }
    found
}

/// The items of a list. One that cannot be read is told and left out, so that those behind it are still read.
pub(crate) fn split(list: TokenStream, errors: &mut Errors) -> Vec<Item> {
    let tokens: Vec<TokenTree> = list.into_iter().collect();
    let parts = tokens.split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','));
    parts
        .filter(|part| !part.is_empty())
        .filter_map(|part| item(part).map_err(|error| errors.add(error)).ok())
        .collect()
}

fn item(tokens: &[TokenTree]) -> syn::Result<Item> {
    let [TokenTree::Ident(word), rest @ ..] = tokens else {
        return Err(misread(tokens, "write a word such as `key` here, or a pair such as `topic = \"shop.orders\"`"));
    };
    let value = match rest {
        [] => Value::Nothing,
        [TokenTree::Punct(equals), value @ ..] if equals.as_char() == '=' && !value.is_empty() => {
            Value::Equals(value.iter().cloned().collect())
        }
        [TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => Value::List(group.stream()),
        [TokenTree::Punct(equals)] if equals.as_char() == '=' => {
            return Err(misread(rest, &format!("a value is missing: `{word} = …`")));
        }
        [TokenTree::Ident(_), ..] => return Err(misread(rest, &format!("a comma is missing after `{word}`"))),
        _ => return Err(misread(rest, &format!("write `{word}` alone or `{word} = …`"))),
    };
    Ok(Item { word: word.clone(), value })
}

fn misread(tokens: &[TokenTree], message: &str) -> syn::Error {
    syn::Error::new_spanned(tokens.iter().cloned().collect::<TokenStream>(), message)
}
