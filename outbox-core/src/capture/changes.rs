//! What differs between two images of a row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The names of the fields that differ, those of `after` first; `None` where an image is not a JSON object.
pub(crate) fn between(before: &str, after: &str) -> Option<Vec<String>> {
    let before: Fields<'_> = serde_json::from_str(before).ok()?;
    let after: Fields<'_> = serde_json::from_str(after).ok()?;
    let mut seen = BTreeSet::new();
    let names = after.names.iter().chain(&before.names).filter(|name| seen.insert(name.as_str()));
    let changed = names.filter(|name| before.values.get(*name) != after.values.get(*name));
    Some(changed.cloned().collect())
}

/// The members of an object. Values stay text: no number is rounded, and no depth is too deep.
struct Fields<'a> {
    names: Vec<String>,
    values: BTreeMap<String, &'a str>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields { names: Vec::new(), values: BTreeMap::new() };
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            fields.values.insert(name.clone(), value.get());
            fields.names.push(name);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::capture::{CaptureError, Entity, changed_fields};

    fn changed(before: &str, after: &str) -> Vec<String> {
        between(before, after).unwrap()
    }

    #[test]
    fn fields_come_in_the_order_of_the_row_and_removed_ones_last() {
        assert_eq!(
            changed(r#"{"gone":1,"z":1,"same":[1, 2],"a":1}"#, r#"{"z":2,"same":[1, 2],"new":1,"a":null}"#),
            ["z", "new", "a", "gone"]
        );
        assert_eq!(changed(r#"{"a":1}"#, r#"{"a":1}"#), [""; 0]);
        assert_eq!(changed("{}", r#"{"b":1,"a":2}"#), ["b", "a"]);
    }

    #[test]
    fn values_are_compared_as_they_are_written() {
        let digits = "12345678901234567890123456789012345678";
        assert_eq!(changed(&format!(r#"{{"n":{digits}0}}"#), &format!(r#"{{"n":{digits}1}}"#)), ["n"]);
        assert_eq!(changed(r#"{"n":1.0,"e":1e400}"#, r#"{"n":1.00,"e":1e400}"#), ["n"]);
        let deep = |end: &str| format!(r#"{{"d":{}{end}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
        assert_eq!(changed(&deep("1"), &deep("2")), ["d"]);
    }

    #[test]
    fn of_a_name_that_is_repeated_the_last_counts() {
        assert_eq!(changed(r#"{"a":1,"a":2}"#, r#"{"a":3,"a":2}"#), [""; 0]);
        assert_eq!(changed(r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#), ["a"]);
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for image in ["[]", "null", "1", "", "{", r#"{"a":1} x"#] {
            assert_eq!((between(image, "{}"), between("{}", image)), (None, None), "{image}");
        }
    }

    struct Row(&'static str);

    impl Entity for Row {
        const TABLE: &'static str = "rows";
        const TOPIC: &'static str = "rows";
        const VERSION: Option<i32> = None;

        fn key(&self) -> Cow<'_, str> {
            "1".into()
        }

        fn tenant(&self) -> Option<Cow<'_, str>> {
            None
        }

        fn image(&self) -> Result<String, CaptureError> {
            Ok(self.0.to_owned())
        }
    }

    #[test]
    fn a_row_without_fields_is_refused_without_being_shown() {
        assert_eq!(changed_fields(&Row(r#"{"a":1}"#), &Row(r#"{"a":2}"#)).unwrap(), ["a"]);
        let error = changed_fields(&Row(r#"["secret"]"#), &Row("{}")).unwrap_err().to_string();
        assert!(error.ends_with("Row` is not a JSON object; capture a struct with named fields"), "{error}");
        assert!(!error.contains("secret"));
    }
}
