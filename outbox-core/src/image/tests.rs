use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};

use super::{Rule, joined, write};

#[derive(Serialize)]
struct Inner {
    secret: &'static str,
}

#[derive(Serialize)]
struct Row {
    zeta: i128,
    secret: &'static str,
    alpha: Box<serde_json::value::RawValue>,
    inner: Inner,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

fn row() -> Row {
    Row {
        zeta: i128::MAX,
        secret: "canary",
        alpha: serde_json::from_str("12345678901234567890123456789012345678.0").unwrap(),
        inner: Inner { secret: "of another struct" },
        note: None,
    }
}

fn to_json(value: &(impl Serialize + ?Sized), rules: &[Rule]) -> serde_json::Result<String> {
    write(value, rules, None)
}

fn image(rules: &[Rule]) -> String {
    to_json(&row(), rules).unwrap()
}

#[test]
fn without_rules_it_is_what_serde_writes() {
    assert_eq!(image(&[]), serde_json::to_string(&row()).unwrap());
}

#[test]
fn order_digits_and_inner_structs_stay() {
    let expected = |middle: &str| {
        format!(
            "{{\"zeta\":{},{middle}\"alpha\":12345678901234567890123456789012345678.0,\
             \"inner\":{{\"secret\":\"of another struct\"}}}}",
            i128::MAX
        )
    };
    assert_eq!(image(&[Rule::skip("secret")]), expected(""));
    assert_eq!(image(&[Rule::redact("secret")]), expected("\"secret\":\"[redacted]\","));
    assert_eq!(image(&[Rule::plain("secret").named("open")]), expected("\"open\":\"canary\","));
    // The digest is that of `printf canary | sha256sum`.
    let digest = "e100fbce008c04ec40637af0af91fb2f05aeedc23f856a2d3c0b1580625d755e";
    assert_eq!(image(&[Rule::hash("secret").named("digest")]), expected(&format!("\"digest\":\"{digest}\",")));
}

#[test]
fn hashes_of_other_values_are_of_their_json() {
    let value = BTreeMap::from([("list", Some(vec![1, 2])), ("nothing", None)]);
    let written = to_json(&value, &[Rule::hash("list"), Rule::hash("nothing")]).unwrap();
    // The digest is that of `printf '[1,2]' | sha256sum`.
    assert_eq!(
        written,
        r#"{"list":"49a64717d5d4cb19952e6eac2946415cf6879adacf9908e7d872332d32c6e684","nothing":null}"#
    );
}

#[test]
fn a_struct_without_fields_is_an_object() {
    assert_eq!(to_json(&Inner { secret: "canary" }, &[Rule::skip("secret")]).unwrap(), "{}");
}

#[test]
fn maps_are_filtered_in_both_ways_of_writing_them() {
    struct InTwoCalls;

    impl Serialize for InTwoCalls {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for key in ["a", "b", "c"] {
                map.serialize_key(key)?;
                map.serialize_value(key)?;
            }
            map.serialize_key(&1.0)?;
            map.serialize_value(&1)?;
            map.end()
        }
    }

    let rules = [Rule::skip("a"), Rule::redact("b")];
    assert_eq!(to_json(&InTwoCalls, &rules).unwrap(), r#"{"b":"[redacted]","c":"c","1.0":1}"#);
    let entries = BTreeMap::from([("a", 1), ("b", 2), ("c", 3)]);
    assert_eq!(to_json(&entries, &rules).unwrap(), r#"{"b":"[redacted]","c":3}"#);
}

#[test]
fn rules_within_the_content_of_a_tagged_enum() {
    #[derive(Serialize)]
    #[serde(tag = "secret", content = "data")]
    enum Tagged {
        Joined { secret: &'static str, id: u8 },
    }

    let value = Tagged::Joined { secret: "canary", id: 1 };
    let written = write(&value, &[Rule::redact("secret")], Some("data")).unwrap();
    assert_eq!(written, r#"{"secret":"Joined","data":{"secret":"[redacted]","id":1}}"#);
}

#[test]
fn a_field_that_does_not_turn_up_is_an_error_unless_it_may() {
    let error = to_json(&row(), &[Rule::skip("sekret")]).unwrap_err();
    assert!(error.to_string().starts_with("the protected or renamed field `sekret` is not in"), "{error}");
    assert_eq!(to_json(&row(), &[Rule::skip("sekret").may_be_absent()]).unwrap(), image(&[]));
    // serde says that it leaves this one out.
    assert_eq!(to_json(&row(), &[Rule::skip("note")]).unwrap(), image(&[]));
    assert!(to_json(&["canary"], &[Rule::redact("secret")]).is_err());
    assert!(to_json(&Some(row()), &[Rule::redact("secret")]).is_err());
}

#[test]
fn no_error_says_a_protected_value() {
    #[derive(Serialize)]
    struct Failing {
        #[serde(serialize_with = "refuse")]
        secret: &'static str,
    }

    fn refuse<S: Serializer>(value: &str, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(format_args!("cannot write {value}")))
    }

    let value = Failing { secret: "canary" };
    let error = to_json(&value, &[Rule::hash("secret")]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    assert_eq!(to_json(&value, &[Rule::redact("secret")]).unwrap(), r#"{"secret":"[redacted]"}"#);
    assert_eq!(to_json(&value, &[Rule::skip("secret")]).unwrap(), "{}");
    assert!(to_json(&value, &[]).is_err());
}

proptest! {
    #[test]
    fn composite_keys_are_equal_only_where_their_parts_are(
        left in [r"[/\\a]{0,4}", r"[/\\a]{0,4}"],
        right in [r"[/\\a]{0,4}", r"[/\\a]{0,4}"],
    ) {
        let key = |parts: &[String; 2]| joined(&[&parts[0], &parts[1]]).into_owned();
        prop_assert_eq!(key(&left) == key(&right), left == right);
    }
}
