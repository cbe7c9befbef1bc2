//! What `#[serde(…)]` says about the names in the image. Mistakes in it are serde's to tell.

use proc_macro2::Ident;
use syn::Attribute;

use crate::attribute::{Item, Value, items, split};
use crate::errors::Errors;
use crate::names::Case;

/// On a struct or enum.
#[derive(Default)]
pub(crate) struct SerdeContainer {
    pub(crate) rename_all: Option<Case>,
    pub(crate) rename_all_fields: Option<Case>,
    /// The field below which an enum's fields stand, by `tag` and `content`.
    pub(crate) content: Option<String>,
    /// What makes the names of the fields unknown: `transparent`, `into`, `remote`.
    pub(crate) opaque: Option<Ident>,
}

/// On a variant.
#[derive(Default)]
pub(crate) struct SerdeVariant {
    pub(crate) rename_all: Option<Case>,
    pub(crate) untagged: bool,
    /// What makes the names of the fields unknown: `with`, `serialize_with`.
    pub(crate) opaque: Option<Ident>,
}

/// On a field.
#[derive(Default)]
pub(crate) struct SerdeField {
    pub(crate) rename: Option<String>,
    /// Never written.
    pub(crate) skip: bool,
    /// Written at times.
    pub(crate) skip_if: bool,
    pub(crate) flatten: bool,
}

impl SerdeContainer {
    pub(crate) fn read(attributes: &[Attribute]) -> Self {
        let mut read = Self::default();
        for item in serde_items(attributes) {
            match item.name().as_str() {
                "rename_all" => read.rename_all = case(&item),
                "rename_all_fields" => read.rename_all_fields = case(&item),
                "content" => read.content = item.string().map(|content| content.value()),
                "transparent" | "into" | "remote" => read.opaque = Some(item.word),
                _ => {}
            }
        }
        read
    }
}

impl SerdeVariant {
    pub(crate) fn read(attributes: &[Attribute]) -> Self {
        let mut read = Self::default();
        for item in serde_items(attributes) {
            match item.name().as_str() {
                "rename_all" => read.rename_all = case(&item),
                "untagged" => read.untagged = true,
                "with" | "serialize_with" => read.opaque = Some(item.word),
                _ => {}
            }
        }
        read
    }
}

impl SerdeField {
    pub(crate) fn read(attributes: &[Attribute]) -> Self {
        let mut read = Self::default();
        for item in serde_items(attributes) {
            match item.name().as_str() {
                "rename" => read.rename = serialized(&item),
                "skip" | "skip_serializing" => read.skip = true,
                "skip_serializing_if" => read.skip_if = true,
                "flatten" => read.flatten = true,
                _ => {}
            }
        }
        read
    }
}

fn serde_items(attributes: &[Attribute]) -> Vec<Item> {
    items(attributes, "serde", &mut Errors::default())
}

fn case(item: &Item) -> Option<Case> {
    serialized(item).as_deref().and_then(Case::parse)
}

/// The string of `word = "string"`, or of `word(serialize = "string")`.
fn serialized(item: &Item) -> Option<String> {
    let string = match &item.value {
        Value::List(list) => {
            let inner = split(list.clone(), &mut Errors::default());
            inner.iter().find(|item| item.word == "serialize")?.string()
        }
        Value::Nothing | Value::Equals(_) => item.string(),
    };
    string.map(|string| string.value())
}
