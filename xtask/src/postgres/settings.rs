//! The settings of `postgresql.conf`; of two lines with one name the server takes the later.

use std::fmt::Write as _;
use std::path::Path;

/// What every cluster of the tests needs: logical decoding, two-phase commit, room for pgbench beside the relays.
const DEFAULTS: [(&str, &str); 4] = [
    ("listen_addresses", "127.0.0.1"),
    ("wal_level", "logical"),
    ("max_prepared_transactions", "64"),
    ("max_connections", "300"),
];

/// The defaults, and after them what the caller wants.
pub(super) fn for_primary(wanted: Vec<(String, String)>) -> Vec<(String, String)> {
    DEFAULTS.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).chain(wanted).collect()
}

/// Where the server listens; written last, because a standby's copy names its primary's place.
pub(super) fn for_place(port: u16, sockets: &Path) -> Vec<(String, String)> {
    vec![("port".to_owned(), port.to_string()), ("unix_socket_directories".to_owned(), sockets.display().to_string())]
}

/// The settings as lines of `postgresql.conf`.
pub(super) fn lines(settings: &[(String, String)]) -> String {
    settings.iter().fold(String::new(), |mut text, (name, value)| {
        let quoted = value.replace('\\', "\\\\").replace('\'', "''");
        writeln!(text, "{name} = '{quoted}'").expect("writing to a String cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_quotes_and_backslashes() {
        let settings = [("log_line_prefix".to_owned(), r"it's \m ".to_owned())];
        assert_eq!(lines(&settings), "log_line_prefix = 'it''s \\\\m '\n");
    }

    #[test]
    fn the_caller_has_the_last_word() {
        let text = lines(&for_primary(vec![("max_connections".to_owned(), "20".to_owned())]));
        assert!(text.ends_with("max_connections = '300'\nmax_connections = '20'\n"), "{text}");
    }
}
