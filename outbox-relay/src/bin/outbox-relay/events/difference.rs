//! What is different between two images of a row.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Objects in objects are compared so deep; below they count as one value.
const DEPTH: u8 = 8;

/// The fields of a JSON object in their order, values as they were written.
pub(super) type Fields<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// A field that is different, or the only one there is.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    /// Its name; within an object after the names of those around it, with dots.
    pub(super) name: Cow<'a, str>,
    /// What it was.
    pub(super) before: Option<&'a RawValue>,
    /// What it is.
    pub(super) after: Option<&'a RawValue>,
}

/// The fields of a JSON object; `None` where the value is no object, or a name is no text.
pub(super) fn fields(json: &RawValue) -> Option<Fields<'_>> {
    serde_json::Deserializer::from_str(json.get()).deserialize_map(InOrder).ok()
}

/// What is different: fields that were changed or are new in the order of `after`, then those that are gone.
pub(super) fn difference<'a>(before: &'a RawValue, after: &'a RawValue) -> Option<Vec<Field<'a>>> {
    let mut found = Vec::new();
    compare("", &fields(before)?, &fields(after)?, DEPTH, &mut found);
    Some(found)
}

fn compare<'a>(path: &str, before: &Fields<'a>, after: &Fields<'a>, depth: u8, found: &mut Vec<Field<'a>>) {
    let old: HashMap<&str, &'a RawValue> = before.iter().map(|(name, value)| (&**name, *value)).collect();
    for (name, value) in after {
        match old.get(&**name) {
            Some(old) if old.get() == value.get() => {}
            Some(old) => changed(joined(path, name), old, value, depth, found),
            None => found.push(Field { name: joined(path, name), before: None, after: Some(value) }),
        }
    }
    let new: HashMap<&str, &'a RawValue> = after.iter().map(|(name, value)| (&**name, *value)).collect();
    let gone = before.iter().filter(|(name, _)| !new.contains_key(&**name));
    found.extend(gone.map(|(name, value)| Field { name: joined(path, name), before: Some(value), after: None }));
}

/// One value that is written differently: two objects are different where their fields are.
fn changed<'a>(name: Cow<'a, str>, before: &'a RawValue, after: &'a RawValue, depth: u8, found: &mut Vec<Field<'a>>) {
    match (depth, fields(before), fields(after)) {
        (1.., Some(before), Some(after)) => compare(&name, &before, &after, depth - 1, found),
        _ => found.push(Field { name, before: Some(before), after: Some(after) }),
    }
}

fn joined<'a>(path: &str, name: &Cow<'a, str>) -> Cow<'a, str> {
    if path.is_empty() { name.clone() } else { Cow::Owned(format!("{path}.{name}")) }
}

/// Takes an object apart without sorting it or leaving out what is there twice.
struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            fields.push((name, map.next_value()?));
        }
        Ok(fields)
    }
}

/// A name, borrowed where nothing in it is escaped.
#[derive(serde::Deserialize, Debug)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let (before, after) = (serde_json::from_str(before).unwrap(), serde_json::from_str(after).unwrap());
        let value = |value: Option<&RawValue>| value.map_or("-", RawValue::get).to_owned();
        let fields = difference(before, after).unwrap();
        fields.iter().map(|field| format!("{} {} {}", field.name, value(field.before), value(field.after))).collect()
    }

    #[test]
    fn only_what_is_different_is_told_as_it_was_written() {
        assert_eq!(
            told(r#"{"a":1,"b":2.0,"c":3}"#, r#"{"c":3,"b":2.00,"d":null}"#),
            ["b 2.0 2.00", "d - null", "a 1 -"]
        );
        assert_eq!(told(r#"{"n":12345678901234567890123}"#, r#"{"n":12345678901234567890124}"#).len(), 1);
        assert_eq!(told(r#"{"\u0061":1}"#, r#"{"a":1}"#), [""; 0]);
    }

    #[test]
    fn objects_within_are_different_where_their_fields_are() {
        let (before, after) =
            (r#"{"to":{"city":"A","zip":{"n":1,"m":2}}}"#, r#"{"to":{"city":"A","zip":{"n":2, "m":2}}}"#);
        assert_eq!(told(before, after), ["to.zip.n 1 2"]);
        assert_eq!(told(r#"{"to":{"a":1}}"#, r#"{"to":[1]}"#), [r#"to {"a":1} [1]"#]);
    }

    #[test]
    fn awkward_objects_are_compared_all_the_same() {
        assert_eq!(told(r#"{"a":1,"a":2}"#, r#"{"a":2,"a":3}"#), ["a 2 3"]);
        let nested = |inner: &str| format!("{}{inner}{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
        assert_eq!(told(&nested("1"), &nested("2")).len(), 1);
        let json = |text| serde_json::from_str(text).unwrap();
        assert!(fields(json("[1]")).is_none() && fields(json(r#"{"\ud800":1}"#)).is_none());
    }
}
