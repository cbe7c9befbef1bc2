//! Durations and sizes, as people write and read them.

use std::time::Duration;

pub(crate) use outbox_core::status::age;

/// Units of time in milliseconds.
const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size in bytes: decimal and, with an `i`, binary.
const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads a whole number with a unit, such as `100ms` or `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let say =
        || format!("`{text}` is not a duration; write a whole number with its unit, such as 100ms, 5s, 10m, 1h or 7d");
    measure(text, |unit| TIMES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor))
        .map(Duration::from_millis)
        .ok_or_else(say)
}

/// Reads a duration above zero.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err(format!("`{text}` is no time at all; write at least 1ms")) } else { Ok(duration) }
}

/// Reads a whole number with a unit, such as `16MiB` or `1GB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let say = || format!("`{text}` is not a size; write a whole number with its unit, such as 500kB, 16MiB or 1GB");
    measure(text, |unit| SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor))
        .ok_or_else(say)
}

/// Reads a size above zero.
pub(crate) fn positive_size(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes > 0 { Ok(bytes) } else { Err("0 leaves no room; write 16MiB".into()) }
}

/// Reads a whole number above zero.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let say = || format!("`{text}` is not a count; write a whole number above 0");
    text.parse().ok().filter(|count| *count > 0).ok_or_else(say)
}

fn measure(text: &str, factor: impl FnOnce(&str) -> Option<u64>) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    digits.parse::<u64>().ok()?.checked_mul(factor(unit.trim_start())?)
}

/// A size for people, such as `12.3 MiB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, factor)| bytes >= *factor) {
        Some((unit, factor)) => format!("{:.1} {unit}", bytes as f64 / factor as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_whole_number_and_a_unit() {
        for (text, millis) in
            [("100ms", 100), ("5s", 5_000), ("10 m", 600_000), ("1h", 3_600_000), ("7d", 604_800_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
        }
        for (text, bytes) in
            [("16MiB", 16 << 20), ("1GB", 1_000_000_000), ("500 kb", 500_000), ("7B", 7), ("2kib", 2048)]
        {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "1.5h",
            "5 parsecs",
            "99999999999999999999s",
            "9999999999999999999d",
            "5s5",
            "MiB",
            "5S",
        ] {
            assert!(duration(text).unwrap_err().contains("100ms"), "{text}");
            assert!(size(text).unwrap_err().contains("16MiB"), "{text}");
        }
        assert!(count("0").is_err() && count("ten").is_err() && count("10") == Ok(10));
    }

    #[test]
    fn ages_and_sizes_are_short() {
        for (seconds, text) in [
            (0.0, "0s"),
            (0.2, "<1s"),
            (1.9, "1s"),
            (192.0, "3m 12s"),
            (3600.0, "1h"),
            (3605.0, "1h"),
            (90_000.0, "1d 1h"),
        ] {
            assert_eq!(age(seconds), text);
        }
        assert_eq!((bytes(12), bytes(12_900_000).as_str()), ("12 B".to_owned(), "12.3 MiB"));
    }
}
