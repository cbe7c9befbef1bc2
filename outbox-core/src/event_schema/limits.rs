//! Ranges: of numbers, of lengths, of how many.

use std::fmt;

use serde_json::Value;

use super::forms::Form;

/// Keywords that make a range.
pub(super) struct Limit {
    /// What the range is of.
    pub(super) what: &'static str,
    from: &'static str,
    to: &'static str,
}

pub(super) const LIMITS: [Limit; 4] = [
    Limit { what: "values", from: "minimum", to: "maximum" },
    Limit { what: "characters", from: "minLength", to: "maxLength" },
    Limit { what: "items", from: "minItems", to: "maxItems" },
    Limit { what: "fields", from: "minProperties", to: "maxProperties" },
];

/// From one whole number to another, both included; without one there is no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    from: Option<i128>,
    to: Option<i128>,
}

impl Limit {
    /// Whether the keyword counts for a range, in both of its values.
    pub(super) fn is_made_by(&self, keyword: &str, values: [Option<&Value>; 2]) -> bool {
        let is_part = |value: &Value| match keyword {
            "format" => self.from == "minimum" && value.as_str().is_some_and(is_of_numbers),
            _ => (keyword == self.from || keyword == self.to) && whole(value).is_some(),
        };
        values.into_iter().flatten().all(is_part)
    }

    /// The range in a form.
    pub(super) fn of(&self, form: &Form) -> Range {
        let format = form.0.get("format").and_then(Value::as_str).filter(|_| self.from == "minimum");
        let Range { from, to } = format.and_then(range_of).unwrap_or(Range { from: None, to: None });
        let number = |keyword| form.0.get(keyword).and_then(whole);
        Range { from: from.max(number(self.from)), to: [to, number(self.to)].into_iter().flatten().min() }
    }
}

/// Whether a format is of numbers: in JSON they differ in nothing but their range.
fn is_of_numbers(format: &str) -> bool {
    matches!(format, "float" | "double" | "int128" | "uint128") || range_of(format).is_some()
}

/// The range of one of Rust's integers, by the name that schemars gives it.
fn range_of(format: &str) -> Option<Range> {
    let bits = |digits: &str| if digits.is_empty() { Some(64) } else { digits.parse().ok() };
    let (from, to) = if let Some(digits) = format.strip_prefix("uint") {
        (0, power_of_two(bits(digits)?)? - 1)
    } else {
        let half = power_of_two(bits(format.strip_prefix("int")?)?.checked_sub(1)?)?;
        (-half, half - 1)
    };
    Some(Range { from: Some(from), to: Some(to) })
}

fn whole(value: &Value) -> Option<i128> {
    value.as_number()?.as_i128()
}

fn power_of_two(exponent: u32) -> Option<i128> {
    2_i128.checked_pow(exponent)
}

impl Range {
    /// Whether it holds something that the other does not.
    pub(super) fn exceeds(self, other: Self) -> bool {
        let below = other.from.is_some_and(|other| self.from.is_none_or(|from| from < other));
        let above = other.to.is_some_and(|other| self.to.is_none_or(|to| to > other));
        below || above
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, "{from} to {to}"),
            (Some(from), None) => write!(f, "{from} or more"),
            (None, Some(to)) => write!(f, "{to} or less"),
            (None, None) => f.write_str("any"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_rusts_integers() {
        let shown = ["int8", "uint16", "uint", "int64"].map(|format| range_of(format).unwrap().to_string());
        assert_eq!(
            shown,
            ["-128 to 127", "0 to 65535", "0 to 18446744073709551615", "-9223372036854775808 to 9223372036854775807"]
        );
        assert_eq!(["date", "uint128", "int0", "intx"].map(range_of), [None; 4]);
    }

    #[test]
    fn a_range_exceeds_another_at_either_end() {
        let range = |from, to| Range { from, to };
        let middle = range(Some(0), Some(9));
        assert!(range(None, Some(9)).exceeds(middle) && range(Some(0), Some(10)).exceeds(middle));
        assert!(!range(Some(1), Some(9)).exceeds(middle) && !middle.exceeds(range(None, None)));
    }
}
