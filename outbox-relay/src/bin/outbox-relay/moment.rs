//! Moments, as people write and read them.

use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time, UtcOffset};

use crate::quantity;

/// RFC 3339 with six digits, as the log keeps it.
const PRECISE: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// As people read it.
const SECONDS: StaticFormatDescription = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Reads RFC 3339, the same without a zone (then UTC), a date (its beginning in UTC), or how long before `now` it was.
pub(crate) fn parse(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let ago = || now.checked_sub(quantity::duration(text).ok()?.try_into().ok()?);
    let date = || Some(Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?.with_time(Time::MIDNIGHT));
    let exact = |text: &str| OffsetDateTime::parse(&text.replacen(' ', "T", 1), &Rfc3339).ok();
    ago().or_else(|| Some(date()?.assume_utc())).or_else(|| exact(text)).or_else(|| exact(&format!("{text}Z"))).ok_or_else(
        || {
            format!(
                "`{text}` is not a time; write one such as 2026-01-31T12:00:00Z, a date such as 2026-01-31, or how long \
                 ago it was, such as 30m, 2h or 7d"
            )
        },
    )
}

/// RFC 3339 in UTC with six digits.
pub(crate) fn precise(at: OffsetDateTime) -> String {
    written(at, PRECISE)
}

/// `YYYY-MM-DD HH:MM:SS` in UTC.
pub(crate) fn seconds(at: OffsetDateTime) -> String {
    written(at, SECONDS)
}

fn written(at: OffsetDateTime, form: StaticFormatDescription) -> String {
    let at = at.checked_to_offset(UtcOffset::UTC).unwrap_or(at);
    at.format(form).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_is_exact_a_date_or_a_while_ago() {
        let now = datetime!(2026-11-20 12:00 UTC);
        for (text, expected) in [
            ("2026-01-31T12:00:00+01:00", datetime!(2026-01-31 11:00 UTC)),
            ("2026-01-31T12:00:00.5Z", datetime!(2026-01-31 12:00:00.5 UTC)),
            ("2026-01-31 12:00:00", datetime!(2026-01-31 12:00 UTC)),
            ("2026-01-31T12:00:00", datetime!(2026-01-31 12:00 UTC)),
            ("2026-01-31", datetime!(2026-01-31 00:00 UTC)),
            ("30m", datetime!(2026-11-20 11:30 UTC)),
            ("7d", datetime!(2026-11-13 12:00 UTC)),
        ] {
            assert_eq!(parse(text, now), Ok(expected), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "2026-1-1", "12:00", "-2h", "99999999d", "2026-01-31T25:00:00Z"] {
            assert!(parse(text, now).unwrap_err().contains("2026-01-31T12:00:00Z"), "{text}");
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        let at = datetime!(2026-11-20 01:02:03.000004 +2);
        assert_eq!(
            (precise(at).as_str(), seconds(at).as_str()),
            ("2026-11-19T23:02:03.000004Z", "2026-11-19 23:02:03")
        );
        assert_eq!(precise(datetime!(-0044-03-15 12:00 UTC)), "-0044-03-15T12:00:00.000000Z");
    }
}
