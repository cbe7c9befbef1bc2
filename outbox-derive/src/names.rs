//! The words of `#[outbox(…)]`, and what names sound like.

/// A word of `#[outbox(…)]` and how it is spelled in full.
pub(crate) type Word = (&'static str, &'static str);

/// Where an attribute stands, and which words are understood there.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) words: &'static [Word],
}

pub(crate) const CONTAINER: Place = Place {
    name: "a struct or enum",
    words: &[
        ("table", "table = \"orders\""),
        ("topic", "topic = \"shop.orders\""),
        ("key", "key = order_id"),
        ("unordered", "unordered"),
        ("tenant", "tenant = tenant_id"),
        ("event_type", "event_type = \"order-placed\""),
        ("version", "version = 1"),
        ("rename_all", "rename_all = \"camelCase\""),
        ("crate", "crate = \"shop::outbox\""),
    ],
};

pub(crate) const VARIANT: Place = Place {
    name: "a variant",
    words: &[
        ("topic", "topic = \"shop.orders\""),
        ("event_type", "event_type = \"order-placed\""),
        ("version", "version = 1"),
        ("rename_all", "rename_all = \"camelCase\""),
    ],
};

pub(crate) const FIELD: Place = Place {
    name: "a field",
    words: &[
        ("key", "key"),
        ("tenant", "tenant"),
        ("skip", "skip"),
        ("redact", "redact"),
        ("hash", "hash"),
        ("plain", "plain"),
        ("rename", "rename = \"order_no\""),
    ],
};

/// What to answer to a word that is not understood in `place`.
pub(crate) fn unknown(word: &str, place: &Place) -> String {
    let is_known = |place: &&&Place| place.words.iter().any(|(known, _)| *known == word);
    let hint = if let Some(elsewhere) = [&CONTAINER, &VARIANT, &FIELD].iter().find(is_known) {
        format!(": it goes on {}", elsewhere.name)
    } else if let Some(nearest) = nearest(word, place.words.iter().map(|(known, _)| *known)) {
        format!(", did you mean `{nearest}`?")
    } else {
        String::new()
    };
    let possible: Vec<String> = place.words.iter().map(|(_, spelling)| format!("`{spelling}`")).collect();
    format!("`{word}` is no word for {}{hint}\npossible are {}", place.name, possible.join(", "))
}

/// The word of `place` that was meant by `word`, or `word` itself.
pub(crate) fn nearest_word(word: &str, place: &Place) -> String {
    nearest(word, place.words.iter().map(|(known, _)| *known)).unwrap_or(word).to_owned()
}

/// The name most like `word`, if one is much like it.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let by_distance = names.map(|name| (strsim::osa_distance(word, name), name));
    by_distance
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3) && *distance < name.len())
        .min()
        .map(|(_, name)| name)
}

/// The words that make a field look like a secret.
pub(crate) const SECRETS: [&str; 5] = ["password", "secret", "token", "card", "iban"];

/// The secret-sounding word in a field's name.
pub(crate) fn secret_in(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    SECRETS.into_iter().find(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_any_spelling() {
        for name in ["password", "userPassword", "card_number", "access-token", "IBAN", "client_secret"] {
            assert!(secret_in(name).is_some(), "{name}");
        }
        for name in ["id", "status", "pass", "car_door"] {
            assert_eq!(secret_in(name), None, "{name}");
        }
    }

    #[test]
    fn a_slip_finds_the_word_meant() {
        let words = || CONTAINER.words.iter().map(|(word, _)| *word);
        assert_eq!(nearest("topc", words()), Some("topic"));
        assert_eq!(nearest("eventtype", words()), Some("event_type"));
        assert_eq!(nearest("banana", words()), None);
        assert_eq!(nearest("1", ["a"].into_iter()), None);
    }
}
