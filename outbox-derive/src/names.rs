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

/// The words that make a field look like a secret, alone or joined to others: `access_token`, `userpassword`.
const SECRETS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "iban",
    "api_key",
    "api-key",
    "apikey",
    "cvv",
    "cvc",
];

/// How words begin that have `card` in them and mean none: `discarded`, `cardinality`.
const NO_CARDS: [&str; 8] =
    ["cardboard", "cardiac", "cardinal", "cardio", "discard", "postcard", "scorecard", "wildcard"];

/// The secret-sounding word in a field's name.
pub(crate) fn secret_in(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let joined = SECRETS.into_iter().find(|secret| lower.contains(secret));
    joined.or_else(|| words(name).iter().find_map(|word| short_secret(word)))
}

/// The secret among those that other words have in them too: a card is often joined to what it is (`creditcard`), a pin
/// stands for itself.
fn short_secret(word: &str) -> Option<&'static str> {
    let rest = NO_CARDS.iter().find_map(|other| word.strip_prefix(other)).unwrap_or(word);
    if rest.contains("card") {
        return Some("card");
    }
    matches!(word, "pin" | "pins").then_some("pin")
}

/// The words of a name in lower case: it is split where something else than letters stands, and before a capital that
/// follows a small letter.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut is_after_small = false;
    for letter in name.chars() {
        if is_after_small && letter.is_uppercase() {
            spaced.push(' ');
        }
        spaced.extend(letter.to_lowercase());
        is_after_small = letter.is_lowercase();
    }
    spaced.split(|letter: char| !letter.is_alphabetic()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_any_spelling() {
        for (names, secret) in [
            ("password userPassword passWord PASSWORDS userpassword", "password"),
            ("passwd db_passwd", "passwd"),
            ("passphrase keyPassphrase", "passphrase"),
            ("pwd userPwd dbpwd", "pwd"),
            ("client_secret secrets _clientSecret2", "secret"),
            ("access-token accesstoken tokenId token_count", "token"),
            ("IBAN iBan ibans ownerIban iban2", "iban"),
            ("api_key API_KEYS", "api_key"),
            ("api-key", "api-key"),
            ("apiKey stripeapikey", "apikey"),
            ("cvv cvv2", "cvv"),
            ("card_number cardNumber CARDNumber card2 cards creditcard CreditCard creditcards cardholder", "card"),
            ("discard_card discardcard postcardCard", "card"),
            ("pin pins userPIN userPin2 PIN_CODE pin-hash", "pin"),
        ] {
            for name in names.split(' ') {
                assert_eq!(secret_in(name), Some(secret), "{name}");
            }
        }
    }

    #[test]
    fn other_words_are_no_secrets() {
        for name in [
            "id status pass car_door carDoor wifi_band",
            "discard discarded is_discarded isDiscarded discard2 cardinal cardinality maxCardinality cardiology",
            "cardiac cardboard postcard postcards wildcard scorecard dashboard DISCARD CARDINALITY",
            "pinned pinboard shipping spinPinned opinion key api keyboard",
        ]
        .iter()
        .flat_map(|names| names.split(' '))
        {
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
