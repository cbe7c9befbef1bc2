//! What `#[serde(…)]` says about the names in the image. Mistakes in it are serde's to tell.

use proc_macro2::Ident;
use syn::Attribute;

use crate::attribute::{Item, Value, items, split};
use crate::case::Case;
use crate::errors::Errors;

/// On a struct or enum.
#[derive(Default)]
pub(crate) struct SerdeContainer {
    pub(crate) rename_all: Option<Case>,
    pub(crate) rename_all_fields: Option<Case>,
    /// The field that names an enum's variant.
    pub(crate) tag: Option<String>,
    /// The field below which an enum's fields stand, beside the tag.
    pub(crate) content: Option<String>,
    pub(crate) untagged: bool,
    /// What makes the names of the fields unknown: `transparent`, `into`, `remote`.
    pub(crate) opaque: Option<Ident>,
}

/// On a variant.
#[derive(Default)]
pub(crate) struct SerdeVariant {
    pub(crate) rename: Option<String>,
    pub(crate) rename_all: Option<Case>,
    pub(crate) untagged: bool,
    /// What keeps the variant from being written at all: `skip`, `skip_serializing`.
    pub(crate) skip: Option<Ident>,
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
                "tag" => read.tag = item.string().map(|tag| tag.value()),
                "content" => read.content = item.string().map(|content| content.value()),
                "untagged" => read.untagged = true,
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
                "rename" => read.rename = serialized(&item),
                "rename_all" => read.rename_all = case(&item),
                "untagged" => read.untagged = true,
                "skip" | "skip_serializing" => read.skip = Some(item.word),
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
