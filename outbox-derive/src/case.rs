//! The ways of writing names that `rename_all` knows, as serde applies them.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    UpperSnake,
    Kebab,
    UpperKebab,
}

/// The cases by their names in attributes.
pub(crate) const CASES: [(&str, Case); 8] = [
    ("lowercase", Case::Lower),
    ("UPPERCASE", Case::Upper),
    ("PascalCase", Case::Pascal),
    ("camelCase", Case::Camel),
    ("snake_case", Case::Snake),
    ("SCREAMING_SNAKE_CASE", Case::UpperSnake),
    ("kebab-case", Case::Kebab),
    ("SCREAMING-KEBAB-CASE", Case::UpperKebab),
];

impl Case {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        CASES.into_iter().find(|(known, _)| *known == name).map(|(_, case)| case)
    }

    /// A field's name in this case. Serde takes it for snake case, whatever it is.
    pub(crate) fn of_field(self, name: &str) -> String {
        match self {
            Self::Lower | Self::Snake => name.to_owned(),
            Self::Upper | Self::UpperSnake => name.to_ascii_uppercase(),
            Self::Kebab => name.replace('_', "-"),
            Self::UpperKebab => name.to_ascii_uppercase().replace('_', "-"),
            Self::Pascal => name.split('_').map(|part| first_letter(part, str::to_ascii_uppercase)).collect(),
            Self::Camel => first_letter(&Self::Pascal.of_field(name), str::to_ascii_lowercase),
        }
    }

    /// A variant's name in this case. Serde takes it for Pascal case, whatever it is.
    pub(crate) fn of_variant(self, name: &str) -> String {
        match self {
            Self::Pascal => name.to_owned(),
            Self::Lower => name.to_ascii_lowercase(),
            Self::Upper => name.to_ascii_uppercase(),
            Self::Camel => first_letter(name, str::to_ascii_lowercase),
            Self::Snake | Self::UpperSnake | Self::Kebab | Self::UpperKebab => self.of_field(&snake(name)),
        }
    }
}

fn first_letter(text: &str, change: fn(&str) -> String) -> String {
    let end = text.chars().next().map_or(0, char::len_utf8);
    change(&text[..end]) + &text[end..]
}

fn snake(pascal: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in pascal.char_indices() {
        if index > 0 && letter.is_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case() {
        let fields = CASES.map(|(_, case)| case.of_field("order_id"));
        assert_eq!(
            fields,
            ["order_id", "ORDER_ID", "OrderId", "orderId", "order_id", "ORDER_ID", "order-id", "ORDER-ID"]
        );
        let variants = CASES.map(|(_, case)| case.of_variant("OrderPaid"));
        assert_eq!(
            variants,
            [
                "orderpaid",
                "ORDERPAID",
                "OrderPaid",
                "orderPaid",
                "order_paid",
                "ORDER_PAID",
                "order-paid",
                "ORDER-PAID"
            ]
        );
    }

    #[test]
    fn odd_names_survive() {
        assert_eq!(Case::Camel.of_field("_id"), "id");
        assert_eq!(Case::Camel.of_field("__"), "");
        assert_eq!(Case::Camel.of_field("één_twee"), "éénTwee");
        assert_eq!(Case::Snake.of_variant("ÉénTwee"), "Één_twee");
    }
}
