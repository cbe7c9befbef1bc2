//! Every word of every place has a case that must not compile, in `tests/fail`.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, DeriveInput, Item};

use crate::attribute::items;
use crate::errors::Errors;
use crate::names::{CONTAINER, FIELD, Place, VARIANT};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fail");

/// The words of one case that the compiler accuses, each with the place it stands in.
#[derive(Default)]
struct Accused(HashSet<(&'static str, String)>);

impl Accused {
    /// Takes the words of attributes that stand in `place` and begin what is underlined in the compiler's answer.
    fn add(&mut self, place: &Place, attributes: &[Attribute], underlined: &[String]) {
        for item in items(attributes, "outbox", &mut Errors::default()) {
            let word = item.name();
            let is_it =
                |text: &String| text.strip_prefix(&word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
            if underlined.iter().any(is_it) {
                self.0.insert((place.name, word));
            }
        }
    }

    fn add_type(&mut self, input: &DeriveInput, underlined: &[String]) {
        self.add(&CONTAINER, &input.attrs, underlined);
        let variants = match &input.data {
            syn::Data::Enum(data) => data.variants.iter().collect(),
            _ => Vec::new(),
        };
        for variant in &variants {
            self.add(&VARIANT, &variant.attrs, underlined);
        }
        let of_struct = match &input.data {
            syn::Data::Struct(data) => Some(&data.fields),
            _ => None,
        };
        for field in variants.iter().map(|variant| &variant.fields).chain(of_struct).flatten() {
            self.add(&FIELD, &field.attrs, underlined);
        }
    }
}

/// What the carets of an answer stand below.
fn underlined(answer: &str) -> Vec<String> {
    let lines: Vec<&str> = answer.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[1].contains('^'));
    pairs
        .map(|pair| {
            let columns = pair[1].char_indices().filter(|(_, mark)| *mark == '^').map(|(column, _)| column);
            let start = columns.min().unwrap_or_default();
            let width = pair[1].matches('^').count();
            pair[0].chars().skip(start).take(width).collect()
        })
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn of_every_word_is_accused_in_one() {
    let mut accused = Accused::default();
    for case in files(Path::new(CASES)).iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let underlined = underlined(&fs::read_to_string(case.with_extension("stderr")).unwrap());
        for item in syn::parse_file(&fs::read_to_string(case).unwrap()).unwrap().items {
            if matches!(item, Item::Struct(_) | Item::Enum(_)) {
                accused.add_type(&syn::parse2(quote::quote!(#item)).unwrap(), &underlined);
            }
        }
    }
    for place in [&CONTAINER, &VARIANT, &FIELD] {
        for (word, _) in place.words {
            let is_accused = accused.0.contains(&(place.name, (*word).to_owned()));
            assert!(is_accused, "no case in {CASES} accuses `{word}` on {}", place.name);
        }
    }
}
