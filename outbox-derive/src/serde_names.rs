//! The names that this derive expects serde to write, against those of serde's own derive.

use proptest::collection::hash_set;
use proptest::option;
use proptest::prelude::*;
use serde_derive_internals::ast::{self, Container, Data};
use serde_derive_internals::{Ctxt, Derive};
use syn::DeriveInput;

use crate::case::CASES;
use crate::collect::collect;
use crate::errors::Errors;
use crate::model::{Model, Place, model};

/// Names in every style and in none, raw ones among them.
fn names() -> impl Strategy<Value = Vec<String>> {
    let name = r"(r#)?(_{0,2}[a-zA-Z][a-zA-Z0-9]{0,3}(_{0,2}[a-zA-Zé0-9]{1,3}){0,2}_?|type|match|Async)";
    let usable = |name: &String| syn::parse_str::<syn::Ident>(name).is_ok();
    hash_set(name.prop_filter("is no identifier", usable), 1..5).prop_filter_map("is said twice", |names| {
        let bare = |name: &String| name.trim_start_matches("r#").to_owned();
        let bare: std::collections::HashSet<String> = names.iter().map(bare).collect();
        (bare.len() == names.len()).then(|| names.into_iter().collect())
    })
}

/// An attribute of serde that gives `word` one of the cases, or none.
fn attribute(word: &'static str) -> impl Strategy<Value = String> {
    let case = option::of(0..CASES.len());
    (case, any::<bool>()).prop_map(move |(case, is_split)| match case.map(|case| CASES[case].0) {
        Some(case) if is_split => format!("#[serde({word}(serialize = \"{case}\", deserialize = \"lowercase\"))]"),
        Some(case) => format!("#[serde({word} = \"{case}\")]"),
        None => String::new(),
    })
}

fn fields() -> impl Strategy<Value = String> {
    (names(), option::of(0..4_usize)).prop_map(|(names, renamed)| {
        let field = |(index, name): (usize, &String)| {
            let rename = if Some(index) == renamed { "#[serde(rename = \"re-named\")] " } else { "" };
            format!("{rename}{name}: u8,")
        };
        names.iter().enumerate().map(field).collect()
    })
}

fn enums() -> impl Strategy<Value = String> {
    let variant = (attribute("rename_all"), fields()).prop_map(|(attribute, fields)| (attribute, fields));
    let variants = (names(), proptest::collection::vec(variant, 4));
    (attribute("rename_all"), attribute("rename_all_fields"), variants).prop_map(
        |(of_all, of_fields, (names, bodies))| {
            let variants =
                names.iter().zip(bodies).map(|(name, (own, fields))| format!("{own} {name} {{ {fields} }},"));
            format!(
                "{of_all} {of_fields} #[outbox(topic = \"t\", unordered)] enum E {{ {} }}",
                variants.collect::<String>()
            )
        },
    )
}

fn structs() -> impl Strategy<Value = String> {
    (attribute("rename_all"), fields())
        .prop_map(|(attribute, fields)| format!("{attribute} #[outbox(table = \"t\")] struct S {{ {fields} }}"))
}

/// Each struct or variant with the names of its fields, as this derive takes them to be.
fn expected(model: &Model<'_>) -> Vec<(Option<String>, Vec<String>)> {
    let shape = |shape: &crate::model::Shape<'_>| {
        let variant = match &shape.place {
            Place::Below(variant) => Some(variant.clone()),
            _ => None,
        };
        (variant, shape.fields.iter().filter_map(|field| field.serialized.clone()).collect())
    };
    model.shapes.iter().map(shape).collect()
}

/// The same, as serde's derive has it.
fn serdes(input: &DeriveInput) -> Vec<(Option<String>, Vec<String>)> {
    let context = Ctxt::new();
    let container = Container::from_ast(&context, input, Derive::Serialize, &quote::format_ident!("private")).unwrap();
    context.check().unwrap();
    let names = |fields: &[ast::Field<'_>]| -> Vec<String> {
        fields.iter().map(|field| field.attrs.name().serialize_name().value.clone()).collect()
    };
    match &container.data {
        Data::Struct(_, fields) => vec![(None, names(fields))],
        Data::Enum(variants) => {
            let variant = |variant: &ast::Variant<'_>| {
                (Some(variant.attrs.name().serialize_name().value.clone()), names(&variant.fields))
            };
            variants.iter().map(variant).collect()
        }
    }
}

proptest! {
    #[test]
    fn are_expected_as_serde_writes_them(text in prop_oneof![structs(), enums()]) {
        let input: DeriveInput = syn::parse_str(&text).unwrap();
        let serdes = serdes(&input);
        let mut errors = Errors::default();
        let collected = collect(input, &mut errors);
        prop_assert_eq!(expected(&model(&collected, &mut errors)), serdes, "{}", text);
    }
}
