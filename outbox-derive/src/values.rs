//! The values of words: strings, numbers, paths, fields and expressions.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use syn::{LitStr, Member};

use crate::attribute::{Item, Value};
use crate::case::{CASES, Case};
use crate::collect::Source;
use crate::errors::Errors;
use crate::names::{Place, nearest};

pub(crate) fn alone(item: &Item, errors: &mut Errors) -> Option<()> {
    let alone = matches!(item.value, Value::Nothing);
    if !alone {
        errors.at(item, format_args!("`{0}` takes no value here, write `{0}`", item.word));
    }
    alone.then_some(())
}

/// A string that names something: not empty, and nothing in it that a terminal or a header would act on.
pub(crate) fn name(item: &Item, place: &Place, errors: &mut Errors) -> Option<LitStr> {
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

pub(crate) fn version(item: &Item, errors: &mut Errors) -> Option<i32> {
    let version = item.integer().and_then(|version| version.base10_parse().ok()).filter(|version| *version >= 1);
    if version.is_none() {
        errors.at(item, "a version is a whole number from 1 to 2147483647, write `version = 1`");
    }
    version
}

pub(crate) fn case(item: &Item, errors: &mut Errors) -> Option<Case> {
    let case = item.string().and_then(|case| Case::parse(&case.value()));
    if case.is_none() {
        let known = CASES.map(|(name, _)| format!("`\"{name}\"`")).join(", ");
        let said = item.string().map_or_else(String::new, |said| said.value());
        let hint = nearest(&said, CASES.iter().map(|(name, _)| *name))
            .map_or_else(String::new, |name| format!(", did you mean `\"{name}\"`?"));
        errors.at(item, format_args!("`rename_all` is one of {known}{hint}"));
    }
    case
}

pub(crate) fn path(item: &Item, errors: &mut Errors) -> Option<syn::Path> {
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
pub(crate) fn source(item: &Item, errors: &mut Errors) -> Option<Source> {
    let word = &item.word;
    let tokens = match (&item.value, item.string()) {
        (Value::Equals(_), Some(string)) => string.parse::<TokenStream>().unwrap_or_default(),
        (Value::Equals(value), None) => value.clone(),
        (Value::Nothing | Value::List(_), _) => TokenStream::new(),
    };
    if tokens.is_empty() {
        let help = format!("name a field, `{word} = order_id`, or write an expression, `{word} = \"self.order.id\"`");
        errors.at(item, help);
        return None;
    }
    if let Ok(field) = syn::parse2::<Member>(tokens.clone()) {
        return Some(Source::Field(field));
    }
    // The compiler tells of every other mistake better; of this one it says that the derive is broken.
    let last = tokens.clone().into_iter().last();
    if last.is_some_and(|last| matches!(last, TokenTree::Punct(mark) if mark.as_char() != '?')) {
        errors.at(item, format_args!("the expression ends too soon, write one such as `{word} = \"self.order.id\"`"));
        return None;
    }
    Some(Source::Expression(own_self(tokens)))
}

/// Lets `self` mean the value that is captured, also where a macro of the application wrote it.
fn own_self(tokens: TokenStream) -> TokenStream {
    let own = |token| match token {
        TokenTree::Ident(mut ident) if ident == "self" => {
            ident.set_span(ident.span().resolved_at(Span::call_site()));
            TokenTree::Ident(ident)
        }
        TokenTree::Group(group) => {
            let mut owned = Group::new(group.delimiter(), own_self(group.stream()));
            owned.set_span(group.span());
            TokenTree::Group(owned)
        }
        other => other,
    };
    tokens.into_iter().map(own).collect()
}
