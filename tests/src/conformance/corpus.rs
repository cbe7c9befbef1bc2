//! Texts that end a quotation, begin a comment, mean something to a driver, or look like other texts.

use std::collections::BTreeSet;

const SEEDS: [&str; 44] = [
    "orders",
    "outbox_event",
    "select",
    "user",
    "NULL",
    "default",
    "_",
    "\"",
    "'",
    "`",
    ";",
    "--",
    "/*",
    "*/",
    "#",
    "$1",
    "?1",
    ":name",
    "@p",
    "%s",
    "{}",
    "${HOME}",
    "\\",
    "\\'",
    "\\x00",
    "\\u0000",
    "U&'\\0027'",
    "\u{0}",
    "\u{1}",
    "\u{1b}[2J\u{1b}[31m",
    "\r\n",
    "\u{7f}",
    "\u{202e}drop",
    "\u{200b}",
    "\u{feff}",
    "\u{2bc}",
    "\u{ff07}",
    "ＤＲＯＰ　ＴＡＢＬＥ",
    "a\u{301}\u{1f5dd}",
    "\u{10ffff}",
    "%_*?[a-z]!",
    "'; DROP TABLE orders; --",
    "1 OR 1=1",
    "pg_catalog.pg_class, sqlite_master",
];

/// What is put around each seed.
const WRAPPERS: [fn(&str) -> String; 16] = [
    |seed| seed.to_owned(),
    |seed| format!("\"{seed}\""),
    |seed| format!("'{seed}'"),
    |seed| format!("`{seed}`"),
    |seed| format!("[{seed}]"),
    |seed| format!("{seed}\"; DROP TABLE orders; --"),
    |seed| format!("{seed}'); DELETE FROM outbox_event; --"),
    |seed| format!("{seed}' OR '1'='1"),
    |seed| format!("$${seed}$$"),
    |seed| format!("$tag${seed}$tag$"),
    |seed| format!("/*{seed}*/"),
    |seed| format!("{seed}\\"),
    |seed| format!("{seed}\0{seed}"),
    |seed| format!("\u{1b}]0;{seed}\u{7}"),
    |seed| format!(" {seed}\t"),
    |seed| seed.repeat(65_usize.div_ceil(seed.len())),
];

/// Every seed in every wrapper, each once.
pub(super) fn corpus() -> Vec<String> {
    let all = SEEDS.iter().flat_map(|seed| WRAPPERS.iter().map(move |wrapped| wrapped(seed)));
    all.collect::<BTreeSet<_>>().into_iter().collect()
}
