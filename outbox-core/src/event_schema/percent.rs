//! Text with a `%` and two hexadecimal digits in place of some bytes.

use std::fmt::Write;

/// A name as a part of a path on any file system: letters, digits, `-` and `_` stay, and dots that do not come first.
pub(super) fn encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        let stays =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && !encoded.is_empty());
        if stays {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a `String` works");
        }
    }
    encoded
}

/// The text that was encoded; what is no encoding stays.
pub(super) fn decoded(encoded: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = match (first, behind) {
            (b'%', [high, low, ..]) => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|code| u8::from_str_radix(code, 16).ok())
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decoded, encoded};

    #[test]
    fn names_become_parts_of_paths() {
        let names = ["shop.orders", "../a", "a/b\\c", ".", "grün", "order-placed_2"];
        let paths = names.map(encoded);
        assert_eq!(paths, ["shop.orders", "%2E.%2Fa", "a%2Fb%5Cc", "%2E", "gr%C3%BCn", "order-placed_2"]);
    }

    proptest! {
        #[test]
        fn names_come_back(name in ".*") {
            prop_assert_eq!(decoded(&encoded(&name)), name);
        }
    }
}
